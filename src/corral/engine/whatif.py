"""When and where would a job start (--test-only)?"""

import msgspec

from corral.engine import preemption, reserved_access
from corral.engine.admission import Admitted, resolve
from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.partitions import partition_rows
from corral.engine.preemptible import Preemptible
from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.partition import Partition
from corral.protocol.replies import Rejected, WouldStart
from corral.scheduler import gang
from corral.scheduler.backfill import Planner
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import static_rows
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.preemption import Rights
from corral.scheduler.preemptors import Preemptors
from corral.scheduler.resources import place
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import LONGEST
from corral.syntax import hostlist


def _running(ctx: Context, now: float) -> list[RunningJob]:
    return [
        RunningJob(max(now, min(limit_ends(job), job.start_time + LONGEST)), job.id)
        for job in (ctx.state.jobs[job_id] for job_id in ctx.state.active)
    ]


def _demand(ctx: Context, entry: Admitted, partition: Partition) -> Demand:
    """For few switches it waits for a while, not for ever."""
    return msgspec.structs.replace(resolve(entry.spec, partition, ctx.config), switches=0)


def would_start(ctx: Context, entry: Admitted, user: str, now: float) -> WouldStart | Rejected:
    """Beside what runs; jobs that wait are not thought of."""
    state = ctx.state
    table = state.ledger
    running = _running(ctx, now)
    reserved = reserved_access.windows(ctx)
    span = float(entry.time_limit) if entry.time_limit < LONGEST else float("inf")
    planner = Planner(table, running, now, reserved, ctx.config.scheduling.placement)
    best: WouldStart | None = None
    begin = max(now, entry.spec.begin_time)
    rights = preemption.rights_of(ctx, entry.spec.qos)
    for name in entry.partition.split(","):
        partition = state.partitions[name]
        demands = (_demand(ctx, entry, partition),)
        for demand in reserved_access.alternatives(state, user, entry.spec, demands):
            rows = static_rows(table, demand, partition_rows(state, partition, table)) & table.usable
            planned = planner.find(demand, rows, span, float("inf"), begin)
            if planned is not None and (best is None or planned.start < best.start):
                best = WouldStart(
                    job=JobId(max(state.next_job_id, ctx.config.first_job_id)), start=planned.start,
                    cpus=planned.allocation.cpu_count, nodes=hostlist.fold(planned.allocation.node_names), partition=name,
                )  # fmt: skip
            if rights is not None and begin <= now and (best is None or best.start > now):
                made = _by_preemption(ctx, rights, demand, rows, span, now)
                if made is not None and (best is None or made.start < best.start):
                    best = made
    return best or Rejected(error="Requested node configuration is not available")


def _by_preemption(
    ctx: Context, rights: Rights, demand: Demand, rows: BoolColumn, span: float, now: float
) -> WouldStart | None:
    """If others made room for it."""
    state, reserved = ctx.state, reserved_access.windows(ctx)
    if not reserved.is_open(demand, now):
        return None
    kept = reserved.kept(demand, now, now + span)
    rows, view = reserved.rows(demand, rows, kept), reserved.view(demand, kept)

    def fits(table: NodeTable) -> tuple[Allocation | None, int | None]:
        seen = table if view is None else view(table)
        return place(seen, demand, rows, ctx.config.scheduling.placement), None

    view_of = Preemptible(ctx)
    for job_id in sorted(state.active):
        view_of.put_running(job_id, state.jobs[job_id])
    priority = max((-key[0] for key in state.queue), default=0)
    made = Preemptors(view_of.standing(True), now).make_room(
        state.ledger.copy(), rights, demand, priority, fits, demand
    )
    if made is None:
        return None
    victims = sorted(victim.job for victim in made.victims)
    grace = max((preemption.grace_of(ctx, state.jobs[JobId(job)]) for job in victims), default=0.0)
    return WouldStart(
        job=JobId(max(state.next_job_id, ctx.config.first_job_id)), start=now + grace, cpus=made.allocation.cpu_count,
        nodes=hostlist.fold(made.allocation.node_names), partition=demand.partition,
        preempts=tuple(JobId(job) for job in victims),
    )  # fmt: skip


def would_start_together(ctx: Context, entries: list[Admitted], user: str, now: float) -> WouldStart | Rejected:
    """The components of a heterogeneous job, each in its first partition."""
    state = ctx.state
    table = state.ledger
    reserved = reserved_access.windows(ctx)
    parts = []
    for entry in entries:
        partition = state.partitions[entry.partition.split(",")[0]]
        demand = _demand(ctx, entry, partition)
        demand = reserved_access.alternatives(state, user, entry.spec, (demand,))[0]
        rows = static_rows(table, demand, partition_rows(state, partition, table)) & table.usable
        span = float(entry.time_limit) if entry.time_limit < LONGEST else float("inf")
        parts.append(gang.Part(demand, rows, span))
    planner = Planner(table, _running(ctx, now), now, reserved, ctx.config.scheduling.placement)
    planned = gang.plan(planner, parts, float("inf"), max(entry.spec.begin_time for entry in entries))
    if planned is None:
        return Rejected(error="Requested node configuration is not available")
    names = dict.fromkeys(name for one in planned for name in one.allocation.node_names)
    return WouldStart(
        job=JobId(max(state.next_job_id, ctx.config.first_job_id)), start=planned[0].start,
        cpus=sum(one.allocation.cpu_count for one in planned), nodes=hostlist.fold(list(names)),
        partition=planned[0].allocation.partition,
    )  # fmt: skip
