"""What does a cycle read: the frozen view of the cluster?"""

import msgspec

from corral.model.cluster import Scheduling
from corral.model.job import JobId
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable


class PendingJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job that may be considered now. Of an array: the record that holds the waiting elements."""

    id: JobId
    demands: tuple[Demand, ...]  #: one per partition it may run in, in order
    time_limit: int  #: seconds
    time_min: int = 0  #: 0 = must have its whole limit
    elements: tuple[int, ...] = ()  #: waiting elements that may start now, in order; () = no array
    has_more_elements: bool = False  #: others are held back by the throttle
    no_kill: bool = False


class RunningJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job that holds resources until about `ends`."""

    id: JobId
    ends: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that `schedule` may know."""

    nodes: NodeTable  #: a copy: the cycle may change it
    pending: tuple[PendingJob, ...]  #: in the order of priority
    running: tuple[RunningJob, ...]
    partition_rows: dict[str, BoolColumn]  #: which rows of `nodes` belong to a partition
    policy: Scheduling
