"""scontrol reboot and cancel_reboot: what may be said, in which order, and what is said when it is wrong?"""

from __future__ import annotations

from corral.cli.run import Exit
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from corral.client.connection import Connection

_NO_PROGRAM = "RebootProgram isn't defined"


def reboot(connect: Callable[[], Connection], keyword: str, words: list[str]) -> int:
    """[ASAP] [nextstate=RESUME|DOWN] [reason=WORDS] <ALL|NODES>: the nodes come last."""
    request: dict[str, object] = {"type": "RebootNodes"}
    left = list(words)
    while left and (pair := _pair(left[0])) is not None:
        name, value = pair
        request[name] = value
        left.pop(0)
    if not left:
        raise Exit(1, "Missing node list. Specify ALL|<NodeList>")
    if len(left) > 1:
        raise Exit(1, f"too many arguments for keyword:{keyword}")
    request["nodes"] = left[0]
    try:
        connect().request("POST", "/v1/requests", request)
    except Refused as error:
        if str(error) == _NO_PROGRAM:
            raise Exit(
                1, f"scontrol: error: {_NO_PROGRAM}", "scontrol_reboot_nodes error: Unspecified error",
                "[programs] reboot in corral.toml says which one",
            ) from None  # fmt: skip
        raise Exit(1, f"scontrol_reboot_nodes error: {error}") from None
    except Unreachable as error:
        from corral.cli.command import unreachable

        raise unreachable("scontrol_reboot_nodes error", error) from None
    return 0


def _pair(word: str) -> tuple[str, object] | None:
    if word.lower() == "asap":
        return "asap", True
    name, equals, value = word.partition("=")
    if not equals or name.lower() not in ("nextstate", "reason"):
        return None
    if name.lower() == "reason":
        if not value:
            raise Exit(1, "missing reason")
        return "reason", value
    if not value:
        raise Exit(1, "missing state")
    if value.lower() not in ("resume", "down"):
        raise Exit(1, f"Invalid state: {value}", "Valid states: DOWN, RESUME")
    return "next_state", value.lower()


def cancel(connect: Callable[[], Connection], keyword: str, words: list[str]) -> int:
    if not words:
        raise Exit(1, f"missing argument for keyword:{keyword}")
    if len(words) > 1:
        raise Exit(1, f"too many arguments for keyword:{keyword}")
    from corral.cli.scontrol_ask import asked

    return asked(connect, {"type": "UpdateNodes", "nodes": words[0], "state": "cancel_reboot"})
