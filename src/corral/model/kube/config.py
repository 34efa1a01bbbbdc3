"""What do Pods read, and which rules hold around them: ConfigMap, Secret, Namespace, quotas, budgets, priorities?"""

from typing import Literal

from corral.model.kube.meta import Condition, KubeObject, LabelSelector, Schema
from corral.model.kube.pod import IntOrString, Quantity


class ConfigMap(KubeObject, frozen=True, kw_only=True):
    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}  #: base64
    immutable: bool = False


class Secret(KubeObject, frozen=True, kw_only=True):
    """In the engine and in the store the values are sealed (auth/sealing.py): only who launches opens them."""

    type: str = "Opaque"
    data: dict[str, str] = {}  #: base64 in manifests; sealed text in the record
    string_data: dict[str, str] = {}  #: only in manifests
    immutable: bool = False


class NamespaceStatus(Schema, frozen=True, kw_only=True):
    phase: str = "Active"


class Namespace(KubeObject, frozen=True, kw_only=True):
    status: NamespaceStatus = NamespaceStatus()


class ResourceQuotaSpec(Schema, frozen=True, kw_only=True):
    hard: dict[str, Quantity] = {}


class ResourceQuotaStatus(Schema, frozen=True, kw_only=True):
    hard: dict[str, Quantity] = {}
    used: dict[str, Quantity] = {}


class ResourceQuota(KubeObject, frozen=True, kw_only=True):
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class LimitRangeItem(Schema, frozen=True, kw_only=True):
    """`default` is of limits; what it says counts for containers that do not say so themselves."""

    type: Literal["Container", "Pod", "PersistentVolumeClaim"]
    max: dict[str, Quantity] = {}
    min: dict[str, Quantity] = {}
    default: dict[str, Quantity] = {}
    default_request: dict[str, Quantity] = {}
    max_limit_request_ratio: dict[str, Quantity] = {}


class LimitRangeSpec(Schema, frozen=True, kw_only=True):
    limits: tuple[LimitRangeItem, ...] = ()


class LimitRange(KubeObject, frozen=True, kw_only=True):
    """How much a container, a Pod or a claim of a namespace asks for, at least and at most."""

    spec: LimitRangeSpec = LimitRangeSpec()


class PodDisruptionBudgetSpec(Schema, frozen=True, kw_only=True):
    selector: LabelSelector | None = None
    min_available: IntOrString | None = None
    max_unavailable: IntOrString | None = None


class PodDisruptionBudgetStatus(Schema, frozen=True, kw_only=True):
    observed_generation: int = 0
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    conditions: tuple[Condition, ...] = ()


class PodDisruptionBudget(KubeObject, frozen=True, kw_only=True):
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


class PriorityClass(KubeObject, frozen=True, kw_only=True):
    value: int = 0
    global_default: bool = False
    preemption_policy: str = "PreemptLowerPriority"
    description: str = ""
