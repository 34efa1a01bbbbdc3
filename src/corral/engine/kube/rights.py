"""Who may put and delete objects here, and whose are they then? What the roles say (services/rights.py), held at each change."""

from collections.abc import Sequence

from corral.engine.context import Context
from corral.model.kube.config import Namespace
from corral.model.kube.objects import KINDS, AnyObject
from corral.model.kube.pipeline import Pipeline
from corral.model.kube.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from corral.model.kube.workload import CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller
from corral.services import accounts, rights, roles
from corral.services.rights import Act, Who

_RBAC = (Role, RoleBinding, ClusterRole, ClusterRoleBinding)


def who(ctx: Context, caller: Caller) -> Who:
    name = accounts.name_of(caller.account) if caller.account else caller.user
    groups = caller.groups or (caller.group,)
    return Who(caller.uid, name, groups, caller.is_operator, _always_closed(ctx), bool(caller.account))


def _always_closed(ctx: Context) -> bool:
    return ctx.config.kubernetes.authorization == "rbac"


def is_closed(ctx: Context, namespace: str) -> bool:
    return rights.is_closed(ctx.state.objects, namespace, always=_always_closed(ctx))


def refusal(
    ctx: Context, one: AnyObject, caller: Caller, verbs: Sequence[str], sub: str = "", *, by_rule: bool = False
) -> Rejected | None:
    """`verbs`: one of them is enough. `one`: as it is now, or as it is to be made. `by_rule`: a rule does it in the name of
    whose object it follows, and needs no role for what is his.
    """
    if caller.is_operator:
        return None
    namespace, kind = one.metadata.namespace, KINDS[one.key.kind]
    resource = f"{kind.plural}/{sub}" if sub else kind.plural
    by_role = bool(caller.account) or (is_closed(ctx, namespace) if namespace else _is_guarded(ctx, one, verbs))
    if (by_role and not by_rule) or isinstance(one, Role | RoleBinding):
        acts = [Act(verb, kind.group, resource, one.metadata.name) for verb in verbs]
        if not any(rights.allows(ctx.state.objects, who(ctx, caller), namespace, act) for act in acts):
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            told = f'User "{who(ctx, caller).user}" cannot {verbs[0]} resource "{resource}" in API group "{kind.group}" {where}'
            return Rejected(error=told, code="denied")
        return None
    is_new = verbs[0] == "create" and not sub
    if not is_new and one.creator is not None and one.creator.uid != caller.uid:
        return Rejected(error=f"{one.key.kind.lower()} {one.metadata.name!r} is not yours", code="denied")
    return None


def _is_guarded(ctx: Context, one: AnyObject, verbs: Sequence[str]) -> bool:
    """Of a kind without namespaces: do roles count?"""
    if isinstance(one, Namespace):
        return ctx.config.kubernetes.authorization == "rbac" and verbs[0] == "create"
    return isinstance(one, _RBAC)


def granting_refusal(ctx: Context, one: AnyObject, caller: Caller) -> Rejected | None:
    """Nobody grants what he has not."""
    if not isinstance(one, _RBAC):
        return None
    name, view, asker = f"{one.key.kind.lower()} {one.metadata.name!r}", ctx.state.objects, who(ctx, caller)
    namespace = one.metadata.namespace
    if isinstance(one, ClusterRole) and one.metadata.name in roles.ALWAYS:
        return Rejected(error=f"{name} is always there, as it is", code="denied")
    if caller.is_operator:
        return None
    if isinstance(one, Role | ClusterRole):
        rules, plural = one.rules, KINDS[one.key.kind].plural
        if rights.allows(view, asker, namespace, Act("escalate", roles.RBAC, plural, one.metadata.name)):
            return None
    else:
        found = rights.rules_at(view, one.role_ref, namespace)
        plural = KINDS[one.role_ref.kind].plural
        if rights.allows(view, asker, namespace, Act("bind", roles.RBAC, plural, one.role_ref.name)):
            return None
        if found is None:
            return Rejected(error=f'{plural}.{roles.RBAC} "{one.role_ref.name}" not found', code="denied")
        rules = found
        if others := _others(ctx, one, caller):
            return Rejected(error=f"others have objects in it: {', '.join(others)}", code="denied", detail=_ASK)
    if lacks := rights.lacking(view, asker, namespace, rules):
        told = f'user "{asker.user}" is attempting to grant RBAC permissions not currently held: {"; ".join(lacks[:5])}'
        return Rejected(error=told + (f"; and {len(lacks) - 5} more" if len(lacks) > 5 else ""), code="denied")
    return None


_ASK = "the first RoleBinding closes a namespace to all who are not bound: an operator may do that"


def _others(ctx: Context, one: AnyObject, caller: Caller) -> list[str]:
    """Who has put objects into a namespace while it was open has not agreed to be among its members."""
    namespace = one.metadata.namespace
    if not namespace or is_closed(ctx, namespace):
        return []
    return sorted(
        {
            other.creator.user or str(other.creator.uid)
            for other in ctx.state.objects.in_namespace(namespace)
            if other.creator is not None and other.creator.uid != caller.uid
        }
    )[:5]


def takes_over(ctx: Context, one: AnyObject, old: AnyObject | None, caller: Caller) -> bool:
    """What a member makes another's Pods do runs as himself: nobody's programs become another's by a role."""
    if old is None or old.creator is None or caller.is_operator or old.creator.uid == caller.uid:
        return False
    by_role = bool(caller.account) or is_closed(ctx, one.metadata.namespace)
    return by_role and _program_of(one) != _program_of(old)


def _program_of(one: AnyObject) -> object:
    """What of it runs."""
    match one:
        case Deployment() | ReplicaSet() | StatefulSet() | DaemonSet() | Job():
            return one.spec.template
        case CronJob():
            return one.spec.job_template
        case Pipeline():
            return one.spec
        case _:
            return None
