"""What the tests of the clients ask the cluster, and how they wait for it."""

import subprocess
import time
from collections.abc import Callable
from typing import Any


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What the condition gives when it is true at last."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come about in {seconds:g} s"
        time.sleep(0.05)
    return found
