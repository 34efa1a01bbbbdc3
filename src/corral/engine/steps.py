"""How does a step come to be, and how does it end?"""

import msgspec

from corral.engine import bounds, endings, mps
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.launch import send_launch
from corral.engine.layout import Refusal, lay_out
from corral.engine.ports import note as note_ports
from corral.engine.ports import take as take_ports
from corral.model.job import ENDED, ExitStatus, Job, JobKind, JobState, StepSpec
from corral.model.step import BATCH, TRANSFERS, EndCause, Step, StepKey, StepNode, TaskPlace
from corral.protocol.events import StepChanged, StepCreated, StepEnded
from corral.protocol.orders import SignalTasks
from corral.protocol.replies import Done, Rejected
from corral.protocol.replies import StepCreated as StepCreatedReply
from corral.protocol.reports import StepFinished
from corral.protocol.requests import Caller, CreateStep, SignalStep


def start_batch(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """The script, on the job's first node, with the job's whole share of it."""
    assert job.allocation is not None
    spec = ctx.state.spec(job)
    first = job.allocation.on(job.batch_host) or job.allocation.nodes[0]
    step = Step(
        key=StepKey(job.id, BATCH, job.restarts),
        spec=StepSpec(
            container=spec.container,
            name="batch",
            argv=spec.argv,
            work_dir=spec.work_dir,
            umask=spec.umask,
            rlimits=spec.rlimits,
            rlimits_chosen=spec.rlimits_chosen,
            environment_digest=spec.environment_digest,
            stdio=spec.stdio,
        ),
        nodes=(StepNode(share=first, tasks=(TaskPlace(0, 0),)),),
        ntasks=1,
        start_time=now,
        sent_at=now,
    )
    ctx.record(StepCreated(time=now, step=step), out)
    send_launch(ctx, job, step, out)


def start_step(ctx: Context, job: Job, spec: StepSpec, now: float, out: Effects) -> Step | Refusal:
    """Lay out, record, launch."""
    assert job.allocation is not None
    live = ctx.state.live_steps_of(job.id)
    asked = ctx.state.spec(job)
    of_tasks = (spec.ntasks, spec.ntasks_per_node, spec.nodes_min, asked.ntasks, asked.ntasks_per_node)
    placed = spec
    if asked.kind is JobKind.SRUN and not any(of_tasks):  # as many CPUs as there may be: one task on each node
        placed = msgspec.structs.replace(spec, ntasks=len(job.allocation.nodes))
    gpus = (
        asked.gres,
        asked.gpus,
        asked.gpus_per_node,
        asked.gpus_per_task,
        asked.gpus_per_socket,
        asked.ntasks_per_gpu,
    )
    if not any(gpus):
        # An exclusive job has all GPUs of its nodes; its steps have those that they ask for.
        placed = msgspec.structs.replace(placed, gres=placed.gres or ())
    layout = lay_out(job.allocation, placed, live, ctx.state.nodes)
    if isinstance(layout, Refusal):
        return layout
    names = tuple(node.share.node for node in layout.nodes)
    ports = take_ports(ctx, names, spec.resv_ports) if spec.resv_ports else job.ports
    if isinstance(ports, Refusal):
        return ports
    if spec.time_limit is not None:
        spec = msgspec.structs.replace(spec, time_limit=endings.granted_limit(ctx.config, spec.time_limit))
    number = job.next_step if not spec.is_hidden else min([TRANSFERS, *ctx.state.steps_of(job.id)]) - 1
    step = Step(
        key=StepKey(job.id, number, job.restarts),
        spec=spec,
        nodes=layout.nodes,
        ntasks=layout.ntasks,
        cpus_per_task=layout.cpus_per_task,
        overlap=spec.overlap,
        ports=ports,
        suspended_before=job.suspended_seconds,
        start_time=now,
        sent_at=now,
    )
    if not spec.is_hidden:
        job = ctx.change_job(job, now, out, "step", next_step=job.next_step + 1)
    ctx.record(StepCreated(time=now, step=step), out)
    note_ports(ctx, step)
    send_launch(ctx, job, step, out)
    return step


def asked_for_programs(ctx: Context, spec: StepSpec) -> Rejected | None:
    """What an srun has to run beside the step, and does not know of. It asks again when it has run the first of them."""
    programs = ctx.config.programs
    if not spec.asks_programs or not (programs.srun_prolog or programs.srun_epilog):
        return None
    detail = f"{programs.srun_prolog}\n{programs.srun_epilog}"
    return Rejected(error="This cluster has a prolog or an epilog for srun", code="srun_programs", detail=detail)


def on_create(ctx: Context, request: CreateStep, caller: Caller, now: float, out: Effects) -> None:
    """srun inside an allocation."""
    job = ctx.state.jobs.get(endings.job_id_of(ctx.state, request.job))
    if job is None:
        out.reply = Rejected(error="Invalid job id specified", code="not_found")
    elif not caller.is_operator and job.owner.uid != caller.uid:
        out.reply = Rejected(error="Access/permission denied", code="denied")
    elif job.is_pending:
        out.reply = Rejected(error="Job is pending execution")
    elif job.state in (JobState.CONFIGURING, JobState.SUSPENDED):
        out.reply = Rejected(
            error="Job is suspended" if job.state is JobState.SUSPENDED else "Job is pending execution", code="busy"
        )
    elif job.state is not JobState.RUNNING:
        out.reply = Rejected(error="Job/step already completing or completed", code="invalid")
    elif (refused := bounds.of_step(request.spec) or asked_for_programs(ctx, request.spec)) is not None:
        out.reply = refused
    else:
        asked = mps.of_step(ctx.config, request.spec)
        if isinstance(asked, Rejected):
            out.reply = asked
            return
        step = start_step(ctx, job, asked, now, out)
        if isinstance(step, Refusal):
            out.reply = Rejected(error=step.error, code="busy" if step.busy else "invalid", detail=step.detail)
        else:
            out.reply = StepCreatedReply(step=step)


def on_signal(ctx: Context, request: SignalStep, caller: Caller, now: float, out: Effects) -> None:
    job = ctx.state.jobs.get(request.job)
    step = ctx.state.steps_of(request.job).get(request.step)
    if job is None or step is None:
        out.reply = Rejected(error="Invalid job id specified", code="not_found")
        return
    if not caller.is_operator and job.owner.uid != caller.uid:
        out.reply = Rejected(error="Access/permission denied", code="denied")
        return
    if step.state not in ENDED:
        signal_step(ctx, step, request.signal, request.kill, caller.uid, now, out, by_launcher=True)
    out.reply = Done()


def signal_step(
    ctx: Context,
    step: Step,
    signal: int,
    kill: bool,
    by: int,
    now: float,
    out: Effects,
    *,
    by_launcher: bool = False,
    reason: str = "cancelled",
) -> None:
    """To every node of the step. kill: SIGTERM, then SIGKILL after KillWait."""
    if kill:
        ctx.killed[step.key] = now
    if kill and step.cancelled_by is None:
        told = msgspec.structs.replace(step, cancelled_by=by, by_launcher=by_launcher)
        ctx.record(StepChanged(time=now, step=told), out)
    for node in step.nodes:
        if not node.finished:
            order = SignalTasks(
                term=ctx.term,
                node=node.share.node,
                job=step.key.job,
                step=step.key.step,
                restart=step.key.restart,
                signal=signal,
                kill_after=ctx.config.timeouts.kill_wait if kill else None,
                reason=reason if kill else "",
                by_uid=by,
                at=now,
                batch_too=step.key.step == BATCH,
            )
            ctx.send(node.share.node, order, out)


#: Of several nodes' causes the first of these counts: the others may only have been ended because of it.
_WEIGHT = (
    EndCause.LAUNCH_FAILED,
    EndCause.OUT_OF_MEMORY,
    EndCause.LOST,
    EndCause.CANCELLED,
    EndCause.ABORTED,
    EndCause.EXITED,
)


def on_finished(ctx: Context, report: StepFinished, now: float, out: Effects) -> None:
    """One node's part of a step is over. A repeated or outdated report changes nothing."""
    step = ctx.state.steps_of(report.key.job).get(report.key.step)
    job = ctx.state.jobs.get(report.key.job)
    if step is None or job is None or step.key != report.key or step.state in ENDED:
        return
    if not any(node.share.node == report.node and not node.finished for node in step.nodes):
        return
    nodes = tuple(
        msgspec.structs.replace(node, finished=True) if node.share.node == report.node else node for node in step.nodes
    )
    status = worse(step.exit_status, [exit.status for exit in report.tasks])
    cause = min(report.cause, step.cause, key=_WEIGHT.index)
    if report.cause is EndCause.LAUNCH_FAILED and status == ExitStatus():
        status = ExitStatus(1, 0)
    used = step.used.plus(report.used)
    if step.spec.pod_container:
        ctx.last_words[step.key] = report.message or report.words
    changed = msgspec.structs.replace(step, nodes=nodes, exit_status=status, cause=cause, used=used)
    if all(node.finished for node in nodes):
        end_step(ctx, job, changed, report.ended or now, now, out, report.message)
        return
    ctx.record(StepChanged(time=now, step=changed), out)
    if report.cause in (EndCause.LAUNCH_FAILED, EndCause.LOST):  # the others would wait for it for ever
        signal_step(ctx, changed, 15, True, 0, now, out, by_launcher=True)


def end_step(ctx: Context, job: Job, step: Step, ended: float, now: float, out: Effects, message: str = "") -> None:
    """All its nodes are done (or gone): the step is over, and perhaps the job."""
    state = state_of(step)
    status = ExitStatus(0, 125) if state is JobState.OUT_OF_MEMORY else step.exit_status
    step = msgspec.structs.replace(
        step, state=state, end_time=max(step.start_time, min(ended, now)), exit_status=status
    )
    ctx.killed.pop(step.key, None)
    ctx.record(StepEnded(time=now, step=step), out)
    spec = ctx.state.spec(job)
    if job.state not in (JobState.RUNNING, JobState.SUSPENDED) or step.key.step <= TRANSFERS:
        return
    if step.key.step == BATCH:
        endings.after_batch(ctx, job, step, now, out, message)
    elif spec.kind is JobKind.SRUN and job.het_job_id is not None:
        _after_het_srun(ctx, job, now, out, message)
    elif spec.kind is JobKind.SRUN and all(one.spec.is_hidden for one in ctx.state.live_steps_of(job.id)):
        endings.after_srun(ctx, job, step, now, out, message)
    else:
        if (step.exit_status.code, step.exit_status.signal) > (
            job.derived_exit_status.code,
            job.derived_exit_status.signal,
        ):
            ctx.change_job(job, now, out, "step", derived_exit_status=step.exit_status)
        if step.spec.kill_on_bad_exit and spec.kind is JobKind.SRUN and step.exit_status != ExitStatus():
            endings.after_srun(ctx, job, step, now, out, message)


def _after_het_srun(ctx: Context, job: Job, now: float, out: Effects, message: str) -> None:
    """An srun's own heterogeneous job ends with the last part of its step, as the worst of them did."""
    members = ctx.state.het_members(job)
    if any(ctx.state.live_steps_of(member.id) for member in members):
        return
    steps = [step for member in members for step in ctx.state.steps_of(member.id).values()]
    worst = max(
        steps,
        key=lambda step: (len(_WEIGHT) - _WEIGHT.index(step.cause), step.exit_status.code, step.exit_status.signal),
    )
    if members[0].state in (JobState.RUNNING, JobState.SUSPENDED):
        endings.after_srun(ctx, members[0], worst, now, out, message)


def state_of(step: Step) -> JobState:
    """The state a step ends in."""
    if step.cause is EndCause.OUT_OF_MEMORY:
        return JobState.OUT_OF_MEMORY
    if step.cause is EndCause.LOST:
        return JobState.NODE_FAIL
    if step.cause is EndCause.LAUNCH_FAILED and not step.exit_status.signal:
        return JobState.FAILED
    if step.timed_out and step.cause is EndCause.CANCELLED:
        return JobState.TIMEOUT
    if step.cause in (EndCause.CANCELLED, EndCause.ABORTED) or step.cancelled_by is not None or step.exit_status.signal:
        return JobState.CANCELLED
    return JobState.COMPLETED if step.exit_status == ExitStatus() else JobState.FAILED


def worse(first: ExitStatus, others: list[ExitStatus]) -> ExitStatus:
    """The highest of the tasks': Slurm compares wait status words."""
    return max([first, *others], key=lambda status: (status.code << 8) | status.signal)
