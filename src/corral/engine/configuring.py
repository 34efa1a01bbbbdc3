"""When are the images of a job's containers on all of its nodes?

A job whose script (or srun) runs in a container begins when they are: until then it is shown as CONFIGURING, with how far its nodes
are as the reason, and the time does not count against its limit. Each node is told to fetch; a fetch may be ordered again at any
time. One that failed lets the job begin all the same: its launch fails with the words of the failure, where the user looks for them.
"""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.model.job import Job, JobId, JobKind, JobSpec, JobState
from corral.protocol.orders import FetchImage
from corral.protocol.reports import ImageFetched

#: A node that has not answered is told again after so many seconds.
RESEND_SECONDS = 10.0
#: Seconds between two changes of what is shown.
SHOW_SECONDS = 2.0


def image_of(spec: JobSpec) -> str:
    """What its nodes must have before it begins; "" = nothing."""
    container = spec.container
    if spec.kind is JobKind.SRUN:
        container = spec.step.container if spec.step is not None else None
    return container.image if container is not None and spec.kind is not JobKind.SALLOC else ""


def begin(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """It has its nodes: they are to fetch the image."""
    assert job.allocation is not None
    ctx.fetching[job.id] = dict.fromkeys(job.allocation.node_names, now)
    for name in job.allocation.node_names:
        _send(ctx, job, name, out)


def _send(ctx: Context, job: Job, node: str, out: Effects) -> None:
    image = image_of(ctx.state.spec(job))
    order = FetchImage(term=ctx.term, node=node, job=job.id, restart=job.restarts, image=image, owner=job.owner)
    ctx.send(node, order, out)


def waits(job: Job) -> bool:
    return bool(job.configuring_since) and job.state is JobState.RUNNING


def on_fetched(ctx: Context, report: ImageFetched, now: float, out: Effects) -> Job | None:
    """The job, when all of its nodes are ready now."""
    job = ctx.state.jobs.get(JobId(report.job))
    missing = ctx.fetching.get(JobId(report.job))
    if job is None or missing is None or not waits(job) or job.restarts != report.restart or report.node not in missing:
        return None
    if not report.done:
        missing[report.node] = now
        _show(ctx, job, f"{report.node}: {report.progress}", now, out)
        return None
    del missing[report.node]
    return None if missing else _ready(ctx, job, now, out)


def _show(ctx: Context, job: Job, words: str, now: float, out: Effects) -> None:
    if now - ctx.fetch_shown.get(job.id, 0.0) >= SHOW_SECONDS:
        ctx.fetch_shown[job.id] = now
        ctx.change_job(job, now, out, "image", reason_text=words)


def _ready(ctx: Context, job: Job, now: float, out: Effects) -> Job:
    ctx.fetching.pop(job.id, None)
    ctx.fetch_shown.pop(job.id, None)
    waited = job.suspended_seconds + max(0.0, now - job.configuring_since)
    return ctx.change_job(job, now, out, "configured", configuring_since=0.0, suspended_seconds=waited, reason_text="")


def tick(ctx: Context, now: float, out: Effects) -> list[Job]:
    """Jobs whose last missing node is gone from them may begin; silent nodes are told again."""
    ready = []
    for job_id, missing in list(ctx.fetching.items()):
        job = ctx.state.jobs.get(job_id)
        if job is None or not waits(job) or job.allocation is None:
            del ctx.fetching[job_id]
            ctx.fetch_shown.pop(job_id, None)
            continue
        for node in [name for name in missing if name not in job.allocation.node_names]:
            del missing[node]
        for node, sent in missing.items():
            if not 0 <= now - sent < RESEND_SECONDS:
                missing[node] = now
                _send(ctx, job, node, out)
        if not missing:
            ready.append(_ready(ctx, job, now, out))
    return ready


def resume(ctx: Context) -> None:
    """A new controller: all is asked again."""
    for job_id in ctx.state.active:
        job = ctx.state.jobs[job_id]
        if waits(job) and job.allocation is not None:
            ctx.fetching[job_id] = dict.fromkeys(job.allocation.node_names, 0.0)


def marked(job: Job, spec: JobSpec, now: float) -> Job:
    """As it is recorded when it starts."""
    return msgspec.structs.replace(job, configuring_since=now) if image_of(spec) else job
