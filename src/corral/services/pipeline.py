"""When does a Pipeline run, which of its runs are kept, and which steps of a run begin next?"""

import math
from typing import Any

import msgspec

from corral.errors import InvalidCron
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pipeline import (
    Pipeline,
    PipelineParameter,
    PipelineRun,
    PipelineRunSpec,
    PipelineStep,
    StepStatus,
)
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.selectors import owner_reference
from corral.services.view import View
from corral.syntax import cron

#: Annotation of a run: its number.
NUMBER = "corral.dev/run"


def reconcile(one: Pipeline, view: View, now: float) -> list[Change]:
    runs = [found for found in view.owned(one.metadata.uid) if isinstance(found, PipelineRun)]
    runs = sorted((found for found in runs if not found.metadata.deletion_timestamp), key=_age)
    changes: list[Change] = []
    status = one.status
    over = [found for found in runs if found.has_ended]
    changes += [Remove(found.key) for found in over[: max(len(over) - one.spec.history_limit, 0)]]
    if one.spec.schedule and not one.spec.suspend:
        due, wake = _times(one, now)
        if due and all(found.has_ended for found in runs):
            made = new_run(one, view, (), status.run + 1)
            runs.append(made)
            changes.append(Put(made))
            status = msgspec.structs.replace(status, last_schedule_time=due)
        if wake < math.inf:
            changes.append(Wake(wake))
    if runs:
        newest = runs[-1].status
        status = msgspec.structs.replace(
            status,
            run=max(status.run, *(number_of(found) for found in runs)),
            phase=newest.phase,
            steps=newest.steps,
            start_time=newest.start_time,
            completion_time=newest.completion_time,
        )
    if status != one.status:
        changes.append(Put(msgspec.structs.replace(one, status=status)))
    return changes


def _age(run: PipelineRun) -> tuple[float, int, str]:
    return run.metadata.creation_timestamp or math.inf, number_of(run), run.metadata.name


def number_of(run: PipelineRun) -> int:
    text = run.metadata.annotations.get(NUMBER, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _times(one: Pipeline, now: float) -> tuple[float, float]:
    """The time that should have begun a run and has not (0.0 = none), and the next one."""
    try:
        last = cron.last_in(one.spec.schedule, one.spec.time_zone, now)
        following = cron.next_in(one.spec.schedule, one.spec.time_zone, now)
    except InvalidCron:  # what is no schedule is refused when it comes; a zone can go away later
        return 0.0, math.inf
    since = max(one.status.last_schedule_time, one.metadata.creation_timestamp)
    return (last if last > since else 0.0), following


def new_run(one: Pipeline, view: View, parameters: tuple[PipelineParameter, ...], number: int) -> PipelineRun:
    name = f"{one.metadata.name}-{number}"
    while view.get(ObjectKey("PipelineRun", one.metadata.namespace, name)) is not None:
        number += 1
        name = f"{one.metadata.name}-{number}"
    meta = ObjectMeta(
        name=name, namespace=one.metadata.namespace, annotations={NUMBER: str(number)},
        owner_references=(owner_reference(one),),
    )  # fmt: skip
    spec = PipelineRunSpec(pipeline=one.metadata.name, parameters=parameters)
    return PipelineRun(metadata=meta, spec=spec, creator=one.creator)


class Refused(Exception):
    """A run that cannot begin, with the reason."""


def begun(run: PipelineRun, pipeline: Pipeline, now: float) -> PipelineRun:
    """With the steps and parameters as they are now. Raises Refused."""
    values = {one.name: one.value for one in pipeline.spec.parameters}
    for one in run.spec.parameters:
        if one.name not in values:
            known = ", ".join(sorted(values)) or "none"
            raise Refused(f"pipeline {pipeline.metadata.name!r} has no parameter {one.name!r} (it has: {known})")
        values[one.name] = one.value
    spec = msgspec.structs.replace(
        run.spec,
        parameters=tuple(PipelineParameter(name=name, value=value) for name, value in values.items()),
        steps=pipeline.spec.steps,
        artifacts=f"{pipeline.spec.artifacts.rstrip('/')}/{run.metadata.name}" if pipeline.spec.artifacts else "",
    )
    status = msgspec.structs.replace(
        run.status, phase="Running", start_time=now, steps=tuple(StepStatus(name=step.name) for step in spec.steps)
    )
    meta = run.metadata
    if not meta.owner_references:
        meta = msgspec.structs.replace(meta, owner_references=(owner_reference(pipeline),))
    if NUMBER not in meta.annotations:
        number = str(pipeline.status.run + 1)
        meta = msgspec.structs.replace(meta, annotations={**meta.annotations, NUMBER: number})
    return msgspec.structs.replace(run, spec=spec, status=status, metadata=meta)


def due_steps(run: PipelineRun) -> list[PipelineStep]:
    """Those that wait for nothing. When one has failed, none begins any more."""
    phases = {one.name: one.phase for one in run.status.steps}
    if "Failed" in phases.values():
        return []
    return [
        step for step in run.spec.steps
        if phases[step.name] == "Pending" and all(phases[need] == "Succeeded" for need in step.needs)
    ]  # fmt: skip


def settled(run: PipelineRun, now: float) -> PipelineRun:
    """Over, if nothing of it goes on."""
    steps = run.status.steps
    phases = [one.phase for one in steps]
    if "Running" in phases or due_steps(run):
        return run
    skipped = tuple(msgspec.structs.replace(one, phase="Skipped") if one.phase == "Pending" else one for one in steps)
    failed = next((one for one in steps if one.phase == "Failed"), None)
    status = msgspec.structs.replace(
        run.status,
        phase="Failed" if failed is not None else "Succeeded",
        message=f"step {failed.name}: {failed.message}" if failed is not None else "",
        steps=skipped,
        completion_time=now,
    )
    return msgspec.structs.replace(run, status=status)


def with_step(run: PipelineRun, name: str, **fields: Any) -> PipelineRun:
    steps = tuple(msgspec.structs.replace(one, **fields) if one.name == name else one for one in run.status.steps)
    return msgspec.structs.replace(run, status=msgspec.structs.replace(run.status, steps=steps))


def after_failure(run: PipelineRun, step: PipelineStep, status: StepStatus, why: str, now: float) -> PipelineRun:
    """It begins again, or has failed."""
    if status.attempts <= step.retries:
        return with_step(run, step.name, phase="Pending", job=0, message=f"attempt {status.attempts}: {why}")
    return with_step(run, step.name, phase="Failed", message=why, finished_at=now)


def words_of(run: PipelineRun) -> dict[str, str]:
    """What $(...) stands for in scripts and manifests."""
    found = {f"params.{one.name}": one.value for one in run.spec.parameters}
    return {**found, "run.name": run.metadata.name, "run.artifacts": run.spec.artifacts}


def substituted(value: Any, words: dict[str, str]) -> Any:
    """With the values of $(params.NAME), $(run.name) and $(run.artifacts) in all its texts."""
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace(f"$({word})", text)
        return value
    if isinstance(value, dict):
        return {substituted(name, words): substituted(one, words) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [substituted(one, words) for one in value]
    return value


def environment_of(run: PipelineRun, step: PipelineStep) -> dict[str, str]:
    """What a script is told."""
    given = (step.job or {}).get("environment", {})
    told = {
        "CORRAL_PIPELINE": run.spec.pipeline,
        "CORRAL_RUN": run.metadata.name,
        "CORRAL_STEP": step.name,
        "CORRAL_ARTIFACTS": run.spec.artifacts,
    }
    return {**given, **{f"PARAM_{one.name}": one.value for one in run.spec.parameters}, **told}


_SHELLS = ("sh", "bash", "dash", "ksh", "zsh")


def script_of(run: PipelineRun, step: PipelineStep) -> str:
    """With its values; a shell's script begins with its directory of artifacts in place."""
    text: str = substituted(step.script, words_of(run))
    if not text.startswith("#!"):
        text = f"#!/bin/sh\n{text}"
    first, _, rest = text.partition("\n")
    program = first.split("/")[-1].split()
    name = program[1] if len(program) > 1 and program[0] == "env" else program[0] if program else ""
    if run.spec.artifacts and name in _SHELLS:
        rest = f'mkdir -p -- "$CORRAL_ARTIFACTS" || exit 1\n{rest}'
    return f"{first}\n{rest}"
