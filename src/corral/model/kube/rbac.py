"""Who may do what with Kubernetes' objects: roles, to whom they are bound, and the accounts by which programs ask?"""

import msgspec

from corral.model.kube.meta import KubeObject, Schema
from corral.model.kube.pod import NameRef


class PolicyRule(Schema, frozen=True, kw_only=True):
    """All of these verbs on all of these resources. "*" = every one; no resource names = whatever the name."""

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[
        str, ...
    ] = ()  #: paths beside the objects; "/x/*" = all below. Then there are no resources


class RoleRef(Schema, frozen=True, kw_only=True):
    kind: str
    name: str
    api_group: str = msgspec.field(default="rbac.authorization.k8s.io")


class Subject(Schema, frozen=True, kw_only=True):
    """A user of the cluster, a group of the system's, or a ServiceAccount of a namespace."""

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


class ServiceAccount(KubeObject, frozen=True, kw_only=True):
    """By which the programs of Pods are known to the API. It has the rights of its roles and no others."""

    image_pull_secrets: tuple[NameRef, ...] = ()  #: of Pods that name none themselves
    automount_service_account_token: bool | None = None  #: of Pods that say nothing of it
