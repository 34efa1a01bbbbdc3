"""scontrol errnumstr: what do Slurm's error numbers mean?

Corral's own answers are words; programs and people still meet Slurm's numbers in old logs. texts/errors.txt lists them.
"""

from __future__ import annotations

import os
import re
import sys

from corral.cli.run import Exit

_UNSPECIFIED = -1


def text_of(number: int) -> str:
    """Slurm's own from 1000 on, the system's below. A number is kept in 32 bits, with a sign."""
    number = (number + (1 << 31)) % (1 << 32) - (1 << 31)
    if number < 0:
        return "Unspecified error" if number == _UNSPECIFIED else "Unknown negative error number"
    if number == 0:
        return "No error"
    path = os.path.join(os.path.dirname(__file__), "texts", "errors.txt")
    with open(path, encoding="utf-8") as file:
        known = dict(line.rstrip("\n").split("\t", 1) for line in file)
    return known.get(str(number)) or os.strerror(number)


def say(words: list[str]) -> int:
    if len(words) != 1:
        raise Exit(1, "one arguments required for keyword:errnumstr")
    if not re.fullmatch(r"\s*\+?[0-9]*", words[0], re.ASCII):
        raise Exit(1, "numeric arguments required for keyword:errnumstr")
    digits = words[0].strip().lstrip("+") or "0"
    sys.stdout.write(text_of(int(digits[-40:])) + "\n")
    return 0
