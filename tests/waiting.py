"""How do tests wait? For what must come about, as long as a slow and busy machine may need; and never for time to pass."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: A bound, not a measure: what is there at once is seen at once.
PATIENCE = 60.0
_SHORTEST, _LONGEST = 0.005, 0.1


def wait_until(condition: Callable[[], T], seconds: float = PATIENCE, what: str | Callable[[], Any] = "") -> T:
    """What the condition gives when it is true at last. `what` may be a function: it then says how things stand in the end.

    A condition that costs something, as a command does, is asked less often: it takes time from what it waits for.
    """
    deadline = time.monotonic() + seconds
    pause = _SHORTEST
    while True:
        asked = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        if now > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"it did not come about in {seconds:g} s: {said or condition.__doc__ or condition}")
        pause = min(pause * 1.2, _LONGEST)
        time.sleep(max(pause, min(now - asked, _LONGEST)))
