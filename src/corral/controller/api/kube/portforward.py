"""Ports of a Pod, here: pods/NAME/portforward, for kubectl and Kubernetes' client libraries.

kubectl and Go programs speak SPDY, older ones by itself and newer ones through a WebSocket: two streams for each connection, one of
which says what was wrong. Others speak a WebSocket's channels: two for each port that they name, which begin with the port's number.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from corral.controller.api.kube import podsockets
from corral.controller.api.kube.channels import SPDY
from corral.controller.api.kube.podsockets import Target
from corral.controller.api.kube.spdy import Data, Framer, NotSpdy, Opened, Ping, Reset
from corral.controller.api.kube.status import KubeError
from corral.controller.api.service import Service
from corral.controller.podways import Call, PodWay
from corral.controller.stepsessions import StepSession
from corral.controller.submission import SentContainer, SentStepSpec
from corral.model.kube.pod import Pod

_PROTOCOLS = ("SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", "")
#: Connections at once, of one client.
_MOST_CALLS = 1000


async def forward_ports(service: Service, socket: WebSocket) -> None:
    async def begun(protocol: str) -> None:
        target = podsockets.target(service, socket, "portforward")
        ports = [] if protocol.startswith(SPDY) else _ports(socket)
        spec = SentStepSpec(
            name="port-forward", argv=("port-forward",), overlap=True, relay=True, nodes_min=1, nodes_max=1, ntasks=1,
            memory_per_node_mb=0, container=SentContainer(name=target.container, how="exec"),
        )  # fmt: skip
        created = await podsockets.step(service, target, spec, {})
        assert created.access is not None
        await socket.accept(protocol or None)
        way = PodWay(StepSession(created.access))
        running = asyncio.create_task(way.run())
        try:
            await (
                _Streams(socket, way, target).run() if not ports else _Channels(socket, way, target.pod, ports).run()
            )
        finally:
            way.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    await podsockets.served(service, socket, _PROTOCOLS, begun)


def _ports(socket: WebSocket) -> list[int]:
    words = [word for text in socket.query_params.getlist("ports") for word in text.split(",") if word]
    if not words:
        raise KubeError("BadRequest", 'query parameter "ports" is required')
    return [_port(word) for word in words]


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 0 < int(word) < 65536):
        raise KubeError("BadRequest", f"{word!r} is no port")
    return int(word)


async def _dialled(way: PodWay, pod: Pod, port: int) -> Call:
    """A Pod in its node's network listens where it has been told to (PORT)."""
    own = next((one.host_port for one in pod.status.addresses if one.port == port), port)
    return await way.dial(str(port if pod.status.pod_ip else own))


async def _copied(call: Call, send: Callable[[bytes], Awaitable[None]]) -> str:
    """What the program sends; then what was wrong, if it never was there."""
    while data := await call.receive():
        await send(data)
    return "" if call.was_answered else "connection refused"


class _Streams:
    """SPDY's: of each connection the one for errors comes first, and one of data."""

    def __init__(self, socket: WebSocket, way: PodWay, target: Target) -> None:
        self._socket, self._way, self._pod = socket, way, target.pod
        self._framer = Framer()
        self._errors: dict[str, int] = {}  #: requestID -> stream
        self._calls: dict[int, Call] = {}  #: stream of data -> call
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                for event in self._framer.feed(await self._socket.receive_bytes()):
                    await self._take(event)
        except (WebSocketDisconnect, NotSpdy, KeyError):
            return
        finally:
            for task in self._tasks:
                task.cancel()

    async def _take(self, event: object) -> None:
        match event:
            case Opened(stream, headers):
                await self._socket.send_bytes(self._framer.reply(stream))
                await self._opened(stream, headers)
            case Data(stream, data, is_last) if (call := self._calls.get(stream)) is not None:
                await call.send(data)
                if is_last:
                    await call.end()
            case Reset(stream) if (call := self._calls.pop(stream, None)) is not None:
                await call.close()
            case Ping(number):
                await self._socket.send_bytes(self._framer.pong(number))

    async def _opened(self, stream: int, headers: dict[str, str]) -> None:
        request = headers.get("requestid", "")
        if headers.get("streamtype") == "error":
            self._errors[request] = stream
            return
        error = self._errors.pop(request, None)
        word = headers.get("port", "")
        if error is None or len(self._calls) >= _MOST_CALLS or not word.isdigit():
            await self._socket.send_bytes(self._framer.reset(stream))
            return
        call = self._calls[stream] = await _dialled(self._way, self._pod, int(word))
        task = asyncio.create_task(self._copy(call, stream, error, word))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _copy(self, call: Call, stream: int, error: int, port: str) -> None:
        async def send(data: bytes) -> None:
            await self._socket.send_bytes(self._framer.data(stream, data))

        why = await _copied(call, send)
        text = (
            f"error forwarding port {port} to pod {self._pod.metadata.name}: {self._way.problem or why}" if why else ""
        )
        last = self._framer.data(stream, b"", is_last=True) + self._framer.data(error, text.encode(), is_last=True)
        await self._socket.send_bytes(last)
        self._calls.pop(stream, None)


class _Channels:
    """Two for each port: data, and what was wrong."""

    def __init__(self, socket: WebSocket, way: PodWay, pod: Pod, ports: list[int]) -> None:
        self._socket, self._way, self._pod, self._ports = socket, way, pod, ports

    async def run(self) -> None:
        calls = []
        for index, port in enumerate(self._ports):
            for channel in (2 * index, 2 * index + 1):
                await self._say(channel, port.to_bytes(2, "little"))
            calls.append(await _dialled(self._way, self._pod, port))
        hearing = asyncio.create_task(self._hear(calls))
        saying = asyncio.gather(*(self._copy(index, call) for index, call in enumerate(calls)))
        await asyncio.wait((hearing, saying), return_when=asyncio.FIRST_COMPLETED)
        if saying.done() and not hearing.done():
            await self._socket.close(1000)
        hearing.cancel()
        saying.cancel()
        await asyncio.gather(hearing, saying, return_exceptions=True)

    async def _say(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes((channel,)) + data)

    async def _copy(self, index: int, call: Call) -> None:
        async def send(data: bytes) -> None:
            await self._say(2 * index, data)

        if why := await _copied(call, send):
            await self._say(2 * index + 1, f"error forwarding port {self._ports[index]}: {why}".encode())

    async def _hear(self, calls: list[Call]) -> None:
        try:
            while True:
                data = await self._socket.receive_bytes()
                if data and not data[0] % 2 and data[0] // 2 < len(calls):
                    await calls[data[0] // 2].send(data[1:])
        except (WebSocketDisconnect, KeyError):
            return


SOCKETS = (("/api/v1/namespaces/{namespace}/pods/{name}/portforward", forward_ports),)
