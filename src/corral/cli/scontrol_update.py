"""scontrol update: what may be said of jobs, nodes and partitions, and what becomes of it."""

from __future__ import annotations

from corral.cli import scontrol_update_job
from corral.cli.run import Exit
from corral.cli.scontrol_ask import asked
from corral.cli.scontrol_update_job import ALONE

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from corral.client.connection import Connection

    Changes = dict[str, str]

NO_ENTITY = (
    "No valid entity in update command\n"
    'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"'
)

NODE_STATES = ("down", "drain", "fail", "idle", "resume", "undrain")
_OTHER_NODE_STATES = ("noresp", "future", "power", "powerdown", "power_down", "powerup", "power_up", "maint", "reboot")


def pairs(words: list[str]) -> list[tuple[str, str, str]]:
    """key, value and the text itself; `job 42` is taken as `job=42`."""
    found = []
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals and key.lower() in ("job", "jobid", "node", "nodename", "partition", "partitionname"):
            value = next(rest, "")
            word = f"{key}={value}"
        elif not equals and key.lower() not in ALONE:
            raise Exit(1, NO_ENTITY)
        found.append((key, value, word))
    return found


def update(connect: Callable[[], Connection], words: list[str]) -> int:
    if words[0].partition("=")[0].lower() in ("reservation", "reservationname", "res"):
        from corral.cli import scontrol_reservation

        if "=" not in words[0]:
            raise Exit(1, "scontrol: error: Reservation must be given.  No reservation update.")
        return scontrol_reservation.update(connect, words)
    first = words[0].partition("=")[0].lower()
    if len(first) > 2 and "partitionname".startswith(first):
        from corral.cli import scontrol_partition

        return scontrol_partition.update(connect, words)
    found = pairs(words)
    keys = {key.lower() for key, _, _ in found}
    if keys & {"stepid", "step"}:
        from corral.cli import scontrol_update_step

        return scontrol_update_step.update(connect, found)
    if keys & {"jobid", "job"} or (keys & {"jobname", "name"} and not keys & {"nodename", "node"}):
        return scontrol_update_job.update(connect, found)
    if keys & {"nodename", "node"}:
        return _nodes(connect, found)
    if keys & {"partitionname", "partition"}:
        from corral.cli import scontrol_partition

        return scontrol_partition.update(connect, words)
    if keys & {"reservationname", "reservation", "res"}:
        from corral.cli import scontrol_reservation

        return scontrol_reservation.update(connect, words)
    if keys & {"slurmctlddebug", "frontendname"}:
        raise Exit(1, f"scontrol: error: Update of {found[0][0]} is not supported.")
    raise Exit(1, NO_ENTITY)


# -- nodes


def _nodes(connect: Callable[[], Connection], found: list[tuple[str, str, str]]) -> int:
    request: dict[str, object] = {}
    for key, value, word in found:
        low = key.lower()
        if low in ("nodename", "node"):
            request["nodes"] = value
        elif "state".startswith(low):
            request["state"] = _node_state(value, word)
        elif "reason".startswith(low) and len(low) > 1:
            request["reason"] = value.strip("\"'")
        elif low in ("features", "feature", "availablefeatures", "activefeatures"):
            request["features"] = value
        elif "comment".startswith(low):
            request["comment"] = value
        elif low == "weight":
            if not value.isdigit():
                raise Exit(1, f"scontrol: error: Weight value ({value}) is not a valid number\nNo changes specified")
            request["weight"] = int(value)
        elif low in ("gres", "nodeaddr", "nodehostname", "cpubind", "extra", "resumeafter"):
            raise Exit(1, f"scontrol: error: Update of {key} is not supported by Corral.")
        else:
            raise Exit(1, f"Update of this parameter is not supported: {word}\nRequest aborted")
    if len(request) < 2:
        raise Exit(1, "No changes specified")
    if request.get("state") in ("drain", "fail", "down") and not request.get("reason"):
        raise Exit(1, "You must specify a reason when DOWNING or DRAINING a node. Request denied")
    return asked(connect, {"type": "UpdateNodes", **request})


def _node_state(value: str, word: str) -> str:
    low = value.lower()
    for name in NODE_STATES:
        if len(low) >= 3 and name.startswith(low):
            return name
    if low in _OTHER_NODE_STATES:
        raise Exit(1, f"scontrol: error: State {value.upper()} is not supported by Corral.")
    raise Exit(
        1, f"Invalid input: {word}", "Request aborted",
        "Valid states are: NoResp DRAIN FAIL FUTURE RESUME POWER_DOWN POWER_UP UNDRAIN",
        "Not all states are valid given a node's prior state",
    )  # fmt: skip
