"""What keeps Pods in being: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob?"""

from typing import Any, Literal

from corral.model.kube.claim import ClaimTemplate
from corral.model.kube.meta import Condition, KubeObject, LabelSelector, Schema
from corral.model.kube.pod import IntOrString, PodTemplateSpec


class RollingUpdateDeployment(Schema, frozen=True, kw_only=True):
    max_surge: IntOrString = "25%"
    max_unavailable: IntOrString = "25%"


class CanaryStep(Schema, frozen=True, kw_only=True):
    """Corral's own: so many percent of the traffic, then the check, then a pause."""

    weight: int  #: percent
    pause_seconds: int = 0
    check: tuple[str, ...] = ()  #: a command that must succeed, run as a job


class DeploymentStrategy(Schema, frozen=True, kw_only=True):
    type: Literal["RollingUpdate", "Recreate", "Canary"] = "RollingUpdate"
    rolling_update: RollingUpdateDeployment | None = None
    canary: tuple[CanaryStep, ...] = ()


class DeploymentSpec(Schema, frozen=True, kw_only=True):
    selector: LabelSelector = LabelSelector()
    template: PodTemplateSpec = PodTemplateSpec()
    replicas: int = 1
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    paused: bool = False
    progress_deadline_seconds: int = 600


class DeploymentStatus(Schema, frozen=True, kw_only=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    collision_count: int = 0
    conditions: tuple[Condition, ...] = ()
    canary_step: int = 0  #: which step of the canary is under way
    canary_since: float = 0.0  #: when its pause began; 0.0 = it has not
    canary_of: str = ""  #: the ReplicaSet


class Deployment(KubeObject, frozen=True, kw_only=True):
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(Schema, frozen=True, kw_only=True):
    selector: LabelSelector = LabelSelector()
    template: PodTemplateSpec = PodTemplateSpec()
    replicas: int = 1
    min_ready_seconds: int = 0


class ReplicaSetStatus(Schema, frozen=True, kw_only=True):
    observed_generation: int = 0
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class ReplicaSet(KubeObject, frozen=True, kw_only=True):
    """Of a Deployment: one revision of it (annotation deployment.kubernetes.io/revision)."""

    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class RollingUpdateStatefulSet(Schema, frozen=True, kw_only=True):
    partition: int = 0
    max_unavailable: IntOrString = 1


class StatefulSetUpdateStrategy(Schema, frozen=True, kw_only=True):
    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    rolling_update: RollingUpdateStatefulSet | None = None


class StatefulSetOrdinals(Schema, frozen=True, kw_only=True):
    start: int = 0


class ClaimRetentionPolicy(Schema, frozen=True, kw_only=True):
    """What becomes of the claims of Pods that are not wanted any more."""

    when_deleted: Literal["Retain", "Delete"] = "Retain"
    when_scaled: Literal["Retain", "Delete"] = "Retain"


class StatefulSetSpec(Schema, frozen=True, kw_only=True):
    selector: LabelSelector = LabelSelector()
    template: PodTemplateSpec = PodTemplateSpec()
    service_name: str = ""
    replicas: int = 1
    pod_management_policy: Literal["OrderedReady", "Parallel"] = "OrderedReady"
    update_strategy: StatefulSetUpdateStrategy = StatefulSetUpdateStrategy()
    revision_history_limit: int = 10
    min_ready_seconds: int = 0
    ordinals: StatefulSetOrdinals | None = None
    volume_claim_templates: tuple[ClaimTemplate, ...] = ()
    persistent_volume_claim_retention_policy: ClaimRetentionPolicy | None = None


class StatefulSetStatus(Schema, frozen=True, kw_only=True):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: tuple[Condition, ...] = ()
    failures: dict[str, int] = {}  #: by ordinal: Pods that have failed one after the other; not shown


class StatefulSet(KubeObject, frozen=True, kw_only=True):
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class RollingUpdateDaemonSet(Schema, frozen=True, kw_only=True):
    max_surge: IntOrString = 0
    max_unavailable: IntOrString = 1


class DaemonSetUpdateStrategy(Schema, frozen=True, kw_only=True):
    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    rolling_update: RollingUpdateDaemonSet | None = None


class DaemonSetSpec(Schema, frozen=True, kw_only=True):
    selector: LabelSelector = LabelSelector()
    template: PodTemplateSpec = PodTemplateSpec()
    update_strategy: DaemonSetUpdateStrategy = DaemonSetUpdateStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10


class DaemonSetStatus(Schema, frozen=True, kw_only=True):
    """How many nodes: that are to have a Pod, have one, have one though they are not to, and so on."""

    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0
    observed_generation: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    number_unavailable: int = 0
    conditions: tuple[Condition, ...] = ()


class DaemonSet(KubeObject, frozen=True, kw_only=True):
    """One Pod on each node that it means."""

    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class ControllerRevision(KubeObject, frozen=True, kw_only=True):
    """A template that a StatefulSet or DaemonSet has had. Made by the cluster alone."""

    data: dict[str, Any] = {}
    revision: int = 0


class JobSpec(Schema, frozen=True, kw_only=True):
    template: PodTemplateSpec = PodTemplateSpec()
    selector: LabelSelector | None = None
    completions: int | None = None
    parallelism: int = 1
    completion_mode: Literal["NonIndexed", "Indexed"] = "NonIndexed"
    backoff_limit: int = 6
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False


class JobStatus(Schema, frozen=True, kw_only=True):
    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    completed_indexes: str = ""
    start_time: float = 0.0
    completion_time: float = 0.0
    conditions: tuple[Condition, ...] = ()


class Job(KubeObject, frozen=True, kw_only=True):
    """Kubernetes' Job (batch/v1): Pods until so many have succeeded. Not a job of the queue: each of its Pods is one."""

    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobTemplateMeta(Schema, frozen=True, kw_only=True):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class JobTemplateSpec(Schema, frozen=True, kw_only=True):
    metadata: JobTemplateMeta = JobTemplateMeta()
    spec: JobSpec = JobSpec()


class CronJobSpec(Schema, frozen=True, kw_only=True):
    schedule: str = ""
    job_template: JobTemplateSpec = JobTemplateSpec()
    time_zone: str = ""
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    starting_deadline_seconds: int | None = None
    suspend: bool = False
    successful_jobs_history_limit: int = 3
    failed_jobs_history_limit: int = 1


class CronJobStatus(Schema, frozen=True, kw_only=True):
    active: tuple[str, ...] = ()  #: names of its Jobs that run
    last_schedule_time: float = 0.0
    last_successful_time: float = 0.0


class CronJob(KubeObject, frozen=True, kw_only=True):
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
