"""How does scontrol hand in a change of nodes or partitions, and what does it say when the controller refuses?"""

from __future__ import annotations

import sys

from corral.cli.run import Exit
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from corral.client.connection import Connection

#: What the controller says, and what Slurm would.
_SLURMS = {
    "Access/permission denied": "Invalid user id",
    "Job/step already completing or completed": "Job has already finished",
}  # fmt: skip


def slurms(text: str) -> str:
    return _SLURMS.get(text, text)


def asked(connect: Callable[[], Connection], request: dict[str, object]) -> int:
    from corral.cli.command import unreachable
    from corral.errors import Unreachable

    try:
        reply = connect().request("POST", "/v1/requests", request)
    except Refused as error:
        raise Exit(1, f"slurm_update error: {slurms(str(error))}") from None
    except Unreachable as error:
        raise unreachable("slurm_update error", error) from None
    for line in reply.get("messages", ()):
        sys.stdout.write(line + "\n")
    return 0
