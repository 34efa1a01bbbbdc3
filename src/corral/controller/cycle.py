"""When does the scheduler run? Soon after something has changed, never when nothing has, and never all the time."""


class CycleTimer:
    """Times are seconds of the monotonic clock."""

    def __init__(self, interval: float, share: float = 0.5) -> None:
        self._interval = interval
        self._share = share  #: of the time, that cycles may take when there is always something to do
        self._earliest = 0.0
        self.runs = 0
        self.seconds = 0.0
        self.longest = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until a cycle may begin."""
        return max(0.0, self._earliest - now)

    def has_run(self, began: float, ended: float) -> None:
        took = ended - began
        self._earliest = max(began + self._interval, ended + took * (1.0 / self._share - 1.0))
        self.runs += 1
        self.seconds += took
        self.longest = max(self.longest, took)

    def postpone(self, until: float) -> None:
        """No cycle before then."""
        self._earliest = max(self._earliest, until)
