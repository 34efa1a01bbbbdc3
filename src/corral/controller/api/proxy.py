"""Which address shows a job's HTTP port to whom? One with a login in it, for the job's owner and for operators."""

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from corral.auth import grants
from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.jobs import NO_SUCH_JOB, jobs_of
from corral.controller.api.service import Service
from corral.controller.proxykeeper import ProxyDown
from corral.model.job import JobState


class ProxyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/proxy."""

    job: str
    port: int
    node: str = ""  #: of the job; "" = its first
    absolute: bool = False  #: the job knows that it is below /proxy/absolute/JOB/PORT/
    below_path: bool = False  #: never at a host name of its own


_decode = msgspec.json.Decoder(ProxyBody).decode


async def post_proxy(service: Service, request: Request) -> dict[str, Any]:
    caller = caller_of(service, request)
    wanted = _decode(await body_of(request, 1 << 16))
    if not 0 < wanted.port < 65536:
        raise Refusal(f"{wanted.port} is no port")
    jobs = jobs_of(service, caller, wanted.job)
    if len(jobs) != 1:
        raise Refusal(f"{wanted.job} is {len(jobs)} jobs: name one", "invalid")
    job = jobs[0]
    if job.owner.uid != caller.uid and not caller.is_operator:
        raise Refusal(NO_SUCH_JOB, "not_found")
    if job.state is not JobState.RUNNING or job.allocation is None:
        raise Refusal(f"job {job.id} does not run: it is {job.state}", "busy" if job.is_pending else "invalid")
    if wanted.node and wanted.node not in job.allocation.node_names:
        raise Refusal(f"{wanted.node} is no node of job {job.id}")
    if service.proxy is None or service.token_key is None:
        raise Refusal("this controller serves no ports of jobs", "unavailable")
    try:
        base = await service.proxy.address()
    except ProxyDown as error:
        raise Refusal(str(error), "unavailable") from None
    login = grants.login(caller.user, job.id, job.restarts, wanted.node, wanted.port, service.token_key, service.now)
    node = f"@{wanted.node}" if wanted.node else ""
    path = f"/proxy/{'absolute/' if wanted.absolute else ''}{job.id}{node}/{wanted.port}/"
    domain = service.config.proxy.names
    if domain and not wanted.below_path and (name := _name_of(job.id, wanted.port, wanted.node)):
        base, path = _at(base, f"{name}.{domain}"), path if wanted.absolute else "/"
    return {"url": f"{base}{path}?corral_login={login}", "path": path, "expires": service.now + grants.LOGIN_SECONDS}


def _name_of(job: int, port: int, node: str) -> str:
    """The label of a host of its own; "" = the node's name cannot be a part of one (browsers write hosts in small letters)."""
    label = f"{job}-{port}" + (f"-{node}" if node else "")
    return label if len(label) <= 63 and re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", node or "x") else ""


def _at(base: str, host: str) -> str:
    """https://head:8443 -> https://42-8888.proxy.example.org:8443"""
    parts = urlsplit(base)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


ROUTES = (("POST", "/v1/proxy", post_proxy),)
