"""scontrol notify: to whom does a message for a job go?

Of a batch job to its script's standard error, of an srun to that srun. salloc is not connected to any node: it hears none.
"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.endings import job_id_of
from corral.engine.outcomes import NO_SUCH_JOB, NOT_YOURS, may_touch
from corral.errors import UsageError
from corral.model.job import JobKind
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
    kind = ctx.state.spec(job).kind
    if kind is JobKind.SALLOC:
        out.reply = Rejected(error="An salloc hears no messages: only jobs of sbatch and srun do")
        return
    number = BATCH if kind is JobKind.BATCH else 0
    step = ctx.state.steps_of(job.id).get(number)
    if step is not None:
        for node in step.nodes[:1]:
            order = NotifyStep(
                term=ctx.term,
                node=node.share.node,
                job=job.id,
                step=number,
                restart=job.restarts,
                message=request.message,
            )
            ctx.send(node.share.node, order, out)
    out.reply = Done()
