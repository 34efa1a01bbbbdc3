"""A command in a container that runs, for kubectl and Kubernetes' client libraries: pods/NAME/exec.

The connection is a WebSocket of channels, or SPDY's (channels.py).
"""

import asyncio
import os
import signal
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from corral.client.attach import STDERR, LaunchError, Output, TaskEnded
from corral.controller.api.http import encode
from corral.controller.api.kube import podsockets
from corral.controller.api.kube.channels import (
    CLOSE,
    ERROR,
    RESIZE,
    STDIN,
    STDOUT,
    Channels,
    channels_of,
)
from corral.controller.api.kube.channels import (
    STDERR as SAID_STDERR,
)
from corral.controller.api.kube.podsockets import flag
from corral.controller.api.kube.status import KubeError
from corral.controller.api.service import Service
from corral.controller.stepsessions import Heard, StepSession
from corral.controller.submission import SentContainer, SentStepSpec

#: Kubernetes' names of the channels: v5 tells of the end of a channel too.
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "SPDY/3.1+v4.channel.k8s.io")


async def exec_in_pod(service: Service, socket: WebSocket) -> None:
    async def begun(protocol: str) -> None:
        target = podsockets.target(service, socket, "exec")
        command = tuple(socket.query_params.getlist("command"))
        if not command:
            raise KubeError("BadRequest", "you must specify at least one command for the container")
        is_tty, takes_stdin = flag(socket, "tty"), flag(socket, "stdin")
        spec = SentStepSpec(
            name=os.path.basename(command[0])[:64] or "exec", argv=command, overlap=True, pty=is_tty, nodes_min=1,
            nodes_max=1, ntasks=1, memory_per_node_mb=0, container=SentContainer(name=target.container, how="exec"),
            window=(24, 80) if is_tty else (0, 0),
        )  # fmt: skip
        created = await podsockets.step(service, target, spec, {"TERM": "xterm"} if is_tty else {})
        assert created.access is not None
        await socket.accept(protocol)
        channels = channels_of(socket, protocol)
        await channels.open(wanted(socket, is_tty=is_tty))
        await _Session(channels, StepSession(created.access), is_tty, takes_stdin).run()

    await podsockets.served(service, socket, PROTOCOLS, begun)


def wanted(socket: WebSocket, *, is_tty: bool) -> frozenset[int]:
    """Which channels the client has said that it has."""
    named = {"stdin": STDIN, "stdout": STDOUT, "stderr": SAID_STDERR}
    found = {channel for name, channel in named.items() if flag(socket, name) and not (is_tty and name == "stderr")}
    return frozenset(found | {ERROR} | ({RESIZE} if is_tty else set()))


class _Session:
    """Until the command has ended, or the client has gone."""

    def __init__(self, channels: Channels, step: StepSession, is_tty: bool, takes_stdin: bool) -> None:
        self.channels, self.step, self.is_tty, self.takes_stdin = channels, step, is_tty, takes_stdin
        self.status = 0
        self.problem = ""

    async def run(self) -> None:
        if not self.takes_stdin:
            self.step.end_of_input()
        typing = asyncio.create_task(self._type())
        saying = asyncio.create_task(self._say())
        await asyncio.wait((typing, saying), return_when=asyncio.FIRST_COMPLETED)
        if not saying.done():  # the client has gone
            self.step.signal(signal.SIGHUP if self.is_tty else signal.SIGTERM)
        self.step.close()
        for task in (typing, saying):
            task.cancel()
        await asyncio.gather(typing, saying, return_exceptions=True)

    async def _say(self) -> None:
        while (event := await self.step.next()) is not None:
            await self._told(event)
        await self.channels.send(ERROR, encode(self._ended()))
        await self.channels.close()

    async def _told(self, event: Heard) -> None:
        match event:
            case Output():
                if event.data:
                    await self.channels.send(SAID_STDERR if event.stream == STDERR else STDOUT, event.data)
                self.step.consumed(event)
            case TaskEnded():
                self.status = event.status
            case LaunchError():
                self.problem = event.text

    def _ended(self) -> dict[str, Any]:
        if self.problem:
            return {
                "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": f"error executing command in container: {self.problem}",
            }  # fmt: skip
        code = os.waitstatus_to_exitcode(self.status)
        code = 128 - code if code < 0 else code
        if not code:
            return {"metadata": {}, "status": "Success"}
        return {
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }  # fmt: skip

    async def _type(self) -> None:
        try:
            while True:
                await self._take(*await self.channels.receive())
        except WebSocketDisconnect:
            return

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == STDIN and self.takes_stdin and data:
            await self.step.type(data)
        elif channel == CLOSE and data[:1] == bytes((STDIN,)):
            self.step.end_of_input()
        elif channel == RESIZE:
            try:
                size = msgspec.json.decode(data, type=dict[str, int])
                self.step.resize(min(max(size["Height"], 1), 9999), min(max(size["Width"], 1), 9999))
            except (msgspec.DecodeError, KeyError):
                pass  # no size that makes sense


SOCKETS = (("/api/v1/namespaces/{namespace}/pods/{name}/exec", exec_in_pod),)
