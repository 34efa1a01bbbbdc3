"""Which jobs does a job wait for, and for what: afterok:42:43,singleton?"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidDependency, InvalidJobId
from corral.syntax import jobid

KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer", "singleton")


class Condition(namedtuple("Condition", ("kind", "job", "task", "delay"), defaults=(0, None, 0))):
    """One thing to wait for. Job 0 = none (singleton); task None = the whole job; delay in minutes after it."""

    __slots__ = ()
    kind: str
    job: int
    task: int | None
    delay: int

    def __str__(self) -> str:
        if self.kind == "singleton":
            return self.kind
        task = "" if self.task is None else f"_{self.task}"
        return f"{self.kind}:{self.job}{task}" + (f"+{self.delay}" if self.delay else "")


class Dependency(namedtuple("Dependency", ("conditions", "any_of"), defaults=((), False))):
    """All of the conditions must hold; or any one of them."""

    __slots__ = ()
    conditions: tuple[Condition, ...]
    any_of: bool

    def __str__(self) -> str:
        return format_dependency(self)


def parse(text: str) -> Dependency:
    """As --dependency: commas mean all, a question mark anywhere means any; a bare job id is afterany. Empty = none."""
    if not text.strip():
        return Dependency()
    any_of = "?" in text
    found: dict[Condition, None] = {}  # a condition named twice counts once
    for part in _parts(text):
        found.update(dict.fromkeys(_conditions(text, part.strip())))
    return Dependency(tuple(found), any_of)


def format_condition(condition: Condition, whole: bool) -> str:
    """As squeue shows it; of a `whole` array 42_*."""
    if not whole:
        return str(condition)
    return f"{condition.kind}:{condition.job}_*" + (f"+{condition.delay}" if condition.delay else "")


def format_dependency(dependency: Dependency) -> str:
    """Each condition by itself: afterok:42,afterok:43. squeue's %E adds (unfulfilled) to each."""
    return ("?" if dependency.any_of else ",").join(str(condition) for condition in dependency.conditions)


def _parts(text: str) -> list[str]:
    """Between commas and question marks, but not within brackets."""
    parts: list[str] = []
    start = depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter in ",?" and depth <= 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _conditions(text: str, part: str) -> list[Condition]:
    kind, *jobs = part.split(":")
    kind = kind.lower()
    if kind == "singleton" and not jobs:
        return [Condition("singleton")]
    if not jobs and kind[:1].isdigit():
        kind, jobs = "afterany", [kind]
    if kind not in KINDS or kind == "singleton" or not jobs:
        raise InvalidDependency(text=text, part=part)
    conditions: list[Condition] = []
    delay = 0
    for job in jobs:
        name, plus, minutes = job.strip().partition("+")
        if plus:
            if not (minutes.isascii() and minutes.isdigit() and len(minutes) <= 9 and int(minutes)):
                raise InvalidDependency(text=text, part=part)
            delay = int(minutes)  # and for the ids that follow, as Slurm has it
        try:
            ref = jobid.parse(name)
        except InvalidJobId as error:
            raise InvalidDependency(text=text, part=part) from error
        if ref.job == 0 or ref.step or ref.het is not None:
            raise InvalidDependency(text=text, part=part)
        conditions += [Condition(kind, ref.job, task, delay) for task in ref.tasks or (None,)]
    return conditions
