"""Who may do what with Kubernetes' objects: roles, and to whom they are bound?"""

import msgspec

from corral.model.kube.meta import KubeObject, Schema


class PolicyRule(Schema, frozen=True, kw_only=True):
    """All of these verbs on all of these resources. "*" = every one; no resource names = whatever the name."""

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class RoleRef(Schema, frozen=True, kw_only=True):
    kind: str
    name: str
    api_group: str = msgspec.field(default="rbac.authorization.k8s.io")


class Subject(Schema, frozen=True, kw_only=True):
    """A user of the cluster, or a group of the system's."""

    kind: str
    name: str
    api_group: str = ""
    namespace: str = ""


class Role(KubeObject, frozen=True, kw_only=True):
    rules: tuple[PolicyRule, ...] = ()


class ClusterRole(KubeObject, frozen=True, kw_only=True):
    rules: tuple[PolicyRule, ...] = ()


class RoleBinding(KubeObject, frozen=True, kw_only=True):
    role_ref: RoleRef
    subjects: tuple[Subject, ...] = ()


class ClusterRoleBinding(KubeObject, frozen=True, kw_only=True):
    role_ref: RoleRef
    subjects: tuple[Subject, ...] = ()
