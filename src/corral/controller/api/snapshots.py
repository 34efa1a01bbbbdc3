"""What is all of the cluster's state, as far as it decides about jobs? For operators only: it names everybody's."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.service import Service
from corral.controller.facts import VERSION
from corral.daemon import clock
from corral.engine import snapshotfile


async def get_snapshot(service: Service, request: Request) -> Response:
    if not caller_of(service, request).is_operator:
        raise Refusal("Access/permission denied", "denied", "A snapshot shows everybody's jobs: it is for operators.")
    file = snapshotfile.taken(service.state, service.config, clock.now(), VERSION)
    content = await asyncio.to_thread(lambda: b"".join(snapshotfile.written(file)))
    return Response(content, media_type="application/json")


ROUTES = (("GET", "/v1/snapshot", get_snapshot),)
