"""scontrol update StepId=: a step's time limit."""

from __future__ import annotations

import sys

from corral.cli.command import unreachable
from corral.cli.run import Exit
from corral.errors import InvalidDuration, InvalidJobId, Refused, Unreachable
from corral.syntax import duration, jobid

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from corral.client.connection import Connection


def update(connect: Callable[[], Connection], found: list[tuple[str, str, str]]) -> int:
    step, limit = "", ""
    for key, value, _ in found:
        if key.lower() in ("stepid", "step"):
            step = value
            if not value[:1].isdigit():
                raise Exit(1, f"Invalid StepID parameter: {key}={value}", "Request aborted")
        elif len(key) > 5 and "timelimit".startswith(key.lower()):
            limit = value
            _check(value)
        else:
            raise Exit(1, f"Update of this parameter is not supported: {key}={value}", "Request aborted")
    if not limit:
        sys.stderr.write("No changes specified\n")
        return 1
    try:
        jobid.parse(step)
    except InvalidJobId:
        raise Exit(1, f"Invalid StepID parameter: stepid={step}", "Request aborted") from None
    request = {"type": "UpdateStep", "id": step, "time_limit": limit}
    try:
        connect().request("POST", "/v1/requests", request)
    except Refused as error:
        raise Exit(1, f"slurm_update error: {error.error}") from None
    except Unreachable as error:
        raise unreachable("slurm_update error", error) from None
    return 0


def _check(text: str) -> None:
    try:
        duration.parse(text[1:] if text[:1] in ("+", "-") else text)
    except InvalidDuration:
        raise Exit(1, "scontrol: error: Invalid TimeLimit value") from None
