"""A command in a container that runs, for kubectl and Kubernetes' client libraries: GET .../pods/NAME/exec, upgraded to a WebSocket.

Its first byte says what a message is: 0 typed, 1 and 2 said, 3 how it has ended (a Status), 4 the size of the terminal; with v5 also 255,
the end of what is typed. Kubernetes calls this vN.channel.k8s.io.
"""

import asyncio
import os
import signal
from typing import Any, NoReturn, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from corral.client.attach import STDERR, LaunchError, Output, TaskEnded
from corral.controller.api.http import Refusal, caller_of, encode
from corral.controller.api.kube import authorize
from corral.controller.api.kube.logs import container_of, status_of
from corral.controller.api.kube.reads import the_object
from corral.controller.api.kube.resources import Address, address
from corral.controller.api.kube.status import KubeError, forbidden, no_such_path
from corral.controller.api.service import Service
from corral.controller.stepsessions import Heard, StepSession
from corral.controller.submission import SentContainer, SentStep, SentStepSpec
from corral.model.kube.pod import Pod
from corral.protocol.replies import Rejected, StepCreated
from corral.protocol.requests import Caller

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
#: At once, over all users.
MOST_SESSIONS = 200


class _Asked(msgspec.Struct, frozen=True):
    pod: Pod
    container: str
    command: tuple[str, ...]
    stdin: bool
    tty: bool


async def exec_in_pod(service: Service, socket: WebSocket) -> None:
    protocol = next((one for one in _PROTOCOLS if one in socket.scope.get("subprotocols", ())), "")
    try:
        if not protocol:
            raise KubeError("BadRequest", f"a WebSocket of {' or '.join(_PROTOCOLS)} is needed")
        if service.sessions >= MOST_SESSIONS:
            raise KubeError("TooManyRequests", f"there are {MOST_SESSIONS} sessions of exec already: try again later")
        service.sessions += 1
        try:
            created, is_tty, takes_stdin = await _created(service, socket)
            await socket.accept(protocol)
            assert created.access is not None
            await _Session(socket, StepSession(created.access), is_tty, takes_stdin).run()
        finally:
            service.sessions -= 1
    except KubeError as error:
        await _deny(socket, error)
    except Refusal as refusal:
        reason = "Unauthorized" if socket.scope.get("corral.caller") is None else "Forbidden"
        await _deny(socket, KubeError(reason, str(refusal)))
    except WebSocketDisconnect:
        pass


async def _deny(socket: WebSocket, error: KubeError) -> None:
    await socket.send_denial_response(Response(encode(error.body), error.code, media_type="application/json"))


def without_socket(service: Service, request: Request, caller: Caller, where: Address) -> NoReturn:
    """What is wrong with the command, if anything is; else that this is not the way."""
    _asked(service, request, caller, where)
    raise KubeError("BadRequest", "exec is spoken over WebSockets here: kubectl 1.30 or newer is needed")


def _asked(service: Service, request: Request, caller: Caller, where: Address) -> _Asked:
    pod = the_object(service, caller, where)
    assert isinstance(pod, Pod)
    if not authorize.may_act_as(service, caller, pod):
        raise forbidden(where.resource, where.name, "only its owner goes into a Pod")
    container = container_of(request, pod)
    status = status_of(pod, container)
    if pod.has_ended:
        text = f"cannot exec into a container in a completed pod; current phase is {pod.status.phase}"
        raise KubeError("BadRequest", text)
    if status is None or status.state.state != "running" or not pod.status.job:
        raise KubeError("BadRequest", f'container not found ("{container}")')
    command = tuple(request.query_params.getlist("command"))
    if not command:
        raise KubeError("BadRequest", "you must specify at least one command for the container")
    flags = {name: request.query_params.get(name, "") in ("1", "true") for name in ("stdin", "tty")}
    return _Asked(pod, container, command, flags["stdin"], flags["tty"])


async def _created(service: Service, socket: WebSocket) -> tuple[StepCreated, bool, bool]:
    request = cast(Request, socket)  # the same but for its method and body
    caller = caller_of(service, request, accounts=True)
    where = address("", "v1", f"namespaces/{socket.path_params['namespace']}/pods/{socket.path_params['name']}/exec")
    if where is None:
        raise no_such_path()
    caller = authorize.known(service, caller)
    authorize.check(service, caller, where, "create")
    asked = _asked(service, request, caller, where)
    spec = SentStepSpec(
        name=os.path.basename(asked.command[0])[:64] or "exec", argv=asked.command, overlap=True, pty=asked.tty, nodes_min=1,
        nodes_max=1, ntasks=1, memory_per_node_mb=0, container=SentContainer(name=asked.container, how="exec"),
        window=(24, 80) if asked.tty else (0, 0),
    )  # fmt: skip
    environment = {"TERM": "xterm"} if asked.tty else {}
    message = SentStep(job=str(asked.pod.status.job), spec=spec, environment=environment)
    reply = await service.ask(message, authorize.as_owner(caller, asked.pod))
    if isinstance(reply, Rejected):
        reason = {"denied": "Forbidden", "unavailable": "ServiceUnavailable", "busy": "ServiceUnavailable"}.get(
            reply.code, "BadRequest"
        )
        raise KubeError(reason, f"{reply.error} {reply.detail}".strip())
    assert isinstance(reply, StepCreated)
    return reply, asked.tty, asked.stdin


class _Session:
    """Until the command has ended, or the client has gone."""

    def __init__(self, socket: WebSocket, step: StepSession, is_tty: bool, takes_stdin: bool) -> None:
        self.socket, self.step, self.is_tty, self.takes_stdin = socket, step, is_tty, takes_stdin
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
        await self.socket.send_bytes(bytes((_ERROR,)) + encode(self._ended()))
        await self.socket.close(1000)

    async def _told(self, event: Heard) -> None:
        match event:
            case Output():
                if event.data:
                    channel = _STDERR if event.stream == STDERR else _STDOUT
                    await self.socket.send_bytes(bytes((channel,)) + event.data)
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
                data = await self.socket.receive_bytes()
                if data:
                    await self._take(data[0], data[1:])
        except (WebSocketDisconnect, KeyError):  # KeyError: text, which there is not here
            return

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == _STDIN and self.takes_stdin and data:
            await self.step.type(data)
        elif channel == _CLOSE and data[:1] == bytes((_STDIN,)):
            self.step.end_of_input()
        elif channel == _RESIZE:
            try:
                size = msgspec.json.decode(data, type=dict[str, int])
                self.step.resize(min(max(size["Height"], 1), 9999), min(max(size["Width"], 1), 9999))
            except (msgspec.DecodeError, KeyError):
                pass  # no size that makes sense


SOCKETS = (("/api/v1/namespaces/{namespace}/pods/{name}/exec", exec_in_pod),)
