"""How does a client come to what runs in a Pod: may it, is it there, and what is said otherwise?"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, cast

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from corral.controller.api.http import Refusal, caller_of, encode
from corral.controller.api.kube import authorize
from corral.controller.api.kube.logs import container_of, status_of
from corral.controller.api.kube.reads import the_object
from corral.controller.api.kube.resources import Address, address
from corral.controller.api.kube.status import KubeError, forbidden, no_such_path
from corral.controller.api.service import Service
from corral.controller.submission import SentStep, SentStepSpec
from corral.model.kube.pod import Pod
from corral.protocol.replies import Rejected, StepCreated
from corral.protocol.requests import Caller

#: At once, over all users.
MOST_SESSIONS = 200


class Target(msgspec.Struct, frozen=True):
    """A container that runs, and who comes to it."""

    caller: Caller
    pod: Pod
    container: str


async def served(
    service: Service, socket: WebSocket, protocols: Sequence[str], begin: Callable[[str], Awaitable[None]]
) -> None:
    """`begin` gets the first of the protocols that the client speaks, and accepts it; what it raises before is the answer. "" among
    them: it need not name one."""
    spoken = socket.scope.get("subprotocols") or [""]
    protocol = next((one for one in protocols if one in spoken), None)
    try:
        if protocol is None:
            raise KubeError("BadRequest", f"one of these protocols is needed: {', '.join(protocols)}")
        if service.sessions >= MOST_SESSIONS:
            raise KubeError("TooManyRequests", f"there are {MOST_SESSIONS} sessions in Pods already: try again later")
        service.sessions += 1
        try:
            await begin(protocol)
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


def target(service: Service, socket: WebSocket, sub: str) -> Target:
    """Raises KubeError, Refusal."""
    request = cast(Request, socket)  # the same but for its method and body
    caller = caller_of(service, request, accounts=True)
    where = address("", "v1", f"namespaces/{socket.path_params['namespace']}/pods/{socket.path_params['name']}/{sub}")
    if where is None:
        raise no_such_path()
    caller = authorize.known(service, caller)
    authorize.check(service, caller, where, "create")
    return _target(service, request, caller, where)


def without_socket(service: Service, request: Request, caller: Caller, where: Address) -> NoReturn:
    """What is wrong with the Pod, if anything is; else that this is not the way."""
    _target(service, request, caller, where)
    raise KubeError("BadRequest", f"{where.subresource} is spoken over an upgraded connection: WebSocket or SPDY/3.1")


def _target(service: Service, request: Request, caller: Caller, where: Address) -> Target:
    pod = the_object(service, caller, where)
    assert isinstance(pod, Pod)
    if not authorize.may_act_as(service, caller, pod):
        raise forbidden(where.resource, where.name, "only its owner goes into a Pod")
    if where.subresource == "portforward":
        return Target(caller, pod, _first_running(pod))
    container = container_of(request, pod)
    status = status_of(pod, container)
    if pod.has_ended:
        text = f"cannot exec into a container in a completed pod; current phase is {pod.status.phase}"
        raise KubeError("BadRequest", text)
    if status is None or status.state.state != "running" or not pod.status.job:
        raise KubeError("BadRequest", f'container not found ("{container}")')
    return Target(caller, pod, container)


def _first_running(pod: Pod) -> str:
    """They all have one network."""
    statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
    for one in statuses:
        if one.state.state == "running" and pod.status.job and not pod.has_ended:
            return one.name
    text = f"unable to forward port because pod is not running. Current status={pod.status.phase}"
    raise KubeError("BadRequest", text)


async def step(service: Service, target: Target, spec: SentStepSpec, environment: dict[str, str]) -> StepCreated:
    """In its container, as the Pod's owner. Raises KubeError."""
    message = SentStep(job=str(target.pod.status.job), spec=spec, environment=environment)
    reply = await service.ask(message, authorize.as_owner(target.caller, target.pod))
    if isinstance(reply, Rejected):
        reasons = {"denied": "Forbidden", "unavailable": "ServiceUnavailable", "busy": "ServiceUnavailable"}
        raise KubeError(reasons.get(reply.code, "BadRequest"), f"{reply.error} {reply.detail}".strip())
    assert isinstance(reply, StepCreated)
    return reply


def flag(connection: HTTPConnection, name: str) -> bool:
    return connection.query_params.get(name, "") in ("1", "true")
