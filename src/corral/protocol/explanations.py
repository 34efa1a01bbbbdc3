"""What is said to who asks why a job waits, or why a node is idle? The shape of `corral why --json`.

Times are seconds since the epoch, 0 = there is none. Lists of nodes are hostlists.
"""

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a job asks of a node, by itself."""

    name: str  #: cpus, memory, gres/gpu, features, nodes, exclusive, ...
    text: str  #: "4 CPUs"
    free: int  #: so many nodes of the partition have it free now, whatever their state
    ever: int  #: so many would, were nothing running


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of the partition that the job can't have now, all for the same reason."""

    kind: str  #: state, reserved, never (they do not have it), busy (others hold it), kept (for jobs before it)
    count: int
    nodes: str
    text: str  #: "lack 4 GPUs free (0 to 2 are free)", "drained: fan by root"
    start: float = 0.0  #: of nodes that are kept: from when on


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of one partition, as the job sees them."""

    partition: str
    reservation: str = ""
    asks: str  #: all that it asks for, in words
    total: int  #: nodes of the partition
    needed: int  #: it needs so many
    fit: int  #: so many can be had now
    ever: int  #: so many could be had, were nothing running and every node up
    room: int = 0  #: tasks that those which fit have room for
    tasks: int = 0  #: tasks that it has
    each: tuple[Ask, ...] = ()
    lacks: tuple[Lack, ...] = ()
    licenses: str = ""  #: which licences are lacking


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """A job that this one depends on."""

    condition: str  #: afterok:42
    job: str
    state: str  #: of it; "" = it may not be seen
    verdict: str  #: waiting or never


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    who: str  #: a job's id, or a user's name
    amount: float


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that the job would break."""

    name: str  #: as sacctmgr calls it
    resource: str = ""
    whose: str
    value: float
    used: float
    asked: float
    users: tuple[Holder, ...] = ()
    jobs: tuple[Holder, ...] = ()


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the reasons; each by itself would be enough."""

    kind: str  #: held, dependency, begin, ports, deadline, array, partition, account, limit, reservation, licenses, nodes, priority, other
    reason: str  #: Slurm's word
    text: str
    since: float = 0.0  #: when it began or begins
    until: float = 0.0  #: when it is over, where that is known
    awaited: tuple[Awaited, ...] = ()
    limit: Limit | None = None


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A job that stands before this one (or the job itself), and what its priority is made of."""

    job: str
    user: str
    partition: str
    priority: int
    tier: int
    terms: dict[str, float] = {}  #: age, fair_share, job_size, partition, qos, tres, nice: points
    reason: str = ""
    start: float = 0.0  #: planned
    nodes: str = ""


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    count: int  #: waiting jobs before it that want nodes of its partitions
    hidden: int = 0  #: so many of them may not be seen
    own: Rival
    first: tuple[Rival, ...] = ()  #: those that come first


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """A running job whose end the planned start waits for."""

    job: str  #: "" = it may not be seen
    user: str = ""
    ends: float
    nodes: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    start: float
    nodes: str
    is_firm: bool  #: no job behind it delays it; False = an estimate: jobs before it that have no plan yet may
    awaits: tuple[Ending, ...] = ()  #: the last to end first
    more: int = 0  #: so many further ones


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the request with which it would start sooner, as tried on the cluster as it is."""

    change: str  #: "--time=3:00:00"
    instead: str  #: what it asks for now: "12:00:00"
    start: float
    now: bool
    nodes: str
    text: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Of one job, array element or component."""

    job: str
    name: str
    user: str
    partition: str
    state: str
    reason: str  #: as squeue shows it
    summary: str  #: the whole in one sentence
    time: float  #: when this was so
    start: float = 0.0  #: of one that has started
    end: float = 0.0  #: of one that has ended; of one that runs, when its time limit ends it
    nodes: str = ""
    causes: tuple[Cause, ...] = ()
    places: tuple[Place, ...] = ()
    ahead: Ahead | None = None
    planned: Planned | None = None
    suggestions: tuple[Suggestion, ...] = ()
    tried: int = 0  #: so many changes were tried


class WhyNode(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    state: str
    summary: str
    time: float
    cpus: tuple[int, int]  #: free, all
    memory_mb: tuple[int, int]
    gres: dict[str, tuple[int, int]] = {}
    partitions: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    jobs: int = 0  #: that hold something here
    wanted_by: int = 0  #: waiting jobs that may run here


class Standstill(msgspec.Struct, frozen=True, kw_only=True):
    """Why the queue as a whole does not move on."""

    time: float
    waiting: int  #: jobs and elements of arrays that the caller may see
    hidden: int  #: that it may not see
    reasons: dict[str, int]  #: Slurm's words, the most frequent first
    first: tuple[Rival, ...]  #: those that come first
    running: int
    nodes: dict[str, int]  #: idle, partly, full, away: so many nodes
    away: tuple[Lack, ...]  #: nodes that are down or drained, by why
    cpus: tuple[int, int]  #: free on nodes that are up, and all there
    memory_mb: tuple[int, int]
    gres: dict[str, tuple[int, int]]


class Explained(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    jobs: tuple[Why, ...] = ()
    nodes: tuple[WhyNode, ...] = ()
    queue: Standstill | None = None
