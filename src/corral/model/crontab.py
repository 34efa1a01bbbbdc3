"""What is a user's crontab: its text, and the jobs that its lines have become?"""

import msgspec

from corral.model.job import JobId


class CronEntry(msgspec.Struct, frozen=True, array_like=True):
    """One line with a command, and the #SCRON lines before it."""

    job: JobId
    first_line: int  #: counted from 0
    last_line: int


class Crontab(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one user. A job that is named here goes back to the queue whenever it has run."""

    uid: int
    user: str
    text: str
    entries: tuple[CronEntry, ...] = ()
    disabled: tuple[tuple[int, int], ...] = ()  #: lines whose job was cancelled

    def entry_of(self, job: JobId) -> CronEntry | None:
        return next((entry for entry in self.entries if entry.job == job), None)

    def shown(self) -> str:
        """The text; lines whose job was cancelled are comments."""
        lines = self.text.split("\n")
        for first, last in self.disabled:
            for number in range(first, last + 1):
                if number < len(lines) and lines[number]:
                    lines[number] = f"#DISABLED: {lines[number]}"
        return "\n".join(lines)
