"""Who may have which credentials: users theirs, administrators anybody's and the nodes'."""

from typing import Any, Literal

import msgspec
from starlette.requests import Request

from corral.auth import tokens
from corral.auth.peer import owner_named
from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.service import Service
from corral.errors import InvalidHostlist
from corral.syntax import hostlist


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["user", "node"]
    name: str = ""  #: "" = the one who asks; of a node: the name its agent is started with
    nodes: str = ""  #: the agent's nodes, when they are others than `name`
    role: Literal["user", "operator", "administrator"] = "administrator"  #: at most
    lifetime: float | None = None  #: seconds; None = as configured, 0 = for ever


_decode = msgspec.json.Decoder(NewToken).decode


async def post_token(service: Service, request: Request) -> dict[str, Any]:
    caller = caller_of(service, request)
    wanted = _decode(await body_of(request))
    if wanted.kind == "node":
        if caller.role != "administrator":
            raise Refusal("only an administrator can let a node in", "denied")
        return _of_node(service, wanted)
    if wanted.name not in ("", caller.user) and caller.role != "administrator":
        raise Refusal("only an administrator can make a token for someone else", "denied")
    return _of_user(service, wanted, wanted.name or caller.user)


def _of_node(service: Service, wanted: NewToken) -> dict[str, Any]:
    try:
        nodes = tuple(hostlist.expand(wanted.nodes or wanted.name))
    except InvalidHostlist as error:
        raise Refusal(str(error)) from None
    if not wanted.name or not nodes:
        raise Refusal("a node needs a name")
    return {"token": service.performer.agent_token(wanted.name, nodes), "expires": 0.0}


def _of_user(service: Service, wanted: NewToken, user: str) -> dict[str, Any]:
    if service.token_key is None:
        raise Refusal("this controller has no key for tokens", "unavailable")
    if owner_named(user) is None:
        raise Refusal(f"there is no user {user!r} on the controller's host", "not_found")
    lifetime = service.config.api.token_lifetime if wanted.lifetime is None else wanted.lifetime
    expires = service.now + lifetime if lifetime else 0.0
    claims = tokens.Claims(user=user, role=wanted.role, issued=service.now, expires=expires)
    return {"token": tokens.sign(claims, service.token_key), "expires": expires}


ROUTES = (("POST", "/v1/tokens", post_token),)
