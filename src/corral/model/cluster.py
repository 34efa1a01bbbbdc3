"""What does an operator configure? Every key of corral.toml, with its default."""

from typing import Literal

import msgspec

from corral.model.partition import Partition
from corral.model.topology import Block, Switch


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[[node]]` table: what the operator says of nodes; counts given here win over what the agent found."""

    name: str  #: a hostlist
    cpus: int | None = None
    sockets: int | None = None
    cores_per_socket: int | None = None
    threads_per_core: int | None = None
    memory_mb: int | None = None
    tmp_disk_mb: int | None = None
    gres: str = ""  #: "gpu:v100:8"; with shards "gpu:v100:8,shard:32"
    gpu_links: tuple[
        str, ...
    ] = ()  #: as Links= of gres.conf, one text for each GPU: how many links it has to each, "-1,4,4,0"
    gpu_cores: tuple[str, ...] = ()  #: as Cores= of gres.conf, for each GPU the cores that are near it: "0-15"
    features: tuple[str, ...] = ()
    labels: dict[str, str] = {}  #: Pods ask for them: nodeSelector, affinity, topologyKey
    taints: tuple[str, ...] = ()  #: Pods that do not tolerate them stay away: "key=value:NoSchedule"
    weight: int = 1
    watts_idle: float = 0.0  #: what it draws when nothing runs on it; `corral simulate` reckons the energy
    watts_busy: float = 0.0  #: and when all of its GPUs are in use (without GPUs: its CPUs); 0 = not known


class GresConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[[gres]]` table: devices of nodes that are not found by themselves, or are to be counted otherwise than they are found."""

    name: str  #: one of gres_types
    type: str = ""
    nodes: str = "ALL"  #: a hostlist
    count: int | None = None  #: on each node; none = as many as there are files
    files: tuple[str, ...] = ()  #: device files in the order in which units are counted: "/dev/fpga[0-3]"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds."""

    kill_wait: float = 30.0  #: between SIGTERM and SIGKILL
    node: float = 30.0  #: a node unheard for so long is DOWN
    heartbeat: float = 5.0
    min_job_age: float = 300.0  #: an ended job stays in squeue for so long
    prolog: float = 300.0  #: a prolog or epilog may take so long
    over_time_limit: float = 0.0  #: grace past a job's limit
    resume: float = 60.0  #: ResumeTimeout: a node that was told to boot and is not back after so long is DOWN


#: Slurm's PriorityFlags.
PRIORITY_FLAGS = (
    "ACCRUE_ALWAYS", "CALCULATE_RUNNING", "DEPTH_OBLIVIOUS", "INCR_ONLY", "MAX_TRES", "NO_FAIR_TREE", "NO_NORMAL_ALL",
    "NO_NORMAL_ASSOC", "NO_NORMAL_PART", "NO_NORMAL_QOS", "NO_NORMAL_TRES", "SMALL_RELATIVE_TO_TIME",
)  # fmt: skip


class PriorityWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As Slurm's PriorityWeight...: each factor is a share from 0 to 1. Without any, all jobs have one priority, less their nice."""

    type: Literal["multifactor", "basic"] = "multifactor"  #: basic: whoever comes first, whatever the weights
    age: int = 0  #: how long it could have started, as a share of max_age
    assoc: int = 0  #: its association's priority beside the largest
    fair_share: int = 0  #: how little its association has used, beside its share
    job_size: int = 0  #: its share of the cluster's nodes and CPUs
    partition: int = 0  #: priority_job_factor
    qos: int = 0  #: its QOS' priority beside the largest
    tres: dict[str, int] = {}  #: "cpu", "mem", "node", "gres/gpu", "billing": its share of the partition's
    max_age: float = 604800.0  #: seconds
    favor_small: bool = False  #: PriorityFavorSmall: small jobs have the larger share of job_size
    flags: tuple[str, ...] = ()  #: as Slurm's PriorityFlags: NO_FAIR_TREE, MAX_TRES, INCR_ONLY, ...
    calc_period: float = 30.0  #: PriorityCalcPeriod: seconds between two looks at how old jobs are and what was used
    decay_half_life: float = 604800.0  #: seconds after which what was used counts half; 0 = it counts for ever
    #: PriorityUsageResetPeriod: when all that was used is forgotten, in the controller's time zone
    usage_reset_period: Literal["NONE", "NOW", "DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY"] = "NONE"
    fair_share_dampening: int = 1  #: FairShareDampeningFactor, of the classic fair share (NO_FAIR_TREE)

    def has(self, flag: str) -> bool:
        return flag in self.flags or (flag.startswith("NO_NORMAL_") and "NO_NORMAL_ALL" in self.flags)

    @property
    def is_fair_tree(self) -> bool:
        return "NO_FAIR_TREE" not in self.flags and "DEPTH_OBLIVIOUS" not in self.flags


class Scheduling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    #: which waiting jobs get a planned start that later ones must not delay: "easy" = the first of each partition; "conservative" = all;
    #: true = the first backfill_max_jobs; false = none, and none starts before another of its partition
    backfill: bool | Literal["easy", "conservative"] = True
    backfill_window: float = 0.0  #: seconds ahead that starts are planned for; 0 = without end, so that no job starves
    backfill_max_jobs: int = 50  #: how many waiting jobs get a planned start in one cycle
    backfill_plans_per_partition: int = 0  #: bf_job_part_count_reserve: and how many of one partition; 0 = any number
    backfill_max_array: int = 20  #: bf_max_job_array_resv: and how many elements of one array
    backfill_min_age: float = (
        0.0  #: bf_min_age_reserve: seconds that a job has waited before it gets one, and holds up others
    )
    backfill_min_priority: int = 0  #: bf_min_prio_reserve: none below this priority gets one, or holds up others
    backfill_max_per_user: int = (
        0  #: bf_max_job_user: so many jobs of a user are looked at behind others that wait; 0 = all
    )
    backfill_max_per_partition: int = 0  #: bf_max_job_part: likewise, of a partition
    backfill_max_per_association: int = 0  #: bf_max_job_assoc: likewise, of an association
    backfill_resolution: float = (
        0.0  #: bf_resolution: seconds that ends are rounded up to when starts are planned; 0 = they are not
    )
    backfill_busy_nodes: bool = False  #: bf_busy_nodes: planned starts take nodes that are in use now before others
    cycle_interval: float = 0.01  #: least seconds between two cycles
    default_memory_per_cpu_mb: int | None = None  #: None = 0 is asked for: memory is not counted unless said
    default_memory_per_node_mb: int | None = None
    placement: str = "fragmentation"  #: fragmentation (where the usual GPU jobs lose least), pack or spread; after the nodes' weights
    select: Literal["cores", "nodes"] = (
        "cores"  #: what is given out: cores, one by one, or whole nodes (Slurm's select/linear)
    )
    count_memory: bool = True  #: false: it only says how large a job's nodes are (CR_Core)
    one_task_per_core: bool = (
        False  #: tasks have cores of their own, unless their job says otherwise (Slurm's CR_ONE_TASK_PER_CORE)
    )
    core_order: Literal["cyclic", "block"] = (
        "cyclic"  #: sockets in turn, or one full before the next, unless -m says (CR_CORE_DEFAULT_DIST_BLOCK)
    )
    max_switch_wait: int = 300  #: seconds that a job may wait for the number of switches it wants, at most
    enable_user_top: bool = False  #: users may put one of their waiting jobs before their others (`scontrol top`)
    kill_invalid_depend: bool = False  #: a job whose dependency can never be satisfied is cancelled
    requeue_delay: float = (
        0.0  #: seconds that a requeued job waits before it can start (Slurm: its credentials' life, 120)
    )
    time_limit_step: int = 60  #: seconds; a job's limit is rounded up to whole ones of it (Slurm: a minute)

    @property
    def bounds_backfill(self) -> bool:
        """Do some waiting jobs get no planned start, or are some not looked at behind others?"""
        return bool(
            self.backfill_window or self.backfill_plans_per_partition or self.backfill_min_age or self.backfill_min_priority
            or self.backfill_max_per_user or self.backfill_max_per_partition or self.backfill_max_per_association
            or self.backfill_resolution
        )  # fmt: skip


class Preemption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs may make room for others, and how. What a QOS or a partition says of its own jobs comes before `mode`."""

    type: Literal["none", "qos", "partition_prio"] = (
        "none"  #: PreemptType: by the Preempt list of a QOS, or by priority_tier
    )
    mode: str = (
        "OFF"  #: REQUEUE, CANCEL or SUSPEND; with WITHIN also within one QOS; with GANG jobs that share CPUs take turns
    )
    exempt_time: float = (
        0.0  #: PreemptExemptTime: seconds that a job has run at least before it is requeued or cancelled
    )
    strict_order: bool = (
        False  #: preempt_strict_order: those of the lowest QOS priority or tier first, however many they are
    )
    send_user_signal: bool = (
        False  #: preempt_send_user_signal: a job's own --signal is sent at once, in the place of SIGTERM
    )
    time_slice: int = (
        30  #: SchedulerTimeSlice: seconds that one of several jobs on the same CPUs runs before the next one does
    )


class GpuSharing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of a GPU, once gres_types has "shard"."""

    fence: Literal["none", "mps", "mig"] = "none"  #: what keeps the jobs on a GPU apart; shown with nodes and jobs
    between_users: bool = False  #: with no fence: may the jobs of two users be on one GPU?
    start_mps: bool = (
        True  #: with the fence "mps": agents start and end its daemons; false = you do, and set its variables
    )

    @property
    def keeps_users_apart(self) -> bool:
        return self.fence == "none" and not self.between_users

    @property
    def starts_mps(self) -> bool:
        return self.fence == "mps" and self.start_mps


class Gpus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs that hold GPUs and do not use them (off unless one of the first two is set), and GPUs that fail."""

    idle_warn: float = (
        0.0  #: seconds for which none of a job's GPUs has worked, after which its user is told; 0 = never
    )
    idle_end: float = 0.0  #: and after which it is ended; 0 = never
    idle_jobs: Literal["interactive", "all"] = (
        "interactive"  #: interactive: of salloc, srun --pty and `corral notebook`; Pods never
    )
    idle_percent: int = 0  #: a GPU that is no busier than this does nothing
    drain_xids: tuple[
        int, ...
    ] = ()  #: agents: errors of NVIDIA's driver that drain the node, besides those that do of themselves
    ignore_xids: tuple[int, ...] = ()  #: agents: and those that do not


class NatsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""  #: "" = start a server of our own
    listen: str = "127.0.0.1:0"  #: for our own server; port 0 = any free one
    advertise: str = ""  #: the URL that agents and clients are told; "" = the one it listens on
    credentials: str = ""  #: agents: file with the token `corral token node` printed
    certificate: str = ""
    key: str = ""
    ca: str = ""


class ApiConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    socket: str = ""  #: "" = corral.sock in the state directory
    listen: str = ""  #: host:port for HTTPS; "" = the unix socket only
    advertise: str = ""  #: https://host:port that commands in jobs on other machines are told; "" = from `listen` and this host's name
    ca: str = ""  #: agents: file of the authority behind the certificate, for commands in jobs; "" = as in [nats]
    certificate: str = ""
    key: str = ""
    token_lifetime: float = 2592000.0  #: seconds


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: str = (
        ""  #: host:port at which `corral proxy` shows ports of jobs; "" = on this machine only, from its first use on
    )
    advertise: str = ""  #: https://host:port that `corral proxy` prints; "" = from `listen` and this host's name
    domain: str = (
        ""  #: below which each port of a job has a host name of its own, JOB-PORT.DOMAIN: all names below it lead here
    )
    certificate: str = ""  #: "" = as in [api]
    key: str = ""

    @property
    def names(self) -> str:
        """Below which each port has a name; "" = all are below paths of one. Names below localhost browsers know by themselves."""
        own_machine = not (self.listen or self.advertise or self.certificate)
        return self.domain.lower() or ("localhost" if own_machine else "")


class Roles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """User names beside root and the controller's own user, who are administrators."""

    administrators: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()


class KubernetesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may do what with Kubernetes' objects."""

    #: "open": in a namespace without a RoleBinding everybody makes objects and changes his own. "rbac": roles alone count, everywhere
    authorization: Literal["open", "rbac"] = "open"
    #: Services' own addresses (clusterIP), which exist on the nodes alone; "" = they have none, and are reached by the gateway's ports
    service_cidr: str = "10.96.0.0/12"


class Programs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prolog: str = ""  #: run on each node before a job's first step
    epilog: str = ""  #: after its last
    srun_prolog: str = ""  #: SrunProlog: run by srun, where it is, before it starts a step
    srun_epilog: str = ""  #: SrunEpilog: and after
    task_prolog: str = ""  #: TaskProlog: run as the user before each task; its lines "export X=Y", "unset X", "print ..." act on the task
    task_epilog: str = ""  #: TaskEpilog: run as the user after each task
    sendmail: str = "/usr/sbin/sendmail"
    reboot: str = ""  #: RebootProgram: boots the node's machine (/sbin/reboot); run by its agent for `scontrol reboot`


class Containers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    runtime: Literal["", "podman", "docker", "enroot", "apptainer"] = (
        ""  #: fetches images; "" = the first of these on the node
    )
    pull: Literal["missing", "always", "never"] = (
        "missing"  #: "missing": an image on the node is used as it is; "always": the registry is asked; "never": it must be there
    )
    pull_timeout: float = 1800.0  #: seconds until a pull is given up
    writable: bool = (
        True  #: what a container's tasks write is kept as long as the container, where --container-readonly is not said
    )
    mount_home: bool = False  #: the user's home is there, where --no-container-mount-home is not said
    remap_root: bool = False
    entrypoint: bool = False  #: the image's entrypoint is run
    scope: Literal["job", "global"] = (
        "job"  #: whose named containers are: their job's, or their user's on that node until removed (pyxis' container_scope)
    )
    mounts: tuple[str, ...] = ()  #: SRC:DST[:FLAGS] that every container gets, where the node has SRC
    cdi_dirs: tuple[str, ...] = (
        "/etc/cdi",
        "/var/run/cdi",
    )  #: where specifications of devices (CDI) lie; () = none count


class Isolation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    private_dirs: tuple[
        str, ...
    ] = ()  #: as root: every job has its own of these on each node: "/tmp", "/var/tmp", "/dev/shm"
    private_size_mb: int = 0  #: each of them lies in memory and holds so much; 0 = on disk, without a limit
    hide_devices: bool = True  #: as root: files of GPUs that are not the job's cannot be opened by their names either
    max_processes: int = 0  #: as root: processes and threads that a job may have on a node; 0 = no limit
    swap_percent: float = 0.0  #: as root: of its memory, so much more may lie in swap
    memory_soft_percent: float = (
        0.0  #: as root: from so much of its memory on the kernel takes pages back from a job; 0 = no such limit
    )


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_job_count: int = 200_000
    max_array_size: int = 100_001
    max_batch_requeue: int = 5  #: a job that was requeued so often, and whose launch fails again, is held
    max_script_bytes: int = 4 << 20
    max_environment_bytes: int = 4 << 20


class Accounting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sample_interval: float = 30.0  #: seconds between two looks at what a step's tasks use; 0 = only at their end
    purge_jobs_after: float = 0.0  #: seconds after their end; jobs go with their steps; 0 = never
    purge_steps_after: float = 0.0
    purge_usage_after: float = 0.0  #: the sums that sreport adds up
    purge_events_after: float = 0.0  #: when nodes were up and down
    archive_dir: str = ""  #: jobs and steps are written there before they are purged; "" = they are not
    #: "associations" (who has none may not submit), "limits", "qos" (only those that are allowed), "safe" (what can end within its minutes)
    enforce: tuple[str, ...] = ()


class AutoscalingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what HorizontalPodAutoscalers go that is not counted by the gateway."""

    prometheus: str = ""  #: the server that is asked for External metrics: "http://prometheus:9090"; "" = none
    prometheus_token_file: str = ""  #: a file with the token that it wants
    interval: float = 15.0  #: seconds between two looks at what Pods use, and two questions


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""  #: postgresql://user:password@host/database, or sqlite:///path; "" = SQLite in the state directory
    snapshot_events: int = 50_000  #: a snapshot of the state is written after so many events


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where services are reached: `corral gateway`, which drives Caddy."""

    start: bool = True  #: the controller starts one on its machine, once there is a Service
    listen: str = "127.0.0.1"  #: the address; "0.0.0.0" or "::" = all of the gateway's machine
    host: str = ""  #: the name in the URLs that are shown; "" = as listen says (needed where that is "all")
    http_port: int = 8080  #: where services and Ingresses are told apart by Host; 0 = nowhere
    https_port: int = 8443  #: likewise with TLS, for Ingresses that have it; 0 = nowhere
    ports: str = "22000-24999"  #: each port of a Service is given one of these
    node_ports: str = "30000-32767"  #: and of a NodePort or LoadBalancer Service one of these
    held_requests: int = 1000  #: of a service without a ready replica, so many may wait for one
    held_seconds: float = 300.0  #: and so long each
    access_log: bool = False  #: each request is a line in gateway/access.log of the state directory
    metrics_port: int = 0  #: where Prometheus reads the traffic of services; 0 = nowhere
    dns_port: int = (
        8053  #: where nodes ask for NAME.NAMESPACE.DOMAIN (UDP; if taken, one of the next); 0 = nowhere: no names
    )
    domain: str = "corral"  #: a Service's name is NAME.NAMESPACE.DOMAIN


class StorageClassConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[[storage_class]]` table: where the directories of PersistentVolumeClaims of this class are made."""

    name: str
    path: str  #: of the directory in which there is one for each claim; it must be there
    scope: Literal["shared", "node"] = (
        "shared"  #: "shared": all nodes have it (NFS, Lustre ...); "node": each has its own
    )
    reclaim: Literal["Delete", "Retain"] = "Delete"  #: what becomes of a directory when its claim is deleted
    default: bool = False  #: of claims that name no class


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of corral.toml."""

    cluster: str = "corral"
    state_dir: str = ""
    partition: tuple[Partition, ...] = (Partition(name="batch", default=True),)
    node: tuple[NodeConfig, ...] = ()  #: none = whatever registers is taken
    switch: tuple[Switch, ...] = ()  #: a tree of them; none = nothing is known of the network
    block: tuple[Block, ...] = ()  #: in the place of switches: groups of nodes that are closely connected
    block_sizes: tuple[int, ...] = ()  #: nodes of a block, and of several together: 18, 36, 72
    storage_class: tuple[
        StorageClassConfig, ...
    ] = ()  #: none, and all nodes are on this machine: "standard", in the state directory
    gres_types: tuple[str, ...] = ("gpu",)
    gres: tuple[GresConfig, ...] = ()
    gpu_sharing: GpuSharing = GpuSharing()
    gpus: Gpus = Gpus()
    timeouts: Timeouts = Timeouts()
    priority: PriorityWeights = PriorityWeights()
    scheduling: Scheduling = Scheduling()
    preemption: Preemption = Preemption()
    nats: NatsConfig = NatsConfig()
    gateway: GatewayConfig = GatewayConfig()
    api: ApiConfig = ApiConfig()
    proxy: ProxyConfig = ProxyConfig()
    roles: Roles = Roles()
    kubernetes: KubernetesConfig = KubernetesConfig()
    programs: Programs = Programs()
    containers: Containers = Containers()
    isolation: Isolation = Isolation()
    limits: Limits = Limits()
    store: StoreConfig = StoreConfig()
    accounting: Accounting = Accounting()
    autoscaling: AutoscalingConfig = AutoscalingConfig()
    private_data: tuple[Literal["jobs"], ...] = ("jobs",)  #: "jobs": users see only their own; () = everybody sees all
    licenses: dict[str, int] = {}  #: name -> how many the cluster has; jobs ask for them with --licenses
    propagate_limits: tuple[str, ...] = (
        "ALL",
    )  #: PropagateResourceLimits: limits (ulimit) of the submitter that a job gets unless it says --propagate: ALL, NONE, or names
    propagate_limits_except: tuple[
        str, ...
    ] = ()  #: PropagateResourceLimitsExcept: all but these; counts instead of propagate_limits
    requeue: bool = True  #: JobRequeue: may jobs be requeued unless they say --no-requeue?
    step_ports: str = ""  #: ports for jobs (--ports) and steps (--resv-ports) alone: "12000-12999" (MpiParams=ports=)
    address: str = (
        ""  #: of this machine, as other machines reach it; "" = from which it reaches the message server, else its name
    )
    pod_network: str = "10.213.0.0/16"  #: addresses of the Pods' own networks, the same on every node; "" = Pods have their nodes' network
    pod_ports: str = "25000-29999"  #: ports of the nodes by which the ports of Pods are reached
    mpi_default: Literal["none", "pmi2", "pmix"] = "none"  #: MpiDefault: srun without --mpi serves this to its tasks
    requeue_exit: str = ""  #: exit codes with which a batch job is queued again: "1-9,18" or "all"
    requeue_exit_hold: str = ""  #: likewise, and it is held in the state SPECIAL_EXIT
    first_job_id: int = 1
    enforce: tuple[str, ...] = ("cpu", "memory", "devices")  #: as root: limits held through cgroups
    log_level: str = "info"

    @property
    def host_for_pods(self) -> str:
        """By which Pods with a network of their own reach the gateway on their own machine, where that listens on its loopback alone; "" =
        by the gateway's host, as everybody does."""
        import ipaddress

        if not self.pod_network or not ipaddress.ip_address(self.gateway.listen).is_loopback:
            return ""
        return str(ipaddress.IPv4Network(self.pod_network)[-2])
