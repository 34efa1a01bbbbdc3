"""May I? What `kubectl auth can-i` and `whoami` ask: reviews of access, of rules and of oneself, which are answered and not kept."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube import accounttokens, authorize, bodies
from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.resources import RESOURCES
from corral.controller.api.kube.status import KubeError, no_such_path
from corral.controller.api.service import Service
from corral.model.kube.rbac import PolicyRule
from corral.protocol.requests import Caller
from corral.services import accounts, rights, roles
from corral.services.manifests import writing
from corral.services.rights import Act

Json = dict[str, Any]
AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
#: Group -> plural name -> kind. They are asked, and not kept.
GROUPS: dict[str, dict[str, str]] = {
    AUTHORIZATION: {
        "selfsubjectaccessreviews": "SelfSubjectAccessReview", "selfsubjectrulesreviews": "SelfSubjectRulesReview",
        "subjectaccessreviews": "SubjectAccessReview",
    },
    AUTHENTICATION: {"selfsubjectreviews": "SelfSubjectReview", "tokenreviews": "TokenReview"},
}  # fmt: skip
#: What is not guarded by roles anywhere.
_ALL_READ = ("get", "list", "watch")


async def answer(service: Service, request: Request, caller: Caller, group: str, version: str, rest: str) -> Response:
    kind = GROUPS[group].get(rest)
    if version != "v1" or kind is None:
        raise no_such_path()
    if request.method != "POST":
        raise KubeError("MethodNotAllowed", "the server does not allow this method on the requested resource")
    body = await bodies.document(request)
    spec = body.get("spec") or {}
    if not isinstance(spec, dict):
        raise KubeError("BadRequest", "spec: an object is needed")
    match kind:
        case "SelfSubjectReview":
            status: Json = {"userInfo": authorize.user_info(service, caller)}
        case "SelfSubjectRulesReview":
            status = _rules(service, caller, str(spec.get("namespace") or "default"))
        case "TokenReview":
            if not caller.is_operator:
                raise KubeError("Forbidden", "only an operator asks whose a token is")
            status = accounttokens.review(service, spec)
        case "SubjectAccessReview":
            if not caller.is_operator:
                raise KubeError("Forbidden", "only an operator asks what others may do")
            status = _review(service, _other(spec), spec)
        case _:
            status = _review(service, caller, spec)
    answered = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {"creationTimestamp": None}}
    return Form(request).write({**answered, "spec": spec, "status": status}, 201)


def _other(spec: Json) -> Caller:
    groups = spec.get("groups") or []
    if not isinstance(groups, list):
        raise KubeError("BadRequest", "spec.groups: a list is needed")
    user = str(spec.get("user") or "")
    account = accounts.named(user)
    named = tuple(map(str, groups)) + (accounts.groups_of(account) if account else ())
    return Caller(uid=-1, gid=-1, user=user, group="", groups=named, account=account)


def _review(service: Service, caller: Caller, spec: Json) -> Json:
    asked = spec.get("resourceAttributes")
    if not isinstance(asked, dict):
        path = spec.get("nonResourceAttributes")
        if not isinstance(path, dict):
            return {"allowed": False, "reason": "resourceAttributes or nonResourceAttributes are needed"}
        verb, place = str(path.get("verb") or ""), str(path.get("path") or "")
        who = authorize.who(service, caller)
        return {"allowed": rights.allows_path(service.state.objects, who, verb, place), "reason": ""}
    words = {
        name: str(asked.get(name) or "") for name in ("verb", "group", "resource", "subresource", "name", "namespace")
    }
    resource = f"{words['resource']}/{words['subresource']}" if words["subresource"] else words["resource"]
    act = Act(words["verb"], words["group"], resource, words["name"])
    return {"allowed": _allowed(service, caller, words["namespace"], act)}


def _allowed(service: Service, caller: Caller, namespace: str, act: Act) -> bool:
    if rights.allows(service.state.objects, authorize.who(service, caller), namespace, act):
        return True
    if caller.account:
        return False
    if act.group == roles.RBAC and act.resource in ("roles", "rolebindings") and act.verb not in _ALL_READ:
        return False
    if namespace:
        return not authorize.is_closed(service, namespace) and _is_kind(act, namespaced=True)
    if authorize.always_closed(service) and act.verb not in _ALL_READ:
        return False
    return _is_kind(act, namespaced=False) and (act.verb in _ALL_READ or act.resource == "namespaces")


def _is_kind(act: Act, *, namespaced: bool) -> bool:
    plural = act.resource.partition("/")[0]
    return any(
        (one.group, one.plural, one.namespaced) == (act.group, plural, namespaced)
        and (act.verb in one.verbs or "/" in act.resource)
        for one in RESOURCES.values()
    )


def _rules(service: Service, caller: Caller, namespace: str) -> Json:
    found = list(rights.rules_of(service.state.objects, authorize.who(service, caller), namespace))
    if caller.is_operator:
        found = [PolicyRule(verbs=("*",), api_groups=("*",), resources=("*",))]
    elif not authorize.by_roles(service, caller, namespace):
        kinds = [one for one in RESOURCES.values() if one.namespaced and one.group != roles.RBAC]
        found += [PolicyRule(verbs=one.verbs, api_groups=(one.group,), resources=(one.plural,)) for one in kinds]
    rules = [writing.shown_record(one) for one in found]
    return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
