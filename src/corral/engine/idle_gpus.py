"""Whose GPUs have done nothing for too long, who is told of it, and whose job ends then ([gpus] idle_warn, idle_end)?

Agents say with each heartbeat how busy each GPU is; of each only the time is kept at which it was last seen at work. A GPU of which nothing
is heard (a slice, a virtual one, a silent agent) counts as at work, and so does one when the controller starts: nobody ends by a mistake.
A job is idle as long as all of its GPUs are.
"""

from corral.engine import endings, notify
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.model.gres import gpus_of
from corral.model.job import Job, JobKind, JobState
from corral.model.reason import Reason
from corral.protocol.reports import Heartbeat
from corral.syntax import duration

#: What a job's change is called when its user is told that its GPUs do nothing.
TOLD = "GPUs idle"
#: As `corral notebook` calls its jobs.
_NOTEBOOK = "notebook"


def on_heartbeat(ctx: Context, report: Heartbeat, now: float) -> None:
    if not report.gpus or len(report.nodes) != 1:
        return
    seen, name, limit = ctx.gpu_sightings, report.nodes[0], ctx.config.gpus.idle_percent
    times = seen.at_work.setdefault(name, [])
    times += [now] * (len(report.gpus) - len(times))
    was_silent = now - seen.heard.get(name, 0.0) > _longest_silence(ctx)
    for gpu, busy in enumerate(report.gpus):
        if busy < 0 or busy > limit or was_silent:
            times[gpu] = now
    seen.heard[name] = now


def _longest_silence(ctx: Context) -> float:
    return max(4 * ctx.config.timeouts.heartbeat, ctx.config.timeouts.node)


def tick(ctx: Context, now: float, out: Effects) -> None:
    config, seen = ctx.config.gpus, ctx.gpu_sightings
    if not (config.idle_warn or config.idle_end) or now < seen.due:
        return
    seen.due = now + ctx.config.timeouts.heartbeat
    for job_id in sorted(ctx.state.active):
        job = ctx.state.jobs[job_id]
        if job.state is JobState.SUSPENDED:
            _touch(ctx, job, now)
        elif job.state is JobState.RUNNING and job.preempted is None and _is_meant(ctx, job):
            _look_at(ctx, job, now, out)


def _is_meant(ctx: Context, job: Job) -> bool:
    spec = ctx.state.spec(job)
    if spec.kind is JobKind.POD:  # how many there are is decided by who owns them
        return False
    if ctx.config.gpus.idle_jobs == "all" or spec.kind is JobKind.SALLOC:
        return True
    if spec.kind is JobKind.SRUN:
        return spec.step is not None and spec.step.pty
    return spec.name == _NOTEBOOK


def _touch(ctx: Context, job: Job, now: float) -> None:
    """It cannot work: that does not count against it afterwards."""
    for share in job.allocation.nodes if job.allocation else ():
        times = ctx.gpu_sightings.at_work.get(share.node, [])
        for gpu in gpus_of(share.gres):
            if gpu < len(times):
                times[gpu] = now


def _look_at(ctx: Context, job: Job, now: float, out: Effects) -> None:
    config = ctx.config.gpus
    idle = idle_seconds(ctx, job, now)
    if config.idle_end and idle >= config.idle_end:
        text = f"its GPUs did nothing for {duration.format_padded(int(idle))}"
        endings.terminate(
            ctx, job, JobState.TIMEOUT, now, out, why="idle_gpus", reason=Reason.INACTIVE_LIMIT, text=text
        )
    elif config.idle_warn and idle >= config.idle_warn and job.idle_told < now - idle:
        text = _warning(ctx, job, idle)
        job = ctx.change_job(job, now, out, TOLD, idle_told=now, reason_text=text)
        notify.tell(ctx, job, text, out)


def idle_seconds(ctx: Context, job: Job, now: float) -> float:
    """For how long none of its GPUs has worked; 0 where that is not known, or it has none."""
    held = [
        (share.node, gpu) for share in (job.allocation.nodes if job.allocation else ()) for gpu in gpus_of(share.gres)
    ]
    seen = ctx.gpu_sightings
    last = job.start_time
    for node, gpu in held:
        times = seen.at_work.get(node, ())
        if gpu >= len(times) or now - seen.heard.get(node, 0.0) > _longest_silence(ctx):
            return 0.0
        last = max(last, times[gpu])
    return now - last if held else 0.0


def _warning(ctx: Context, job: Job, idle: float) -> str:
    said = f"The GPUs of job {job.id} have done nothing for {duration.format_padded(int(idle))}."
    if not ctx.config.gpus.idle_end:
        return f"{said} Others may wait for them: end it (scancel {job.id}) when you do not need it."
    left = max(0, int(ctx.config.gpus.idle_end - idle))
    return f"{said} It will be ended in {duration.format_padded(left)} unless one of them works."
