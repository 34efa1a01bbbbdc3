"""What do gateways ask for? The routing table, as it changes."""

from typing import Any

from starlette.requests import Request

from corral.controller.api import query
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.service import Service
from corral.controller.routing import RoutingTable
from corral.daemon import clock
from corral.protocol.routes import Routes

#: A gateway that is told nothing asks again after so many seconds at the latest.
LONGEST_WAIT = 60.0


def table_of(service: Service) -> RoutingTable:
    """Made when a gateway first asks: a cluster without services has none."""
    if service.routing is None:
        table = RoutingTable(lambda: service.state.objects, service.performer.term)
        service.watchers.tell(table)
        service.routing = table
    return service.routing


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


ROUTES = (("GET", "/v1/gateway/routes", get_routes),)
