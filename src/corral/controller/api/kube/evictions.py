"""How is a Pod moved away, as `kubectl drain` does it? Deleted, unless a PodDisruptionBudget holds it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube import bodies
from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.reads import the_object
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.status import KubeError, of_rejected
from corral.controller.api.kube.writes import check_uid, is_dry
from corral.controller.api.service import Service
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller, DeleteObjects


async def evict(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    body = await bodies.document(request)
    if body.get("kind", "Eviction") != "Eviction":
        raise KubeError("BadRequest", f"the body is an Eviction, not a {body.get('kind')!r}")
    options = body.get("deleteOptions") or {}
    if not isinstance(options, dict):
        raise KubeError("BadRequest", "deleteOptions: an object is needed")
    grace = options.get("gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int) or not 0 <= grace < 1 << 31):
        raise KubeError("BadRequest", f"gracePeriodSeconds: a whole number of 0 or more is needed, not {grace!r}")
    conditions = options.get("preconditions") or {}
    one = the_object(service, caller, address)
    check_uid(service, address, conditions.get("uid"), conditions.get("resourceVersion"))
    dry = is_dry(request, options.get("dryRun"))
    message = DeleteObjects(keys=(one.key,), grace_seconds=grace, dry_run=dry, is_eviction=True)
    reply = await service.loop.ask(message, caller)
    if isinstance(reply, Rejected) and reply.code == "held":
        cause = {"reason": "DisruptionBudget", "message": reply.detail}
        raise KubeError("TooManyRequests", reply.error, {"causes": [cause]})
    if isinstance(reply, Rejected):
        raise of_rejected(reply, address.resource, address.name)
    done: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return Form(request).write(done, 201)
