"""Which job, array element or step do 42, 42_7, 42_[1-3], 42+1 and 42_7.batch name?"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidArraySpec, InvalidJobId
from corral.syntax import arrayspec

_NAMED_STEPS = ("batch", "extern", "interactive")
_LARGEST = 0xFFFFFFFF
_ALL = 1_000_001  # an array larger than any: who names more elements only keeps the controller from its work


class JobRef(namedtuple("JobRef", ("job", "tasks", "het", "step"), defaults=((), None, ""))):
    """A job id as the user writes it. No tasks = the whole job; step "" = no step, else a number or batch, extern, interactive."""

    __slots__ = ()
    job: int
    tasks: tuple[int, ...]
    het: int | None
    step: str

    @property
    def task(self) -> int | None:
        """The array element, where exactly one is named."""
        return self.tasks[0] if len(self.tasks) == 1 else None

    def __str__(self) -> str:
        return format_ref(self)


def parse(text: str) -> JobRef:
    """42, 42_7, 42_[1-3,7], 42+1, each with .0, .batch, .extern or .interactive behind it; 42_* is the whole array."""
    body, dot, step = text.strip().partition(".")
    if dot and step not in _NAMED_STEPS:
        step = str(_number(text, step))
    body, plus, offset = body.partition("+")
    job, underscore, elements = body.partition("_")
    tasks: tuple[int, ...] = ()
    if underscore and elements != "*":
        if elements.isdigit():
            tasks = (_number(text, elements),)
        elif elements.startswith("[") and elements.endswith("]") and "%" not in elements:
            try:
                tasks = arrayspec.parse(elements, max_size=_ALL).indices
            except InvalidArraySpec as error:
                raise InvalidJobId(text=text) from error
        else:
            raise InvalidJobId(text=text)
    if plus and underscore:
        raise InvalidJobId(text=text)
    return JobRef(_number(text, job), tasks, _number(text, offset) if plus else None, step)


def parse_list(text: str) -> list[JobRef]:
    """As scancel and squeue -j take several: commas separate, but not within brackets."""
    refs: list[JobRef] = []
    start = depth = 0
    for at, letter in enumerate(text + ","):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            if text[start:at].strip():
                refs.append(parse(text[start:at]))
            start = at + 1
    if text[start:].strip():
        raise InvalidJobId(text=text[start:])
    return refs


def format_ref(ref: JobRef) -> str:
    """The text of this id."""
    text = str(ref.job)
    if len(ref.tasks) == 1:
        text += f"_{ref.tasks[0]}"
    elif ref.tasks:
        text += f"_[{arrayspec.fold(ref.tasks)}]"
    if ref.het is not None:
        text += f"+{ref.het}"
    return f"{text}.{ref.step}" if ref.step else text


def _number(text: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) <= _LARGEST):
        raise InvalidJobId(text=text)
    return int(digits)
