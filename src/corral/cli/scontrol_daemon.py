"""scontrol setdebug, setdebugflags, schedloglevel and token: how much is logged, and who may come from elsewhere?"""

from __future__ import annotations

import sys

from corral.cli.command import unreachable
from corral.cli.run import Exit
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from corral.client.connection import Connection

    Connect = Callable[[], Connection]

#: Slurm's levels, as it numbers them, and what they come to here.
_LEVELS = {
    "quiet": "error", "fatal": "error", "error": "error", "info": "info", "verbose": "info",
    **dict.fromkeys(("debug", "debug2", "debug3", "debug4", "debug5"), "debug"),
}  # fmt: skip
#: Seconds that a token is good where nothing else is said.
_LIFESPAN = 1800


def setdebug(connect: Connect, keyword: str, words: list[str]) -> int:
    """Of the controller, until it is started again."""
    _one(keyword, words)
    names, text = list(_LEVELS), words[0].lower()
    number = int(text) if text.lstrip("-").isdigit() else -2
    level = names[max(number, 0)] if -1 <= number < len(names) else text
    if level not in _LEVELS:
        raise Exit(1, f"invalid debug level: {words[0]}")
    try:
        connect().request("PUT", "/v1/log", {"level": _LEVELS[level]})
    except Refused as error:
        raise Exit(1, f"slurm_set_debug_level error: {error}") from None
    except Unreachable as error:
        raise unreachable("slurm_set_debug_level error", error) from None
    return 0


def setdebugflags(connect: Connect, keyword: str, words: list[str]) -> int:
    _one(keyword, words)
    if words[0][:1] not in ("+", "-"):
        raise Exit(1, f"invalid debug flag: {words[0]}", "Usage: setdebugflags [+|-]NAME")
    raise Exit(
        1,
        "scontrol: error: setdebugflags is not supported: `scontrol setdebug debug` has the controller say all that it can.",
    )


def schedloglevel(connect: Connect, keyword: str, words: list[str]) -> int:
    """As the real one without a SlurmSchedLogFile: there is no log of the scheduler's own."""
    _one(keyword, words)
    if words[0].lower() not in ("0", "1", "disable", "enable"):
        raise Exit(1, f"invalid schedlog level: {words[0]}")
    raise Exit(1, "slurm_set_schedlog_level error: Requested operation is presently disabled")


def _one(keyword: str, words: list[str]) -> None:
    if len(words) > 1:
        raise Exit(1, f"too many arguments for keyword:{keyword}")


def token(connect: Connect, keyword: str, words: list[str]) -> int:
    """[lifespan=SECONDS] [username=NAME], as SLURM_JWT=...: what `export $(scontrol token)` is for."""
    request: dict[str, object] = {"kind": "user", "lifetime": _LIFESPAN}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name.lower() not in ("lifespan", "username"):
            raise Exit(1, f"Invalid option: `{word}`")
        if name.lower() == "username":
            request["name"] = value
        elif value.isascii() and value.isdigit() and int(value):
            request["lifetime"] = int(value)
        else:
            raise Exit(1, "Error fetching token", f"scontrol: error: {word}: so many seconds, at least one")
    try:
        answer = connect().request("POST", "/v1/tokens", request)
    except Refused as error:
        raise Exit(1, "Error fetching token", f"scontrol: error: {error}") from None
    except Unreachable as error:
        raise unreachable("Error fetching token", error) from None
    sys.stdout.write(f"SLURM_JWT={answer['token']}\n")
    return 0


ACTIONS: dict[str, Callable[[Connect, str, list[str]], int]] = {
    "setdebug": setdebug, "setdebugflags": setdebugflags, "schedloglevel": schedloglevel, "token": token,
}  # fmt: skip
