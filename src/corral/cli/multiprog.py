"""Which program does each task run, as a srun --multi-prog file says?

Lines are `ranks program arguments`: ranks are 0, 1-3, 0,4-5 or * for all that no line before names. A # begins a comment, a
backslash at the end joins lines. Within single quotes blanks belong to the word and %t and %o stay as they are; a backslash
takes the next letter as it is; double quotes mean nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.run import Program


def read(program: Program, path: str, ntasks: int, arguments: list[str]) -> list[list[Any]]:
    """[["0,2-3", ["program", "argument"]], ...], checked for this number of tasks."""
    try:
        with open(path, errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        raise program.failed(f"Could not open multi_prog config file {path}") from None
    found: list[list[Any]] = []
    named: set[int] = set()
    number = 0
    lines = iter(text.split("\n"))
    for line in lines:
        number += 1
        first = number
        while line.endswith("\\"):
            line = line[:-1] + next(lines, "")
            number += 1
        words = split(line.partition("#")[0])
        if not words:
            continue
        problem = _problem(words, ntasks, named)
        if problem is not None:
            if problem:
                program.error(problem)
            raise program.failed(f"Line {first} of configuration file {path} invalid")
        found.append([words[0], words[1:] + arguments])
    for rank in range(ntasks):
        if rank not in named:
            raise program.failed(f"Configuration file {path} invalid, no record for task id {rank}")
    return found


def split(line: str) -> list[str]:
    """The words; a % that is not to be replaced is doubled, for the agent to halve."""
    words: list[str] = []
    word, begun, quoted = "", False, False
    letters = iter(line)
    for letter in letters:
        if letter == "'":
            quoted, begun = not quoted, True
        elif quoted:
            word += "%%" if letter == "%" else letter
        elif letter.isspace():
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word += next(letters, "") if letter == "\\" else letter
            begun = True
    return [*words, word] if begun else words


def _problem(words: list[str], ntasks: int, named: set[int]) -> str | None:
    """What is wrong with this line; None = nothing."""
    if len(words) < 2:
        return ""
    if words[0] == "*":
        named.update(range(ntasks))
        return None
    for part in words[0].split(","):
        low, dash, high = part.partition("-")
        if not (low.isascii() and low.isdigit()) or (dash and not (high.isascii() and high.isdigit())):
            return f"Invalid task range specification ({words[0]})"
        last = int(high or low)
        if last >= ntasks:
            return f"Invalid task id, {last} >= ntasks"
        named.update(range(int(low), last + 1))
    return None
