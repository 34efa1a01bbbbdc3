"""What was a cluster doing when its test failed? What its daemons said last, and what is left in its queue."""

import os
import socket
import subprocess
import sys
from pathlib import Path

_LOGS, _LINES, _WIDTH, _JOBS, _DETAIL = 8, 8, 240, 3, 800
_asked: dict[Path, str] = {}


def may_be_asked(directory: Path, endpoint: str = "") -> None:
    """There is something in this directory that has logs; a cluster has an endpoint, too."""
    _asked[directory] = endpoint


def forget_the_gone() -> None:
    """Those whose daemons have been stopped are of no later test."""
    for directory, endpoint in list(_asked.items()):
        if not _answers(endpoint):
            del _asked[directory]


def told() -> list[tuple[str, str]]:
    """Of each (heading, text)."""
    return [
        (f"left in {directory}", "\n".join([*_queue(endpoint), *_last_words(directory)]))
        for directory, endpoint in _asked.items()
    ]


def _answers(endpoint: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(endpoint.removeprefix("unix://"))
    except OSError:
        return False
    return True


def _queue(endpoint: str) -> list[str]:
    if not _answers(endpoint):
        return []
    lines = _run(endpoint, "squeue", "-a", "-t", "all", "-h", "-o", "%i %j %T %r %N %M").splitlines()
    live = [line.split()[0] for line in lines if line.split()[2:3] not in (["COMPLETED"], ["FAILED"], ["CANCELLED"])]
    details = [_run(endpoint, "scontrol", "show", "job", "-o", job)[:_DETAIL] for job in live[:_JOBS]]
    nodes = _run(endpoint, "sinfo", "-h", "-N", "-o", "%N %T %E").splitlines()
    return [
        "-- squeue",
        *lines[-20:],
        "-- sinfo",
        *[line for line in nodes if not line.endswith(" idle none")][:10],
        *details,
    ]


def _run(endpoint: str, *command: str) -> str:
    environment = {**os.environ, "CORRAL_ENDPOINT": endpoint}
    try:
        done = subprocess.run(
            [Path(sys.executable).parent / command[0], *command[1:]],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return (done.stdout + done.stderr).strip()


def _last_words(directory: Path) -> list[str]:
    """Of the logs that were written last."""
    found = [path for kind in ("*.log", "*.err", "*words") for path in directory.parent.rglob(kind) if path.is_file()]
    found = [path for path in found if path.stat().st_size]
    said = []
    for path in sorted(found, key=lambda path: path.stat().st_mtime)[-_LOGS:]:
        said.append(f"-- {path.relative_to(directory.parent)}")
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
        said += [line[:_WIDTH] for line in lines[-_LINES:]]
    return said
