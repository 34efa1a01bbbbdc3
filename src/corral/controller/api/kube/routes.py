"""Which handler answers at which of Kubernetes' paths? Whatever goes wrong is told as a Status."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.http import Refusal, caller_of, encode
from corral.controller.api.kube import (
    accounttokens,
    authorize,
    discovery,
    evictions,
    logs,
    metrics,
    nodes,
    patches,
    podsockets,
    reads,
    reviews,
    schemas,
    watching,
    writes,
)
from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.resources import ABSENT, METRICS, NODE, Address, address
from corral.controller.api.kube.status import CODES, KubeError, no_such_path, unknown_path
from corral.controller.api.service import Service
from corral.controller.jobtokens import advertised, authority
from corral.errors import StoreUnavailable
from corral.protocol.requests import Caller


async def _answer(service: Service, request: Request, group: str, version: str, rest: str) -> Response:
    caller = caller_of(service, request, accounts=True)
    if not rest:
        if request.method != "GET":
            raise _not_allowed()
        return Form(request).write(discovery.resource_list(group, version))
    caller = authorize.known(service, caller)
    if group in reviews.GROUPS:
        return await reviews.answer(service, request, caller, group, version, rest)
    where = address(group, version, rest)
    if where is None:
        raise unknown_path(group, rest)
    authorize.check(service, caller, where, authorize.verb_of(request.method, where, watches=_wants_watch(request)))
    return await _at(service, request, caller, where)


async def _at(service: Service, request: Request, caller: Caller, where: Address) -> Response:
    if where.resource in METRICS:
        return await metrics.answer(service, request, caller, where)
    if where.resource in ABSENT and request.method != "GET":
        raise unknown_path(where.resource.group, where.resource.plural)
    if where.resource is NODE:
        if request.method == "PATCH" and where.name:
            return await nodes.patch(service, request, caller, where)
        if request.method != "GET":
            raise _not_allowed()
    elif request.method != "GET" and "create" not in where.resource.verbs:
        raise _not_allowed()
    match request.method:
        case "GET" if where.subresource == "log":
            return await logs.get_log(service, request, caller, where)
        case "GET" | "POST" if where.subresource in ("exec", "attach", "portforward"):
            podsockets.without_socket(service, request, caller, where)
        case "GET" if where.name and not _wants_watch(request):
            return reads.get_one(service, request, caller, where)
        case "GET" if _wants_watch(request):
            return watching.stream(service, request, caller, where)
        case "GET":
            return await reads.get_list(service, request, caller, where)
        case "POST" if where.subresource == "token":
            return await accounttokens.create(service, request, caller, where)
        case "POST" if where.subresource == "eviction":
            return await evictions.evict(service, request, caller, where)
        case "POST" if not where.name:
            return await writes.create(service, request, caller, where)
        case "PUT" if where.name:
            return await writes.replace(service, request, caller, where)
        case "PATCH" if where.name:
            return await patches.patch(service, request, caller, where)
        case "DELETE" if where.name:
            return await writes.delete(service, request, caller, where)
        case "DELETE":
            return await writes.delete_collection(service, request, caller, where)
        case _:
            raise _not_allowed()


def _wants_watch(request: Request) -> bool:
    return request.query_params.get("watch", "") in ("1", "true", "True")


def _not_allowed() -> KubeError:
    return KubeError("MethodNotAllowed", "the server does not allow this method on the requested resource")


async def _guarded(service: Service, request: Request, group: str, version: str, rest: str) -> Response:
    try:
        return await _answer(service, request, group, version, rest)
    except KubeError as error:
        return failure(error)
    except Refusal as refusal:
        no_token = refusal.reply.code == "denied" and request.scope.get("corral.caller") is None
        reason = "Unauthorized" if no_token else "Forbidden" if refusal.reply.code == "denied" else "BadRequest"
        return failure(KubeError(reason, str(refusal)))
    except StoreUnavailable as error:
        return failure(KubeError("ServiceUnavailable", str(error)))
    except asyncio.CancelledError:
        raise
    except Exception as error:
        service.log.error("a request failed", error, method=request.method, path=request.url.path)
        return failure(KubeError("InternalError", f"Internal error occurred: {type(error).__name__}: {error}"))


def failure(error: KubeError) -> Response:
    return Response(encode(error.body), CODES[error.reason], media_type="application/json")


async def core(service: Service, request: Request) -> Response:
    version, _, rest = request.path_params["path"].partition("/")
    if not version:
        return await core_root(service, request)
    return await _guarded(service, request, "", version, rest.strip("/"))


async def groups(service: Service, request: Request) -> Response:
    group, _, rest = request.path_params["path"].partition("/")
    if not group:
        return await groups_root(service, request)
    version, _, rest = rest.partition("/")
    if group and not version:
        try:
            caller_of(service, request, accounts=True)
            return Form(request).write(discovery.group(group))
        except KubeError as error:
            return failure(error)
    return await _guarded(service, request, group, version, rest.strip("/"))


async def core_root(service: Service, request: Request) -> Response:
    return discovery.answer_root(request, core=True)


async def groups_root(service: Service, request: Request) -> Response:
    return discovery.answer_root(request, core=False)


async def get_version(service: Service, request: Request) -> dict[str, Any]:
    return discovery.version()


async def get_health(service: Service, request: Request) -> Response:
    """Whoever is asked this answers; what can be told of the cluster is in /metrics."""
    return Response("ok", media_type="text/plain")


async def get_readiness(service: Service, request: Request) -> Response:
    """Can changes be recorded? Reading goes on meanwhile, and so do the jobs."""
    if service.loop.unavailable:
        return Response(f"changes cannot be recorded: {service.loop.unavailable}", 503, media_type="text/plain")
    return Response("ok", media_type="text/plain")


async def schema_index(service: Service, request: Request) -> dict[str, Any]:
    return schemas.index()


async def schema(service: Service, request: Request) -> Response:
    root, _, rest = request.path_params["path"].partition("/")
    group, _, version = rest.partition("/") if root == "apis" else ("", "", rest)
    found = schemas.document(group, version) if root in ("api", "apis") else None
    return failure(no_such_path()) if found is None else Form(request).write(found)


async def older_schema(service: Service, request: Request) -> Response:
    return schemas.older(request)


async def get_kinds(service: Service, request: Request) -> dict[str, Any]:
    return discovery.kinds()


async def get_kubeconfig(service: Service, request: Request) -> dict[str, Any]:
    """Where the API is reached from elsewhere, and whom to trust there; the token is the client's to ask for."""
    caller = caller_of(service, request)
    if not (server := advertised(service.config.api)):
        detail = "Set [api] listen, certificate and key in corral.toml."
        raise Refusal("the API is not served over the network", "unavailable", detail)
    try:
        with open(authority(service.config)) as file:
            trusted = file.read()
    except (OSError, UnicodeError) as error:
        raise Refusal(f"the certificate of the API cannot be read: {error}", "unavailable") from None
    return {"server": server, "authority": trusted, "user": caller.user, "cluster": service.config.cluster}


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

ROUTES = (
    ("GET", "/api", core_root),
    ("GET", "/apis", groups_root),
    ("GET", "/version", get_version),
    ("GET", "/healthz", get_health),
    ("GET", "/livez", get_health),
    ("GET", "/readyz", get_readiness),
    ("GET", "/v1/kinds", get_kinds),
    ("GET", "/v1/kubeconfig", get_kubeconfig),
    ("GET", "/openapi/v2", older_schema),
    ("GET", "/openapi/v3", schema_index),
    ("GET", "/openapi/v3/{path:path}", schema),
    *((method, "/api/{path:path}", core) for method in _METHODS),
    *((method, "/apis/{path:path}", groups) for method in _METHODS),
)
