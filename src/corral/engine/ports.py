"""Which ports of its nodes does a job (--ports) or a step (srun --resv-ports) have to itself?

They are taken one after another from those that are configured, so that a port which has just been given back rests for a while. A job for
which there are not enough on its nodes waits (MpiPortsBusy) until somebody gives some back; no cycle looks at it before. Its planned start
is when the time limits of those who have them will have given back enough.
"""

from math import inf

from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.effects import Effects
from corral.engine.layout import Refusal
from corral.model.cluster import ClusterConfig
from corral.model.job import ENDED, Job
from corral.model.reason import Reason
from corral.model.step import Step
from corral.syntax import arrayspec, hostlist

MOST = 1 << 16
#: Another node may have become free, whose ports are: so a job that waits is looked at again after so many seconds.
RETRY_SECONDS = 60.0
_TOO_MANY = "Requires more ports than can be reserved"


def take(ctx: Context, nodes: tuple[str, ...], count: int) -> str | Refusal:
    """So many that are free on all these nodes, as text: 12001-12005."""
    refused = beyond(ctx.config, count)
    if refused is not None:
        return refused
    known = arrayspec.parse(ctx.config.step_ports, MOST).indices
    held = _held(ctx, frozenset(nodes))
    start = next((index for index, port in enumerate(known) if port >= ctx.next_port), 0)
    free = [port for port in known[start:] + known[:start] if port not in held][:count]
    if len(free) < count:
        return Refusal("Requested nodes are busy", True)
    ctx.next_port = free[-1] + 1
    return ",".join(arrayspec.runs(sorted(free)))


def beyond(config: ClusterConfig, count: int) -> Refusal | None:
    """So many there are not, whoever has them."""
    if not config.step_ports:
        return Refusal(_TOO_MANY, detail="This cluster reserves no ports: step_ports in corral.toml names none")
    return Refusal(_TOO_MANY) if count > len(arrayspec.parse(config.step_ports, MOST).indices) else None


def _held(ctx: Context, nodes: frozenset[str]) -> set[int]:
    """By jobs and steps on any of them."""
    _forget(ctx)
    held: set[int] = set()
    for job_id in ctx.port_jobs:
        job = ctx.state.jobs[job_id]
        if job.allocation is not None and not nodes.isdisjoint(job.allocation.node_names):
            held.update(arrayspec.parse(job.ports, MOST).indices)
    for key in ctx.port_steps:
        step = ctx.state.steps_of(key.job)[key.step]
        if not nodes.isdisjoint(step.node_names):
            held.update(arrayspec.parse(step.ports, MOST).indices)
    return held


def _back_at(ctx: Context, nodes: frozenset[str], count: int) -> float:
    """When so many are free on all of these at the latest, if nobody else takes them; 0 = nobody knows."""
    ends = [
        (limit_ends(job), job.ports)
        for job in map(ctx.state.jobs.__getitem__, ctx.port_jobs)
        if job.allocation is not None and not nodes.isdisjoint(job.allocation.node_names)
    ]
    for key in ctx.port_steps:
        step = ctx.state.steps_of(key.job)[key.step]
        if not nodes.isdisjoint(step.node_names):
            limit = step.start_time + step.spec.time_limit if step.spec.time_limit else inf
            ends.append((min(limit, limit_ends(ctx.state.jobs[key.job])), step.ports))
    free = len(set(arrayspec.parse(ctx.config.step_ports, MOST).indices) - _held(ctx, nodes))
    for when, text in sorted(ends):
        free += len(arrayspec.parse(text, MOST).indices)  # nobody else has them there
        if free >= count:
            return when if when < inf else 0.0
    return 0.0


def _forget(ctx: Context) -> None:
    """What has ended holds none."""
    jobs = {job_id for job_id in ctx.port_jobs if (job := ctx.state.jobs.get(job_id)) is not None and job.is_active}
    steps = set()
    for key in ctx.port_steps:
        step = ctx.state.steps_of(key.job).get(key.step)
        if step is not None and step.key == key and step.state not in ENDED:
            steps.add(key)
    if len(jobs) < len(ctx.port_jobs) or len(steps) < len(ctx.port_steps):
        ctx.ports_came_back = True
    ctx.port_jobs, ctx.port_steps = jobs, steps


def note(ctx: Context, step: Step) -> None:
    """It has ports; those of its job are the job's."""
    if step.ports and step.spec.resv_ports:
        ctx.port_steps.add(step.key)


def note_job(ctx: Context, job: Job) -> None:
    if job.ports:
        ctx.port_jobs.add(job.id)


def wait(ctx: Context, job: Job, nodes: tuple[str, ...], now: float, out: Effects) -> None:
    """There are not enough on these nodes, that it would have had."""
    when = _back_at(ctx, frozenset(nodes), ctx.state.spec(job).ports)
    where = hostlist.fold(nodes) if when else ""
    ctx.change_job(job, now, out, "no ports", reason=Reason.MPI_PORTS_BUSY, expected_start=when, expected_nodes=where)
    ctx.port_waiters.add(job.id)
    ctx.ports_came_back = False
    ctx.ports_due = now + RETRY_SECONDS


def check(ctx: Context, now: float, out: Effects) -> None:
    """Those that wait for ports are looked at again when some have come back."""
    if not ctx.port_waiters:
        return
    _forget(ctx)
    if not ctx.ports_came_back and now < ctx.ports_due:
        return
    for job_id in sorted(ctx.port_waiters):
        job = ctx.state.jobs.get(job_id)
        if job is not None and job.is_pending and not job.held_by and job.reason is Reason.MPI_PORTS_BUSY:
            ctx.change_job(job, now, out, "eligible", reason=Reason.NONE)
    ctx.port_waiters.clear()


def tick(ctx: Context, now: float) -> None:
    if ctx.port_waiters:
        _forget(ctx)
        ctx.wants_cycle |= ctx.ports_came_back or now >= ctx.ports_due
