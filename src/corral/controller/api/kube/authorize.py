"""May the caller do this at this path? Roles, in the namespaces where they count; elsewhere each object's own rules."""

import functools
import os
from typing import Any

import msgspec

from corral.auth.peer import group_name, role_of
from corral.controller.api.kube.resources import RESOURCES, Address
from corral.controller.api.kube.status import KubeError
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.model.kube.meta import KubeObject
from corral.model.kube.pod import Pod
from corral.protocol.requests import Caller
from corral.services import accounts, rights
from corral.services.rights import Act, Who

#: Memberships of groups are looked up again after so many seconds.
_GROUP_SECONDS = 30.0
_PLURALS = {one.kind: one for one in RESOURCES.values()}


def known(service: Service, caller: Caller) -> Caller:
    """With all groups; who is bound to cluster-admin counts as an operator where Kubernetes' objects are concerned."""
    if caller.account:
        _check_account(service, caller)
        groups = accounts.groups_of(caller.account)
    else:
        groups = _groups(caller.user, caller.gid, int(clock.monotonic() / _GROUP_SECONDS))
    caller = msgspec.structs.replace(caller, groups=groups)
    if not caller.is_operator and rights.is_cluster_admin(service.state.objects, who(service, caller)):
        return msgspec.structs.replace(caller, role="operator")
    return caller


def _check_account(service: Service, caller: Caller) -> None:
    """It is there still, and this user's Pods may have it still."""
    namespace, _, name = caller.account.partition(":")
    closed = is_closed(service, namespace)
    if why := accounts.lookup_problem(service.state.objects, namespace, name, caller.uid, closed=closed):
        raise KubeError("Unauthorized", why)


@functools.lru_cache(maxsize=4096)
def _groups(user: str, gid: int, when: int) -> tuple[str, ...]:
    try:
        return tuple(group_name(one) for one in os.getgrouplist(user, gid))
    except (KeyError, OSError):
        return (group_name(gid),)


def who(service: Service, caller: Caller) -> Who:
    name, is_account = name_of(caller), bool(caller.account)
    return Who(caller.uid, name, caller.groups, caller.is_operator, always_closed(service), is_account)


def name_of(caller: Caller) -> str:
    """By which roles are bound to him."""
    return accounts.name_of(caller.account) if caller.account else caller.user


def always_closed(service: Service) -> bool:
    return service.config.kubernetes.authorization == "rbac"


def is_closed(service: Service, namespace: str) -> bool:
    return rights.is_closed(service.state.objects, namespace, always=always_closed(service))


def by_roles(service: Service, caller: Caller, namespace: str) -> bool:
    """Do roles say what he may do there, and not whose the objects are? Of a ServiceAccount they always do."""
    return bool(caller.account) or is_closed(service, namespace)


def verb_of(method: str, where: Address, *, watches: bool) -> str:
    if where.subresource in ("exec", "attach", "portforward"):
        return "create"
    match method:
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "PATCH":
            return "patch"
        case "DELETE":
            return "delete" if where.name else "deletecollection"
        case _ if watches:
            return "watch"
        case _:
            return "get" if where.name else "list"


def check(service: Service, caller: Caller, where: Address, verb: str) -> None:
    """Raises KubeError. What a user asks of all namespaces at once is answered with what may be seen."""
    if caller.is_operator or (not where.namespace and not caller.account):
        return
    if not by_roles(service, caller, where.namespace):
        return
    resource = where.resource
    plural = f"{resource.plural}/{where.subresource}" if where.subresource else resource.plural
    act = Act(verb, resource.group, plural, where.name)
    if not rights.allows(service.state.objects, who(service, caller), where.namespace, act):
        what = f'{resource.qualified} "{where.name}"' if where.name else resource.qualified
        told = f'User "{name_of(caller)}" cannot {verb} resource "{plural}" in API group "{resource.group}"'
        place = f'in the namespace "{where.namespace}"' if where.namespace else "at the cluster scope"
        text = f"{what} is forbidden: {told} {place}"
        details = {"name": where.name, "group": resource.group, "kind": resource.plural}
        raise KubeError("Forbidden", text, {key: value for key, value in details.items() if value})


def may_see(service: Service, caller: Caller, one: KubeObject) -> bool:
    """An object of a namespace in which roles count."""
    resource = _PLURALS[one.key.kind]
    acts = (Act(verb, resource.group, resource.plural, one.metadata.name) for verb in ("get", "list", "watch"))
    seen = service.state.objects
    return caller.is_operator or any(
        rights.allows(seen, who(service, caller), one.metadata.namespace, act) for act in acts
    )


def may_act_as(service: Service, caller: Caller, pod: Pod) -> bool:
    """Commands in a Pod run as its owner: others need a role that an operator has given, and come by none to an operator's rights."""
    owner = pod.creator
    if caller.is_operator or owner is None or owner.uid == caller.uid:
        return caller.is_operator or owner is not None
    known_user = service.state.books.users.get(owner.user)
    is_ordinary = role_of(owner.uid, owner.user, service.config.roles) == "user"
    return always_closed(service) and is_ordinary and (known_user is None or known_user.admin_level == "None")


def as_owner(caller: Caller, pod: Pod) -> Caller:
    """Whose job it is that a command joins."""
    owner = pod.creator
    if caller.is_operator or owner is None or owner.uid == caller.uid:
        return caller
    return msgspec.structs.replace(caller, uid=owner.uid, gid=owner.gid, user=owner.user, group=owner.group)


def user_info(service: Service, caller: Caller) -> dict[str, Any]:
    """Of a review: who the caller is."""
    uid = str(caller.uid)
    if caller.account:
        namespace, _, name = caller.account.partition(":")
        account = accounts.found(service.state.objects, namespace, name)
        uid = account.metadata.uid if account is not None else ""
    return {"username": name_of(caller), "uid": uid, "groups": _groups_of(caller)}


def _groups_of(caller: Caller) -> list[str]:
    return [*caller.groups, *(("system:masters",) if caller.is_operator else ()), "system:authenticated"]
