"""What does a cycle read: the frozen view of the cluster?"""

from typing import NamedTuple

import msgspec

from corral.model.cluster import Scheduling
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.plan import Plan
from corral.scheduler.podplaces import Placed
from corral.scheduler.preemption import Promised, Rights, Suspended
from corral.scheduler.preemptors import Standing
from corral.scheduler.profile import Promises
from corral.scheduler.quota import NO_RULES, Billing, Quota, Rules
from corral.scheduler.reservations import NOTHING, Reserved
from corral.scheduler.running import RunningJob

#: Where a job stands in the queue: (-priority, submit time, id).
QueueKey = tuple[int, float, int]

#: Work without a limit is planned as if it ended after so long, so that a waiting job still has a planned start to protect.
LONGEST = 365 * 86400


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One component of a heterogeneous job."""

    job: int
    demands: tuple[Demand, ...]
    time_limit: int
    time_min: int = 0
    rules: tuple[tuple[str, Rules], ...] = ()


class PendingGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Waiting jobs of one shape: when one of them finds no place, none that comes after it does.

    An array is a group of its own: one record, and the elements that may start now.
    """

    demands: tuple[Demand, ...]  #: one per partition they may run in, in order
    time_limit: int  #: seconds
    time_min: int = 0  #: 0 = they must have their whole limit
    queue: tuple[QueueKey, ...]  #: ascending
    tier: int = 1  #: those in a higher one are considered first
    elements: tuple[int, ...] = ()  #: of an array, in order; () = no array
    has_more_elements: bool = False  #: others are held back by the throttle
    gang: tuple[Member, ...] = ()  #: of a heterogeneous job, whose components start together; it is a group of its own
    rules: tuple[tuple[str, Rules], ...] = ()  #: partition -> the limits that hold there; () = none
    rights: Rights | None = None  #: whom they may preempt; None = nobody

    def rules_in(self, partition: str) -> Rules:
        for name, rules in self.rules:
            if name == partition:
                return rules
        return NO_RULES


class Waiting(NamedTuple):
    """Whose a waiting job is, and since when it could start."""

    user: int
    association: int
    since: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that `schedule` may know."""

    nodes: NodeTable  #: a copy: the cycle may change it
    pending: tuple[PendingGroup, ...]
    running: tuple[RunningJob, ...]  #: ascending
    partition_rows: dict[str, BoolColumn]  #: which rows of `nodes` belong to a partition
    policy: Scheduling
    reserved: Reserved = NOTHING
    billing: dict[str, Billing] = {}  #: partition -> what its resources are charged with, where it says so
    kept: Promises | None = None  #: what the last cycle has promised
    standing: Standing = Standing()
    promises: tuple[Promised, ...] = ()  #: in the order of priority
    suspended: tuple[Suspended, ...] = ()  #: for others; who goes on first comes first
    quota: Quota | None = None  #: what the limits are held against; None = there are none
    #: also of starts that decide nothing in this cycle, because nothing is free: users like to see them
    wants_plans: bool = True
    #: the last plan, when nothing has happened since that could make another one
    same: Plan | None = None
    #: Pods that have a place, where some wait; else nobody asks
    placed: tuple[Placed, ...] = ()
    #: of every job that is offered; empty where the policy does not ask
    waiting: dict[int, Waiting] = {}
