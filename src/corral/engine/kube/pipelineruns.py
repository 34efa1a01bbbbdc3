"""How does a run of a Pipeline become jobs and applied objects, and what becomes of them?

A script enters the queue through the door of sbatch, as a job of who made the run; a manifest is applied as this user would. What
is to be done next is said by services/pipeline.py.
"""

import msgspec

from corral.engine import cancel, submit
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import requests
from corral.errors import UsageError
from corral.model.job import Job, JobId, JobKind, JobSpec, JobState
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import KINDS, AnyObject
from corral.model.kube.pipeline import Pipeline, PipelineRun, PipelineStep, StepStatus
from corral.model.kube.workload import DaemonSet, Deployment, StatefulSet
from corral.model.kube.workload import Job as KubeJob
from corral.protocol.blobs import environment_digest, script_digest
from corral.protocol.events import ObjectsChanged
from corral.protocol.replies import ObjectsPut, Rejected, Submitted
from corral.protocol.requests import Caller, CancelJobs, JobSelection, NewJob, PutObjects, SubmitJobs
from corral.services import pipeline as rules
from corral.services import progress
from corral.services.conditions import find
from corral.services.manifests import reading

#: While a step waits for an object, it is looked at so often.
LOOK_SECONDS = 0.5
_NOT_APPLIED = ("Secret", "Pipeline", "PipelineRun", "Namespace")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def reconcile(ctx: Context, run: PipelineRun, now: float, out: Effects) -> None:
    if run.metadata.deletion_timestamp:
        _delete(ctx, run, now, out)
        return
    if run.has_ended:
        return
    changed = run
    if run.status.phase == "Pending":
        changed = _begin(ctx, run, now)
    wakes: list[float] = []
    for _ in range(len(changed.spec.steps) + 1):  # what is applied may be done at once, and lets the next begin
        before = changed
        for step, status in list(zip(changed.spec.steps, changed.status.steps, strict=True)):
            if status.phase == "Running":
                changed = _seen(ctx, changed, step, status, wakes, now, out)
        for step in rules.due_steps(changed):
            changed = _start(ctx, changed, step, now, out)
            if step.apply is not None or step.timeout_seconds is not None:
                wakes.append(now + LOOK_SECONDS)
        if changed == before:
            break
    if changed.status.phase == "Running":
        changed = rules.settled(changed, now)
    _save(ctx, changed, now, out)
    ctx.object_wakes.clear(run.key)
    if wakes and not changed.has_ended:
        ctx.object_wakes.set(run.key, min(wakes))


def _save(ctx: Context, run: PipelineRun, now: float, out: Effects) -> None:
    old = ctx.state.objects.get(run.key)
    if run == old:
        return
    version = ctx.state.objects.version + 1
    meta = msgspec.structs.replace(run.metadata, resource_version=str(version))
    ctx.record(ObjectsChanged(time=now, objects=(msgspec.structs.replace(run, metadata=meta),), version=version), out)


def _begin(ctx: Context, run: PipelineRun, now: float) -> PipelineRun:
    pipeline = ctx.state.objects.get(ObjectKey("Pipeline", run.metadata.namespace, run.spec.pipeline))
    try:
        if not isinstance(pipeline, Pipeline) or pipeline.metadata.deletion_timestamp:
            raise rules.Refused(f"pipeline {run.spec.pipeline!r} not found")
        return rules.begun(run, pipeline, now)
    except rules.Refused as error:
        status = msgspec.structs.replace(run.status, phase="Failed", message=str(error), completion_time=now)
        return msgspec.structs.replace(run, status=status)


# ---------------------------------------------------------------------- a step begins


def _start(ctx: Context, run: PipelineRun, step: PipelineStep, now: float, out: Effects) -> PipelineRun:
    status = next(one for one in run.status.steps if one.name == step.name)
    run = rules.with_step(
        run, step.name, phase="Running", attempts=status.attempts + 1, started_at=now, job=0, message=""
    )
    status = msgspec.structs.replace(status, attempts=status.attempts + 1)
    made = _apply(ctx, run, step, now, out) if step.apply is not None else _submit(ctx, run, step, now, out)
    if isinstance(made, str):
        # What is refused is refused again: no retry would help.
        return rules.with_step(run, step.name, phase="Failed", message=made, finished_at=now)
    return rules.with_step(run, step.name, job=made)


def _caller(run: PipelineRun) -> Caller:
    owner = run.creator
    assert owner is not None
    return Caller(uid=owner.uid, gid=owner.gid, user=owner.user, group=owner.group)


def _submit(ctx: Context, run: PipelineRun, step: PipelineStep, now: float, out: Effects) -> int | str:
    """The number of its job, or why it is refused."""
    script, environment = rules.script_of(run, step), {"PATH": _PATH, **rules.environment_of(run, step)}
    try:
        given = msgspec.convert((step.job or {}).get("spec", {}), JobSpec)
    except msgspec.ValidationError as error:
        return f"spec.steps: {step.name}: job.spec: {error}"
    spec = msgspec.structs.replace(
        given,
        kind=JobKind.BATCH,
        name=given.name or f"{run.metadata.name}-{step.name}",
        comment=given.comment or f"pipelinerun/{run.metadata.namespace}/{run.metadata.name}",
        command=f"pipelinerun/{run.metadata.namespace}/{run.metadata.name}/{step.name}",
        script_digest=script_digest(script),
        environment_digest=environment_digest(environment),
        export_mode="NONE",
        step=None, pod=None, array="", cron="", hold=False,
        requeue=bool(given.requeue),
    )  # fmt: skip
    inner = Effects()
    try:
        request = SubmitJobs(jobs=(NewJob(spec=spec),))
        assert run.creator is not None
        submit.on_submit(ctx, request, run.creator, _caller(run), now, inner)
    except UsageError as error:
        inner.reply = Rejected(error=str(error))
    out.records += inner.records
    out.sends += inner.sends
    if isinstance(inner.reply, Submitted):
        out.blobs[spec.script_digest] = script.encode("utf-8", "surrogatepass")
        out.blobs[spec.environment_digest] = msgspec.msgpack.encode(environment)
        return int(inner.reply.ids[0])
    return _words(inner.reply)


def _words(reply: object) -> str:
    assert isinstance(reply, Rejected)
    return ": ".join(word for word in (reply.error, reply.detail) if word)


def _apply(ctx: Context, run: PipelineRun, step: PipelineStep, now: float, out: Effects) -> int | str:
    """0, or why it is refused."""
    try:
        one = reading.parse(rules.substituted(step.apply, rules.words_of(run)), run.metadata.namespace)
    except UsageError as error:
        return str(error)
    if one.key.kind in _NOT_APPLIED:
        return f"a {one.key.kind} is not applied by a Pipeline: apply it by itself"
    old = ctx.state.objects.get(one.key)
    if old is not None:  # what is said by others and not here stays
        meta = msgspec.structs.replace(
            one.metadata,
            labels={**old.metadata.labels, **one.metadata.labels},
            annotations={**old.metadata.annotations, **one.metadata.annotations},
        )
        one = msgspec.structs.replace(one, metadata=meta)
    inner = Effects()
    try:
        requests.on_put(ctx, PutObjects(objects=(one,)), _caller(run), run.creator, now, inner, by_rule=True)
    except UsageError as error:
        inner.reply = Rejected(error=str(error))
    out.records += inner.records
    out.sends += inner.sends
    return 0 if isinstance(inner.reply, ObjectsPut) else _words(inner.reply)


# ---------------------------------------------------------------------- how it fares


def _seen(
    ctx: Context, run: PipelineRun, step: PipelineStep, status: StepStatus, wakes: list[float], now: float, out: Effects
) -> PipelineRun:
    if step.apply is not None:
        verdict = _rolled_out(ctx, run, step, status.started_at)
        if verdict is None:
            wakes.append(now + LOOK_SECONDS)
    else:
        verdict = _job_over(ctx, status)
    if verdict is None and step.timeout_seconds is not None:
        due = status.started_at + step.timeout_seconds
        if now < due:
            wakes.append(due)
        else:
            _stop(ctx, run, status, now, out)
            verdict = f"it was not done within {step.timeout_seconds} s"
    if verdict is None:
        return run
    if verdict:
        return rules.after_failure(run, step, status, verdict, now)
    return rules.with_step(run, step.name, phase="Succeeded", finished_at=now, message="")


def _job_over(ctx: Context, status: StepStatus) -> str | None:
    """ "" = it has succeeded; why it has not; None = it is under way."""
    job = ctx.state.jobs.get(JobId(status.job))
    if job is None:
        return f"job {status.job} is gone"
    if not job.has_ended:
        return None
    return "" if job.state is JobState.COMPLETED else _how(job)


def _how(job: Job) -> str:
    code, signal = job.exit_status.code, job.exit_status.signal
    more = f" (exit code {code})" if code else f" (signal {signal})" if signal else ""
    return f"job {job.id} ended {job.state.name}{more}" + (f": {job.reason_text}" if job.reason_text else "")


def _rolled_out(ctx: Context, run: PipelineRun, step: PipelineStep, since: float) -> str | None:
    document = rules.substituted(step.apply, rules.words_of(run))
    kind = document.get("kind", "")
    meta = document.get("metadata") or {}
    namespace = meta.get("namespace") or run.metadata.namespace
    key = ObjectKey(kind, namespace if kind in KINDS and KINDS[kind].namespaced else "", meta.get("name", ""))
    one = ctx.state.objects.get(key)
    return f"{key} is gone" if one is None else rolled_out(one, since)


def rolled_out(one: AnyObject, since: float) -> str | None:
    """ "" = all of it runs as it was last said; why it never will; None = not yet."""
    match one:
        case Deployment():
            if one.status.observed_generation < one.metadata.generation:
                return None
            said = find(one.status.conditions, "RolledBack")
            if said is not None and said.status == "True" and said.last_transition_time >= since:
                return said.message
            said = find(one.status.conditions, "Progressing")
            if said is not None and said.reason in progress.GIVEN_UP:
                return said.message
            return "" if progress.is_complete(one, one.status) else None
        case StatefulSet():
            status, wanted = one.status, one.spec.replicas
            seen = status.observed_generation >= one.metadata.generation
            return "" if seen and wanted == status.available_replicas == status.updated_replicas else None
        case DaemonSet():
            found, wanted = one.status, one.status.desired_number_scheduled
            seen = found.observed_generation >= one.metadata.generation
            return "" if seen and wanted == found.number_available == found.updated_number_scheduled else None
        case KubeJob():
            for kind in ("Failed", "Complete"):
                said = find(one.status.conditions, kind)
                if said is not None and said.status == "True":
                    return "" if kind == "Complete" else f"{said.reason}: {said.message}"
            return None
        case _:
            return ""


# ---------------------------------------------------------------------- how it is stopped


def _stop(ctx: Context, run: PipelineRun, status: StepStatus, now: float, out: Effects) -> None:
    job = ctx.state.jobs.get(JobId(status.job)) if status.job else None
    if job is None or job.has_ended:
        return
    inner = Effects()
    cancel.on_cancel(ctx, CancelJobs(selection=JobSelection(ids=(str(job.id),))), _caller(run), now, inner)
    out.records += inner.records
    out.sends += inner.sends


def _delete(ctx: Context, run: PipelineRun, now: float, out: Effects) -> None:
    """Its jobs end, and so does the record."""
    for status in run.status.steps:
        if status.phase == "Running":
            _stop(ctx, run, status, now, out)
    if not run.metadata.finalizers:
        ctx.object_wakes.clear(run.key)
        ctx.record(ObjectsChanged(time=now, removed=(run.key,), version=ctx.state.objects.version + 1), out)
