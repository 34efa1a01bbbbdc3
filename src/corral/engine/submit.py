"""How does a job enter the queue?"""

import msgspec

from corral.engine import charging, crontabs, dependencies, reserved_access
from corral.engine.admission import Admitted, admit, has_licenses, partitions_of, resolve
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.endings import granted_limit
from corral.engine.het import MOST_COMPONENTS
from corral.engine.ranking import priority_of
from corral.engine.steps import asked_for_programs
from corral.engine.whatif import would_start, would_start_together
from corral.model import ranges
from corral.model.job import Job, JobId, JobKind, JobSpec, Owner
from corral.model.reason import Reason
from corral.protocol.events import JobSubmitted
from corral.protocol.replies import Rejected, Submitted
from corral.protocol.requests import Caller, SubmitJobs
from corral.scheduler.quota import Bucket
from corral.syntax import arrayspec


def on_request(ctx: Context, request: SubmitJobs, owner: Owner, caller: Caller, now: float, out: Effects) -> None:
    """As a user asks for it: what is a Pod's only the engine says."""
    for index, new in enumerate(request.jobs):
        spec = new.spec
        field = "kind" if spec.kind is JobKind.POD else "pod" if spec.pod else "places" if spec.places else ""
        if field:
            error = f"{field}: nobody can submit a Pod as a job"
            out.reply = Rejected(error=error, detail="Pods are made by `corral apply`.", index=index)
            return
    on_submit(ctx, request, owner, caller, now, out)


def on_submit(ctx: Context, request: SubmitJobs, owner: Owner, caller: Caller, now: float, out: Effects) -> None:
    """All jobs of the request enter, or none. `owner` is who they will run as."""
    if (owner.uid, owner.gid) != (caller.uid, caller.gid) and caller.role != "administrator":
        out.reply = Rejected(
            error="Access/permission denied", code="denied", detail="only an administrator may submit for someone else"
        )
        return
    admitted = []
    total = ctx.state.waiting + len(ctx.state.active)
    if total + len(request.jobs) > ctx.config.limits.max_job_count:
        out.reply = Rejected(
            error="Slurm temporarily unable to accept job, sleeping and retrying",
            code="busy",
            detail=f"{total} jobs are known and limits.max_job_count is {ctx.config.limits.max_job_count}",
        )
        return
    if not caller.is_operator and any(new.spec.admin_comment for new in request.jobs):
        out.reply = Rejected(error="Access/permission denied", code="denied", detail="--admin-comment is for operators")
        return
    for new in request.jobs:
        if new.spec.step is not None and (asked := asked_for_programs(ctx, new.spec.step)) is not None:
            out.reply = asked
            return
    jobs = request.jobs
    if request.crontab is not None:
        timed = crontabs.timed(request.jobs, request.crontab, now)
        if isinstance(timed, Rejected):
            out.reply = timed
            return
        jobs = timed
    last: tuple[JobSpec, Admitted, charging.Charge] | None = None
    more: dict[Bucket, int] = {}
    for index, new in enumerate(jobs):
        if last is not None and last[0] == new.spec:
            refused = _beyond(ctx, last[1], last[2], owner, more)
            if refused is not None:
                out.reply = msgspec.structs.replace(refused, index=index)
                return
            admitted.append(last[1])
            continue
        charged = _charged(ctx, new.spec, owner, caller)
        if isinstance(charged, Rejected):
            out.reply = msgspec.structs.replace(charged, index=index)
            return
        if new.spec.reservation:
            refused = reserved_access.problem_of(ctx.state, charged.spec, owner.user)
            if refused is not None:
                out.reply = msgspec.structs.replace(refused, index=index)
                return
        verdict = admit(ctx.state, ctx.config, charged.spec, caller, ctx.state.ledger.emptied())
        if isinstance(verdict, Rejected):
            out.reply = msgspec.structs.replace(verdict, index=index)
            return
        if new.spec.deadline and new.spec.time_min and now + new.spec.time_min > new.spec.deadline > now:
            error = "Invalid time-min specification (exceeds job's time or other limits)"
            out.reply = Rejected(error=error, index=index)
            return
        if new.spec.deadline and new.spec.deadline <= now:
            error = "Requested time limit is invalid (missing or exceeds some limit)"
            out.reply = Rejected(error=error, index=index)
            return
        if new.spec.dependency:
            refused = dependencies.refusal(ctx.state, new.spec.dependency)
            if refused is not None:
                out.reply = msgspec.structs.replace(refused, index=index)
                return
        refused = _beyond(ctx, verdict, charged, owner, more)
        if refused is not None:
            out.reply = msgspec.structs.replace(refused, index=index)
            return
        if charged.association:
            verdict = _as_charged(ctx, verdict, charged, owner)
        admitted.append(verdict)
        last = (new.spec, verdict, charged)
    if request.het and len(request.jobs) > 1:
        refused = _no_components(ctx, request)
        if refused is not None:
            out.reply = refused
            return
    if request.test_only:
        if request.het and len(admitted) > 1:
            out.reply = would_start_together(ctx, admitted, owner.user, now)
        else:
            out.reply = would_start(ctx, admitted[0], owner.user, now) if admitted else Submitted(ids=())
        return
    ids = []
    next_id = max(ctx.state.next_job_id, ctx.config.first_job_id)
    for offset, entry in enumerate(admitted):
        job = new_job(ctx, entry, JobId(next_id + offset), owner, caller, now)
        if request.het and len(admitted) > 1:
            job = msgspec.structs.replace(job, het_job_id=JobId(next_id), het_offset=offset, het_size=len(admitted))
        ctx.record(JobSubmitted(time=now, job=job, spec=entry.spec), out)
        ids.append(job.id)
    if request.crontab is not None:
        crontabs.replace(ctx, owner, request.crontab, list(zip(ids, admitted, strict=True)), now, out)
    ctx.wants_cycle = True
    out.reply = Submitted(ids=tuple(ids))


def _charged(ctx: Context, spec: JobSpec, owner: Owner, caller: Caller) -> charging.Charge | Rejected:
    if not ctx.state.books and not ctx.config.accounting.enforce:
        return charging.Charge(spec)
    partitions = partitions_of(ctx.state, spec)
    return partitions if isinstance(partitions, Rejected) else charging.charge(ctx, spec, owner, caller, partitions)


def _beyond(
    ctx: Context, entry: Admitted, charged: charging.Charge, owner: Owner, more: dict[Bucket, int]
) -> Rejected | None:
    """Which limit keeps it out?"""
    if not ctx.state.books or not charging.enforced(ctx, "limits"):
        return None
    known = ctx.state.partitions
    demands = [resolve(entry.spec, known[name], ctx.config) for name in entry.partition.split(",") if name in known]
    return charging.refused(ctx, charged, owner, demands, more)


def _as_charged(ctx: Context, entry: Admitted, charged: charging.Charge, owner: Owner) -> Admitted:
    """With its association; who does not say for how long runs no longer than the limits let it."""
    limit = entry.time_limit
    if entry.spec.time_limit is None:
        limit = min(limit, charging.longest(ctx, charged, owner, entry.partition.partition(",")[0]))
    return msgspec.structs.replace(entry, association=charged.association, time_limit=limit)


def _no_components(ctx: Context, request: SubmitJobs) -> Rejected | None:
    """What a heterogeneous job cannot be."""
    if len(request.jobs) > MOST_COMPONENTS:
        detail = f"A heterogeneous job has at most {MOST_COMPONENTS} components."
        return Rejected(
            error="Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", detail=detail
        )
    if not has_licenses(ctx.config, ",".join(new.spec.licenses for new in request.jobs if new.spec.licenses)):
        detail = "Together the components ask for more than there are."
        return Rejected(error="Invalid license specification", detail=detail)
    for index, new in enumerate(request.jobs):
        if new.spec.array:
            return Rejected(error="Invalid job array specification", index=index)
        if new.spec.ports:
            return Rejected(
                error="--ports is not supported by Corral for components of heterogeneous jobs", index=index
            )
        if new.spec.kind is not request.jobs[0].spec.kind or new.spec.step is not None:
            return Rejected(error="Components of a heterogeneous job are of one kind, and have no steps", index=index)
    return None


def new_job(ctx: Context, entry: Admitted, job_id: JobId, owner: Owner, caller: Caller, now: float) -> Job:
    """The record as it enters."""
    spec = entry.spec
    waiting: ranges.Ranges = ()
    throttle = 0
    if spec.array:
        indices, throttle = arrayspec.parse(spec.array, ctx.config.limits.max_array_size)
        waiting = ranges.ranges_of(indices)
    reason, text, held_by = Reason.NONE, "", ""
    eligible = max(now, spec.begin_time)
    if spec.hold:
        reason, held_by = Reason.HELD_USER, "user"
    elif spec.dependency:
        reason, eligible = Reason.DEPENDENCY, 0.0
    elif spec.begin_time > now:
        reason = Reason.BEGIN_TIME
    elif entry.never:
        reason, text = Reason.PARTITION_CONFIG, ""
    nice = spec.nice if caller.is_operator else max(0, spec.nice)
    is_set = spec.priority is not None and caller.is_operator
    if held_by:
        priority = 0
    elif spec.priority is not None and is_set:
        priority = spec.priority
    else:
        priority = priority_of(
            ctx, spec, entry.partition, nice, eligible, now, entry.association, number=job_id,
            time_limit=granted_limit(ctx.config, entry.time_limit),
        )  # fmt: skip
    return Job(
        id=job_id,
        spec_id=job_id,
        owner=owner,
        reason=reason,
        reason_text=text,
        array_job_id=job_id if spec.array else None,
        array_waiting=waiting,
        array_throttle=throttle,
        partition=entry.partition,
        priority=priority,
        priority_set=is_set and not held_by,
        held_by=held_by,
        submit_time=now,
        eligible_time=0.0 if held_by else eligible,
        time_limit=granted_limit(ctx.config, entry.time_limit),
        admin_comment=spec.admin_comment,
        association=entry.association,
    )
