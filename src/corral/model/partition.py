"""What is a partition: a named set of nodes with limits?"""

import enum

import msgspec

from corral.model.job import UNLIMITED


class PartitionState(enum.StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    DRAIN = "DRAIN"
    INACTIVE = "INACTIVE"


class Partition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    name: str
    nodes: str = "ALL"  #: a hostlist, or ALL: every node that registers
    default: bool = False
    state: PartitionState = PartitionState.UP
    max_time: int = UNLIMITED  #: seconds
    default_time: int | None = None  #: seconds; None = max_time
    max_nodes: int | None = None  #: of one job
    min_nodes: int = 0  #: a job gets at least so many
    max_cpus_per_node: int | None = None  #: for all jobs of the partition together
    default_memory_per_cpu_mb: int | None = None
    default_memory_per_node_mb: int | None = None
    max_memory_per_node_mb: int | None = None
    max_memory_per_cpu_mb: int | None = None  #: who asks for more gets more CPUs
    default_cpus_per_gpu: int | None = None
    default_memory_per_gpu_mb: int | None = None
    allow_groups: tuple[str, ...] = ()
    allow_accounts: tuple[str, ...] = ()
    allow_qos: tuple[str, ...] = ()
    deny_accounts: tuple[str, ...] = ()
    deny_qos: tuple[str, ...] = ()
    #: what a CPU ("cpu"), a GB of memory ("mem"), a GPU ("gres/gpu") is charged with; none: a CPU 1, a GPU 16
    billing_weights: dict[str, float] = {}
    qos: str = ""  #: its limits hold for all jobs of the partition, before those of their own QOS
    priority_tier: int = 1  #: jobs in a higher one are considered first
    priority_job_factor: int = 1  #: beside the largest; weighed by priority.partition
    root_only: bool = False
    disable_root_jobs: bool = False
    requires_reservation: bool = False  #: jobs run in a reservation only
    hidden: bool = False  #: shown by squeue and sinfo with -a only
    exclusive_user: bool = False  #: a node has jobs of one user at a time
    oversubscribe: str = (
        "NO"  #: EXCLUSIVE: whole nodes; FORCE:4: up to 4 jobs share a CPU; YES:4: those that ask for it
    )
    grace_time: int = 0  #: seconds from the signal to the end of a preempted job (type partition_prio)
    preempt_mode: str = ""  #: what becomes of its jobs (type partition_prio): OFF, REQUEUE, CANCEL, SUSPEND,GANG; "" = as [preemption] says
    lln: bool = False  #: jobs go to the least loaded nodes

    @property
    def sharers(self) -> int:
        """How many jobs may have one CPU: of FORCE:n and YES:n."""
        kind, _, count = self.oversubscribe.partition(":")
        return int(count or DEFAULT_SHARERS) if kind in ("FORCE", "YES") else 0


#: Of YES and FORCE without a number.
DEFAULT_SHARERS = 4


def oversubscribe(text: str) -> str | None:
    """NO, EXCLUSIVE, YES:4 or FORCE:4 as it is written in full; None = it is none of them. No jobs together is EXCLUSIVE, as in Slurm."""
    kind, colon, count = text.upper().partition(":")
    if kind in ("NO", "EXCLUSIVE") and not colon:
        return kind
    if kind not in ("YES", "FORCE") or (
        colon and not (count.isascii() and count.isdigit() and int(count[:9]) < 1 << 15)
    ):
        return None
    number = int(count) if colon else DEFAULT_SHARERS
    return f"{kind}:{number}" if number else "EXCLUSIVE"
