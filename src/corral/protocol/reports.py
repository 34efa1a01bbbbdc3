"""What does an agent tell the controller? Those with a sequence are resent until ReportsCommitted names them."""

from typing import Literal

import msgspec

from corral.model.container import ImageConfig
from corral.model.node import NodeInventory
from corral.model.step import EndCause, StepKey, TaskExit
from corral.model.usage import NOTHING, Usage
from corral.protocol.orders import Names


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Base of all reports. sequence 0 = nobody waits for it to be committed."""

    agent: str
    sequence: int = 0


class KnownStep(msgspec.Struct, frozen=True, array_like=True):
    """A step this agent knows: running, or finished and not yet acknowledged."""

    node: str
    key: StepKey
    finished: bool


class AgentRegistered(Report, frozen=True, kw_only=True):
    """Sent on start, on reconnection, on SendInventory: everything this agent knows."""

    instance: str  #: differs for every start of the agent
    nodes: tuple[NodeInventory, ...]
    steps: tuple[KnownStep, ...] = ()
    highest_job: int = 0  #: of all that were ever launched here


class Heartbeat(Report, frozen=True, kw_only=True):
    """The periodic inventory: alive, and these steps are known."""

    nodes: tuple[str, ...]
    steps: tuple[KnownStep, ...] = ()
    load: float = 0.0
    free_memory_mb: int = 0
    gpus_memory_mb: tuple[int, ...] = ()  #: how much of each one's memory is in use; likewise
    gpus: tuple[int, ...] = ()  #: how busy each is now, in percent; -1 = it cannot tell. () = nothing is known
    names: Names | None = Names()  #: as it was told last; None = it has no use for them
    addresses: str | None = (
        None  #: the version of the Services' addresses that it knows; None = its node cannot translate them
    )


class StepFinished(Report, frozen=True, kw_only=True):
    """All tasks of the step on this node have ended and nothing of it is left there."""

    node: str
    key: StepKey
    tasks: tuple[TaskExit, ...]
    cause: EndCause = EndCause.EXITED
    message: str = ""  #: for the user, when it never ran
    started: float = 0.0
    ended: float = 0.0
    used: Usage = NOTHING  #: by its tasks on this node
    words: str = ""  #: of a Pod's container: its termination message, or the last lines of what it has said


class ContainerStarted(Report, frozen=True, kw_only=True):
    """The program of a Pod's container runs. It may be said again."""

    node: str
    key: StepKey
    time: float = 0.0
    pod_ip: str = ""  #: "" = the Pod has the node's network
    host_ip: str = ""  #: of the node, as a number


class ProbeResult(Report, frozen=True, kw_only=True):
    """What a probe of a Pod's container says has changed."""

    node: str
    key: StepKey
    probe: Literal["startup", "readiness", "liveness"]
    ok: bool
    message: str = ""


class StepSampled(Report, frozen=True, kw_only=True):
    """The answer to SampleSteps: what one step uses on this node now, and its processes."""

    node: str
    key: StepKey
    query: int
    used: Usage = NOTHING
    pids: tuple[int, ...] = ()


class JobCleaned(Report, frozen=True, kw_only=True):
    """Nothing of the job is left on this node and its epilog has ended."""

    node: str
    job: int
    restart: int = 0
    epilog_status: int = 0


class NodeFailed(Report, frozen=True, kw_only=True):
    """The node is not fit for work (prolog failed, GPU lost): drain it."""

    node: str
    reason: str


class ImageFetched(Report, frozen=True, kw_only=True):
    """How far a node is with an image that it was told to fetch; said again whenever it is told again."""

    node: str
    job: int = 0
    restart: int = 0
    query: int = 0
    image: str
    done: bool = False
    problem: str = ""  #: done, and it is not there
    progress: str = ""


class ImagesTold(Report, frozen=True, kw_only=True):
    """The answer to ListImages and RemoveImage: what is on the node now."""

    node: str
    query: int
    images: tuple[ImageConfig, ...] = ()
    removed: int = 0
    problem: str = ""


class LogRead(Report, frozen=True, kw_only=True):
    """The answer to ReadLog."""

    node: str
    query: int
    data: bytes = b""
    offset: int = 0  #: of `data` in the file
    size: int = 0  #: of the file
    times: tuple[tuple[int, float], ...] = ()  #: where in the file what was said then begins
    problem: str = ""  #: "" = it is there


class FilesWritten(Report, frozen=True, kw_only=True):
    """The answer to WriteFiles. With a problem it is asked for again."""

    node: str
    job: int
    digest: str
    problem: str = ""


class DirectoryRemoved(Report, frozen=True, kw_only=True):
    """The answer to RemoveDirectory: it is gone, or was not there."""

    node: str
    volume: str
    problem: str = ""  #: why it is not


AnyReport = (
    AgentRegistered | Heartbeat | StepFinished | ContainerStarted | ProbeResult | StepSampled | JobCleaned | NodeFailed
    | ImageFetched | ImagesTold | LogRead | DirectoryRemoved | FilesWritten
)  # fmt: skip
