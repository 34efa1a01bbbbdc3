"""Which of the kernel's rules of translation has which agent of this machine made, and how are they taken away?

Each names its agent's mark. In /run/corral-services stands to which directory a mark belongs, so that rules can be taken away whose agent
was killed: by the next agent of the machine, when the directory is gone, or by `corral down`.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

PREFIX = "CORRAL-SVC-"
OWNERS = "/run/corral-services"
_MARKED = re.compile(rf"\b{PREFIX}([0-9a-f]+)\b")


def removal(saved: Iterable[str], marks: set[str]) -> str:
    """What takes away all that these agents have made; "" = there is nothing. `saved`: what iptables-save has said."""
    saved = list(saved)
    chains = [own for line in saved if line.startswith(":") for own in _MARKED.findall(line) if own in marks]
    old = hooks(saved, marks)
    found: list[str] = []
    for table in ("*nat", "*filter"):
        emptied = (
            [word for own in chains for word in (f"-F {PREFIX}{own}", f"-X {PREFIX}{own}")] if table == "*nat" else []
        )
        if lines := [*old.get(table, ()), *emptied]:
            found += [table, *lines, "COMMIT"]
    return "".join(f"{line}\n" for line in found)


def hooks(saved: Iterable[str], marks: set[str]) -> dict[str, list[str]]:
    """By table: what takes away the rules of the kernel's own chains that are these agents'."""
    found: dict[str, list[str]] = {}
    table = ""
    for line in saved:
        if line.startswith("*"):
            table = line
            continue
        own = _MARKED.search(line) if line.startswith("-A") else None
        if own is not None and own[1] in marks and not line.startswith(f"-A {own[0]} "):
            found.setdefault(table, []).append("-D" + line.removeprefix("-A"))
    return found


def marks_in(saved: Iterable[str]) -> set[str]:
    """Whose rules there are."""
    return {found[1] for line in saved if (found := _MARKED.search(line)) is not None}


def remove_below(directory: Path) -> bool:
    """Of the agents with directories there, which are no more; was there something? Nothing is done where it cannot be."""
    found = {mark for mark, path in owners().items() if Path(path).is_relative_to(directory.absolute())}
    if not found or os.geteuid() != 0 or shutil.which("iptables-save") is None:
        return False
    saved = subprocess.run(["iptables-save"], capture_output=True, check=False, text=True).stdout.splitlines()
    text = removal(saved, found)
    if text:
        subprocess.run(["iptables-restore", "-w", "--noflush"], input=text, capture_output=True, check=False, text=True)
    for mark in found:
        Path(OWNERS, mark).unlink(missing_ok=True)
    return bool(text)


def owners() -> dict[str, str]:
    """Marks, and the directories of their agents."""
    try:
        return {name: Path(OWNERS, name).read_text(encoding="utf-8") for name in os.listdir(OWNERS)}
    except OSError:
        return {}
