"""What must be known to say why a job waits? Gathered at one moment, so that the answer can be worked out while the cluster goes on.

`inquiry` reads the engine's tables and takes copies of what changes; it costs a few milliseconds. Everything else (explanation.py) works
on what it gives, in another thread if need be.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from corral.engine import charging, preemption, reserved_access, variants
from corral.engine.causes import causes_of
from corral.engine.context import Context
from corral.engine.offers import ahead_of, behind_of, demands_of, group_of, known_starts, looks_at_all, tier_of
from corral.engine.pending import PendingView
from corral.engine.rivals import Rivals, Sees, label
from corral.model.job import Job, JobId, JobSpec
from corral.model.node import Node
from corral.protocol.explanations import Ahead, Cause
from corral.scheduler.demand import Demand
from corral.scheduler.explain_changes import Ladder
from corral.scheduler.explain_start import Scene
from corral.scheduler.plan import NotNow
from corral.scheduler.quota import Quota, Rules, Tally
from corral.scheduler.reservations import NOTHING
from corral.scheduler.snapshot import PendingGroup
from corral.syntax import hostlist


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """About one job that waits."""

    shown: str  #: its id, as the user knows it
    job: Job
    spec: JobSpec
    scene: Scene
    own: PendingGroup | NotNow  #: the job by itself; or why it is not offered to the scheduler
    demands: tuple[Demand, ...]  #: in all of its partitions, open to it or not
    causes: tuple[Cause, ...]  #: that have nothing to do with nodes
    ahead: Ahead | None  #: None = it is held, and has no place in the queue
    variants: tuple[Ladder, ...]  #: with other requests
    away: dict[str, str]  #: node -> why it is not usable
    ready: str  #: the nodes that others have left for it
    name_of: Callable[[int], tuple[str, str]]  #: a job's id and user, as far as they may be told


def inquiry(view: PendingView, job: Job, element: int | None, now: float, sees: Sees) -> Inquiry:
    """`element`: of an array's record, the one that is asked for."""
    ctx = view.ctx
    view.refresh()
    state, spec = ctx.state, ctx.state.spec(job)
    demands = demands_of(view, job, spec, now)
    own = group_of(view, job, spec, now, element)
    tier, key = tier_of(ctx, demands), (-job.priority, job.submit_time, int(job.id))
    if isinstance(own, PendingGroup):
        key = own.queue[0]
    before = ahead_of(view, tier, key)
    ladders = variants.ladders(view, job, spec, now, own, tier) if isinstance(own, PendingGroup) else ()
    groups = [*before, *(one.group for ladder in ladders for one in ladder)]
    groups += [group for ladder in ladders for one in ladder for group in one.ahead or ()]
    groups += [own] if isinstance(own, PendingGroup) else []
    promises = view.preemptible.promises()
    rules = [rules for group in groups for rules in _rules(group)] + [one.rules for one in promises if one.rules]
    scene = Scene(
        now=now,
        table=view.table(),
        running=tuple(view.running),
        partition_rows=view._rows(),
        policy=ctx.config.scheduling,
        reserved=reserved_access.windows(ctx) if state.reservations else NOTHING,
        billing=view.billing,
        quota=frozen_quota(ctx, rules, now),
        ahead=before,
        known={} if looks_at_all(view) else known_starts(view, groups),
        others=behind_of(view, tier, key) if ctx.config.scheduling.backfill is not True else (),
        kept=view.kept,
        standing=view.preemptible.standing(any(group.rights is not None for group in groups)),
        promises=promises,
        suspended=view.preemptible.lent(),
        placed=view.preemptible.placed() if spec.places is not None else (),
    )
    table = state.ledger
    jobs = state.jobs
    away = [state.nodes[table.names[row]] for row in np.flatnonzero(~table.usable) if table.names[row] in state.nodes]

    def name_of(number: int) -> tuple[str, str]:
        one = jobs.get(JobId(number))
        return (label(one), one.owner.user) if one is not None and sees(one) else ("", "")

    return Inquiry(
        shown=label(job) if element is None else f"{job.array_job_id}_{element}", job=job, spec=spec, scene=scene, own=own,
        demands=demands, causes=causes_of(ctx, job, spec, demands, sees, now),
        ahead=None if job.held_by else Rivals(view, job, tier, key, sees).shown(now), variants=ladders,
        away=away_of(away), ready=_ready(ctx, job), name_of=name_of,
    )  # fmt: skip


def _ready(ctx: Context, job: Job) -> str:
    found = preemption.promised(ctx, job) if job.promises and not job.array_waiting else []
    if not found or any(one.victims for one in found):
        return ""
    return hostlist.fold([name for one in found for name in one.allocation.node_names])


def away_of(nodes: Iterable[Node]) -> dict[str, str]:
    """Why each of these is not usable."""
    found = {}
    for node in nodes:
        if node.is_booting:
            text = "booting"
        elif node.reboot is not None and node.reboot.asap:
            text = f"to boot when its jobs have ended, by {node.reboot.by}: {node.reboot.reason}"
        elif node.drains:
            text = "; ".join(f"drained by {one.by}: {one.reason}" for one in node.drains)
        elif node.down_reason or node.admin_down:
            text = f"down: {node.down_reason or 'set by an administrator'}" + (
                f" by {node.down_by}" if node.down_by else ""
            )
        else:
            text = "down: not responding"
        found[node.name] = text
    return found


def _rules(group: PendingGroup) -> Iterable[Rules]:
    yield from (rules for _, rules in group.rules)
    for member in group.gang:
        yield from (rules for _, rules in member.rules)


# -- limits


def frozen_quota(ctx: Context, every: Iterable[Rules], now: float) -> Callable[[], Quota | None]:
    """Makes quotas of what is counted now."""
    found = set(every)
    if not found:
        return lambda: None
    live = charging.quota(ctx, found, now)
    buckets = {bucket for rules in found for bucket in rules.buckets}
    tallies = {bucket: _copied(live.tallies[bucket]) for bucket in buckets if bucket in live.tallies}
    return lambda: Quota(tallies, live.used, now, live.fair_shares)


def _copied(tally: Tally) -> Tally:
    copy = tally.copy()
    copy.submitted, copy.ends, copy.going = tally.submitted, dict(tally.ends), dict(tally.going)
    return copy
