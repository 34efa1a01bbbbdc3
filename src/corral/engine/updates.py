"""What does `scontrol update JobId=` change?"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from corral.engine import dependencies, endings, reserved_access
from corral.engine.admission import admit, has_licenses
from corral.engine.context import Context
from corral.engine.control import may_touch
from corral.engine.effects import Effects
from corral.engine.endings import granted_limit
from corral.engine.ranking import priority_of
from corral.engine.selection import Unknown, targets_of
from corral.errors import UsageError
from corral.model.allocation import Allocation
from corral.model.gres import GresRequest
from corral.model.job import ENDED, Job, JobSpec
from corral.model.reason import Reason
from corral.protocol.events import JobChanged
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, UpdateJob
from corral.scheduler.demand import licences_of
from corral.syntax import dependency, duration, size, timestamp, tres


def on_update(ctx: Context, request: UpdateJob, caller: Caller, now: float, out: Effects) -> None:
    """All changes hold, or none."""
    try:
        found = targets_of(ctx.state, request.id)
    except UsageError:
        found = Unknown(request.id)
    if isinstance(found, Unknown):
        out.reply = Rejected(error="Invalid job id specified", code="not_found")
        return
    errors: list[str] = []
    done = 0
    for target in found:
        job = ctx.state.jobs[target.job]
        if not may_touch(caller, job):
            out.reply = Rejected(error="Access/permission denied", code="denied")
            return
        if job.state in ENDED:
            if len(found) == 1:
                out.reply = Rejected(error="Job/step already completing or completed", code="invalid")
                return
            continue
        refused = _apply(ctx, job, request.changes, caller, now, out)
        if refused is not None:
            if not done:
                out.reply = refused
                return
            errors.append(f"{request.id}: {refused.error}")
        done += 1
    out.reply = Done(errors=tuple(errors))


def _apply(
    ctx: Context, job: Job, changes: dict[str, str], caller: Caller, now: float, out: Effects
) -> Rejected | None:
    spec = ctx.state.spec(job)
    job_fields: dict[str, object] = {}
    spec_fields: dict[str, object] = {}
    for key, value in changes.items():
        key = key.lower()
        if key in _SPEC_KEYS:
            field, parse = _SPEC_KEYS[key]
            if not job.is_pending and key not in _WHILE_RUNNING:
                return Rejected(error="Job is no longer pending execution")
            try:
                parsed = parse(value, now)
            except (ValueError, UsageError) as error:
                return Rejected(error=f"Invalid {key} value: {value}", detail=str(error))
            if isinstance(parsed, _Between):
                spec_fields |= {"nodes_min": parsed.low, "nodes_max": parsed.high}
            else:
                spec_fields[field] = parsed
            continue
        refused = _job_key(ctx, job, spec, key, value, caller, now, job_fields)
        if refused is not None:
            return refused
    changed_spec = msgspec.structs.replace(spec, **spec_fields) if spec_fields else None
    if changed_spec is not None and "licenses" in spec_fields and job.allocation is not None:
        refused = _other_licenses(ctx, job.allocation, changed_spec, job_fields)
        if refused is not None:
            return refused
    if changed_spec is not None and job.is_pending:
        refused = reserved_access.problem_of(ctx.state, changed_spec, job.owner.user)
        if refused is not None:
            return refused
        verdict = admit(ctx.state, ctx.config, changed_spec, caller, ctx.state.ledger.emptied())
        if isinstance(verdict, Rejected):
            return verdict
        job_fields["partition"] = verdict.partition
        if (
            verdict.partition != job.partition
            and not job.held_by
            and not job.priority_set
            and "priority" not in job_fields
        ):
            nice = changed_spec.nice if job.nice is None else job.nice
            rank = priority_of(ctx, changed_spec, verdict.partition, nice, job.eligible_time, now)
            job_fields["priority"] = rank if caller.is_operator else min(job.priority, rank)
        if "dependency" in spec_fields:
            problem = dependencies.problem_of(ctx.state, changed_spec.dependency) if changed_spec.dependency else ""
            own = {job.id, job.array_job_id}
            if any(c.job in own for c in dependency.parse(changed_spec.dependency).conditions if c.job):
                problem = "a job cannot wait for itself"
            if problem:
                return Rejected(error="Job dependency problem", detail=problem)
            if not job.held_by:
                job_fields["reason"] = Reason.DEPENDENCY if changed_spec.dependency else Reason.NONE
        if "begin_time" in spec_fields:
            job_fields["eligible_time"] = max(now, changed_spec.begin_time)
            job_fields["reason"] = Reason.BEGIN_TIME if changed_spec.begin_time > now else Reason.NONE
    if changed_spec is not None and ctx.state.spec_users.get(job.spec_id, 1) > 1:
        job_fields["spec_id"] = job.id
        if job.spec_id == job.id:  # other elements still use the array's own spec: only the whole array can change it
            job_fields.pop("spec_id")
    ctx.record(
        JobChanged(time=now, job=msgspec.structs.replace(job, **job_fields), what="updated", spec=changed_spec), out
    )
    endings.settle(ctx)
    return None


def _other_licenses(ctx: Context, held: Allocation, spec: JobSpec, fields: dict[str, object]) -> Rejected | None:
    """Of a job that runs: it has them at once, or not at all."""
    if not has_licenses(ctx.config, spec.licenses):
        return Rejected(error="Invalid license specification")
    wanted = licences_of(spec)
    if not ctx.state.ledger.licenses.without([[(name, -count) for name, count in held.licenses]]).has(wanted):
        return Rejected(error="Invalid license specification", detail="That many are not free.")
    fields["allocation"] = msgspec.structs.replace(held, licenses=wanted)
    return None


def _job_key(
    ctx: Context, job: Job, spec: JobSpec, key: str, value: str, caller: Caller, now: float, fields: dict[str, object]
) -> Rejected | None:
    try:
        if key == "timelimit":
            return _time_limit(ctx, job, value, caller, fields)
        if key in ("priority", "nice"):
            return _priority(ctx, job, key, value, caller, now, fields)
        if key in ("arraytaskthrottle",):
            fields["array_throttle"] = int(value)
            return None
        if key == "admincomment":
            if not caller.is_operator:
                return Rejected(error="Access/permission denied", code="denied")
            fields["admin_comment"] = value
            return None
    except (ValueError, UsageError) as error:
        return Rejected(error=f"Invalid {key} value: {value}", detail=str(error))
    return Rejected(error=f"Update of this parameter is not supported: {key}={value}")


def _time_limit(ctx: Context, job: Job, value: str, caller: Caller, fields: dict[str, object]) -> Rejected | None:
    sign = value[:1] if value[:1] in "+-" else ""
    seconds = duration.parse(value.lstrip("+-") if sign else value)
    if sign:
        seconds = job.time_limit + seconds if sign == "+" else max(60, job.time_limit - seconds)
    seconds = granted_limit(ctx.config, seconds)
    if seconds > job.time_limit and not caller.is_operator:
        return Rejected(
            error="Access/permission denied", code="denied", detail="only an operator may raise a time limit"
        )
    fields["time_limit"] = seconds
    return None


def _priority(
    ctx: Context, job: Job, key: str, value: str, caller: Caller, now: float, fields: dict[str, object]
) -> Rejected | None:
    number = int(value)
    if key == "nice":
        if number < 0 and not caller.is_operator:
            return Rejected(error="Access/permission denied", code="denied")
        spec = ctx.state.spec(job)
        if not caller.is_operator:  # what has been lowered, its owner does not raise
            number = max(number, spec.nice if job.nice is None else job.nice)
        fields["nice"] = number
        if not job.held_by:
            priority = priority_of(ctx, spec, job.partition, number, job.eligible_time, now)
            fields["priority"] = priority if caller.is_operator else min(job.priority, priority)
    else:
        if job.held_by and number:
            return Rejected(error="Job is in held state, pending scheduler release", code="invalid")
        if number > job.priority and not caller.is_operator:
            return Rejected(error="Access/permission denied", code="denied")
        fields |= {"priority": number, "priority_set": bool(number)}
        if number == 0:
            admin = job.held_by == "admin" or (caller.is_operator and caller.uid != job.owner.uid)
            fields |= {"held_by": "admin" if admin else "user"}
            fields["reason"] = Reason.HELD_ADMIN if admin else Reason.HELD_USER
    return None


class _Between(NamedTuple):
    """-N."""

    low: int
    high: int


def _nodes(value: str, now: float) -> _Between:
    low, dash, high = value.partition("-")
    found = _Between(int(low), int(high if dash else low))
    if not 1 <= found.low <= found.high:
        raise ValueError("at least one node")
    return found


def _gres(value: str, now: float) -> tuple[GresRequest, ...]:
    return tuple(GresRequest(*entry) for entry in tres.parse_gres(value))


def _text(value: str, now: float) -> str:
    return value


def _yes(value: str, now: float) -> bool:
    if value.lower() not in ("yes", "no", "1", "0"):
        raise ValueError("yes or no")
    return value.lower() in ("yes", "1")


def _memory(value: str, now: float) -> int:
    return size.parse(value)


def _count(value: str, now: float) -> int:
    if int(value) < 1:
        raise ValueError("a number from 1 on")
    return int(value)


#: scontrol's key -> (field of JobSpec, how its text is read)
_SPEC_KEYS: dict[str, tuple[str, Callable[[str, float], object]]] = {
    "partition": ("partition", _text),
    "jobname": ("name", _text),
    "name": ("name", _text),
    "account": ("account", _text),
    "qos": ("qos", _text),
    "comment": ("comment", _text),
    "wckey": ("wckey", _text),
    "features": ("constraint", _text),
    "licenses": ("licenses", _text),
    "reservationname": ("reservation", _text),
    "reqnodelist": ("nodelist", _text),
    "nodelist": ("nodelist", _text),
    "excnodelist": ("exclude", _text),
    "dependency": ("dependency", _text),
    "numnodes": ("nodes_min", _nodes),
    "numtasks": ("ntasks", _count),
    "numcpus": ("ntasks", _count),
    "cpuspertask": ("cpus_per_task", _count),
    "minmemorynode": ("memory_per_node_mb", _memory),
    "minmemorycpu": ("memory_per_cpu_mb", _memory),
    "gres": ("gres", _gres),
    "starttime": ("begin_time", timestamp.parse),
    "eligibletime": ("begin_time", timestamp.parse),
    "deadline": ("deadline", timestamp.parse),
    "requeue": ("requeue", _yes),
    "workdir": ("work_dir", _text),
    "mailuser": ("mail_user", _text),
}
_WHILE_RUNNING = frozenset({"comment", "wckey", "jobname", "name", "requeue", "mailuser", "account", "qos", "licenses"})
