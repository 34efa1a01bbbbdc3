"""When does a job start beside those that come before it, as it is and with a change; and whose end does it wait for?

The answers are those of the cycle itself (trial.py), on the snapshot without what makes no difference: of the jobs before this one only
those that would start or have a planned start take or keep anything, so the others, and all that come after it, are left out.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from corral.model.cluster import Scheduling
from corral.model.job import JobId
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.plan import Expected
from corral.scheduler.podplaces import Placed
from corral.scheduler.preemption import Promised, Suspended
from corral.scheduler.preemptors import Standing
from corral.scheduler.profile import Promises
from corral.scheduler.quota import Billing, Quota
from corral.scheduler.reservations import Reserved
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import PendingGroup, Snapshot
from corral.scheduler.trial import Trial
from corral.syntax import hostlist

#: So many running jobs whose end is waited for are named.
MOST_ENDINGS = 5


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster at one moment; nothing of it changes any more."""

    now: float
    table: NodeTable
    running: tuple[RunningJob, ...]
    partition_rows: dict[str, BoolColumn]
    policy: Scheduling
    reserved: Reserved
    billing: dict[str, Billing]
    quota: Callable[[], Quota | None]  #: a new one for each trial, as a cycle counts on top of it
    ahead: tuple[PendingGroup, ...]  #: those before the job that would start or are planned
    known: dict[JobId, Expected]  #: planned starts of those, which a cycle has just found
    others: tuple[PendingGroup, ...] = ()  #: those behind it, where these matter
    kept: Promises | None = None  #: what the last cycle has promised
    standing: Standing = Standing()  #: who may be preempted
    promises: tuple[Promised, ...] = ()  #: room that others make
    suspended: tuple[Suspended, ...] = ()
    placed: tuple[Placed, ...] = ()  #: Pods, where one is asked for

    def trial(self, ahead: tuple[PendingGroup, ...] | None = None) -> Trial:
        """`ahead`: others than those before it; () = as if nobody waited."""
        untouched = ahead == () and not self.promises and not self.suspended
        snapshot = Snapshot(
            nodes=self.table if untouched else self.table.copy(), pending=self.ahead if ahead is None else ahead, running=self.running,
            partition_rows=self.partition_rows, policy=self.policy, reserved=self.reserved, billing=self.billing,
            kept=self.kept if ahead is None else None, standing=self.standing,
            promises=self.promises if ahead is None else (), suspended=self.suspended, quota=self.quota(), wants_plans=True,
            placed=self.placed,
        )  # fmt: skip
        return Trial(snapshot, self.now, self.known, self.others if ahead is None else ())


class Holding(NamedTuple):
    """A running job on nodes that are waited for."""

    ends: float
    job: int
    nodes: str


def awaited(scene: Scene, expected: Expected) -> tuple[list[Holding], int]:
    """The jobs that must end before the nodes are free for it: the last first; and how many further ones there are."""
    wanted = set(hostlist.expand(expected.nodes))
    ends = {job.id: job.ends for job in scene.running}
    found = []
    for job, allocation in scene.table.holders.items():
        end = ends.get(job)
        if end is None or end > expected.time:
            continue
        names = [name for name in allocation.node_names if name in wanted]
        if names:
            found.append(Holding(max(end, scene.now), job, hostlist.fold(names)))
    found.sort(key=lambda one: (-one.ends, one.job))
    return found[:MOST_ENDINGS], max(0, len(found) - MOST_ENDINGS)
