"""How does a decision become I/O? Orders are filled with what only the store and the keys know, and published."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from corral.bus import subjects
from corral.bus.credentials import ClusterKeys
from corral.bus.errors import BusError
from corral.bus.interface import Bus
from corral.bus.permissions import StepRole
from corral.controller.batch import PendingBatch
from corral.controller.jobtokens import JobTokens
from corral.controller.mail import Mail
from corral.controller.trigger_programs import TriggerPrograms
from corral.controller.watchers import Watchers
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.model.step import BATCH, StepKey
from corral.protocol import codec
from corral.protocol.events import AnyEvent
from corral.protocol.orders import (
    AnyOrder,
    LaunchStep,
    ReportsCommitted,
    SendInventory,
    ShutDown,
    StepIo,
    TellAddresses,
    TellNames,
    WriteFiles,
)
from corral.protocol.pods import PodRun, PodVolume
from corral.protocol.replies import StepAccess

#: Scripts and environments kept in memory for the next launches.
CACHE_BYTES = 8 << 20
#: A step's credentials are good for so long.
ACCESS_SECONDS = 30 * 86400
#: Not for one node: for the agent that speaks for several.
FOR_AGENTS = (ReportsCommitted, SendInventory, ShutDown, TellNames, TellAddresses)
#: Orders of one turn before others get theirs.
_AT_ONCE = 200


class BlobCache:
    """Decoded scripts and environments, the last used ones, up to so many bytes."""

    def __init__(self, fetch: Callable[[str], bytes | None], limit: int = CACHE_BYTES) -> None:
        self._fetch = fetch
        self._limit = limit
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def put(self, digest: str, data: bytes) -> None:
        if digest in self._kept:
            self._kept.move_to_end(digest)
            return
        self._kept[digest] = data
        self._size += len(data)
        while self._size > self._limit and len(self._kept) > 1:
            self._size -= len(self._kept.popitem(last=False)[1])

    def get(self, digest: str) -> bytes | None:
        data = self._kept.get(digest)
        if data is not None:
            self._kept.move_to_end(digest)
            return data
        data = self._fetch(digest)
        if data is not None:
            self.put(digest, data)
        return data


class SecretOpener(Protocol):
    """SecretKeeper."""

    def opened_run(self, run: PodRun) -> PodRun: ...

    def opened_volumes(self, volumes: tuple[PodVolume, ...]) -> tuple[PodVolume, ...]: ...


class Performer:
    """Everything that leaves the controller by the bus or by mail."""

    def __init__(
        self, *, cluster: str, term: int, bus: Bus, keys: ClusterKeys | None, url: Callable[[], str], blobs: BlobCache,
        watchers: Watchers, mail: Mail, log: Log, agents: Callable[[], set[str]], job_tokens: JobTokens | None = None,
        ca: str = "", secrets: SecretOpener | None = None,
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self.term = term
        self._bus = bus
        self._keys = keys
        self._url = url
        self.blobs = blobs
        self._watchers = watchers
        self._mail = mail
        self._programs = TriggerPrograms(log)
        self._log = log
        self._agents = agents
        self._job_tokens = job_tokens
        self._ca = ca
        self._secrets = secrets
        self._queue: deque[tuple[str, AnyOrder]] = deque()
        self._wake = asyncio.Event()
        self._tokens: OrderedDict[tuple[StepKey, StepRole], str] = OrderedDict()
        self.sent = 0

    def waiting(self) -> list[tuple[str, str]]:
        """Orders that have not left yet: their kind, and the node (or agent) they are for."""
        return [(type(order).__name__, subject.rpartition(".")[2]) for subject, order in self._queue]

    def use(self, bus: Bus) -> None:
        self._bus = bus

    # -- called by the loop

    def committed(self, batch: PendingBatch) -> None:
        for digest, data in batch.stored.blobs.items():
            self.blobs.put(digest, data)
        for name, order in batch.sends:
            if isinstance(order, FOR_AGENTS):
                self._tell(name, order)
            else:
                self._queue.append((subjects.orders(self._cluster, name), order))
        for agent, sequences in batch.acknowledged.items():
            self._tell(agent, ReportsCommitted(term=self.term, node=agent, sequences=tuple(sequences)))
        if self._queue:
            self._wake.set()
        if batch.records:
            self.published(batch.records, batch.last_seq)

    def published(self, records: list[AnyEvent], last_seq: int) -> None:
        self._watchers.publish(records, last_seq)
        self._mail.consider(records)
        self._programs.consider(records)

    def recovered(self) -> None:
        """All agents shall say what they know."""
        for agent in sorted(self._agents()):
            self._tell(agent, SendInventory(term=self.term, node=agent))
        self._wake.set()

    def send(self, node: str, order: AnyOrder) -> None:
        """At once: what follows from nothing that is recorded."""
        self._queue.append((subjects.orders(self._cluster, node), order))
        self._wake.set()

    def _tell(self, agent: str, order: AnyOrder) -> None:
        self._queue.append((subjects.acks(self._cluster, agent), order))

    # -- to the bus

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                for _ in range(min(_AT_ONCE, len(self._queue))):
                    await self._publish(*self._queue.popleft())
                await asyncio.sleep(0)

    async def _publish(self, subject: str, order: AnyOrder) -> None:
        try:
            if isinstance(order, LaunchStep):
                order = self.filled(order)
            elif isinstance(order, WriteFiles) and self._secrets is not None:
                volumes = self._made(self._secrets.opened_volumes(order.volumes))
                order = msgspec.structs.replace(order, volumes=volumes)
            await self._bus.publish(subject, codec.encode(order))
            self.sent += 1
        except BusError as error:
            # An order is sent again when the agent's inventory shows that it is missing.
            self._log.warning("an order was not sent", subject=subject, order=type(order).__name__, error=str(error))
        except Exception as error:
            self._log.error("an order was not sent", error, subject=subject, order=type(order).__name__)

    def filled(self, order: LaunchStep) -> LaunchStep:
        """With script, environment and the way to the attached client."""
        spec = order.job.spec
        changes: dict[str, Any] = {}
        if order.key.step == BATCH and spec.script_digest:
            script = self.blobs.get(spec.script_digest)
            changes["script"] = (script or b"").decode("utf-8", "surrogatepass")
        digest = order.spec.environment_digest or spec.environment_digest
        if digest:
            environment = self.blobs.get(digest)
            if environment is not None:
                changes["environment"] = msgspec.Raw(environment)  # it is msgpack already
        if order.io is not None:
            token = self.token(order.key, StepRole.SHEPHERD)
            changes["io"] = StepIo(url=self._url(), token=token, cluster=self._cluster)
        if order.pod is not None and self._secrets is not None:
            run = self._secrets.opened_run(order.pod)
            changes["pod"] = msgspec.structs.replace(run, volumes=self._made(run.volumes))
        if self._job_tokens is not None:
            changes["api"] = self._job_tokens.of(order.job, clock.now())
        return msgspec.structs.replace(order, **changes)

    def _made(self, volumes: tuple[PodVolume, ...]) -> tuple[PodVolume, ...]:
        """With tokens of ServiceAccounts."""
        return self._job_tokens.with_files(volumes, clock.now()) if self._job_tokens is not None else volumes

    # -- credentials of steps

    def agent_token(self, agent: str, nodes: tuple[str, ...]) -> str:
        """With which an agent elsewhere may come to the bus; "" where the bus takes everybody."""
        return self._keys.agent_jwt(agent, nodes) if self._keys is not None else ""

    def token(self, key: StepKey, role: StepRole) -> str:
        if self._keys is None:
            return ""
        token = self._tokens.get((key, role))
        if token is None:
            expires = int(clock.now()) + ACCESS_SECONDS
            token = self._tokens[key, role] = self._keys.step_jwt(str(key), role, expires)
            if len(self._tokens) > 512:
                self._tokens.popitem(last=False)
        return token

    def access(self, key: StepKey) -> StepAccess:
        """How the user's srun reaches the step."""
        token = self.token(key, StepRole.CLIENT)
        ca = Path(self._ca).read_text() if self._ca else ""
        return StepAccess(url=self._url(), token=token, cluster=self._cluster, key=str(key), ca=ca)
