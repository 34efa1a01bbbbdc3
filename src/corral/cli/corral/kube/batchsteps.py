"""What do a Pipeline's steps ask for: sbatch's options and the #SBATCH lines of their scripts, read as sbatch does?"""

from __future__ import annotations

import os

from corral.cli import components, directives, jobspec
from corral.cli.given import Given
from corral.cli.run import Exit, Program

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

#: Of who applies it: so that its steps find the programs that this shell finds.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_ALL", "TZ")
#: Of one submission: not the Pipeline's.
_LEFT = ("submit_sid", "submit_line", "cron", "cron_lines")
_SCRIPTED = ("array", "dependency")


def with_jobs(place: str, document: Json) -> Json:
    """The Pipeline with what its scripts ask for beside them; any other manifest as it is."""
    spec = document.get("spec")
    steps = spec.get("steps") if isinstance(spec, dict) else None
    if document.get("kind") != "Pipeline" or not isinstance(steps, list):
        return document
    read = [_with_job(f"{place}: spec.steps[{index}]", step) for index, step in enumerate(steps)]
    return {**document, "spec": {**spec, "steps": read}}  # type: ignore[dict-item]


def _with_job(place: str, step: Any) -> Any:
    """Read anew each time: what stands in `job` may be of options that have been changed since."""
    script = step.get("script") if isinstance(step, dict) else None
    if not isinstance(script, str):
        return step
    words = step.get("options") or []
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        return step  # the cluster says what is wrong with it
    return {**step, "job": _job(place, script, words)}


def _job(place: str, script: str, words: list[str]) -> Json:
    program = Program("sbatch")
    given = Given(program)
    try:
        sections = components.sections(directives.words_of(script))
        if len(sections) > 1:
            raise Exit(1, "a step is one job: hetjob is not supported in a Pipeline")
        directed, left = given.split(sections[0] if sections else [])
        given.take([(name, value) for name, value in directed if name != "wrap"])
        named, rest = given.split(words)
        if left or rest:
            raise Exit(1, f"{(left or rest)[0]!r} is no option of sbatch")
        given.take(named)
        given.settle()
        job = jobspec.job_spec(given, "batch")
    except directives.BadDirective as error:
        raise Exit(1, f"error: {place}: {error}") from None
    except Exit as error:
        raise Exit(1, *(f"error: {place}: {line}" for line in error.lines)) from None
    for name in _SCRIPTED:
        if job.get(name):
            raise Exit(1, f"error: {place}: --{name} is not supported in a Pipeline: `needs` and more steps say it")
    job["name"] = given.get("job-name") or ""
    stdio = {
        "stdin": given.get("input", ""), "stdout": given.get("output", ""), "stderr": given.get("error", ""),
        "open_mode": given.get("open-mode", ""),
    }  # fmt: skip
    job["stdio"] = {stream: value for stream, value in stdio.items() if value}
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept["SLURM_SUBMIT_DIR"] = jobspec.current_directory()
    return {"spec": {name: value for name, value in job.items() if name not in _LEFT}, "environment": kept}
