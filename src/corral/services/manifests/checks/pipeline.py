"""Can the steps of a Pipeline be done one after the other?"""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec

from corral.model.job import JobSpec
from corral.model.kube.pipeline import Pipeline, PipelineRun, PipelineStep
from corral.services.manifests.checks.workload import at_least, is_zone, schedule
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames


def check(one: Pipeline, problems: Problems) -> None:
    spec = one.spec
    names: set[str] = set()
    for index, parameter in enumerate(spec.parameters):
        if why := kubenames.variable(parameter.name):
            problems.invalid(f"spec.parameters[{index}].name", parameter.name, why)
        elif parameter.name in names:
            problems.duplicate(f"spec.parameters[{index}].name", parameter.name)
        names.add(parameter.name)
    if spec.artifacts and not spec.artifacts.startswith("/"):
        problems.invalid("spec.artifacts", spec.artifacts, "must be an absolute path")
    if spec.schedule:
        schedule(spec.schedule, "spec.schedule", problems)
    if spec.time_zone and not is_zone(spec.time_zone):
        problems.invalid(
            "spec.timeZone", spec.time_zone, "unknown time zone: write Europe/Berlin or Etc/UTC, for instance"
        )
    at_least(problems, 0, {"spec.historyLimit": spec.history_limit})
    _steps(one, problems)


def check_run(one: PipelineRun, problems: Problems) -> None:
    if why := kubenames.label(one.spec.pipeline):
        problems.invalid("spec.pipeline", one.spec.pipeline, why)
    for field in ("steps", "artifacts"):
        if getattr(one.spec, field):
            problems.forbidden(f"spec.{field}", "is taken from the Pipeline when the run begins")
    seen: set[str] = set()
    for index, parameter in enumerate(one.spec.parameters):
        if parameter.name in seen:
            problems.duplicate(f"spec.parameters[{index}].name", parameter.name)
        seen.add(parameter.name)


def _job(given: dict[str, Any] | None, place: str, problems: Problems) -> None:
    """What `corral apply` has read: a JobSpec, as a submission has it, and variables."""
    if given is None:
        return
    for name in sorted(given.keys() - {"spec", "environment"}):
        problems.unknown(f"{place}.{name}")
    spec, environment = given.get("spec", {}), given.get("environment", {})
    if not isinstance(spec, dict):
        problems.type(f"{place}.spec", spec, "an object")
        return
    for name in sorted(spec.keys() - set(JobSpec.__struct_fields__)):
        problems.unknown(f"{place}.spec.{name}")
    try:
        msgspec.convert(spec, JobSpec)
        msgspec.convert(environment, dict[str, str])
    except msgspec.ValidationError as error:
        problems.invalid(place, "", str(error))


_WORD = re.compile(r"\$\((?:params\.([^)\s]*)|run\.([^)\s]*))\)")


def _words(step: PipelineStep, place: str, parameters: set[str], problems: Problems) -> None:
    """Only what there is can be put in the place of $(params.NAME); sbatch's options are read before a run begins."""
    for option in step.options:
        if _WORD.search(option):
            problems.invalid(f"{place}.options", option, "$(...) may only stand in `script` and `apply`")
    if step.options and step.job is None:
        problems.forbidden(
            f"{place}.options", "sbatch's options are read by `corral apply` and `corral create`: use these"
        )
    for text in (step.script, *_texts(step.apply)):
        for found in _WORD.finditer(text):
            name, of_run = found.groups()
            if name is not None and name not in parameters:
                problems.invalid(place, found.group(0), "there is no such parameter")
            elif of_run is not None and of_run not in ("name", "artifacts"):
                problems.invalid(place, found.group(0), "there are $(run.name) and $(run.artifacts)")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield str(name)
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _steps(one: Pipeline, problems: Problems) -> None:
    steps = one.spec.steps
    if not steps:
        problems.required("spec.steps")
    names = {step.name for step in steps}
    seen: set[str] = set()
    for index, step in enumerate(steps):
        place = f"spec.steps[{index}]"
        if why := kubenames.label(step.name):
            problems.invalid(f"{place}.name", step.name, why)
        elif step.name in seen:
            problems.duplicate(f"{place}.name", step.name)
        seen.add(step.name)
        if bool(step.script) == (step.apply is not None):
            problems.invalid(place, step.name, "must have exactly one of `script` and `apply`")
        if step.apply is not None and step.options:
            problems.forbidden(f"{place}.options", "may only be specified with `script`")
        for number, need in enumerate(step.needs):
            if need not in names:
                problems.missing(f"{place}.needs[{number}]", need)
        _job(step.job, f"{place}.job", problems)
        _words(step, f"{place}", {one.name for one in one.spec.parameters}, problems)
        at_least(problems, 0, {f"{place}.retries": step.retries})
        if step.timeout_seconds is not None:
            at_least(problems, 1, {f"{place}.timeoutSeconds": step.timeout_seconds})
    try:
        TopologicalSorter({step.name: step.needs for step in steps}).prepare()
    except CycleError as error:
        problems.invalid("spec.steps", " -> ".join(error.args[1]), "steps need one another in a circle")
