"""scontrol update: what may be said of jobs, nodes and partitions, and what becomes of it."""

from __future__ import annotations

import sys

from corral.cli import query
from corral.cli.run import Exit, say
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from corral.client.connection import Connection

    Changes = dict[str, str]

NO_ENTITY = (
    "No valid entity in update command\n"
    'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"'
)

#: Keys of a job: as Slurm writes them, and what the controller calls them where it has another word for it.
JOB_KEYS = {
    "Account": "", "AdminComment": "", "ArrayTaskThrottle": "", "Comment": "", "CPUsPerTask": "cpuspertask", "Deadline": "",
    "Dependency": "", "EligibleTime": "starttime", "ExcNodeList": "", "Features": "", "Gres": "", "JobName": "", "MailUser": "",
    "Licenses": "", "MinMemoryCPU": "", "MinMemoryNode": "", "Name": "jobname", "Nice": "", "NodeList": "reqnodelist", "NumCPUs": "",
    "NumNodes": "", "NumTasks": "", "Partition": "", "Priority": "", "QOS": "", "ReservationName": "", "ReqNodeList": "", "Requeue": "",
    "StartTime": "", "TimeLimit": "", "TresPerNode": "gres", "WorkDir": "",
}  # fmt: skip

#: Known to Slurm and not to be changed here.
JOB_REFUSED = (
    "BurstBuffer", "Clusters", "ClusterFeatures", "Contiguous", "CoreSpec", "DelayBoot", "EndTime",
    "MailType", "MinCPUsNode", "MinTmpDiskNode", "OverSubscribe", "Power", "Prefer", "Reboot", "ReqCores", "ReqNodes",
    "ReqSockets", "ReqThreads", "ResetAccrueTime", "Shared", "SiteFactor", "StdErr", "StdIn", "StdOut",
    "Switches", "SystemComment", "ThreadSpec", "TimeMin", "UserID", "Wait-for-switch", "WCKey", "CpusPerTres",
    "TresPerJob", "TresPerTask", "TresPerSocket",
)  # fmt: skip

PARTITION_KEYS = (
    "AllowAccounts", "AllowGroups", "AllowQos", "Default", "DefaultTime", "DefMemPerCPU", "DefMemPerNode", "DenyAccounts",
    "ExclusiveUser", "GraceTime", "Hidden", "LLN", "MaxCPUsPerNode", "MaxMemPerNode", "MaxNodes", "MaxTime", "MinNodes",
    "Nodes", "OverSubscribe", "PriorityJobFactor", "PriorityTier", "RootOnly", "State",
)  # fmt: skip

PARTITION_REFUSED = (
    "AllocNodes", "Alternate", "CpuBind", "DenyQos", "DisableRootJobs", "MaxMemPerCPU", "OverTimeLimit",
    "PowerDownOnIdle", "PreemptMode", "Priority", "QoS", "ReqResv", "ResumeTimeout", "SuspendTime", "Shared",
    "TRESBillingWeights", "JobDefaults",
)  # fmt: skip

NODE_STATES = ("down", "drain", "fail", "idle", "resume", "undrain")
_OTHER_NODE_STATES = ("noresp", "future", "power", "powerdown", "power_down", "powerup", "power_up", "maint", "reboot")

#: What the controller says, and what Slurm would.
_SLURMS = {
    "Access/permission denied": "Invalid user id",
    "Job/step already completing or completed": "Job has already finished",
}  # fmt: skip

#: Changes of a job that its owner may not make either: refused with other words than another's job.
_PRIVILEGED = {"nice", "priority", "timelimit", "admincomment"}


def pairs(words: list[str]) -> list[tuple[str, str, str]]:
    """key, value and the text itself; `job 42` is taken as `job=42`."""
    found = []
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals and key.lower() in ("job", "jobid", "node", "nodename", "partition", "partitionname"):
            value = next(rest, "")
            word = f"{key}={value}"
        elif not equals:
            raise Exit(1, NO_ENTITY)
        found.append((key, value, word))
    return found


def update(connect: Callable[[], Connection], words: list[str]) -> int:
    if words[0].partition("=")[0].lower() in ("reservation", "reservationname", "res"):
        from corral.cli import scontrol_reservation

        if "=" not in words[0]:
            raise Exit(1, "scontrol: error: Reservation must be given.  No reservation update.")
        return scontrol_reservation.update(connect, words)
    found = pairs(words)
    keys = {key.lower() for key, _, _ in found}
    if keys & {"jobid", "job"} or (keys & {"jobname", "name"} and not keys & {"nodename", "node"}):
        return _job(connect, found)
    if keys & {"nodename", "node"}:
        return _nodes(connect, found)
    if keys & {"partitionname", "partition"}:
        return _partition(connect, found)
    if keys & {"reservationname", "reservation", "res"}:
        from corral.cli import scontrol_reservation

        return scontrol_reservation.update(connect, words)
    if keys & {"stepid", "slurmctlddebug", "frontendname"}:
        raise Exit(1, f"scontrol: error: Update of {found[0][0]} is not supported.")
    raise Exit(1, NO_ENTITY)


def slurms(text: str) -> str:
    return _SLURMS.get(text, text)


# -- jobs


def _job(connect: Callable[[], Connection], found: list[tuple[str, str, str]]) -> int:
    ids: list[str] = []
    changes: Changes = {}
    for key, value, word in found:
        if key.lower() in ("jobid", "job"):
            ids = [part for part in value.split(",") if part]
            continue
        changes |= _job_change(key, value, word)
    if not ids:
        name = changes.pop("jobname", "")
        ids = [str(job) for job in query.rows(connect(), "/v1/jobs", ["id"], names=name).column("id")]
        if not ids:
            raise Exit(1, f"No jobs with the name {name}")
    if not changes:
        raise Exit(1, "No changes specified")
    status = 0
    for text in ids:
        try:
            reply = connect().request("POST", "/v1/requests", {"type": "UpdateJob", "id": text, "changes": changes})
        except Refused as error:
            say(_job_error(error, text, changes) + "\n")
            status = 1
        else:
            for problem in reply.get("errors", ()):
                say(f"{problem.rpartition(': ')[2]} for job {problem.rpartition(': ')[0] or text}\n")
                status = 1
    return status


def _job_change(key: str, value: str, word: str) -> Changes:
    sign = ""
    if key[-1:] in ("+", "-"):
        key, sign = key[:-1], key[-1]
    full = _full(key, JOB_KEYS)
    if full is None:
        if _full(key, JOB_REFUSED) is not None:
            raise Exit(1, f"scontrol: error: Update of {key} is not supported by Corral.")
        raise Exit(1, f"Update of this parameter is not supported: {word}\nRequest aborted")
    name = JOB_KEYS[full] or full.lower()
    if name == "timelimit":
        _check_limit(value)
        return {name: sign + value}
    if name in ("starttime", "deadline"):
        _check_moment(value)
    if name == "nice" and not value:
        value = "100"
    return {name: value}


def _check_limit(value: str) -> None:
    from corral.errors import InvalidDuration
    from corral.syntax import duration

    try:
        duration.parse(value.lstrip("+-") if value[:1] in "+-" and value != "-1" else value)
    except InvalidDuration:
        raise Exit(1, "scontrol: error: Invalid TimeLimit value") from None


def _check_moment(value: str) -> None:
    import time

    from corral.errors import InvalidTimestamp
    from corral.syntax import timestamp

    try:
        timestamp.parse(value, time.time())
    except InvalidTimestamp:
        raise Exit(1, f"Invalid time specification (pos=0): {value}\nNo changes specified") from None


def _job_error(error: Refused, text: str, changes: Changes) -> str:
    said = str(error)
    if said.startswith("Invalid ") and " value: " in said:  # "Invalid numtasks value: x"
        key = said.split(" ")[1]
        full = next((name for name in JOB_KEYS if name.lower() == key), key)
        return f"scontrol: error: Invalid {full} value: {said.partition(' value: ')[2]}"
    if said.startswith("Update of this parameter"):
        return f"{said}\nRequest aborted"
    if said == "Access/permission denied" and changes.keys() <= _PRIVILEGED:
        return f"{said} for job {text}"
    return f"{slurms(said)} for job {text}"


def _full(key: str, known: Iterable[str]) -> str | None:
    """The key that is meant; the beginning of it is enough when it has three letters."""
    low = key.lower()
    for name in known:
        if name.lower() == low:
            return name
    return next((name for name in known if len(low) >= 3 and name.lower().startswith(low)), None)


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
    return _asked(connect, {"type": "UpdateNodes", **request})


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


# -- partitions


def _partition(connect: Callable[[], Connection], found: list[tuple[str, str, str]]) -> int:
    name = ""
    changes: Changes = {}
    state = ""
    for key, value, word in found:
        if key.lower() in ("partitionname", "partition"):
            name = value
            continue
        full = _full(key, PARTITION_KEYS)
        if full is None and _full(key, PARTITION_REFUSED) is not None:
            raise Exit(1, f"scontrol: error: Update of {key} is not supported by Corral.")
        if full is None:
            raise Exit(
                1, f"scontrol: error: Update of this parameter is not supported: {word}\n", "scontrol: error: Request aborted",
                "slurm_update error: No error",
            )  # fmt: skip
        if full == "State":
            state = value.upper()
            if state not in ("UP", "DOWN", "DRAIN", "INACTIVE"):
                raise _not_acceptable(word, "State", "UP, DOWN, DRAIN and INACTIVE")
            continue
        if full in ("Default", "Hidden", "RootOnly", "ExclusiveUser", "LLN") and value.lower() not in ("yes", "no"):
            raise _not_acceptable(word, full, "YES and NO")
        if full in ("MaxTime", "DefaultTime"):
            from corral.errors import InvalidDuration
            from corral.syntax import duration

            try:
                duration.parse(value)
            except InvalidDuration:
                raise Exit(1, f"scontrol: error: Invalid input {word}", "slurm_update error: No error") from None
        if full in ("MaxNodes", "MinNodes") and not value.isdigit():
            raise Exit(1, f'scontrol: error: Invalid numeric value "{value}" for {full}.')
        changes[full.lower()] = value
    if not changes and not state:
        raise Exit(1, "scontrol: error: No changes specified")
    request: dict[str, object] = {"type": "UpdatePartition", "name": name, "changes": changes}
    return _asked(connect, request | ({"state": state} if state else {}))


def _not_acceptable(word: str, key: str, values: str) -> Exit:
    return Exit(
        1, f"scontrol: error: Invalid input: {word}", f"scontrol: error: Acceptable {key} values are {values}",
        "slurm_update error: No error",
    )  # fmt: skip


def _asked(connect: Callable[[], Connection], request: dict[str, object]) -> int:
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
