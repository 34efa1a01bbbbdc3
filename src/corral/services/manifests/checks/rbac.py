"""Do roles say what may be done with what, and bindings to whom?"""

from corral.model.kube.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding, ServiceAccount, Subject
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

_GROUP = "rbac.authorization.k8s.io"


def role(one: Role | ClusterRole, problems: Problems) -> None:
    for index, rule in enumerate(one.rules):
        path = f"rules[{index}]"
        if not rule.verbs:
            problems.required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.non_resource_urls:
            if isinstance(one, Role):
                problems.invalid(f"{path}.nonResourceURLs", "", "namespaced rules cannot apply to non-resource URLs")
            if rule.api_groups or rule.resources or rule.resource_names:
                why = "rules cannot apply to both regular resources and non-resource URLs"
                problems.invalid(f"{path}.nonResourceURLs", list(rule.non_resource_urls), why)
            continue
        if not rule.api_groups:
            problems.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.resources:
            problems.required(f"{path}.resources", "resource rules must supply at least one resource")


def account(one: ServiceAccount, problems: Problems) -> None:
    for index, secret in enumerate(one.image_pull_secrets):
        if why := kubenames.subdomain(secret.name):
            problems.invalid(f"imagePullSecrets[{index}].name", secret.name, why)


def binding(one: RoleBinding | ClusterRoleBinding, problems: Problems) -> None:
    ref = one.role_ref
    if ref.api_group != _GROUP:
        problems.choice("roleRef.apiGroup", ref.api_group, (_GROUP,))
    kinds = ("Role", "ClusterRole") if isinstance(one, RoleBinding) else ("ClusterRole",)
    if ref.kind not in kinds:
        problems.choice("roleRef.kind", ref.kind, kinds)
    if not ref.name:
        problems.required("roleRef.name")
    for index, subject in enumerate(one.subjects):
        _subject(subject, f"subjects[{index}]", problems)


def _subject(one: Subject, path: str, problems: Problems) -> None:
    if not one.name:
        problems.required(f"{path}.name")
    if one.kind == "ServiceAccount":
        if one.name and (why := kubenames.subdomain(one.name)):
            problems.invalid(f"{path}.name", one.name, why)
        if one.api_group:
            problems.choice(f"{path}.apiGroup", one.api_group, ("",))
        if not one.namespace:
            problems.required(f"{path}.namespace")
    elif one.kind not in ("User", "Group"):
        problems.choice(f"{path}.kind", one.kind, ("Group", "ServiceAccount", "User"))
    elif one.api_group not in ("", _GROUP):
        problems.choice(f"{path}.apiGroup", one.api_group, (_GROUP,))
    if one.namespace and one.kind != "ServiceAccount":
        problems.forbidden(f"{path}.namespace", "a user or a group is of no namespace")
