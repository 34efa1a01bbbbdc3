"""Can the steps of a Pipeline be done one after the other?"""

from graphlib import CycleError, TopologicalSorter

from corral.model.kube.pipeline import Pipeline
from corral.services.manifests.checks.workload import at_least, schedule
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
    at_least(problems, 0, {"spec.historyLimit": spec.history_limit})
    _steps(one, problems)


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
        at_least(problems, 0, {f"{place}.retries": step.retries})
        if step.timeout_seconds is not None:
            at_least(problems, 1, {f"{place}.timeoutSeconds": step.timeout_seconds})
    try:
        TopologicalSorter({step.name: step.needs for step in steps}).prepare()
    except CycleError as error:
        problems.invalid("spec.steps", " -> ".join(error.args[1]), "steps need one another in a circle")
