"""scontrol create, update and delete of a partition: what may be said of it, in which words it is refused."""

from __future__ import annotations

from corral.cli.run import Exit
from corral.cli.scontrol_ask import asked
from corral.cli.scontrol_update_job import full_key
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from corral.client.connection import Connection

    Connect = Callable[[], Connection]

#: As Slurm writes them, and what the controller calls them where it has another word for it.
KEYS = {
    "AllowAccounts": "", "AllowGroups": "", "AllowQos": "", "Default": "", "DefaultTime": "", "DefMemPerCPU": "", "DefMemPerNode": "",
    "DenyAccounts": "", "DenyQos": "", "DisableRootJobs": "", "ExclusiveUser": "", "GraceTime": "", "Hidden": "", "JobDefaults": "",
    "LLN": "", "MaxCPUsPerNode": "", "MaxMemPerCPU": "", "MaxMemPerNode": "", "MaxNodes": "", "MaxTime": "", "MinNodes": "",
    "Nodes": "", "OverSubscribe": "", "PreemptMode": "", "Priority": "", "PriorityJobFactor": "", "PriorityTier": "", "QoS": "",
    "ReqResv": "", "RootOnly": "", "Shared": "oversubscribe", "State": "",
}  # fmt: skip

#: Known to Slurm and not to be changed here.
NOT_OFFERED = ("AllocNodes", "Alternate", "CpuBind", "OverTimeLimit", "TRESBillingWeights")

_FLAGS = ("Default", "DisableRootJobs", "ExclusiveUser", "Hidden", "LLN", "ReqResv", "RootOnly")
_NUMBERS = {
    "DefMemPerCPU": 1 << 31, "DefMemPerNode": 1 << 31, "GraceTime": 1 << 31, "MaxCPUsPerNode": 1 << 31, "MaxMemPerCPU": 1 << 31,
    "MaxMemPerNode": 1 << 31, "Priority": 65533, "PriorityJobFactor": 65533, "PriorityTier": 65533,
}  # fmt: skip
_STATES = ("UP", "DOWN", "DRAIN", "INACTIVE")
_NO_ERROR = "slurm_update error: No error"


def update(connect: Connect, words: list[str]) -> int:
    name, changes = _read(words, _NO_ERROR)
    if not changes:
        raise Exit(1, "scontrol: error: No changes specified")
    return asked(connect, _request("UpdatePartition", name, changes))


def create(connect: Connect, words: list[str]) -> int:
    name, changes = _read(words, "")
    try:
        connect().request("POST", "/v1/requests", _request("CreatePartition", name, changes))
    except Refused as error:
        raise Exit(1, f"Error creating the partition: {error}") from None
    return 0


def delete(connect: Connect, shown: str, name: str) -> int:
    try:
        connect().request("POST", "/v1/requests", {"type": "DeletePartition", "name": name})
    except Refused as error:
        raise Exit(1, f"delete_partition {shown}: {error}") from None
    return 0


def _request(kind: str, name: str, changes: dict[str, str]) -> dict[str, object]:
    state = changes.pop("state", "")
    request: dict[str, object] = {"type": kind, "name": name, "changes": changes}
    return request | ({"state": state} if state else {})


def _read(words: list[str], last: str) -> tuple[str, dict[str, str]]:
    """The name, and what is said of the partition; `last` is the line behind an error."""
    name, changes = "", dict[str, str]()
    after = (last,) if last else ()
    for word in _joined(words):
        key, equals, value = word.partition("=")
        if not equals:
            raise Exit(1, f"scontrol: error: Invalid input: {word}  Request aborted", *after)
        low = key.lower()
        if low and ("partitionname".startswith(low) and len(low) > 2):
            name = value
            continue
        full = full_key(key, KEYS)
        if full is None and full_key(key, NOT_OFFERED) is not None:
            raise Exit(1, f"scontrol: error: Update of {key} is not supported by Corral.")
        if full is None:
            unknown = f"scontrol: error: Update of this parameter is not supported: {word}\n"
            raise Exit(1, unknown, "scontrol: error: Request aborted", *after)
        changes[KEYS[full] or full.lower()] = _checked(full, value, word, after)
    return name, changes


def _joined(words: list[str]) -> list[str]:
    """`partition p1` is taken as `partition=p1`, as far as something stands behind it."""
    if len(words) > 1 and words[0].lower() in ("partition", "partitionname"):
        return [f"{words[0]}={words[1]}", *words[2:]]
    return words


def _checked(full: str, value: str, word: str, after: tuple[str, ...]) -> str:
    """The value; Exit with Slurm's words when it is none."""
    if full == "State":
        if value.upper() not in _STATES:
            raise _not_acceptable(word, full, "UP, DOWN, DRAIN and INACTIVE", after)
        return value.upper()
    if full in _FLAGS and value.lower() not in ("yes", "no"):
        raise _not_acceptable(word, full, "YES and NO", after)
    if full in ("OverSubscribe", "Shared"):
        from corral.model.partition import oversubscribe

        if oversubscribe(value) is None:
            raise _not_acceptable(word, "OverSubscribe", "NO, EXCLUSIVE, YES:#, and FORCE:#", after)
    if full == "PreemptMode":
        from corral.model.preemption import mode_of

        if mode_of(value) is None:
            raise Exit(1, f"scontrol: error: Invalid input: {word}", *after)
    if full in ("MaxTime", "DefaultTime"):
        from corral.errors import InvalidDuration
        from corral.syntax import duration

        try:
            duration.parse(value)
        except InvalidDuration:
            raise Exit(1, f"scontrol: error: Invalid input {word}", *after) from None
    if full in ("MaxCPUsPerNode", "MaxNodes") and value.upper() in ("UNLIMITED", "INFINITE"):
        return value
    is_number = value.isascii() and value.isdigit()
    if full in _NUMBERS and not (is_number and int(value[:12]) <= _NUMBERS[full]):
        raise Exit(1, f"scontrol: error: Invalid {full} value: {value}", *after)
    if full in ("MaxNodes", "MinNodes") and not is_number:
        if full == "MinNodes":
            raise Exit(1, f'scontrol: error: "{value}" is not a valid node count')
        raise Exit(1, f'scontrol: error: Invalid numeric value "{value}" for {full}.')
    return value


def _not_acceptable(word: str, key: str, values: str, after: tuple[str, ...]) -> Exit:
    lines = f"scontrol: error: Invalid input: {word}", f"scontrol: error: Acceptable {key} values are {values}"
    return Exit(1, *lines, *after)
