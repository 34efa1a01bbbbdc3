"""How far is it? One line on a terminal, drawn anew now and then; nothing elsewhere."""

from typing import TextIO

WIDTH = 30
#: Parts of the whole between two looks.
STEPS = 200


class Bar:
    def __init__(self, out: TextIO, shown: bool) -> None:
        self.out, self.shown = out, shown
        self.last = ("", -1)

    def at(self, label: str, done: int, total: int) -> None:
        step = done * STEPS // max(1, total)
        if not self.shown or (label, step) == self.last:
            return
        self.last = (label, step)
        filled = min(WIDTH, done * WIDTH // max(1, total))
        bar = "#" * filled + "-" * (WIDTH - filled)
        self.out.write(f"\r\x1b[2K{label} [{bar}] {done:,} of {total:,} jobs")
        self.out.flush()

    def clear(self) -> None:
        if self.shown and self.last[0]:
            self.out.write("\r\x1b[2K")
            self.out.flush()
