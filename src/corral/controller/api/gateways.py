"""What do gateways ask for? The routing table, as it changes."""

import base64
from typing import Any

import msgspec
from starlette.requests import Request

from corral.auth import tokens
from corral.controller import jobtokens
from corral.controller.api import query
from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.kube import authorize
from corral.controller.api.service import Service
from corral.controller.routing import RoutingTable
from corral.daemon import clock
from corral.model.kube.config import Secret
from corral.protocol.routes import Routes

#: A gateway that is told nothing asks again after so many seconds at the latest.
LONGEST_WAIT = 60.0


def table_of(service: Service) -> RoutingTable:
    """Made when a gateway first asks: a cluster without services has none."""
    if service.routing is None:

        def values(one: Secret) -> dict[str, str]:
            return {key: _decoded(text) for key, text in service.opened(one).data.items()}

        table = RoutingTable(
            lambda: service.state.objects,
            service.performer.term,
            values,
            always_closed=lambda: authorize.always_closed(service),
        )
        service.watchers.tell(table)
        service.routing = table
    return service.routing


def _decoded(text: str) -> str:
    """ "" for what is no text."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


async def get_routes(service: Service, request: Request) -> Any:
    """after=VERSION: what has changed since then, as soon as something has; timeout=SECONDS."""
    if not caller_of(service, request).is_operator:
        raise Refusal("only operators run gateways", "denied")
    after = request.query_params.get("after", "")
    until = clock.monotonic() + min(LONGEST_WAIT, max(0.0, query.number(request, "timeout", 30.0)))
    table = table_of(service)
    while (found := table.since(after)) is None:
        left = until - clock.monotonic()
        if left <= 0:
            return Routes(version=after)
        await table.wait(left)
    return found


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/gateway/login."""

    token: str


async def post_login(service: Service, request: Request) -> dict[str, str]:
    """Whose token is it?"""
    if not caller_of(service, request).is_operator:
        raise Refusal("only operators run gateways", "denied")
    body = msgspec.json.decode(await body_of(request, 1 << 16), type=LoginBody)
    if service.token_key is None:
        raise Refusal("this controller has no key for tokens", "unavailable")
    try:
        claims = tokens.verify(body.token, service.token_key, clock.now())
    except tokens.InvalidToken as error:
        raise Refusal(str(error), "denied") from None
    if not jobtokens.is_good(claims, service.state.jobs):
        raise Refusal("the token was good for a job only, which has ended", "denied")
    return {"user": claims.user}


ROUTES = (("GET", "/v1/gateway/routes", get_routes), ("POST", "/v1/gateway/login", post_login))
