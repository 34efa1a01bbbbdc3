"""What does the controller tell an agent? Every order carries the controller's term, and may be sent again."""

import msgspec

from corral.model.allocation import Allocation, NodeShare
from corral.model.job import JobSpec, Owner, StepSpec
from corral.model.step import HetStep, StepKey, TaskPlace
from corral.protocol.pods import PodRun, PodVolume


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Base of all orders. `term` grows with every start of a controller: an agent refuses a lower one than it has seen."""

    term: int = 0
    node: str


class HetGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a heterogeneous job is told of one of its components."""

    job_id: int
    offset: int = 0
    name: str = ""
    account: str = ""
    qos: str = ""
    partition: str = ""
    nodes: tuple[str, ...]
    cpus: tuple[int, ...]  #: on each node
    tasks: tuple[int, ...]
    spec: JobSpec | None = None
    allocation: Allocation | None = None


class JobContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node must know of the job around a step (for SLURM_* variables, prolog, limits)."""

    job_id: int
    name: str
    owner: Owner
    account: str = ""
    qos: str = ""
    partition: str = ""
    allocation: Allocation
    spec: JobSpec
    restarts: int = 0
    start_time: float = 0.0
    end_time: float = 0.0  #: when the limit strikes; 0.0 = never
    submit_time: float = 0.0
    priority: int = 0
    array_job_id: int = 0
    array_task_id: int | None = None
    array_task_count: int = 0
    array_task_min: int = 0
    array_task_max: int = 0
    array_task_step: int = 1
    reservation: str = ""
    het: tuple[HetGroup, ...] = ()  #: of a heterogeneous job: its components
    cluster: str = ""
    step_count: int = 0
    ports: str = ""  #: of its nodes, that are its own


class StepIo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a shepherd reaches the attached client; None of these = nobody attached, files only."""

    url: str = ""
    token: str = ""
    cluster: str = ""


class ApiAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How commands inside the job reach the controller from another machine."""

    url: str  #: https://host:port
    token: str  #: of the job's owner, good as long as the job is there


class ServicePlace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a port of a service is reached: what CORRAL_SERVICE_... say."""

    name: str
    host: str
    port: int
    url: str = ""  #: "" = it is not HTTP
    port_name: str = ""
    is_first: bool = True  #: of its service's ports
    service_port: int = 0  #: as the service itself calls it
    address: str = ""  #: the service's own, where the node can translate it


class Names(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who knows the addresses of NAME.NAMESPACE.DOMAIN: each host:port."""

    domain: str = ""  #: "" = nobody does
    servers: tuple[str, ...] = ()
    for_pods: tuple[str, ...] = ()  #: for Pods with a network of their own, where they do not reach these


class LaunchStep(Order, frozen=True, kw_only=True):
    """Start this node's tasks of one step. Idempotent by `key`."""

    key: StepKey
    job: JobContext
    spec: StepSpec  #: for the batch step: argv = the script's arguments, stdio the job's
    step_nodes: tuple[str, ...]  #: all nodes of the step, in order
    tasks_per_node: tuple[int, ...]  #: of the step, in the same order
    ntasks: int
    cpus_per_task: int = 1
    share: NodeShare  #: the step's share of this node
    job_share: NodeShare  #: the job's share of this node
    ports: str = ""  #: of its nodes, that are the step's own
    het: HetStep | None = None  #: it is part of a step over several components
    tasks: tuple[TaskPlace, ...]
    script: str = ""  #: batch step only
    environment: dict[str, str] = {}  #: what the user's shell had; filled in when sent
    io: StepIo | None = None
    api: ApiAccess | None = None
    kill_wait: float = 30.0
    prolog: str = ""
    epilog: str = ""
    prolog_timeout: float = 300.0
    default_open_mode: str = "truncate"
    sample_seconds: float = 30.0  #: between two looks at what the tasks use; 0 = only at their end
    task_prolog: str = ""
    task_epilog: str = ""
    rlimits_left: tuple[str, ...] = ()  #: these of the submitter's limits the step does not get
    mpi: str = ""  #: "pmi2", "pmix", or "" = none: which server the tasks find their peers by
    process_mapping: str = ""  #: for mpi: which rank is on which node, as PMI_process_mapping says it
    #: where the node is: its address and the address's pattern; "" = no switches are known
    topology: tuple[str, str] = ("", "")
    mps: bool = False  #: its shares of GPUs are used through MPS, whose daemon the agent sees to
    image: str = ""  #: of the step's container: it must be on the node before the tasks start
    gpu_cores: tuple[
        tuple[int, ...], ...
    ] = ()  #: for --gpu-bind=closest: of each GPU that the step holds here the cores near it; () = not known
    layout: tuple[int, int, int] = (1, 0, 1)  #: the node's sockets, cores of each (0 = not known), threads of each
    pod: PodRun | None = None  #: it is a run of a container
    services: tuple[ServicePlace, ...] = ()  #: that its tasks are told of


class SignalTasks(Order, frozen=True, kw_only=True):
    """Signal a step's tasks on this node, or all steps of the job (step None). Unknown keys are reported as gone by the inventory."""

    job: int
    step: int | None = None
    restart: int = 0
    signal: int = 15
    batch_too: bool = False  #: with step None: the batch shell as well
    only_batch: bool = False
    kill_after: float | None = None  #: seconds until SIGKILL for what is left; None = no escalation
    reason: str = ""  #: "cancelled", "time_limit", "node_fail", "preempted": what the step's stderr is told
    by_uid: int = 0
    at: float = 0.0


class EndJob(Order, frozen=True, kw_only=True):
    """The job is over: kill what is left of it here, run the epilog, remove its cgroup, and report JobCleaned."""

    job: int
    restart: int = 0
    kill_after: float = 0.0
    epilog: str = ""
    uid: int = 0
    reason: str = ""
    context: JobContext | None = None


class SuspendJob(Order, frozen=True, kw_only=True):
    """Freeze (or thaw) all that the job runs here."""

    job: int
    restart: int = 0
    thaw: bool = False


class NotifyStep(Order, frozen=True, kw_only=True):
    """Say this to the client of the step, or into its standard error. It may be said twice."""

    job: int
    step: int
    restart: int = 0
    message: str


class SampleSteps(Order, frozen=True, kw_only=True):
    """Say what these steps use now. Answered once with StepSampled; whoever asks does not rely on it."""

    keys: tuple[StepKey, ...]
    query: int


class FetchImage(Order, frozen=True, kw_only=True):
    """Have this image on the node, and say how far it is (ImageFetched). It may be told again at any time."""

    image: str
    owner: Owner  #: a file must be readable for
    job: int = 0
    restart: int = 0
    query: int = 0


class ListImages(Order, frozen=True, kw_only=True):
    """Say which images are on the node (ImagesTold)."""

    query: int


class RemoveImage(Order, frozen=True, kw_only=True):
    """Remove the images of this name or digest that no step uses (ImagesTold)."""

    query: int
    image: str


class ReadLog(Order, frozen=True, kw_only=True):
    """Say what a container of a Pod has said (LogRead): from `offset` on, or the last lines."""

    query: int
    namespace: str
    name: str
    uid: str
    container: str
    number: int = 0  #: of the run: its restart count
    offset: int = 0
    last_lines: int | None = None  #: so many before the end, instead of `offset`
    since: float = 0.0  #: and nothing that was said before
    with_times: bool = False  #: say also when it was said
    most: int = 262144  #: bytes
    wait: float = 0.0  #: seconds for something to come, where there is nothing beyond `offset`


class ForgetPod(Order, frozen=True, kw_only=True):
    """Its record is gone: what it has said is not asked for any more."""

    namespace: str
    name: str
    uid: str


class WriteFiles(Order, frozen=True, kw_only=True):
    """The files of these volumes of a Pod that runs are others now (FilesWritten)."""

    job: int
    restart: int
    digest: str  #: of what they were made of
    volumes: tuple[PodVolume, ...]


class RemoveDirectory(Order, frozen=True, kw_only=True):
    """Remove what was made for a claim, with all that is in it, by the rights of its owner (DirectoryRemoved)."""

    volume: str  #: the PersistentVolume
    path: str
    uid: int
    gid: int


class RebootNode(Order, frozen=True, kw_only=True):
    """Run RebootProgram: nothing runs there any more. One that has been obeyed is not obeyed again."""

    program: str
    issued: float  #: which order it is


class ReportsCommitted(Order, frozen=True, kw_only=True):
    """These reports are durable: the agent may forget them. `node` is the agent's name."""

    sequences: tuple[int, ...]


class TellNames(Order, frozen=True, kw_only=True):
    """Where the names of services are answered for. `node` is the agent's name."""

    names: Names


class AddressRoute(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address that exists on the nodes alone, and where its ports lead."""

    name: str  #: NAME.NAMESPACE
    address: str
    ports: tuple[tuple[int, int], ...]  #: its own, and those at the host
    host: str = ""  #: IPv4; "" = the gateway's


class TellAddresses(Order, frozen=True, kw_only=True):
    """The Services' addresses. `node` is the agent's name. Who does not know `base` waits to be told everything."""

    version: str
    base: str = ""  #: the version that this changes; "" = this is all there is
    network: str  #: in which all of them are
    host: str  #: of the gateway, an IPv4 address
    shared: str = ""  #: ports that at each of them lead to the same ones of the gateway: 8080,22000:24999
    routes: tuple[AddressRoute, ...] = ()
    removed: tuple[str, ...] = ()  #: names


class SendInventory(Order, frozen=True, kw_only=True):
    """Register anew: a controller has started, or it doubts what it knows."""


class ShutDown(Order, frozen=True, kw_only=True):
    """`corral down`: the agent ends; jobs are killed first when `kill_jobs`."""

    kill_jobs: bool = False


AnyOrder = (
    LaunchStep
    | SignalTasks
    | EndJob
    | SuspendJob
    | NotifyStep
    | SampleSteps
    | FetchImage
    | ListImages
    | RemoveImage
    | ReadLog
    | ForgetPod
    | WriteFiles
    | RemoveDirectory
    | RebootNode
    | TellNames
    | TellAddresses
    | ReportsCommitted
    | SendInventory
    | ShutDown
)
