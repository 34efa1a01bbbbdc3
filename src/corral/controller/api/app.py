"""Who answers at the door? Starlette, with one route per line of the modules' tables.

Every change comes through one door, POST /v1/requests; the reads are projections of the engine's state, made in the
loop's own thread, so that they see it whole.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from corral.controller.api import (
    accounting,
    accounts,
    amendments,
    archives,
    assoc_mgr,
    credentials,
    events,
    explanations,
    gateways,
    images,
    jobs,
    live_usage,
    metrics,
    nodes,
    openapi,
    priorities,
    proxy,
    reports,
    schedules,
    shares,
    snapshots,
    statistics,
)
from corral.controller.api.http import Refusal, answer, json, not_valid
from corral.controller.api.kube import attach, execute, portforward
from corral.controller.api.kube import routes as kube
from corral.controller.api.service import Service
from corral.controller.api.table import UnknownField
from corral.daemon import clock
from corral.errors import StoreUnavailable
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller

#: Handlers that answer when something has happened.
_WAITING = (jobs.wait_for_job, jobs.wait_for_step, events.get_events, gateways.get_routes)

#: Each with its routes.
MODULES = (
    jobs,
    amendments,
    archives,
    assoc_mgr,
    images,
    live_usage,
    metrics,
    reports,
    nodes,
    accounts,
    accounting,
    events,
    credentials,
    openapi,
    priorities,
    proxy,
    schedules,
    shares,
    snapshots,
    statistics,
    explanations,
    kube,
    gateways,
)

Handler = Callable[[Service, Request], Awaitable[Any]]


def make_app(service: Service) -> Starlette:
    counters = service.loop.statistics

    async def call(handler: Handler, request: Request) -> Response:
        began = clock.monotonic()
        counters.in_work += 1
        try:
            return await respond(handler, request)
        finally:
            counters.in_work -= 1
            # What waits for something to happen is no work.
            seconds = 0.0 if handler in _WAITING else clock.monotonic() - began
            caller: Caller | None = request.scope.get("corral.caller")
            name = request.scope.get("corral.message") or handler.__name__
            if caller is not None:
                counters.on_request(name, seconds, caller.uid, caller.user)
            else:
                counters.on_request(name, seconds)

    async def respond(handler: Handler, request: Request) -> Response:
        try:
            result = await handler(service, request)
            return result if isinstance(result, Response) else answer(result)
        except (Refusal, UnknownField) as refusal:
            return answer(refusal.reply)
        except msgspec.ValidationError as error:
            return answer(not_valid(error))
        except (msgspec.DecodeError, UnicodeError) as error:
            return answer(Rejected(error=f"not valid JSON: {error}"))
        except StoreUnavailable as error:
            return answer(
                Rejected(error=str(error), code="unavailable", detail="It goes on by itself when that is over.")
            )
        except asyncio.CancelledError:
            raise
        except Exception as error:
            service.log.error("a request failed", error, method=request.method, path=request.url.path)
            return answer(Rejected(error=f"internal error: {type(error).__name__}: {error}", code="unavailable"))

    def route(path: str, handler: Handler, method: str) -> Route:
        endpoint = functools.partial(call, handler)
        return Route(path, endpoint, methods=[method], name=handler.__name__)

    async def converse(handler: Any, socket: WebSocket) -> None:
        try:
            await handler(service, socket)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            service.log.error("a WebSocket failed", error, path=socket.url.path)

    def socket_route(path: str, handler: Any) -> WebSocketRoute:
        async def endpoint(socket: WebSocket) -> None:
            await converse(handler, socket)

        return WebSocketRoute(path, endpoint, name=handler.__name__)

    routes: list[BaseRoute] = [
        route(path, handler, method) for module in MODULES for method, path, handler in module.ROUTES
    ]
    routes += [
        socket_route(path, handler) for path, handler in (*execute.SOCKETS, *attach.SOCKETS, *portforward.SOCKETS)
    ]

    async def on_http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = {404: "no such address", 405: "no such method here"}.get(status, str(error))
        reply = Rejected(
            error=f"{text}: {request.method} {request.url.path}", code="not_found" if status == 404 else "invalid"
        )
        return json(reply, status)

    return Starlette(routes=routes, exception_handlers={HTTPException: on_http_error})
