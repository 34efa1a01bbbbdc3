"""scontrol update JobId=: what may be said of a job, and what is said when it can't be done."""

from __future__ import annotations

from corral.cli import query
from corral.cli.run import Exit, say
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from corral.client.connection import Connection

    Changes = dict[str, str]

#: Keys of a job, as Slurm writes them; each with what the controller calls it where it has another word.
KEYS = {
    "Account": "", "AdminComment": "", "ArrayTaskThrottle": "", "BurstBuffer": "", "Clusters": "", "ClusterFeatures": "",
    "Comment": "", "Contiguous": "", "CoreSpec": "", "CPUsPerTask": "", "Deadline": "", "DelayBoot": "", "Dependency": "",
    "EligibleTime": "starttime", "EndTime": "", "ExcNodeList": "", "Extra": "", "Features": "", "Gres": "", "JobName": "",
    "Licenses": "", "MailType": "", "MailUser": "", "MinCPUsNode": "", "MinMemoryCPU": "", "MinMemoryNode": "",
    "MinTmpDiskNode": "", "Name": "jobname", "Nice": "", "NodeList": "reqnodelist", "NumCPUs": "", "NumNodes": "", "NumTasks": "",
    "OverSubscribe": "", "Partition": "", "Prefer": "", "Priority": "", "QOS": "", "Reboot": "", "ReqCores": "",
    "ReqNodeList": "", "ReqNodes": "numnodes", "ReqProcs": "numtasks", "ReqSockets": "", "ReqThreads": "", "Requeue": "",
    "ReservationName": "", "ResetAccrueTime": "", "Shared": "oversubscribe", "SiteFactor": "", "StartTime": "", "StdOut": "",
    "Switches": "", "TasksPerNode": "", "ThreadSpec": "", "TimeLimit": "", "TimeMin": "", "TresPerNode": "gres", "UserID": "",
    "wait-for-switch": "", "WCKey": "", "WorkDir": "",
}  # fmt: skip

#: Must be whole numbers.
_NUMBERS = (
    "CPUsPerTask", "MinCPUsNode", "MinMemoryCPU", "MinMemoryNode", "MinTmpDiskNode", "NumTasks", "ReqProcs", "ReqCores",
    "ReqSockets", "ReqThreads", "TasksPerNode", "ArrayTaskThrottle", "CoreSpec", "ThreadSpec",
)  # fmt: skip
_YES_OR_NO = ("Contiguous", "OverSubscribe", "Shared", "Requeue", "Reboot")
_MAIL_TYPES = (
    "NONE", "INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "STAGE_OUT", "TIME_LIMIT", "TIME_LIMIT_90",
    "TIME_LIMIT_80", "TIME_LIMIT_50", "ARRAY_TASKS",
)  # fmt: skip
#: Of nice and of a site factor.
MOST_POINTS = (1 << 31) - 3
#: May stand alone, without a value.
ALONE = ("nice", "resetaccruetime")


def update(connect: Callable[[], Connection], found: list[tuple[str, str, str]]) -> int:
    """Jobs by their ids, or by name and user."""
    ids: list[str] | None = None
    changes: Changes = {}
    user = ""
    for key, value, word in found:
        if key.lower() in ("jobid", "job"):
            from corral.cli.command import apart

            ids = apart(value)
        elif (full := full_key(key.rstrip("+-"), KEYS)) == "UserID":
            user = value
        elif full in ("JobName", "Name") and "jobname" not in changes:
            changes["jobname"] = value
        else:
            changes |= change(key, value, word)
    if ids is None:
        ids = _named(connect, changes.pop("jobname", ""), user)
    if not changes:
        raise Exit(1, "No changes specified")
    status = 0
    for text in ids:
        status |= _ask(connect, text, changes)
    return status


def _named(connect: Callable[[], Connection], name: str, user: str) -> list[str]:
    """The jobs of that name (of that user) that are not over."""
    live = ["PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING"]
    found = (
        query.rows(connect(), "/v1/jobs", ["id", "array_job_id"], names=name, users=user, states=live) if name else None
    )
    if found is None or not found.rows:
        raise Exit(1, f"scontrol: error: No jobs with name '{name}'")
    return list(dict.fromkeys(str(array or job) for job, array in found.rows))


def _ask(connect: Callable[[], Connection], text: str, changes: Changes) -> int:
    try:
        reply = connect().request("POST", "/v1/requests", {"type": "UpdateJob", "id": text, "changes": changes})
    except Refused as error:
        say(_error(error, text) + "\n")
        return 1
    for what, problem in reply.get("outcomes", ()):
        say(f"{what}: {problem}\n" if "_" in what else f"{problem} for job {what}\n")
    return int(bool(reply.get("outcomes")))


def change(key: str, value: str, word: str) -> Changes:
    """What one word of the command line changes."""
    sign = ""
    if key[-1:] in ("+", "-"):
        key, sign = key[:-1], key[-1]
    full = full_key(key, KEYS)
    if full is None or full == "UserID":
        raise Exit(1, f"Update of this parameter is not supported: {word}\nRequest aborted")
    name = KEYS[full] or full.lower()
    if full == "TimeLimit":
        _check_limit(value)
        return {name: sign + value}
    if full in ("StartTime", "EligibleTime", "Deadline", "EndTime"):
        _check_moment(value)
    elif full in _NUMBERS or full in _YES_OR_NO:
        is_number = value.isascii() and value.isdigit()
        if not is_number and (full in _NUMBERS or value.lower() not in ("yes", "no")):
            raise _bad(full, value)
    elif full == "NumCPUs":
        _check_cpus(value)
    elif full in ("NumNodes", "ReqNodes"):
        _check_nodes(value)
    elif full == "MailType" and not any(part.upper() in _MAIL_TYPES for part in value.split(",")):
        raise Exit(1, f"Invalid MailType: {value}")
    elif name == "gres" and value.lower() == "help":
        raise Exit(1, "No changes specified", "Valid gres options are:", "gpu[[:type]:count]")
    elif full in ("Nice", "SiteFactor"):
        value = value or ("100" if full == "Nice" else "0")
        _check_points(full, value)
    return {name: value}


def _bad(full: str, value: str) -> Exit:
    return Exit(1, f"scontrol: error: Invalid {full} value: {value}")


def _check_points(full: str, value: str) -> None:
    digits = value.lstrip("+-")
    if not (digits.isascii() and digits.isdigit()):
        raise _bad(full, value)
    if int(digits[:20]) > MOST_POINTS:
        raise Exit(1, f"scontrol: error: {full} value out of range (+/- {MOST_POINTS}). Value ignored")


def _check_cpus(value: str) -> None:
    low, dash, high = value.partition("-")
    for part in (low, high) if dash else (low,):
        if not (part.isascii() and part.isdigit()):
            refusal = _bad("NumCPUs", value)
            raise Exit(1, f'scontrol: error: Invalid numeric value "{part}" for NumCPUs.', *refusal.lines)
        if not int(part):
            raise _bad("NumCPUs", value)


def _check_nodes(value: str) -> None:
    low, dash, high = value.partition("-")
    if not all(part.isascii() and part.isdigit() for part in ((low, high) if dash else (low,))):
        raise Exit(1, f'scontrol: error: Invalid numeric value "{value}" for requested node count.')


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


def _error(error: Refused, text: str) -> str:
    said = str(error)
    if said.startswith("Invalid ") and " value: " in said:  # "Invalid numtasks value: x"
        key = said.split(" ")[1]
        full = next((name for name in KEYS if name.lower() == key), key)
        return f"scontrol: error: Invalid {full} value: {said.partition(' value: ')[2]}"
    if said.startswith("Update of this parameter"):
        return f"{said}\nRequest aborted"
    return f"{text}: {said}" if "_" in text else f"{said} for job {text}"


def full_key(key: str, known: Iterable[str]) -> str | None:
    """The key that is meant; the beginning of it is enough when it has three letters."""
    low = key.lower()
    for name in known:
        if name.lower() == low:
            return name
    return next((name for name in known if len(low) >= 3 and name.lower().startswith(low)), None)
