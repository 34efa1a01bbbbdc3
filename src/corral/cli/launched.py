"""What does srun know of the step it has launched, and how does it join it?"""

from __future__ import annotations

import time

from corral.client.attach import Attachment, BusError, CredentialsRefused
from corral.client.connection import Connection
from corral.errors import CorralError

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

#: A message bus that does not answer is tried for so long.
BUS_SECONDS = 60.0


class Step:
    """What srun knows of the step it has started."""

    def __init__(
        self,
        job_id: int,
        step_id: int,
        nodes: list[str],
        ntasks: int,
        access: dict[str, Any],
        first_rank: int = 0,
        total: int = 0,
    ) -> None:
        self.job_id = job_id
        self.step_id = step_id
        self.nodes = nodes
        self.ntasks = ntasks
        self.access = access
        self.first_rank = first_rank  #: of a part of a step over several components
        self.total = total or ntasks  #: tasks of the whole

    @property
    def text(self) -> str:
        return f"StepId={self.job_id}.{self.step_id}"


class Wishes:
    """What srun's options say of the session."""

    def __init__(
        self, *, pty: bool = False, label: bool = False, unbuffered: bool = False, reads_stdin: bool = True,
        kill_on_bad_exit: bool = False, wait_seconds: int = 0, disable_status: bool = False, quit_on_interrupt: bool = False,
        has_limit: bool = False,
    ) -> None:  # fmt: skip
        self.pty = pty
        self.label = label
        self.unbuffered = unbuffered
        self.reads_stdin = reads_stdin
        self.kill_on_bad_exit = kill_on_bad_exit
        self.wait_seconds = wait_seconds
        self.disable_status = disable_status
        self.quit_on_interrupt = quit_on_interrupt
        self.has_limit = has_limit  #: the step has a time limit of its own


def attach(step: Step, window: tuple[int, int]) -> Attachment:
    """Connected; a message bus that is being restarted is waited for."""
    access = step.access
    tried_until = time.monotonic() + BUS_SECONDS
    while True:
        try:
            return Attachment(
                access["url"], access["token"], access["cluster"], access["key"], nodes=len(step.nodes), window=window,
                ca=access.get("ca", ""),
            )  # fmt: skip
        except CredentialsRefused:
            raise
        except BusError:
            if time.monotonic() >= tried_until:
                raise
        time.sleep(0.2)


def kill_wait() -> int:
    """The cluster's KillWait, for what is said."""
    try:
        with Connection(timeout=1.0) as connection:
            text = str(connection.request("GET", "/v1/config", retry_seconds=0.0).get("KillWait", ""))
    except (CorralError, AttributeError):
        text = ""
    digits = text.split(" ")[0]
    return int(digits) if digits.isdigit() else 30
