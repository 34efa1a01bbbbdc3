"""Has this controller been away: stopped, asleep with its machine, or has the clock been set forward? Then it has heard nobody."""

from collections.abc import Callable

#: Less is a loaded machine.
NOTICED_SECONDS = 5.0


class Absence:
    """To be looked at again and again: what has passed beyond what was to pass was absence."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen = now()

    def look(self, expected: float = 0.0) -> float:
        """Seconds away since the last look, `expected` of which were slept on purpose; 0.0 = none worth a word."""
        before, self._seen = self._seen, self._now()
        lost = self._seen - before - expected
        return lost if lost > NOTICED_SECONDS else 0.0
