"""When does a job start beside those that come before it, as it is and with a change; and whose end does it wait for?

The answers are those of `schedule` itself, on the snapshot without what makes no difference: of the jobs before this one only those that
would start or have a planned start take or keep anything, so the others, and all that come after it, are left out.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from corral.model.cluster import Scheduling
from corral.model.job import JobId
from corral.scheduler.cycle import schedule
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.plan import Expected, NotNow, Plan, Start
from corral.scheduler.quota import Billing, Quota
from corral.scheduler.reservations import Reserved
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import PendingGroup, Snapshot
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

    def trial(self, own: PendingGroup, alone: bool = False, more_plans: bool = False) -> "Outcome":
        """What becomes of these in a cycle now? `alone`: as if nobody waited before them; `more_plans`: also beyond the usual number."""
        ahead = () if alone else self.ahead
        policy = self.policy
        if more_plans:
            most = 1 + sum(len(group.queue) for group in ahead)
            most = max(policy.backfill_max_jobs, most)
            policy = msgspec.structs.replace(policy, backfill=True, backfill_max_jobs=most)
        snapshot = Snapshot(
            nodes=self.table.copy(), pending=(*ahead, own), running=self.running, partition_rows=self.partition_rows,
            policy=policy, reserved=self.reserved, billing=self.billing, quota=self.quota(), wants_plans=True,
        )  # fmt: skip
        return Outcome(JobId(own.queue[0][2]), schedule(snapshot, self.now))


class Outcome:
    """Of one job in a plan."""

    def __init__(self, job: JobId, plan: Plan) -> None:
        self.plan = plan
        self.starts: list[Start] = [start for start in plan.starts if job in (start.job, start.gang)]
        self.why: NotNow | None = plan.reasons.get(job)
        self.expected: Expected | None = plan.expected.get(job)

    @property
    def nodes(self) -> str:
        """Where it starts."""
        names = [name for start in self.starts for name in start.allocation.node_names]
        return hostlist.fold(list(dict.fromkeys(names)))


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
