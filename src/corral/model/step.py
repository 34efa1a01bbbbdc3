"""What is a step: one launch inside a job, and how did its tasks end?"""

import enum

import msgspec

from corral.model.allocation import NodeShare
from corral.model.job import ExitStatus, JobId, JobState, StepSpec
from corral.model.usage import NOTHING, Usage

#: Step numbers that are no numbers (Slurm prints them as words).
BATCH = -5
EXTERN = -4
INTERACTIVE = -6
#: Steps with numbers up to this one carry files to nodes: nobody sees them, and nobody is charged for them.
TRANSFERS = -1000
STEP_NAMES = {BATCH: "batch", EXTERN: "extern", INTERACTIVE: "interactive"}


def step_text(job: int | str, step: int) -> str:
    """`42.0`, `42.batch`."""
    return f"{job}.{STEP_NAMES.get(step, step)}"


class StepKey(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One launch, for ever: a requeued job's second run has another key."""

    job: JobId
    step: int
    restart: int = 0

    def __str__(self) -> str:
        return f"{self.job}.{self.step}.{self.restart}"


class EndCause(enum.StrEnum):
    """Why a step's tasks ended, as seen by the shepherd."""

    EXITED = "exited"  #: by themselves
    CANCELLED = "cancelled"  #: by an order (scancel, time limit, preemption)
    ABORTED = "aborted"  #: by one of the tasks itself, for all of them (MPI_Abort)
    OUT_OF_MEMORY = "oom"
    LAUNCH_FAILED = "launch_failed"  #: never ran: no such program or directory, output not writable, prolog failed
    LOST = "lost"  #: the shepherd itself died


class TaskExit(msgspec.Struct, frozen=True, array_like=True):
    """How one task ended."""

    rank: int
    status: ExitStatus
    ended: float


class TaskPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where one task runs within its node."""

    rank: int
    local_id: int
    cpus: tuple[int, ...] = ()
    gpus: tuple[int, ...] = ()  #: indices on the node; () = the step's whole share


class StepNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step's share of one node and how its tasks there fared."""

    share: NodeShare
    tasks: tuple[TaskPlace, ...]
    finished: bool = False


class HetStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a part of a step over several components of a heterogeneous job knows of the whole."""

    job: JobId  #: the first component's
    groups: tuple[int, ...]
    nodes: tuple[str, ...]
    tasks_per_node: tuple[int, ...]
    ntasks: int
    job_nodes: tuple[str, ...]  #: of these components
    job_cpus: tuple[int, ...]  #: on each of them


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One launch inside a job."""

    key: StepKey
    spec: StepSpec
    nodes: tuple[StepNode, ...]
    ntasks: int
    cpus_per_task: int = 1
    state: JobState = JobState.RUNNING
    overlap: bool = False  #: its share is not taken from other steps
    start_time: float = 0.0
    end_time: float = 0.0
    exit_status: ExitStatus = ExitStatus()
    cause: EndCause = EndCause.EXITED
    cancelled_by: int | None = None
    by_launcher: bool = False  #: its own srun ended it (Ctrl-C, --kill-on-bad-exit): nobody else did
    ports: str = ""  #: those that are its own: 12000-12003
    timed_out: bool = False  #: its own time limit has struck
    suspended_before: float = 0.0  #: seconds for which its job had been suspended when it began
    sent_at: float = 0.0  #: when its launch was last sent, for resending
    used: Usage = NOTHING  #: by the nodes that have finished
    het: HetStep | None = None

    @property
    def text(self) -> str:
        return step_text(self.key.job, self.key.step)

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(node.share.node for node in self.nodes)
