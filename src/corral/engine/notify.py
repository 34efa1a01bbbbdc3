"""scontrol notify: to whom does a message for a job go?

Of a batch job to its script's standard error, of an srun to that srun. salloc is not connected to any node: it hears none.
"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.endings import job_id_of
from corral.engine.outcomes import NO_SUCH_JOB, NOT_YOURS, may_touch
from corral.errors import UsageError
from corral.model.job import Job, JobKind
from corral.model.step import BATCH
from corral.protocol.orders import NotifyStep
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, NotifyJob

MOST_BYTES = 4096


def on_notify(ctx: Context, request: NotifyJob, caller: Caller, out: Effects) -> None:
    try:
        job = ctx.state.jobs.get(job_id_of(ctx.state, request.id))
    except UsageError:
        job = None
    if job is None:
        out.reply = Rejected(error=NO_SUCH_JOB, code="not_found")
        return
    if not may_touch(ctx.state, caller, job):
        out.reply = Rejected(error=NOT_YOURS, code="denied")
        return
    if job.is_pending:
        out.reply = Rejected(error="Requested operation is presently disabled")
        return
    if job.has_ended or job.allocation is None:
        out.reply = Rejected(error="Job/step already completing or completed")
        return
    if len(request.message.encode(errors="replace")) > MOST_BYTES:
        out.reply = Rejected(error=f"The message is longer than {MOST_BYTES} bytes")
        return
    if ctx.state.spec(job).kind is JobKind.SALLOC:
        out.reply = Rejected(error="An salloc hears no messages: only jobs of sbatch and srun do")
        return
    tell(ctx, job, request.message, out)
    out.reply = Done()


def tell(ctx: Context, job: Job, message: str, out: Effects) -> None:
    """A batch job by its script, an srun by its step, an salloc by the steps that run in it (and it sees for itself)."""
    kind = ctx.state.spec(job).kind
    if kind is JobKind.SALLOC:
        steps = [step for step in ctx.state.live_steps_of(job.id) if step.key.step >= 0]
    else:
        found = ctx.state.steps_of(job.id).get(BATCH if kind is JobKind.BATCH else 0)
        steps = [found] if found is not None else []
    for step in steps:
        for node in step.nodes[:1]:
            name = node.share.node
            order = NotifyStep(
                term=ctx.term, node=name, job=job.id, step=step.key.step, restart=job.restarts, message=message
            )
            ctx.send(name, order, out)
