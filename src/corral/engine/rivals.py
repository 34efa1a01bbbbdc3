"""Who stands before a waiting job, and what are the priorities of both made of?"""

import bisect
import heapq
from collections.abc import Callable

from corral.engine import ranking
from corral.engine.pending import PendingView
from corral.model import ranges
from corral.model.job import Job, JobId
from corral.protocol.explanations import Ahead, Rival
from corral.scheduler import priority
from corral.scheduler.snapshot import QueueKey

#: So many of those before it are shown.
MOST_SHOWN = 5


Sees = Callable[[Job], bool]


def everybody(job: Job) -> bool:
    """Who sees all jobs."""
    return True


class Rivals:
    """Of one job, at one moment."""

    def __init__(self, view: PendingView, job: Job, tier: int, key: QueueKey, sees: Sees) -> None:
        self.view, self.job, self.sees = view, job, sees
        state = view.ctx.state
        mine = {name for name in job.partition.split(",") if name in state.partitions}
        rows = view._rows()
        near = {
            name
            for name in state.partitions
            if name in mine or any(bool((rows[name] & rows[own]).any()) for own in mine)
        }
        tiers = {name: partition.priority_tier for name, partition in state.partitions.items()}
        self.count = 0  #: jobs before it that want nodes of its partitions; elements of arrays each
        self.hidden = 0  #: those that may not be seen
        heads: list[tuple[int, QueueKey, list[QueueKey]]] = []  #: of each group the first, and those that may be seen
        for group in view.groups.values():
            demands = group.shape[0]
            own = tiers[demands[0].partition]
            if len(demands) > 1:
                own = max(tiers[demand.partition] for demand in demands)
                if not any(demand.partition in near for demand in demands):
                    continue
            elif demands[0].partition not in near:
                continue
            if own < tier or (own == tier and group.queue[0] >= key):
                continue
            upto = len(group.queue) if own > tier else bisect.bisect_left(group.queue, key)
            if sees is everybody and not group.shape[3]:
                self.count += upto
                heads.append((-own, group.queue[0], group.queue[: min(upto, MOST_SHOWN)]))
            else:
                seen = self._seen(group.queue[:upto])
                heads += [(-own, seen[0], seen)] if seen else []
        # The first of all are among those of the groups whose first comes first.
        best = heapq.nsmallest(MOST_SHOWN, heads)
        found = heapq.nsmallest(MOST_SHOWN, [(own, one) for own, _, keys in best for one in keys])
        self.first = [JobId(one[2]) for _, one in found]

    def _seen(self, keys: list[QueueKey]) -> list[QueueKey]:
        """The first of those that may be seen; all are counted."""
        jobs = self.view.ctx.state.jobs
        seen: list[QueueKey] = []
        for key in keys:
            job = jobs[JobId(key[2])]
            count = ranges.count(job.array_waiting) or 1
            self.count += count
            if not self.sees(job):
                self.hidden += count
            elif len(seen) < MOST_SHOWN:
                seen.append(key)
        return seen

    def shown(self, now: float) -> Ahead:
        """With the terms of the first few that may be seen."""
        jobs = self.view.ctx.state.jobs
        return Ahead(
            count=self.count,
            hidden=self.hidden,
            own=rival(self.view, self.job, now),
            first=tuple(rival(self.view, jobs[one], now) for one in self.first),
        )


def rival(view: PendingView, job: Job, now: float) -> Rival:
    state = view.ctx.state
    names = [name for name in job.partition.split(",") if name in state.partitions]
    return Rival(
        job=label(job),
        user=job.owner.user,
        partition=job.partition,
        priority=job.priority,
        tier=max((state.partitions[name].priority_tier for name in names), default=1),
        terms=terms(view, job, now),
        reason=str(job.reason),
        start=job.expected_start,
        nodes=job.expected_nodes,
    )


def terms(view: PendingView, job: Job, now: float) -> dict[str, float]:
    """Points; {} where somebody has set the priority, or nothing weighs anything."""
    ctx = view.ctx
    weights = ctx.config.priority
    spec = ctx.state.spec(job)
    if job.priority_set or job.held_by:
        return {}
    nice = spec.nice if job.nice is None else job.nice
    names = [name for name in job.partition.split(",") if name in ctx.state.partitions]
    points: dict[str, float] = {}
    if names and priority.weighs(weights):
        found = ranking.factors_of(ctx, job, names[0], ranking.totals(ctx), now)
        for name in ("age", "fair_share", "job_size", "partition", "qos", "assoc"):
            if getattr(weights, name):
                points[name] = getattr(weights, name) * getattr(found, name)
        points |= {name: weight * found.tres[name] for name, weight in weights.tres.items() if name in found.tres}
    if job.site_factor:
        points["site"] = float(job.site_factor)
    return points | {"nice": -float(nice)} if nice else points


def label(job: Job) -> str:
    """As squeue names it: 42, 42_7, 42_[3-9], 42+1."""
    if job.het_job_id is not None:
        return f"{job.het_job_id}+{job.het_offset}"
    if job.array_job_id is None:
        return str(job.id)
    if job.array_task_id is not None:
        return f"{job.array_job_id}_{job.array_task_id}"
    parts = [
        f"{first}" if first == last else f"{first}-{last}" + (f":{step}" if step > 1 else "")
        for first, last, step in job.array_waiting
    ]
    return f"{job.array_job_id}_[{','.join(parts)}]"
