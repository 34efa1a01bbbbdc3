"""What has a container of a Pod said: GET .../pods/NAME/log?"""

import bisect
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from corral.controller.api.kube import authorize
from corral.controller.api.kube.reads import key_of, the_object, whole_number
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.status import KubeError, forbidden
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import ContainerStatus, Pod
from corral.protocol.requests import Caller
from corral.services.manifests.typed import seconds

#: Bytes asked of a node at once.
_PIECE = 262144
#: So long a node waits for more before it says that there is nothing.
_PATIENCE = 1.0
#: Times are shown in whole millionths: one that was shown and comes back means its own line too.
_SHOWN_TO = 1e-6


class _Run:
    """One run of one container, as it is now."""

    def __init__(self, pod: Pod, name: str, previous: bool) -> None:
        self.pod, self.name = pod, name
        status = status_of(pod, name)
        if status is None or not pod.status.node:
            raise waits(pod, name, status)
        self.status = status
        backs_off = status.state.state == "waiting" and status.last_state is not None
        self.number = status.restart_count
        if previous:
            if status.last_state is None:
                raise KubeError(
                    "BadRequest", f'previous terminated container "{name}" in pod "{pod.metadata.name}" not found'
                )
            self.number -= not backs_off
        elif status.step < 0 and not backs_off:
            raise waits(pod, name, status)
        self.is_over = previous or backs_off or status.state.state == "terminated"


def status_of(pod: Pod, name: str) -> ContainerStatus | None:
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    return next((one for one in statuses if one.name == name), None)


def waits(pod: Pod, name: str, status: ContainerStatus | None) -> KubeError:
    reason = (status.state.reason if status is not None else "") or "ContainerCreating"
    return KubeError("BadRequest", f'container "{name}" in pod "{pod.metadata.name}" is waiting to start: {reason}')


def container_of(request: Request, pod: Pod) -> str:
    """The one that is asked for, or the only one."""
    known = [one.name for one in (*pod.spec.containers, *pod.spec.init_containers)]
    name = request.query_params.get("container", "")
    if not name and len(pod.spec.containers) == 1:
        return pod.spec.containers[0].name
    if not name:
        text = f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{' '.join(known)}]"
        raise KubeError("BadRequest", text)
    if name not in known:
        raise KubeError("BadRequest", f"container {name} is not valid for pod {pod.metadata.name}")
    return name


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


async def get_log(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    pod = the_object(service, caller, address)
    assert isinstance(pod, Pod)
    is_others = not caller.is_operator and (pod.creator is None or pod.creator.uid != caller.uid)
    if is_others and not authorize.by_roles(service, caller, address.namespace):
        raise forbidden(address.resource, address.name, "the log of a Pod is its owner's")
    run = _Run(pod, container_of(request, pod), _flag(request, "previous"))
    reader = _Reader(
        service, run, key_of(address), whole_number(request, "tailLines"), whole_number(request, "limitBytes"),
        _flag(request, "follow"),
    )  # fmt: skip
    reader.since, reader.with_times = _since(request), _flag(request, "timestamps")
    first = await reader.first()
    return StreamingResponse(reader.rest(first), media_type="text/plain")


async def from_now_on(service: Service, pod: Pod, container: str) -> AsyncIterator[bytes]:
    """What it says until its run ends. Raises KubeError when its node does not answer."""
    reader = _Reader(service, _Run(pod, container, False), pod.key, 0, None, True)
    return reader.rest(await reader.first())


def _since(request: Request) -> float:
    """0.0 = from the beginning."""
    ago, moment = whole_number(request, "sinceSeconds"), request.query_params.get("sinceTime", "")
    if ago is not None and moment:
        raise KubeError("BadRequest", "at most one of sinceTime or sinceSeconds may be specified")
    if ago is not None:
        if ago < 1:
            raise KubeError("BadRequest", "sinceSeconds: must be greater than 0")
        return clock.now() - ago
    if not moment:
        return 0.0
    when = seconds(moment)
    if when is None:
        raise KubeError("BadRequest", f"sinceTime: a time such as 2030-01-31T16:00:00Z is needed, not {moment!r}")
    return max(when - _SHOWN_TO, 1e-9)


class _Stamped:
    """What a log says, with the time before each line."""

    def __init__(self) -> None:
        self._is_within = False  #: a line has begun that is not over

    def text(self, data: bytes, offset: int, times: tuple[tuple[int, float], ...]) -> bytes:
        starts = [start for start, _ in times]
        parts: list[bytes] = []
        for line in _lines(data):
            if not self._is_within:
                at = bisect.bisect_right(starts, offset) - 1
                parts.append(_stamp(times[max(at, 0)][1]) if times else b"")
            parts.append(line)
            self._is_within = not line.endswith(b"\n")
            offset += len(line)
        return b"".join(parts)


def _lines(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _stamp(when: float) -> bytes:
    """As Kubernetes: in billionths of a second."""
    moment = datetime.fromtimestamp(when, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}000Z ".encode()


class _Reader:
    """Piece by piece, from the node."""

    def __init__(
        self, service: Service, run: _Run, key: ObjectKey, lines: int | None, limit: int | None, follow: bool
    ) -> None:
        self.service, self.run, self.key, self.lines, self.follow = service, run, key, lines, follow
        self.left = limit if limit is not None else 1 << 62
        self.offset = 0
        self.since, self.with_times = 0.0, False
        self._stamped = _Stamped()

    async def _read(self, *, last_lines: int | None = None, wait: float = 0.0) -> tuple[bytes, int]:
        run = self.run
        found = await self.service.pod_logs.read(
            run.pod.status.node, run.pod.metadata, run.name, run.number, offset=self.offset, last_lines=last_lines,
            most=_PIECE, wait=wait, since=self.since, with_times=self.with_times,
        )  # fmt: skip
        if found is None:
            why = f"node {run.pod.status.node} does not answer: what its Pods have said lies there"
            raise KubeError("ServiceUnavailable", why)
        if found.problem:
            raise KubeError("NotFound", f'container "{run.name}" in pod "{run.pod.metadata.name}": {found.problem}')
        self.offset = found.offset + len(found.data)
        if self.with_times:
            return self._stamped.text(found.data, found.offset, found.times), found.size
        return found.data, found.size

    async def first(self) -> tuple[bytes, int]:
        return await self._read(last_lines=self.lines)

    async def rest(self, first: tuple[bytes, int]) -> AsyncIterator[bytes]:
        data, size = first
        while True:
            if data:
                yield data[: self.left]
                self.left -= len(data)
                if self.left <= 0:
                    return
            is_over = self._is_over()
            if self.offset >= size and (not self.follow or is_over):
                if not self.follow:
                    return
                # What it has said at the very end.
                data, size = await self._again(0.0)
                if not data:
                    return
                continue
            data, size = await self._again(0.0 if self.offset < size else _PATIENCE)

    async def _again(self, wait: float) -> tuple[bytes, int]:
        try:
            return await self._read(wait=wait)
        except KubeError:  # the answer has begun: it ends here
            self.follow = False
            return b"", self.offset

    def _is_over(self) -> bool:
        """Has this run ended?"""
        if self.run.is_over:
            return True
        pod = self.service.state.objects.get(self.key)
        if not isinstance(pod, Pod) or pod.metadata.uid != self.run.pod.metadata.uid:
            return True
        status = status_of(pod, self.run.name)
        return status is None or status.restart_count != self.run.number or status.state.state != "running"
