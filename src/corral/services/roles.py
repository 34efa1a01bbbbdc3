"""Which ClusterRoles are always there? Kubernetes' view, edit, admin and cluster-admin, for the kinds that there are."""

from corral.model.kube.meta import ObjectMeta
from corral.model.kube.objects import KINDS
from corral.model.kube.rbac import ClusterRole, PolicyRule

RBAC = "rbac.authorization.k8s.io"
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
#: Kinds whose objects a member reads and may not change.
_READ_ONLY = {"ControllerRevision", "ResourceQuota", "LimitRange"}
_SCALED = {"Deployment", "ReplicaSet", "StatefulSet"}
_BOOTSTRAP = {"kubernetes.io/bootstrapping": "rbac-defaults"}


def _by_group(*, with_secrets: bool, written: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind in KINDS.values():
        if not kind.namespaced or kind.group == RBAC or (kind.name == "Secret" and not with_secrets):
            continue
        if written and kind.name in _READ_ONLY:
            continue
        names = [kind.plural, *([f"{kind.plural}/scale"] if kind.name in _SCALED else ())]
        found.setdefault(kind.group, []).extend(names if written else [*names, f"{kind.plural}/status"])
    return found


def _rules(verbs: tuple[str, ...], resources: dict[str, list[str]]) -> tuple[PolicyRule, ...]:
    return tuple(
        PolicyRule(verbs=verbs, api_groups=(group,), resources=tuple(names))
        for group, names in sorted(resources.items())
    )


def _made(name: str, *rules: PolicyRule) -> ClusterRole:
    return ClusterRole(metadata=ObjectMeta(name=name, labels=_BOOTSTRAP), rules=rules)


_VIEW = (
    *_rules(READ, _by_group(with_secrets=False, written=False)),
    PolicyRule(verbs=READ, api_groups=("",), resources=("pods/log", "events", "endpoints")),
    PolicyRule(verbs=READ, api_groups=("discovery.k8s.io",), resources=("endpointslices",)),
)
#: What is done to objects beside writing them.
_DONE = ("pods/exec", "pods/attach", "pods/portforward", "pods/eviction", "serviceaccounts/token")
_EDIT = (
    *_VIEW,
    PolicyRule(verbs=READ, api_groups=("",), resources=("secrets",)),
    *_rules(WRITE, _by_group(with_secrets=True, written=True)),
    PolicyRule(verbs=("get", "create"), api_groups=("",), resources=_DONE),
)
_ADMIN = (
    *_EDIT,
    PolicyRule(verbs=(*READ, *WRITE), api_groups=(RBAC,), resources=("roles", "rolebindings")),
)

ALWAYS: dict[str, ClusterRole] = {
    one.metadata.name: one
    for one in (
        _made("view", *_VIEW),
        _made("edit", *_EDIT),
        _made("admin", *_ADMIN),
        _made("cluster-admin", PolicyRule(verbs=("*",), api_groups=("*",), resources=("*",))),
    )
}
ADMIN = ALWAYS["admin"]
