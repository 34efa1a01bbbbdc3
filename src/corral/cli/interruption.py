"""What does a signal do to an srun or salloc that is between asking for a job or step and running it?

It may come at any moment, and must leave nothing behind: where an answer is on its way the signal waits for it (what was asked for may be
there already, and nobody else would give it back), elsewhere it ends the waiting at once.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    import signal
    from types import TracebackType
    from typing import Any

    from corral.client.connection import Connection
else:
    import _signal as signal  # `signal` itself loads enum: 3 ms

CAUGHT = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
)  # fmt: skip


#: A signal that comes so long after the first is not kept waiting for an answer that does not come.
PATIENCE_SECONDS = 1.0


class Interrupted(Exception):
    """A signal, before there was anything that it could be sent on to."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruptible:
    """`with` it around asking and waiting."""

    def __init__(self) -> None:
        self._number, self._since = 0, 0.0
        self._before: dict[int, Any] = {}
        self._asking: Connection | None = None
        self._is_held = False

    def __enter__(self) -> Interruptible:
        self._before = {number: signal.signal(number, self._on_signal) for number in CAUGHT}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hold(self, asking: Connection) -> None:
        """What comes from when this has been sent waits for `release`; while there is no controller it does not."""
        self._is_held, self._asking = True, asking

    def release(self) -> None:
        """Raise what has come meanwhile."""
        self._is_held, self._asking = False, None
        if self._number:
            raise Interrupted(self._number)

    def _on_signal(self, number: int, frame: object) -> None:
        now = time.monotonic()
        self._number, first = number, self._number
        self._since = self._since or now
        is_answer_due = self._is_held and (self._asking is None or self._asking.may_be_heard)
        if not is_answer_due or (first and now - self._since > PATIENCE_SECONDS):
            raise Interrupted(number)
