"""When and where would a job start (--test-only)?"""

from corral.engine.admission import Admitted, resolve
from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.partitions import partition_rows
from corral.model.job import JobId
from corral.protocol.replies import Rejected, WouldStart
from corral.scheduler import backfill
from corral.scheduler.feasibility import static_rows
from corral.scheduler.resources import place
from corral.scheduler.snapshot import LONGEST, RunningJob
from corral.syntax import hostlist


def would_start(ctx: Context, entry: Admitted, now: float) -> WouldStart | Rejected:
    """Beside what runs; jobs that wait are not thought of."""
    state = ctx.state
    table = state.ledger
    strategy = ctx.config.scheduling.placement
    running = [
        RunningJob(max(now, min(limit_ends(job), job.start_time + LONGEST)), job.id)
        for job in (state.jobs[job_id] for job_id in state.active)
    ]
    best: WouldStart | None = None
    for name in entry.partition.split(","):
        partition = state.partitions[name]
        demand = resolve(entry.spec, partition, ctx.config)
        rows = static_rows(table, demand, partition_rows(state, partition, table)) & table.usable
        start = max(now, entry.spec.begin_time)
        allocation = place(table, demand, rows, strategy)
        if allocation is None:
            planned = backfill.planned_start(table, demand, rows, running, now, strategy)
            allocation = place(table.emptied(), demand, rows, strategy)
            if planned is None or allocation is None:
                continue
            start = max(start, planned[0])
            nodes = planned[1]
        else:
            nodes = allocation.node_names
        if best is None or start < best.start:
            best = WouldStart(
                job=JobId(max(state.next_job_id, ctx.config.first_job_id)), start=start, cpus=allocation.cpu_count,
                nodes=hostlist.fold(nodes), partition=name,
            )  # fmt: skip
    return best or Rejected(error="Requested node configuration is not available")
