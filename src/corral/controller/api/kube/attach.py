"""What a container's own program says, and what it is typed: pods/NAME/attach, for `kubectl attach` and `kubectl run -it`.

Of a container without stdin and tty that is what is added to its log. Others have a socket on their node (agent/attaching.py), which is
reached as ports are: through a step of the Pod's job that nobody sees.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from corral.controller.api.http import encode
from corral.controller.api.kube import execute, logs, podsockets
from corral.controller.api.kube.channels import CLOSE, ERROR, RESIZE, STDIN, STDOUT, Channels, channels_of
from corral.controller.api.kube.podsockets import Target, flag
from corral.controller.api.service import Service
from corral.controller.podways import Call, PodWay
from corral.controller.stepsessions import StepSession
from corral.controller.submission import SentStepSpec
from corral.daemon import attachwords
from corral.model.kube.pod import Container


async def attach_to_pod(service: Service, socket: WebSocket) -> None:
    async def begun(protocol: str) -> None:
        target = podsockets.target(service, socket, "attach")
        container = _container(target)
        if container.stdin or container.tty:
            await _to_socket(service, socket, target, protocol, container)
            return
        reading = await logs.from_now_on(service, target.pod, target.container)
        await socket.accept(protocol)
        channels = channels_of(socket, protocol)
        await channels.open(execute.wanted(socket, is_tty=False))
        await _conversation(channels, reading, None)

    await podsockets.served(service, socket, execute.PROTOCOLS, begun)


def _container(target: Target) -> Container:
    spec = target.pod.spec
    return next(one for one in (*spec.containers, *spec.init_containers) if one.name == target.container)


async def _to_socket(service: Service, socket: WebSocket, target: Target, protocol: str, container: Container) -> None:
    spec = SentStepSpec(
        name="attach",
        argv=("attach",),
        overlap=True,
        relay=True,
        nodes_min=1,
        nodes_max=1,
        ntasks=1,
        memory_per_node_mb=0,
    )
    created = await podsockets.step(service, target, spec, {})
    assert created.access is not None
    await socket.accept(protocol)
    channels = channels_of(socket, protocol)
    await channels.open(execute.wanted(socket, is_tty=container.tty and flag(socket, "tty")))
    way = PodWay(StepSession(created.access))
    running = asyncio.create_task(way.run())
    try:
        call = await way.dial(f"unix:{attachwords.name_of(target.pod.metadata.uid, container.name)}")
        await _conversation(channels, _said(call), call)
    finally:
        way.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _said(call: Call) -> AsyncIterator[bytes]:
    while data := await call.receive():
        yield data


async def _conversation(channels: Channels, said: AsyncIterator[bytes], call: Call | None) -> None:
    """Until the program has ended, or the client has gone. Without a call nothing of what is typed goes anywhere."""

    async def say() -> None:
        async for data in said:
            await channels.send(STDOUT, data)
        await channels.send(ERROR, encode({"metadata": {}, "status": "Success"}))
        await channels.close()

    async def hear() -> None:
        try:
            while True:
                frame = _frame(*await channels.receive())
                if call is not None and frame:
                    await call.send(frame)
        except WebSocketDisconnect:
            return

    tasks = [asyncio.create_task(say()), asyncio.create_task(hear())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _frame(channel: int, data: bytes) -> bytes:
    """b"" = it says nothing."""
    if channel == STDIN:
        pieces = (data[at : at + attachwords.MOST] for at in range(0, len(data), attachwords.MOST))
        return b"".join(attachwords.frame(attachwords.TYPED, piece) for piece in pieces)
    if channel == CLOSE and data[:1] == bytes((STDIN,)):
        return attachwords.frame(attachwords.END)
    if channel != RESIZE:
        return b""
    try:
        size = msgspec.json.decode(data, type=dict[str, int])
        words = [min(max(size[name], 1), 9999) for name in ("Height", "Width")]
    except (msgspec.DecodeError, KeyError):
        return b""
    return attachwords.frame(attachwords.SIZE, attachwords.SIZE_OF.pack(*words))


SOCKETS = (("/api/v1/namespaces/{namespace}/pods/{name}/attach", attach_to_pod),)
