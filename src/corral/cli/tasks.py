"""How do a step's tasks fare, and what does srun say of it?"""

from __future__ import annotations

from corral.cli import exitcode

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable


class TaskTable:
    """Which tasks run, which have ended and how; ends are gathered, so that equal ones of a node become one line."""

    def __init__(self, ntasks: int, first: int = 0) -> None:
        self.ntasks = ntasks
        self._first = first  #: of a part of a step: its ranks begin here, and are told from 0 on
        self.statuses: dict[int, int] = {}  #: rank -> wait(2) status
        self._unsaid: dict[tuple[str, int], list[int]] = {}

    def ended(self, rank: int, status: int, node: str) -> None:
        rank -= self._first
        if rank not in self.statuses:
            self.statuses[rank] = status
            self._unsaid.setdefault((node, status), []).append(rank)

    @property
    def has_unsaid(self) -> bool:
        return bool(self._unsaid)

    def take_unsaid(self, node: str | None = None) -> list[tuple[bool, str]]:
        """(is it an error, the line) for what has not been told yet, of one node or all."""
        lines = []
        for key in sorted(self._unsaid, key=lambda key: (key[0], min(self._unsaid[key]))):
            name, status = key
            if node is None or name == node:
                ranks = self._unsaid.pop(key)
                text = exitcode.describe(status) if status else "Completed"
                lines.append((bool(status), f"{name}: {words(ranks)}: {text}"))
        return lines

    def states(self) -> list[str]:
        """What Ctrl-C shows."""
        running = [rank for rank in range(self.ntasks) if rank not in self.statuses]
        failed = [rank for rank, status in self.statuses.items() if status]
        exited = [rank for rank, status in self.statuses.items() if not status]
        shown = ((running, "running"), (exited, "exited"), (failed, "exited abnormally"))
        return [f"{words(ranks)}: {state}" for ranks, state in shown if ranks]

    @property
    def all_ended(self) -> bool:
        return len(self.statuses) >= self.ntasks

    def exit_status(self) -> int:
        """The highest of all."""
        return max((exitcode.of_wait_status(status) for status in self.statuses.values()), default=0)

    def was_killed(self) -> bool:
        """SIGKILL or SIGTERM ended a task."""
        return any(status & 0x7F in (9, 15) for status in self.statuses.values())


def words(ranks: Iterable[int]) -> str:
    """task 0, tasks 0-1,3."""
    ordered = sorted(ranks)
    return f"task{'s' if len(ordered) > 1 else ''} {folded(ordered)}"


def folded(ordered: list[int]) -> str:
    """0-1,3."""
    parts = []
    start = 0
    for at in range(1, len(ordered) + 1):
        if at == len(ordered) or ordered[at] != ordered[at - 1] + 1:
            first, last = ordered[start], ordered[at - 1]
            parts.append(str(first) if first == last else f"{first}-{last}")
            start = at
    return ",".join(parts)
