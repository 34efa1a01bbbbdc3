"""How does srun join a step until it ends?"""

from __future__ import annotations

from corral.cli.launched import Step, Wishes
from corral.cli.session import Session

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.given import Given
    from corral.cli.run import Program


def attached(program: Program, made: Step, given: Given, streams: dict[str, Any]) -> int:
    """Join the step until it ends."""
    wishes = Wishes(
        pty=bool(given.get("pty")),
        label="label" in given,
        unbuffered="unbuffered" in given,
        reads_stdin=streams.get("stdin", "") in ("", "all") or streams.get("stdin", "").isdigit(),
        kill_on_bad_exit=bool(given.get("kill-on-bad-exit")),
        wait_seconds=given.get("wait", 0),
        disable_status="disable-status" in given,
        quit_on_interrupt="quit-on-interrupt" in given,
        has_limit="time" in given and given.get("jobid") is not None,
    )
    if not wishes.pty:
        return Session(program, made, wishes).run()
    from corral.cli.terminal import RawTerminal

    program.line_end = "\r\n"
    try:
        with RawTerminal(0):
            return Session(program, made, wishes).run()
    finally:
        program.line_end = "\n"
