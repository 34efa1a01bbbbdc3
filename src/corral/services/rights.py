"""May a user do this with objects of a namespace? Kubernetes' rules of roles and bindings, and what holds where nobody is bound.

A namespace is closed when it has a RoleBinding for a user or a group, or when the configuration says that all are ([kubernetes]
authorization = "rbac"). In it, whoever is bound by that or by a ClusterRoleBinding has the rights of his roles, and nobody else any; whose
objects they are counts no more.
In the others everybody may make objects, and each changes his own. Whose namespace it is has the role `admin` in it. An operator may do
everything. A ServiceAccount (services/accounts.py) has the rights of its roles and no others, closed or not.

Nobody grants what he has not: a role's rules, and those of a role that is bound, must be covered by the rules of who writes it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from corral.model.kube.config import Namespace
from corral.model.kube.meta import KubeObject, ObjectKey
from corral.model.kube.rbac import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from corral.services import accounts, roles

#: Groups of everybody.
_EVERYBODY = ("system:authenticated",)


class View(Protocol):
    """What is there."""

    def get(self, key: ObjectKey) -> KubeObject | None: ...
    def of_kind(self, kind: str, namespace: str = "") -> Iterable[KubeObject]: ...


class Who(NamedTuple):
    uid: int
    user: str
    groups: tuple[str, ...] = ()
    is_operator: bool = False
    are_closed: bool = False  #: the configuration says that all namespaces are
    is_account: bool = False  #: a ServiceAccount of this user's Pod; `user` is its name


class Act(NamedTuple):
    """A verb on a resource: ("get", "", "pods/log", "web-0")."""

    verb: str
    group: str
    resource: str
    name: str = ""


def is_closed(view: View, namespace: str, *, always: bool) -> bool:
    """`always`: all namespaces are."""
    return bool(namespace) and (always or any(map(_closes, view.of_kind("RoleBinding", namespace))))


def _closes(binding: KubeObject) -> bool:
    """What is bound to accounts alone says nothing of who else is let in."""
    return isinstance(binding, RoleBinding) and (
        not binding.subjects or not all(one.kind == "ServiceAccount" for one in binding.subjects)
    )


def allows(view: View, who: Who, namespace: str, act: Act) -> bool:
    """By his roles. `namespace`: "" = of the whole cluster."""
    return who.is_operator or any(_covers(rule, act) for rule in rules_of(view, who, namespace))


def allows_path(view: View, who: Who, verb: str, path: str) -> bool:
    """Of what is no object: /metrics."""
    return who.is_operator or any(
        _has(rule.verbs, verb) and any(_is_path(word, path) for word in rule.non_resource_urls)
        for rule in rules_of(view, who, "")
    )


def _is_path(word: str, path: str) -> bool:
    return word in ("*", path) or (word.endswith("*") and path.startswith(word[:-1]))


def rules_of(view: View, who: Who, namespace: str) -> Iterator[PolicyRule]:
    for binding in view.of_kind("ClusterRoleBinding"):
        if isinstance(binding, ClusterRoleBinding) and _means(binding, who, view):
            yield from rules_at(view, binding.role_ref, "") or ()
    if not namespace:
        return
    for one in view.of_kind("RoleBinding", namespace):
        if isinstance(one, RoleBinding) and _means(one, who, view):
            yield from rules_at(view, one.role_ref, namespace) or ()
    if not who.is_account and owns(view, who, namespace):
        yield from roles.ADMIN.rules


def owns(view: View, who: Who, namespace: str) -> bool:
    home = view.get(ObjectKey("Namespace", "", namespace))
    return isinstance(home, Namespace) and home.creator is not None and home.creator.uid == who.uid


def rules_at(view: View, ref: RoleRef, namespace: str) -> tuple[PolicyRule, ...] | None:
    """None: there is no such role."""
    if ref.kind == "Role":
        found = view.get(ObjectKey("Role", namespace, ref.name)) if namespace else None
        return found.rules if isinstance(found, Role) else None
    if (always := roles.ALWAYS.get(ref.name)) is not None:
        return always.rules
    one = view.get(ObjectKey("ClusterRole", "", ref.name))
    return one.rules if isinstance(one, ClusterRole) else None


def is_cluster_admin(view: View, who: Who) -> bool:
    return allows(view, who, "", Act("*", "*", "*"))


def _means(binding: RoleBinding | ClusterRoleBinding, who: Who, view: View) -> bool:
    return any(_is_meant(one, who, binding, view) for one in binding.subjects)


def _is_meant(one: Subject, who: Who, binding: KubeObject, view: View) -> bool:
    if one.kind == "ServiceAccount":
        account = f"{one.namespace}:{one.name}"
        return who.is_account and who.user == accounts.name_of(account) and _is_for(binding, who, account, view)
    if one.kind == "User":
        return one.name == who.user
    return one.name in who.groups or one.name in _EVERYBODY


def _is_for(binding: KubeObject, who: Who, account: str, view: View) -> bool:
    """The default account of an open namespace is that of everybody's Pods: what is bound to it is for Pods of who has bound it."""
    namespace, _, name = account.partition(":")
    if name != accounts.DEFAULT or is_closed(view, namespace, always=who.are_closed):
        return True
    return binding.creator is None or binding.creator.uid == who.uid


def _covers(rule: PolicyRule, act: Act) -> bool:
    return (
        _has(rule.verbs, act.verb)
        and _has(rule.api_groups, act.group)
        and _has_resource(rule.resources, act.resource)
        and (not rule.resource_names or act.name in rule.resource_names)
    )


def _has(words: tuple[str, ...], word: str) -> bool:
    return "*" in words or word in words


def _has_resource(words: tuple[str, ...], resource: str) -> bool:
    """ "*/scale" is that of all resources."""
    _, slash, sub = resource.partition("/")
    return _has(words, resource) or (bool(slash) and f"*/{sub}" in words)


# ---------------------------------------------------------------------- to grant


def lacking(view: View, who: Who, namespace: str, rules: Iterable[PolicyRule]) -> list[str]:
    """What of these rules he has not himself, in Kubernetes' words; [] = he may grant them."""
    if who.is_operator:
        return []
    own = list(rules_of(view, who, namespace))
    return [_text(act) for act in _acts(rules) if not any(_covers(rule, act) for rule in own)]


def _acts(rules: Iterable[PolicyRule]) -> Iterator[Act]:
    """Each piece of them: "*" is had by "*" alone, and what holds for every name by what does so."""
    for rule in rules:
        for group in rule.api_groups:
            for resource in rule.resources:
                for verb in rule.verbs:
                    for name in rule.resource_names or ("",):
                        yield Act(verb, group, resource, name)


def _text(act: Act) -> str:
    names = f", ResourceNames:[{act.name!r}]" if act.name else ""
    text = f"{{APIGroups:[{act.group!r}], Resources:[{act.resource!r}]{names}, Verbs:[{act.verb!r}]}}"
    return text.replace("'", '"')
