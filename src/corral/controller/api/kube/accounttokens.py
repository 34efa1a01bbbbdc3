"""A token of a ServiceAccount: `kubectl create token NAME` (TokenRequest), and whose one is (TokenReview)."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.auth import tokens
from corral.controller import jobtokens
from corral.controller.api.kube import authorize, bodies
from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.reads import the_object
from corral.controller.api.kube.resources import RESOURCES, Address
from corral.controller.api.kube.status import KubeError, forbidden, invalid
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.model.job import JobId
from corral.model.kube.pod import Pod
from corral.protocol.requests import Caller
from corral.services import accounts
from corral.services.manifests.writing import time_text

Json = dict[str, Any]
_LEAST, _MOST = 600, 1 << 32
_USUAL_SECONDS = 3600
_POD = RESOURCES["", "v1", "pods"]


async def create(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    """It speaks for the account, and what it makes is the caller's."""
    account = the_object(service, caller, address)
    is_others = not caller.is_operator and account.creator is not None and account.creator.uid != caller.uid
    if is_others and not authorize.by_roles(service, caller, address.namespace):
        raise forbidden(address.resource, address.name, "it is another user's")
    if service.token_key is None:
        raise KubeError("ServiceUnavailable", "this controller has no key for tokens")
    body = await bodies.document(request)
    if body.get("kind", "TokenRequest") != "TokenRequest":
        raise KubeError("BadRequest", f"the body is a TokenRequest, not a {body.get('kind')!r}")
    spec = body.get("spec") or {}
    if not isinstance(spec, dict):
        raise KubeError("BadRequest", "spec: an object is needed")
    seconds = _seconds(address, spec.get("expirationSeconds"))
    audiences = _audiences(spec.get("audiences"))
    job, restart = _bound_to(service, caller, address, spec.get("boundObjectRef"))
    now = clock.now()
    claims = tokens.Claims(
        user=caller.user, role="user", issued=now, expires=now + seconds, account=f"{address.namespace}:{address.name}",
        account_uid=account.metadata.uid, audiences=audiences, job=job, restart=restart,
    )  # fmt: skip
    status = {"token": tokens.sign(claims, service.token_key), "expirationTimestamp": time_text(claims.expires)}
    answered: Json = {
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": address.name, "namespace": address.namespace, "creationTimestamp": time_text(now)},
        "spec": {**spec, "audiences": list(audiences or (jobtokens.AUDIENCE,)), "expirationSeconds": seconds},
        "status": status,
    }  # fmt: skip
    return Form(request).write(answered, 201)


def _seconds(address: Address, given: Any) -> int:
    if given is None:
        return _USUAL_SECONDS
    path, told = "spec.expirationSeconds", "may not specify a duration"
    if isinstance(given, bool) or not isinstance(given, int):
        raise KubeError("BadRequest", f"{path}: a whole number is needed, not {given!r}")
    if given < _LEAST:
        why = f"Invalid value: {given}: {told} less than 10 minutes"
    elif given > _MOST:
        why = f"Invalid value: {given}: {told} larger than 2^32 seconds"
    else:
        return given
    raise invalid(address.resource, address.name, [("FieldValueInvalid", path, why)])


def _audiences(given: Any) -> tuple[str, ...]:
    if given is None or given == []:
        return ()
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise KubeError("BadRequest", "spec.audiences: a list of names is needed")
    return tuple(given)


def _bound_to(service: Service, caller: Caller, address: Address, ref: Any) -> tuple[int, int]:
    """The job, and its restart, with whose end the token is void; (0, 0) = none."""
    if not isinstance(ref, dict) or not ref:
        return 0, 0
    if ref.get("kind") != "Pod":
        raise KubeError("BadRequest", "spec.boundObjectRef: a token may be bound to a Pod")
    where = msgspec.structs.replace(address, resource=_POD, name=str(ref.get("name") or ""))
    pod = the_object(service, caller, where)
    assert isinstance(pod, Pod)
    if (uid := ref.get("uid")) and uid != pod.metadata.uid:
        raise KubeError(
            "Conflict",
            f'the UID in the bound object reference ({uid}) does not match the UID of pod "{pod.metadata.name}"',
        )
    if accounts.account_of(pod) != address.name:
        raise KubeError(
            "BadRequest", f'cannot bind token for serviceaccount "{address.name}" to pod of another account'
        )
    job = service.state.jobs.get(JobId(pod.status.job))
    if job is None:
        raise KubeError("BadRequest", f'pod "{pod.metadata.name}" does not run yet')
    return job.id, job.restarts


def review(service: Service, spec: Json) -> Json:
    """The status of a TokenReview; it is asked by an operator."""
    token, wanted = spec.get("token"), spec.get("audiences") or [jobtokens.AUDIENCE]
    if not isinstance(token, str) or not isinstance(wanted, list) or service.token_key is None:
        raise KubeError("BadRequest", "spec: a token is needed, and audiences are a list")
    try:
        claims = tokens.verify(token, service.token_key, clock.now())
        asker = tokens.caller(claims, service.config.roles)
        is_good = jobtokens.is_good(claims, service.state.jobs)
        if not is_good or not jobtokens.is_of_account(claims, service.state.objects):
            raise tokens.InvalidToken("the job or the ServiceAccount of the token is gone")
        common = [one for one in wanted if one in (claims.audiences or (jobtokens.AUDIENCE,))]
        if not common:
            raise tokens.InvalidToken("the token is for other audiences")
        info = authorize.user_info(service, authorize.known(service, asker))
    except (tokens.InvalidToken, KubeError) as error:
        return {"authenticated": False, "error": str(error)}
    return {"authenticated": True, "user": info, "audiences": common}
