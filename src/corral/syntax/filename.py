"""Which file is slurm-%j.out of this job, step and task?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

#: sbatch's defaults.
BATCH_OUTPUT = "slurm-%j.out"
ARRAY_OUTPUT = "slurm-%A_%a.out"

#: %a of a job that is no array element.
NO_TASK = 4294967294

_MAX_WIDTH = 10


def expand(pattern: str, values: Mapping[str, str | int]) -> str:
    """The path of this pattern. `values` has the letter of each mark: {"j": 42, "x": "train", ...}.

    A number between % and a letter pads numbers with zeros, and does nothing to words. A backslash anywhere switches all marks
    off and is taken away itself. A mark without a value stays as it is.
    """
    if "\\" in pattern:
        return _without_backslashes(pattern)
    path: list[str] = []
    at = 0
    while (mark := pattern.find("%", at)) >= 0:
        path.append(pattern[at:mark])
        end = mark + 1
        while end < len(pattern) and pattern[end] in "0123456789":
            end += 1
        letter, width = pattern[end : end + 1], pattern[mark + 1 : end]
        if letter == "%" and not width:
            path.append("%")
        elif letter in values:
            path.append(_padded(values[letter], min(int(width[-9:] or 0), _MAX_WIDTH)))
        else:
            path.append(pattern[mark : end + 1])
        at = end + 1
    path.append(pattern[at:])
    return "".join(path)


def letters(pattern: str) -> set[str]:
    """Which marks the pattern has: with t, s, n or N in it every task (or node) has a file of its own."""
    found: set[str] = set()
    _ = expand(pattern, _Noted(found))
    return found


class _Noted(dict[str, "str | int"]):
    """Has no value, and notes what was looked for."""

    def __init__(self, found: set[str]) -> None:
        super().__init__()
        self.found = found

    def __contains__(self, letter: object) -> bool:
        if isinstance(letter, str) and letter.isalpha():
            self.found.add(letter)
        return False


def _padded(value: str | int, width: int) -> str:
    text = str(value)
    number, dot, step = text.partition(".")  # %J is 42.0: the job is padded, the step is not
    return number.zfill(width) + dot + step if number.isdigit() else text


def _without_backslashes(pattern: str) -> str:
    kept: list[str] = []
    escaped = False
    for letter in pattern:
        if letter == "\\" and not escaped:
            escaped = True
            continue
        kept.append(letter)
        escaped = False
    return "".join(kept)
