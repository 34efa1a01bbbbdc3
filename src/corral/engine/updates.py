"""What does `scontrol update JobId=` change?

All changes of a job hold, or none. What is told to a part of an array's waiting elements gives these records of their own.
"""

from typing import Any

import msgspec

from corral.engine import bounds, charging, dependencies, endings, exempt, mps, reserved_access, resize
from corral.engine.admission import Admitted, admit, has_licenses
from corral.engine.context import Context
from corral.engine.control import held, split_off
from corral.engine.effects import Effects
from corral.engine.endings import granted_limit
from corral.engine.outcomes import DENIED, FINISHED, NO_LONGER_PENDING, NO_SUCH_JOB, NOT_YOURS, Outcomes, may_touch
from corral.engine.ranking import priority_of
from corral.engine.selection import Target, Unknown, targets_of, too_many
from corral.engine.state import ClusterState
from corral.engine.update_fields import NOT_SUPPORTED, REFUSED, SPEC_KEYS, Unacceptable, changed_spec, node_range
from corral.errors import UsageError
from corral.model.allocation import Allocation
from corral.model.job import ENDED, UNLIMITED, Job, JobId, JobSpec
from corral.model.reason import Reason
from corral.protocol.events import JobChanged
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller, UpdateJob
from corral.scheduler.demand import licences_of
from corral.syntax import duration, timestamp


def on_update(ctx: Context, request: UpdateJob, caller: Caller, now: float, out: Effects) -> None:
    too_long = too_many((request.id,))
    if too_long is not None:
        out.reply = too_long
        return
    try:
        found = targets_of(ctx.state, request.id)
    except UsageError:
        found = Unknown(request.id)
    if isinstance(found, Unknown):
        out.reply = Rejected(error=NO_SUCH_JOB, code="not_found")
        return
    outcomes = Outcomes()
    for target in found:
        refused = _update(ctx, target, request.changes, caller, now, out)
        job = ctx.state.jobs[target.job]
        if refused is not None and len(found) == 1 and job.array_job_id is None:
            out.reply = refused
            return
        outcomes.add(request.id, job, target.elements, None if refused is None else refused.error)
    outcomes.missing(ctx.state, request.id)
    out.reply = outcomes.reply()


def _update(
    ctx: Context, target: Target, changes: dict[str, str], caller: Caller, now: float, out: Effects
) -> Rejected | None:
    job = ctx.state.jobs[target.job]
    privileged = any(key in SPEC_KEYS and SPEC_KEYS[key].operator for key in changes) or "admincomment" in changes
    if not may_touch(ctx.state, caller, job):
        return Rejected(error=DENIED if privileged else NOT_YOURS, code="denied")
    if job.state in ENDED:
        return Rejected(error=FINISHED)
    change = _Change(ctx, job, caller, now)
    try:
        refused = change.read(changes) or change.settle()
    except Unacceptable as error:
        return Rejected(error=str(error))
    if refused is not None:
        return refused
    for record in split_off(ctx, job, target.elements, now, out):
        change.apply(record, out)
    endings.settle(ctx)
    return None


class _Change:
    """What becomes of one job: collected key by key, then looked at as a whole, then recorded."""

    def __init__(self, ctx: Context, job: Job, caller: Caller, now: float) -> None:
        self.ctx, self.job, self.caller, self.now = ctx, job, caller, now
        self.old = ctx.state.spec(job)
        self.spec: JobSpec | None = None
        self.fields: dict[str, Any] = {}
        self.nodes: tuple[str, ...] | None = None  #: those that a running job keeps

    # -- reading

    def read(self, changes: dict[str, str]) -> Rejected | None:
        found: dict[str, object] = {}
        for key, value in changes.items():
            key = key.lower()
            try:
                refused = self._spec_key(key, value, found) if key in SPEC_KEYS else self._own_key(key, value)
            except (ValueError, OverflowError, UsageError) as error:
                return Rejected(error=f"Invalid {key} value: {value}", detail=str(error))
            if refused is not None:
                return refused
        self.spec = changed_spec(self.old, found)
        if self.ctx.state.books:
            self.fields["exempt"] = exempt.changed(self.job, changes, self.caller.is_operator)
        return None

    def _spec_key(self, key: str, value: str, found: dict[str, object]) -> Rejected | None:
        entry = SPEC_KEYS[key]
        if entry.operator and not self.caller.is_operator:
            return Rejected(error=DENIED, code="denied")
        if key in ("numnodes", "nodelist", "reqnodelist") and self.job.is_active:
            return self._shrink(key, value)
        if not self.job.is_pending and not entry.running:
            if key == "partition" and value == self.job.partition:
                return None
            return Rejected(error=NO_LONGER_PENDING)
        if entry.field not in JobSpec.__struct_fields__:
            if not value:
                return None
            said = "Requested reservation is invalid" if key == "reservationname" else NOT_SUPPORTED
            return Rejected(error=said, detail=f"{key} is not supported by Corral")
        found[key] = entry.read(value, self.now)
        return None

    def _own_key(self, key: str, value: str) -> Rejected | None:
        match key:
            case "timelimit":
                return self._time_limit(value)
            case "endtime":
                return self._end_time(value)
            case "starttime" | "eligibletime":
                if not self.job.is_pending:
                    return Rejected(error=NO_LONGER_PENDING)
                self.fields["begin_time"] = timestamp.parse(value, self.now)
            case "nice":
                return self._nice(int(value))
            case "priority":
                return self._priority(int(value))
            case "sitefactor":
                if not self.caller.is_operator:
                    return Rejected(error=DENIED, code="denied")
                self.fields["site_factor"] = _within(int(value), -_MOST + 2, _MOST - 2)
            case "arraytaskthrottle":
                self.fields["array_throttle"] = _within(int(value), 0, _MOST)
            case "admincomment":
                if not self.caller.is_operator:
                    return Rejected(error=DENIED, code="denied")
                if len(value) > 1 << 16:
                    return Rejected(error="Pathname of a file, directory or other parameter too long")
                self.fields["admin_comment"] = value
            case "resetaccruetime":
                if not self.job.is_pending:
                    return Rejected(error=NO_LONGER_PENDING)
                if self.job.eligible_time:
                    self.fields["eligible_time"] = self.now
            case _ if key in REFUSED:
                return Rejected(error=NOT_SUPPORTED, detail=f"{key} is not supported by Corral: {REFUSED[key]}")
            case _:
                return Rejected(error=f"Update of this parameter is not supported: {key}={value}")
        return None

    def _time_limit(self, value: str) -> Rejected | None:
        sign = value[:1] if value[:1] in "+-" and value != "-1" else ""
        seconds = duration.parse(value.lstrip("+-") if sign else value)
        if sign:
            seconds = self.job.time_limit + seconds if sign == "+" else max(60, self.job.time_limit - seconds)
        return self._limit(granted_limit(self.ctx.config, seconds))

    def _end_time(self, value: str) -> Rejected | None:
        if not self.job.is_active or not self.job.start_time:
            return Rejected(error="Job is not running")
        ends = timestamp.parse(value, self.now)
        if ends <= self.now:
            return Rejected(error="Invalid time specified")
        return self._limit(granted_limit(self.ctx.config, int(ends - self.job.start_time - self.job.suspended_seconds)))

    def _limit(self, seconds: int) -> Rejected | None:
        """A waiting job may ask for all that its partitions allow; a running one only gives back."""
        if seconds > self.job.time_limit and not self.caller.is_operator:
            known = self.ctx.state.partitions
            most = max((known[name].max_time for name in self.job.partition.split(",") if name in known), default=0)
            if not self.job.is_pending or seconds > most:
                return Rejected(error=DENIED, code="denied", detail="only an operator may raise a time limit so far")
        spec = self.spec or self.old
        if self.job.is_pending and spec.time_min and seconds < spec.time_min:
            return Rejected(error=_TIME_MIN)
        self.fields["time_limit"] = seconds
        return None

    def _nice(self, number: int) -> Rejected | None:
        if number < 0 and not self.caller.is_operator:
            return Rejected(error=DENIED, code="denied")
        if abs(number) > (1 << 31) - 3:
            return Rejected(error="Invalid --nice value")
        self.fields["nice"] = number
        return None

    def _priority(self, number: int) -> Rejected | None:
        job = self.job
        if not _within(number, 0, _MOST_PRIORITY):
            if job.held_by == "admin" and not self.caller.is_operator:
                return None
            self.fields |= held(job, "admin" if self.caller.is_operator else "user")
            return None
        if job.held_by:
            return Rejected(error="Job is in held state, pending scheduler release", code="invalid")
        if number > job.priority and not self.caller.is_operator:
            return Rejected(error=DENIED, code="denied")
        self.fields |= {"priority": number, "priority_set": True}
        return None

    def _shrink(self, key: str, value: str) -> Rejected | None:
        assert self.job.allocation is not None
        names = self.job.allocation.node_names
        if key == "numnodes":
            wanted = node_range(value, self.now).low
            if wanted > len(names):
                return Rejected(error=NOT_SUPPORTED, detail="a running job does not grow")
            self.nodes = names[:wanted]
            return None
        kept = resize.kept(self.job, value)
        if kept is None:
            return Rejected(error="Invalid node name specified")
        self.nodes = kept
        return None

    # -- the whole

    def settle(self) -> Rejected | None:
        """Do the changes go together, and what follows from them?"""
        job, spec, now = self.job, self.spec, self.now
        if spec is not None and (refused := bounds.of_job(spec)) is not None:
            return refused
        if spec is not None and (spec.account, spec.qos) != (self.old.account, self.old.qos):
            charged = self._charge(spec)
            if isinstance(charged, Rejected):
                return charged
            spec = self.spec = charged.spec
            self.fields["association"] = charged.association
            if not self.caller.is_operator and (refused := charging.refused_move(self.ctx, job, charged)) is not None:
                return refused
        if job.is_pending and spec is not None:
            shared = mps.of_job(self.ctx.config, spec)
            if isinstance(shared, Rejected):
                return shared
            spec = self.spec = shared
            refused = self._admit(spec)
            if refused is not None:
                return refused
        if spec is not None and spec.reservation != self.old.reservation:
            refused = reserved_access.problem_of(self.ctx.state, spec, job.owner.user)
            if refused is not None:
                return refused
        if spec is not None and spec.licenses != self.old.licenses and job.allocation is not None:
            refused = self._other_licenses(spec, job.allocation)
            if refused is not None:
                return refused
        if job.is_pending and not job.held_by and "priority" not in self.fields:
            self._when()
        changes_rank = "nice" in self.fields or "site_factor" in self.fields
        if changes_rank and not job.held_by and "priority" not in self.fields:
            self.fields["priority"] = self._ranked(spec or self.old, job.partition, job.eligible_time or now)
        return None

    def _charge(self, spec: JobSpec) -> charging.Charge | Rejected:
        """To the account and with the QOS that it is to have."""
        known = self.ctx.state.partitions
        places = [known[name] for name in self.job.partition.split(",") if name in known]
        return charging.charge(self.ctx, spec, self.job.owner, self.caller, places)

    def _other_licenses(self, spec: JobSpec, held: Allocation) -> Rejected | None:
        """Of a job that runs: it has them at once, or not at all."""
        if not has_licenses(self.ctx.config, spec.licenses):
            return Rejected(error="Invalid license specification")
        wanted = licences_of(spec)
        own = [[(name, -count) for name, count in held.licenses]]
        if not self.ctx.state.ledger.licenses.without(own).has(wanted):
            return Rejected(error="Invalid license specification", detail="That many are not free.")
        self.fields["allocation"] = msgspec.structs.replace(held, licenses=wanted)
        return None

    def _admit(self, spec: JobSpec) -> Rejected | None:
        state, job = self.ctx.state, self.job
        limit = self.fields.get("time_limit", job.time_limit)
        if spec.time_min and limit < UNLIMITED and spec.time_min > limit:
            return Rejected(error=_TIME_MIN)
        checked = spec
        if spec.time_min and spec.time_limit is not None and spec.time_min > spec.time_limit:
            checked = msgspec.structs.replace(spec, time_limit=limit)
        if spec.memory_by_default:
            checked = msgspec.structs.replace(
                checked, memory_per_cpu_mb=None, memory_per_node_mb=None, memory_by_default=False
            )
        verdict = admit(state, self.ctx.config, checked, self.caller, state.ledger.emptied())
        if isinstance(verdict, Rejected):
            return verdict
        if spec.memory_by_default:  # of the partition that it is in now
            names = ("memory_per_cpu_mb", "memory_per_node_mb", "memory_by_default")
            spec = self.spec = msgspec.structs.replace(spec, **{name: getattr(verdict.spec, name) for name in names})
        if spec.dependency != self.old.dependency:
            refused = dependencies.refusal(state, spec.dependency, job) if spec.dependency else None
            if refused is not None:
                return refused
            self.fields["independent"] = False
        self._rank(spec, verdict)
        return None

    def _rank(self, spec: JobSpec, verdict: Admitted) -> None:
        job = self.job
        self.fields["partition"] = verdict.partition
        if verdict.partition == job.partition or job.held_by or job.priority_set or "priority" in self.fields:
            return
        rank = self._ranked(spec, verdict.partition, job.eligible_time)
        self.fields["priority"] = rank if self.caller.is_operator else min(job.priority, rank)

    def _ranked(self, spec: JobSpec, partition: str, eligible: float) -> int:
        job = self.job
        nice = self.fields.get("nice", spec.nice if job.nice is None else job.nice)
        return priority_of(
            self.ctx, spec, partition, nice, eligible, self.now, job.association, number=job.id,
            site=self.fields.get("site_factor", job.site_factor),
            time_limit=self.fields.get("time_limit", job.time_limit),
        )  # fmt: skip

    def _when(self) -> None:
        """It may have to wait for something else now, or for nothing more."""
        spec = self.spec or self.old
        begin = self.fields.get("begin_time", self.ctx.state.begin_time(self.job))
        if begin is None or not ("begin_time" in self.fields or "independent" in self.fields):
            return
        independent = self.fields.get("independent", self.job.independent)
        if spec.dependency and not independent:
            self.fields |= {"reason": Reason.DEPENDENCY, "eligible_time": 0.0}
        else:
            late = begin > self.now
            reason = Reason.BEGIN_TIME if late else Reason.NONE
            eligible = begin if late else self.job.eligible_time or self.now
            self.fields |= {"reason": reason, "reason_text": "", "eligible_time": min(eligible, max(begin, self.now))}

    # -- recording

    def apply(self, job: Job, out: Effects) -> None:
        fields = dict(self.fields)
        if self.spec is not None and self.ctx.state.spec_users.get(job.spec_id, 1) > 1:
            fields["spec_id"] = _own_spec_id(self.ctx.state, job)
        if job.promises:  # what it asks for now finds a place anew
            fields["promises"] = ()
        changed = msgspec.structs.replace(job, **fields)
        if changed != job or self.spec is not None:
            self.ctx.record(JobChanged(time=self.now, job=changed, what="updated", spec=self.spec), out)
        if self.nodes is not None:
            resize.shrink(self.ctx, self.ctx.state.jobs[job.id], self.nodes, self.now, out)


def _within(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise ValueError(f"a number from {least} to {most}")
    return number


_MOST = (1 << 31) - 1
_MOST_PRIORITY = (1 << 32) - 1
_TIME_MIN = "Invalid time-min specification (exceeds job's time or other limits)"


def _own_spec_id(state: ClusterState, job: Job) -> JobId:
    """Others keep the spec as it is: this job's gets an id of its own, beyond those of jobs where that is needed."""
    number = int(job.id)
    while number in state.specs:
        number += 1 << 40
    return JobId(number)
