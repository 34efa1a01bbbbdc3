"""What is a Pod: containers that run together on one node, and how do they fare?"""

from typing import Literal

from corral.model.kube.claim import ClaimTemplate
from corral.model.kube.meta import Condition, KubeObject, LabelSelector, Schema

IntOrString = int | str
Quantity = str | int | float  #: 500m, 1Gi, 2 (syntax/quantity.py)


class ExecAction(Schema, frozen=True, kw_only=True):
    command: tuple[str, ...] = ()


class HTTPHeader(Schema, frozen=True, kw_only=True):
    name: str
    value: str = ""


class HTTPGetAction(Schema, frozen=True, kw_only=True):
    port: IntOrString
    path: str = "/"
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPSocketAction(Schema, frozen=True, kw_only=True):
    port: IntOrString
    host: str = ""


class GRPCAction(Schema, frozen=True, kw_only=True):
    port: int
    service: str = ""


class SleepAction(Schema, frozen=True, kw_only=True):
    seconds: int


class Probe(Schema, frozen=True, kw_only=True):
    """A check that the agent makes. Times are seconds."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class LifecycleHandler(Schema, frozen=True, kw_only=True):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(Schema, frozen=True, kw_only=True):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None


class ContainerPort(Schema, frozen=True, kw_only=True):
    container_port: int
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    host_port: int = 0
    host_ip: str = ""


class KeySelector(Schema, frozen=True, kw_only=True):
    name: str
    key: str
    optional: bool = False


class ObjectFieldSelector(Schema, frozen=True, kw_only=True):
    field_path: str
    api_version: str = "v1"


class ResourceFieldSelector(Schema, frozen=True, kw_only=True):
    resource: str
    container_name: str = ""
    divisor: Quantity = "1"


class EnvVarSource(Schema, frozen=True, kw_only=True):
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None


class EnvVar(Schema, frozen=True, kw_only=True):
    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class NameRef(Schema, frozen=True, kw_only=True):
    name: str
    optional: bool = False


class EnvFromSource(Schema, frozen=True, kw_only=True):
    prefix: str = ""
    config_map_ref: NameRef | None = None
    secret_ref: NameRef | None = None


class ResourceRequirements(Schema, frozen=True, kw_only=True):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}


class VolumeMount(Schema, frozen=True, kw_only=True):
    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""  #: in which $(NAME) is the container's variable
    read_only: bool = False


class Capabilities(Schema, frozen=True, kw_only=True):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SeccompProfile(Schema, frozen=True, kw_only=True):
    """RuntimeDefault: what administers a machine is denied (agent/confine.py)."""

    type: Literal["Unconfined", "RuntimeDefault", "Localhost"]


class SecurityContext(Schema, frozen=True, kw_only=True):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    seccomp_profile: SeccompProfile | None = None


class Container(Schema, frozen=True, kw_only=True):
    """One program of a Pod. Without an image it is a process of the node as a job's is."""

    name: str
    image: str = ""
    image_pull_policy: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    volume_mounts: tuple[VolumeMount, ...] = ()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: SecurityContext | None = None
    restart_policy: str = ""  #: of an init container: "Always" makes it a sidecar
    stdin: bool = False
    stdin_once: bool = False  #: what is typed ends with the first who attaches and types
    tty: bool = False
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"


class KeyToPath(Schema, frozen=True, kw_only=True):
    key: str
    path: str
    mode: int | None = None


class HostPathVolume(Schema, frozen=True, kw_only=True):
    path: str
    type: str = ""


class EmptyDirVolume(Schema, frozen=True, kw_only=True):
    medium: str = ""
    size_limit: Quantity | None = None


class ConfigMapVolume(Schema, frozen=True, kw_only=True):
    name: str
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool = False


class SecretVolume(Schema, frozen=True, kw_only=True):
    secret_name: str
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool = False


class DownwardAPIFile(Schema, frozen=True, kw_only=True):
    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardAPIVolume(Schema, frozen=True, kw_only=True):
    items: tuple[DownwardAPIFile, ...] = ()
    default_mode: int = 0o644


class ConfigMapProjection(Schema, frozen=True, kw_only=True):
    name: str
    items: tuple[KeyToPath, ...] = ()
    optional: bool = False


class SecretProjection(Schema, frozen=True, kw_only=True):
    name: str
    items: tuple[KeyToPath, ...] = ()
    optional: bool = False


class DownwardAPIProjection(Schema, frozen=True, kw_only=True):
    items: tuple[DownwardAPIFile, ...] = ()


class ServiceAccountTokenProjection(Schema, frozen=True, kw_only=True):
    """A token of the Pod's account, which is renewed before it expires."""

    path: str
    audience: str = ""  #: "" = this API
    expiration_seconds: int = 3600


class VolumeProjection(Schema, frozen=True, kw_only=True):
    """Exactly one source."""

    config_map: ConfigMapProjection | None = None
    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None


class ProjectedVolume(Schema, frozen=True, kw_only=True):
    """Several sources in one directory."""

    sources: tuple[VolumeProjection, ...] = ()
    default_mode: int = 0o644


class ClaimVolume(Schema, frozen=True, kw_only=True):
    """A PersistentVolumeClaim of the Pod's namespace."""

    claim_name: str
    read_only: bool = False


class EphemeralVolume(Schema, frozen=True, kw_only=True):
    """A claim of the Pod's own, POD-VOLUME, which goes with it."""

    volume_claim_template: ClaimTemplate


class NFSVolume(Schema, frozen=True, kw_only=True):
    """The node has it mounted already: at whichever place."""

    server: str
    path: str
    read_only: bool = False


class Volume(Schema, frozen=True, kw_only=True):
    """Exactly one source."""

    name: str
    host_path: HostPathVolume | None = None
    empty_dir: EmptyDirVolume | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    nfs: NFSVolume | None = None
    ephemeral: EphemeralVolume | None = None
    downward_api: DownwardAPIVolume | None = None
    projected: ProjectedVolume | None = None


class HostAlias(Schema, frozen=True, kw_only=True):
    """A line of /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...] = ()


class NodeSelectorRequirement(Schema, frozen=True, kw_only=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Schema, frozen=True, kw_only=True):
    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelector(Schema, frozen=True, kw_only=True):
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class PreferredSchedulingTerm(Schema, frozen=True, kw_only=True):
    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(Schema, frozen=True, kw_only=True):
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()


class PodAffinityTerm(Schema, frozen=True, kw_only=True):
    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    match_label_keys: tuple[str, ...] = ()  #: with the Pod's own values of these labels
    mismatch_label_keys: tuple[str, ...] = ()  #: with others


class WeightedPodAffinityTerm(Schema, frozen=True, kw_only=True):
    weight: int
    pod_affinity_term: PodAffinityTerm


class PodAffinity(Schema, frozen=True, kw_only=True):
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()


class Affinity(Schema, frozen=True, kw_only=True):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Schema, frozen=True, kw_only=True):
    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class TopologySpreadConstraint(Schema, frozen=True, kw_only=True):
    max_skew: int
    topology_key: str
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    match_label_keys: tuple[str, ...] = ()  #: with the Pod's own values of these labels


class PodSecurityContext(Schema, frozen=True, kw_only=True):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    seccomp_profile: SeccompProfile | None = None


class PodSpec(Schema, frozen=True, kw_only=True):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    node_selector: dict[str, str] = {}
    node_name: str = ""
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    priority_class_name: str = ""
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""
    security_context: PodSecurityContext | None = None
    enable_service_links: bool = True
    image_pull_secrets: tuple[NameRef, ...] = ()
    host_aliases: tuple[HostAlias, ...] = ()
    dns_policy: str = "ClusterFirst"
    scheduler_name: str = "default-scheduler"
    service_account_name: str = ""  #: "" = default, and no token of it in the Pod
    automount_service_account_token: bool | None = None  #: None = as the account says, else where one is named


class TemplateMeta(Schema, frozen=True, kw_only=True):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    name: str = ""
    namespace: str = ""


class PodTemplateSpec(Schema, frozen=True, kw_only=True):
    metadata: TemplateMeta = TemplateMeta()
    spec: PodSpec = PodSpec()


class ContainerState(Schema, frozen=True, kw_only=True):
    """One of waiting, running, terminated."""

    state: Literal["waiting", "running", "terminated"] = "waiting"
    reason: str = ""  #: ContainerCreating, CrashLoopBackOff, Error, Completed, OOMKilled ...
    message: str = ""
    exit_code: int = 0
    signal: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0


class ContainerStatus(Schema, frozen=True, kw_only=True):
    name: str
    image: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState | None = None
    ready: bool = False
    started: bool = False  #: its startup probe has succeeded
    restart_count: int = 0
    step: int = -1  #: number of the step of the Pod's job that is its present run; -1 = none yet
    restart_at: float = 0.0  #: it is started again then (back-off); 0.0 = it does not wait
    back_off: float = 0.0  #: seconds that its next restart waits, should it end soon
    stopping: str = ""  #: why its present run has been told to end: a probe's verdict
    unready: str = ""  #: what its readiness probe has found wrong; "" = nothing yet, or not any more


class PortAddress(Schema, frozen=True, kw_only=True):
    """Where a container's port is reached from the other nodes."""

    port: int  #: containerPort
    name: str = ""
    protocol: str = "TCP"
    host: str = ""
    host_port: int = 0


class PodStatus(Schema, frozen=True, kw_only=True):
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"] = "Pending"
    reason: str = ""
    message: str = ""
    job: int = 0  #: the job that it is; 0 = none yet
    node: str = ""
    host_ip: str = ""
    pod_ip: str = ""
    own_ip: str = ""  #: of the Services' range: every node leads its ports there to those of the Pod, if a headless Service means it
    start_time: float = 0.0
    ready_since: float = 0.0  #: all containers are ready since then; 0.0 = they are not
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    addresses: tuple[PortAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()


ENDED_PHASES = ("Succeeded", "Failed")


class Pod(KubeObject, frozen=True, kw_only=True):
    """One replica: an ordinary job with an owner (metadata.owner_references)."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def is_ready(self) -> bool:
        return self.status.ready_since > 0.0 and not self.metadata.deletion_timestamp

    @property
    def has_ended(self) -> bool:
        return self.status.phase in ENDED_PHASES
