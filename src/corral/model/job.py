"""What is a job: what was asked for (JobSpec), and what became of it (Job)?"""

import enum
from typing import NewType

import msgspec

from corral.model.allocation import Allocation
from corral.model.container import Container
from corral.model.gres import GresRequest
from corral.model.podplace import PodWords
from corral.model.preemption import Preempted, Promise
from corral.model.ranges import Ranges
from corral.model.reason import Reason

JobId = NewType("JobId", int)

#: Seconds that stand for UNLIMITED: larger than any limit, so that min() and comparison just work.
UNLIMITED = 1 << 40


class JobState(enum.StrEnum):
    """Slurm's job states. PENDING, RUNNING and SUSPENDED are base states; COMPLETING and CONFIGURING are flags there, states here."""

    PENDING = "PENDING"
    CONFIGURING = "CONFIGURING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETING = "COMPLETING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    REQUEUED = "REQUEUED"  #: only in accounting: this run was cut off and the job went back to PENDING


#: squeue's ST column.
STATE_LETTERS: dict[JobState, str] = {
    JobState.PENDING: "PD",
    JobState.CONFIGURING: "CF",
    JobState.RUNNING: "R",
    JobState.SUSPENDED: "S",
    JobState.COMPLETING: "CG",
    JobState.COMPLETED: "CD",
    JobState.CANCELLED: "CA",
    JobState.FAILED: "F",
    JobState.TIMEOUT: "TO",
    JobState.NODE_FAIL: "NF",
    JobState.PREEMPTED: "PR",
    JobState.BOOT_FAIL: "BF",
    JobState.DEADLINE: "DL",
    JobState.OUT_OF_MEMORY: "OOM",
    JobState.REQUEUED: "RQ",
}

#: Holds resources: its nodes, CPUs, memory and GPUs are not free.
ACTIVE = frozenset({JobState.CONFIGURING, JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING})
ENDED = frozenset(
    {
        JobState.COMPLETED, JobState.CANCELLED, JobState.FAILED, JobState.TIMEOUT, JobState.NODE_FAIL,
        JobState.PREEMPTED, JobState.BOOT_FAIL, JobState.DEADLINE, JobState.OUT_OF_MEMORY,
    }
)  # fmt: skip


class JobKind(enum.StrEnum):
    BATCH = "batch"  #: a script runs on the first node
    SRUN = "srun"  #: the allocation of one srun; ends with its step
    SALLOC = "salloc"  #: the allocation of salloc; ends when its client says so
    POD = "pod"  #: a Pod: its containers are steps, and what is started when is decided by engine/kube


class PodRef(msgspec.Struct, frozen=True, array_like=True):
    """The Pod that a job is."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class StdioSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a step's streams go. A file pattern with % marks, or one of the words below.

    "" = the default (batch: slurm-%j.out; srun: the client), "none" = /dev/null, "client" = the attached srun; for stdin also a
    task number as text (only this task reads the client's input), and "all".
    """

    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    open_mode: str = ""  #: "append" or "truncate"; "" = the cluster's default (truncate)
    label: bool = False
    unbuffered: bool = False


class FileTransfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step that is no program of the user's: each task writes its standard input to a file (sbcast, srun --bcast)."""

    dest: str  #: an absolute path
    mode: int = 0o700
    is_directory: bool = False  #: make this directory, and no more; one that is there will do
    force: bool = False  #: what is there is replaced
    compressed: bool = False  #: the input is a zlib stream
    times: tuple[float, float] | None = None  #: last access, last change; None = now
    owner: tuple[int, int] | None = None  #: uid and gid, where the user may give files away
    begun: float = 0.0  #: by the clock of who sends it


class StepSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one srun asks for. None = take it from the job's allocation."""

    name: str = ""
    argv: tuple[str, ...] = ()
    multi_prog: tuple[
        tuple[str, tuple[str, ...]], ...
    ] = ()  #: ("0,2-3" or "*", argv) per line; %t and %o are put in by the shepherd
    work_dir: str = "/"
    umask: int = 0o022
    rlimits: dict[str, tuple[int, int]] = {}  #: "NOFILE" -> (soft, hard); -1 = infinity
    environment_digest: str = ""
    nodes_min: int | None = None
    nodes_max: int | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    cpus_per_task: int | None = None
    memory_per_node_mb: int | None = None
    memory_per_cpu_mb: int | None = None
    gres: tuple[GresRequest, ...] | None = None  #: per node; () = none (--gres=none)
    gpus: tuple[GresRequest, ...] | None = None
    gpus_per_node: tuple[GresRequest, ...] | None = None
    gpus_per_task: tuple[GresRequest, ...] | None = None
    nodelist: str = ""
    exclude: str = ""
    relative: int | None = None  #: -r: first node, counted within the allocation
    exact: bool = False
    exclusive: bool = False
    overlap: bool = False
    overcommit: bool = False
    distribution: str = ""  #: syntax/distribution.py; "" = Slurm's default
    cpu_bind: str = ""  #: syntax/cpubind.py
    mem_bind: str = ""
    gpu_bind: str = ""
    hint: str = ""
    ntasks_per_socket: int | None = None
    ntasks_per_core: int | None = None
    ntasks_per_gpu: int | None = None
    threads_per_core: int | None = None
    stdio: StdioSpec = StdioSpec()
    pty: bool = False
    window: tuple[int, int] = (0, 0)  #: rows, columns of the client's terminal
    kill_on_bad_exit: bool = False
    wait_seconds: int | None = None  #: -W: seconds after the first task's end until the others are killed; 0 = for ever
    no_kill: bool = False
    time_limit: int | None = None
    immediate: bool = False
    acctg_freq: int | None = None  #: seconds, 0 = only at the end; None = as the job
    transfer: FileTransfer | None = None
    relay: bool = (
        False  #: no program of the user's either: it carries connections to ports of its node (corral port-forward)
    )
    task_prolog: str = ""  #: run before each task, after the cluster's
    task_epilog: str = ""  #: run after each task, before the cluster's
    asks_programs: bool = (
        False  #: an srun that would run the cluster's SrunProlog and SrunEpilog first, should there be some
    )
    rlimits_chosen: bool = False  #: --propagate was said: all of `rlimits` are wanted
    resv_ports: int | None = None  #: so many ports of its nodes are its own
    mpi: str = ""  #: "none", "pmi2", "pmix": how its ranks find each other; "" = the cluster's mpi_default
    interactive: bool = False  #: salloc's shell step (LaunchParameters=use_interactive_step)
    client_host: str = ""
    client_pid: int = 0
    submit_line: str = ""  #: the command line of its srun
    container: Container | None = None  #: what its tasks see as their root
    pod_container: str = ""  #: of a Pod's job: it is a run of that container

    @property
    def is_hidden(self) -> bool:
        """Nobody sees such a step, and nobody is charged for it."""
        return self.transfer is not None or self.relay


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for. None (or "") = not said: the cluster's or partition's default counts.

    The script and the environment are not here: they lie in the store under their digests, and reach the node with the launch.
    """

    kind: JobKind = JobKind.BATCH
    name: str = ""
    account: str = ""
    qos: str = ""
    partition: str = ""  #: one name or several with commas: the first that can start it wins
    comment: str = ""
    wckey: str = ""  #: a label of the user's own, for reports
    admin_comment: str = ""  #: of an administrator's own submission
    extra: str = ""
    work_dir: str = "/"
    command: str = ""  #: what scontrol shows as Command=
    argv: tuple[str, ...] = ()  #: arguments of the batch script
    script_digest: str = ""
    environment_digest: str = ""
    export_mode: str = "ALL"  #: --export's first word: ALL, NONE or NIL
    umask: int = 0o022
    rlimits: dict[str, tuple[int, int]] = {}
    rlimits_chosen: bool = False  #: as in StepSpec
    stdio: StdioSpec = StdioSpec()
    submit_host: str = ""
    submit_sid: int = 0  #: the session of the submitting process
    submit_line: str = ""
    container: Container | None = None  #: of the batch script
    step: StepSpec | None = None  #: kind SRUN: the one step to launch as soon as the job starts
    pod: PodRef | None = None  #: kind POD
    places: PodWords | None = None  #: of a Pod: where it may be, and would rather be

    nodes_min: int | None = None
    nodes_max: int | None = None
    ntasks: int | None = None
    cpus_per_task: int | None = None
    ntasks_per_node: int | None = None
    memory_per_node_mb: int | None = None  #: 0 = all of the node's
    memory_per_cpu_mb: int | None = None
    memory_per_gpu_mb: int | None = None
    memory_by_default: bool = False  #: it has asked for none: this is what its partition or the cluster gives
    gres: tuple[GresRequest, ...] = ()  #: per node
    gpus: tuple[GresRequest, ...] = ()  #: of the whole job
    gpus_per_node: tuple[GresRequest, ...] = ()
    gpus_per_task: tuple[GresRequest, ...] = ()
    cpus_per_gpu: int | None = None
    exclusive: bool = False
    exclusive_user: bool = False  #: no other user's jobs on its nodes (--exclusive=user)
    oversubscribe: bool = False  #: it may share its CPUs, where its partition lets jobs choose
    overcommit: bool = False
    distribution: str = ""  #: syntax/distribution.py
    hint: str = ""  #: as given; what it means is in the counts below
    nodelist: str = ""
    exclude: str = ""
    constraint: str = ""
    prefer: str = ""  #: features that its nodes have if possible
    batch_features: str = ""  #: of the node that runs the script
    ntasks_per_socket: int | None = None
    ntasks_per_core: int | None = None
    ntasks_per_gpu: int | None = None
    threads_per_core: int | None = None  #: so many of a core's are used
    sockets_per_node: int | None = None
    cores_per_socket: int | None = None
    mincpus: int | None = None  #: on each node
    tmp_disk_mb: int | None = None  #: each node has so much
    contiguous: bool = False
    switches: int | None = None  #: on at most so many leaf switches ...
    switches_wait: int | None = None  #: ... unless it has waited so many seconds; None = as long as the cluster says
    spread_job: bool = False
    use_min_nodes: bool = False
    gpus_per_socket: tuple[GresRequest, ...] = ()
    gres_flags: str = ""  #: "enforce-binding", "disable-binding"
    gpu_bind: str = ""
    mem_bind: str = ""
    time_limit: int | None = None  #: seconds, or UNLIMITED
    time_min: int | None = None  #: seconds

    array: str = ""  #: "0-31:4%8"; "" = no array
    dependency: str = ""
    kill_on_invalid_dep: bool | None = None
    begin_time: float = 0.0
    cron: str = ""  #: of a crontab's job: "*/5 * * * *"
    cron_lines: tuple[int, int] = (0, 0)  #: where it stands in the crontab, counted from 0
    deadline: float = 0.0
    hold: bool = False
    nice: int = 0
    priority: int | None = None
    requeue: bool | None = None
    no_kill: bool = False
    signal: tuple[int, int, bool] | None = (
        None  #: (signal number, seconds before the limit, True = only the batch shell (B:))
    )
    kill_on_bad_exit: bool = False
    mail_types: tuple[str, ...] = ()
    mail_user: str = ""
    immediate: bool = False
    acctg_freq: int | None = None  #: seconds between two samples of usage, 0 = only at the end; None = the cluster's
    wait_all_nodes: bool | None = None
    licenses: str = ""  #: "matlab:2,ansys"
    reservation: str = ""  #: one name or several with commas: the first that it can start in wins
    ports: int = 0  #: so many ports are its own on all its nodes


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who a job runs as."""

    uid: int
    gid: int
    user: str
    group: str


class ExitStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Slurm's code:signal pair, as in sacct's ExitCode (a signal makes the code 0)."""

    code: int = 0
    signal: int = 0

    def __str__(self) -> str:
        return f"{self.code}:{self.signal}"

    @classmethod
    def from_wait(cls, status: int) -> "ExitStatus":
        """From the status word of wait(2)."""
        signal = status & 0x7F
        return cls(0, signal) if signal else cls((status >> 8) & 0xFF, 0)


class StartedBy(enum.StrEnum):
    """How did a job get its turn? In the words of sacct's Flags."""

    TURN = "SchedMain"
    GAP = "SchedBackfill"  #: others that were before it still waited
    SUBMISSION = "SchedSubmit"  #: an srun or salloc that never waited


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job's record. An array is one record until an element starts; then the element gets a record (and id) of its own.

    Times are seconds since the epoch, 0.0 = not yet. The spec is `state.specs[job.spec_id]`: elements of an array share one.
    """

    id: JobId
    spec_id: JobId
    owner: Owner
    state: JobState = JobState.PENDING
    end_state: JobState | None = None  #: while COMPLETING: what it becomes
    reason: Reason = Reason.NONE
    reason_text: str = ""
    array_job_id: JobId | None = None
    array_task_id: int | None = None  #: None on the record that still holds the waiting elements
    array_waiting: Ranges = ()  #: elements not yet split off (model/ranges.py); only on that record
    array_throttle: int = 0  #: at most so many at once; 0 = no limit
    partition: str = ""
    priority: int = 0
    priority_set: bool = False  #: by an operator or its owner: it does not change with time
    nice: int | None = None  #: changed since it was submitted; None = the spec's
    site_factor: int = 0  #: points that an operator has given it
    exempt: tuple[str, ...] = ()  #: what an operator has set beyond limits: time, cpu, node, mem, gres
    held_by: str = ""  #: "", "user" or "admin"; of a job that runs: it will be held when it is requeued
    special_exit: bool = False  #: pending, and shown as SPECIAL_EXIT
    independent: bool = False  #: what it depended on has come true
    submit_time: float = 0.0
    eligible_time: float = 0.0
    start_time: float = 0.0
    end_time: float = 0.0  #: when ended
    begin_time: float | None = None  #: not before this time, changed since it was submitted; None = the spec's
    suspend_time: float = 0.0  #: since when suspended, 0.0 = is not
    cpus_lent: bool = (
        False  #: suspended by an operator, who has given its CPUs away; and after that until they are free again
    )
    resize_time: float = 0.0  #: when it last gave nodes back
    suspended_seconds: float = 0.0  #: in earlier suspensions, and while its nodes fetched its image
    configuring_since: float = 0.0  #: since when its nodes fetch its image; 0.0 = they do not
    time_limit: int = 0  #: seconds granted (UNLIMITED = none), set when admitted
    restarts: int = 0
    allocation: Allocation | None = None
    ports: str = ""  #: of its nodes, that are its own: 12000-12003
    exit_status: ExitStatus = ExitStatus()
    derived_exit_status: ExitStatus = ExitStatus()  #: highest of the steps'
    cancelled_by: int | None = None  #: uid
    next_step: int = 0
    expected_start: float = 0.0
    expected_nodes: str = ""
    admin_comment: str = ""
    warned: bool = False  #: the --signal warning has been sent
    idle_told: float = 0.0  #: when its user was last told that its GPUs do nothing; reason_text says what
    limit_told: int = 0  #: percent of its time limit that --mail-type=TIME_LIMIT_... has been told of
    hold_as: Reason | None = None  #: why it will be held when it is back in the queue; None = as held_by says
    requeue_after: bool = False  #: when COMPLETING is over it goes back to PENDING
    failed_node: str = ""
    batch_host: str = ""
    het_job_id: JobId | None = None  #: a component of a heterogeneous job: the id of its first
    het_offset: int = 0
    het_size: int = 0  #: how many components; their ids follow one another
    association: int = 0  #: of its user in the account it is charged to; 0 = none
    started_by: StartedBy = StartedBy.TURN  #: of one that has started
    preempted: Preempted | None = None  #: it makes room, or has; suspended: until its CPUs are free again
    promises: tuple[Promise, ...] = ()  #: of one that waits: what it gets when others have made room
    yielded_to: tuple[int, ...] = ()  #: jobs (of arrays: the array) that it has made room for, and so never preempts

    @property
    def system_comment(self) -> str:
        """In words why it ended, where its reason says less: as Slurm's SystemComment."""
        told = (Reason.INACTIVE_LIMIT, Reason.JOB_LAUNCH_FAILURE)
        return (
            self.reason_text if self.state not in (JobState.PENDING, JobState.RUNNING) and self.reason in told else ""
        )

    @property
    def is_pending(self) -> bool:
        return self.state is JobState.PENDING

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED
