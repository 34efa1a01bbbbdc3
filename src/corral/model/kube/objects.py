"""Which kinds are there, in which group and version, under which names?"""

import msgspec

from corral.model.kube.config import (
    ConfigMap,
    LimitRange,
    Namespace,
    PodDisruptionBudget,
    PriorityClass,
    ResourceQuota,
    Secret,
)
from corral.model.kube.meta import KubeObject
from corral.model.kube.network import Ingress, Service
from corral.model.kube.pipeline import Pipeline, PipelineRun
from corral.model.kube.pod import Pod
from corral.model.kube.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding, ServiceAccount
from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from corral.model.kube.workload import ControllerRevision, CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet

AnyObject = (
    Pod | Deployment | ReplicaSet | StatefulSet | ControllerRevision | Job | CronJob | Service | Ingress | HorizontalPodAutoscaler
    | ConfigMap | Secret | Namespace | ResourceQuota | PodDisruptionBudget | PriorityClass | Pipeline | PipelineRun
    | PersistentVolumeClaim | PersistentVolume | StorageClass | Role | RoleBinding | ClusterRole | ClusterRoleBinding
    | LimitRange | ServiceAccount | DaemonSet
)  # fmt: skip


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What `corral get` and the paths of the API call it."""

    type: type[KubeObject]
    group: str  #: "" = the core group
    version: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True

    @property
    def name(self) -> str:
        return self.type.__name__

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(type=Pod, group="", version="v1", plural="pods", short=("po",)),
        Kind(type=Service, group="", version="v1", plural="services", short=("svc",)),
        Kind(type=ConfigMap, group="", version="v1", plural="configmaps", short=("cm",)),
        Kind(type=Secret, group="", version="v1", plural="secrets"),
        Kind(type=PersistentVolumeClaim, group="", version="v1", plural="persistentvolumeclaims", short=("pvc",)),
        Kind(type=PersistentVolume, group="", version="v1", plural="persistentvolumes", short=("pv",), namespaced=False),
        Kind(type=Namespace, group="", version="v1", plural="namespaces", short=("ns",), namespaced=False),
        Kind(type=ResourceQuota, group="", version="v1", plural="resourcequotas", short=("quota",)),
        Kind(type=LimitRange, group="", version="v1", plural="limitranges", short=("limits",)),
        Kind(type=Deployment, group="apps", version="v1", plural="deployments", short=("deploy",)),
        Kind(type=ReplicaSet, group="apps", version="v1", plural="replicasets", short=("rs",)),
        Kind(type=StatefulSet, group="apps", version="v1", plural="statefulsets", short=("sts",)),
        Kind(type=DaemonSet, group="apps", version="v1", plural="daemonsets", short=("ds",)),
        Kind(type=ControllerRevision, group="apps", version="v1", plural="controllerrevisions"),
        Kind(type=Job, group="batch", version="v1", plural="jobs"),
        Kind(type=CronJob, group="batch", version="v1", plural="cronjobs", short=("cj",)),
        Kind(type=Ingress, group="networking.k8s.io", version="v1", plural="ingresses", short=("ing",)),
        Kind(
            type=HorizontalPodAutoscaler, group="autoscaling", version="v2", plural="horizontalpodautoscalers", short=("hpa",)
        ),
        Kind(type=PodDisruptionBudget, group="policy", version="v1", plural="poddisruptionbudgets", short=("pdb",)),
        Kind(
            type=PriorityClass, group="scheduling.k8s.io", version="v1", plural="priorityclasses", short=("pc",),
            namespaced=False,
        ),
        Kind(
            type=StorageClass, group="storage.k8s.io", version="v1", plural="storageclasses", short=("sc",), namespaced=False,
        ),
        Kind(type=ServiceAccount, group="", version="v1", plural="serviceaccounts", short=("sa",)),
        Kind(type=Role, group="rbac.authorization.k8s.io", version="v1", plural="roles"),
        Kind(type=RoleBinding, group="rbac.authorization.k8s.io", version="v1", plural="rolebindings"),
        Kind(type=ClusterRole, group="rbac.authorization.k8s.io", version="v1", plural="clusterroles", namespaced=False),
        Kind(
            type=ClusterRoleBinding, group="rbac.authorization.k8s.io", version="v1", plural="clusterrolebindings",
            namespaced=False,
        ),
        Kind(type=Pipeline, group="corral.dev", version="v1", plural="pipelines", short=("pl",)),
        Kind(type=PipelineRun, group="corral.dev", version="v1", plural="pipelineruns", short=("plr",)),
    )
}  # fmt: skip
