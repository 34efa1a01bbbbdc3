"""What is a quality of service: which limits, which priority, and which rules come with it?"""

import msgspec

from corral.model.account import Tres

NORMAL = "normal"

#: As Slurm writes and orders them.
FLAGS = (
    "DenyOnLimit", "EnforceUsageThreshold", "NoReserve", "PartitionMaxNodes", "PartitionMinNodes", "OverPartQOS",
    "PartitionTimeLimit", "RequiresReservation", "NoDecay", "UsageFactorSafe",
)  # fmt: skip


class QosLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """None or a resource that is not named = no limit. `_pu`: for each user; `_pa`: for each account."""

    grp_jobs: int | None = None
    grp_jobs_accrue: int | None = None
    grp_submit: int | None = None
    grp_wall: int | None = None  #: minutes
    grp_tres: Tres = {}
    grp_tres_mins: Tres = {}
    grp_tres_run_mins: Tres = {}
    max_jobs_pu: int | None = None
    max_jobs_pa: int | None = None
    max_jobs_accrue_pu: int | None = None
    max_jobs_accrue_pa: int | None = None
    max_submit_pu: int | None = None
    max_submit_pa: int | None = None
    max_wall: int | None = None  #: minutes, of a job
    max_tres: Tres = {}  #: of a job
    max_tres_per_node: Tres = {}
    max_tres_mins: Tres = {}  #: of a job
    max_tres_pu: Tres = {}
    max_tres_pa: Tres = {}
    max_tres_run_mins_pu: Tres = {}
    max_tres_run_mins_pa: Tres = {}
    min_tres: Tres = {}  #: of a job, at least
    min_priority: int | None = None


class Qos(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: int
    name: str
    description: str = ""
    priority: int = 0
    grace_time: int = 0  #: seconds
    preempt: tuple[str, ...] = ()  #: the QOS whose jobs its jobs may preempt
    preempt_mode: str = ""  #: "" = the cluster's
    preempt_exempt_time: int | None = None  #: seconds
    flags: tuple[str, ...] = ()
    usage_factor: float = 1.0
    usage_threshold: float | None = None
    limit_factor: float | None = None
    limits: QosLimits = QosLimits()
