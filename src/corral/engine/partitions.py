"""Which nodes belong to a partition, and how an operator changes it?"""

import msgspec
import numpy as np

from corral.engine.effects import Effects
from corral.engine.state import ClusterState
from corral.errors import UsageError
from corral.model.job import UNLIMITED
from corral.model.partition import Partition, PartitionState, oversubscribe
from corral.model.preemption import mode_of
from corral.protocol.events import PartitionChanged, PartitionRemoved
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, CreatePartition, DeletePartition, UpdatePartition
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.syntax import duration, hostlist


def partition_rows(state: ClusterState, partition: Partition, table: NodeTable) -> BoolColumn:
    """As a mask over the table's rows."""
    if partition.nodes == "ALL":
        return np.ones(len(table), np.bool_)
    rows = np.zeros(len(table), np.bool_)
    for name in hostlist.expand(partition.nodes) if partition.nodes else ():
        row = table.index.get(name)
        if row is not None:
            rows[row] = True
    return rows


def node_names(state: ClusterState, partition: Partition) -> list[str]:
    """The registered nodes of a partition, in node order."""
    rows = partition_rows(state, partition, state.ledger)
    return [name for name, inside in zip(state.ledger.names, rows.tolist(), strict=True) if inside]


_INTEGERS = {
    "maxnodes": "max_nodes",
    "minnodes": "min_nodes",
    "maxcpuspernode": "max_cpus_per_node",
    "prioritytier": "priority_tier",
    "priorityjobfactor": "priority_job_factor",
    "defmempercpu": "default_memory_per_cpu_mb",
    "defmempernode": "default_memory_per_node_mb",
    "maxmempernode": "max_memory_per_node_mb",
    "maxmempercpu": "max_memory_per_cpu_mb",
}
#: Said of a CPU or of a node, not of both: the one said later holds.
_OTHER = {
    "default_memory_per_cpu_mb": "default_memory_per_node_mb",
    "default_memory_per_node_mb": "default_memory_per_cpu_mb",
    "max_memory_per_cpu_mb": "max_memory_per_node_mb",
    "max_memory_per_node_mb": "max_memory_per_cpu_mb",
}
_JOB_DEFAULTS = {"defcpupergpu": "default_cpus_per_gpu", "defmempergpu": "default_memory_per_gpu_mb"}
_FLAGS = {
    "default": "default",
    "hidden": "hidden",
    "rootonly": "root_only",
    "exclusiveuser": "exclusive_user",
    "disablerootjobs": "disable_root_jobs",
    "reqresv": "requires_reservation",
    "lln": "lln",
}
_LISTS = {
    "allowgroups": "allow_groups",
    "allowaccounts": "allow_accounts",
    "allowqos": "allow_qos",
    "denyaccounts": "deny_accounts",
    "denyqos": "deny_qos",
}


def on_update(state: ClusterState, request: UpdatePartition, caller: Caller, now: float, out: Effects) -> None:
    """scontrol update PartitionName=: administrators only; an unknown name makes nothing."""
    partition = state.partitions.get(request.name)
    if partition is None:
        out.reply = Rejected(error="Invalid partition name specified", code="not_found")
        return
    if not caller.is_operator:
        out.reply = Rejected(error="Invalid user id", code="denied")
        return
    put(state, partition, request.changes, request.state, now, out)


def on_create(state: ClusterState, request: CreatePartition, caller: Caller, now: float, out: Effects) -> None:
    """scontrol create PartitionName=: it is there until the configuration is read again."""
    if not caller.is_operator:
        out.reply = Rejected(error="Invalid user id", code="denied")
    elif not request.name or request.name in state.partitions or not set(request.name).isdisjoint(",* \t\n="):
        out.reply = Rejected(error="Invalid partition name specified")
    else:
        put(state, Partition(name=request.name, nodes="", min_nodes=1), request.changes, request.state, now, out)


def on_delete(state: ClusterState, request: DeletePartition, caller: Caller, now: float, out: Effects) -> None:
    """Not while a job waits or runs there."""
    if not caller.is_operator:
        out.reply = Rejected(error="Invalid user id", code="denied")
    elif request.name not in state.partitions:
        out.reply = Rejected(error="Invalid partition name specified", code="not_found")
    elif any(request.name in job.partition.split(",") for job in state.jobs.values() if not job.has_ended):
        out.reply = Rejected(error="Partition is in use", code="busy")
    else:
        record(state, PartitionRemoved(time=now, name=request.name), out)
        out.reply = Done()


def put(
    state: ClusterState,
    partition: Partition,
    changes: dict[str, str],
    up: PartitionState | None,
    now: float,
    out: Effects,
) -> None:
    """The partition with these changes; all of them hold, or none."""
    fields: dict[str, object] = {} if up is None else {"state": up}
    for key, value in changes.items():
        try:
            found = _parsed(key.lower(), value)
        except (ValueError, UsageError) as error:
            said = (
                "Invalid JobDefaults specification"
                if key.lower() == "jobdefaults"
                else f"Invalid value for {key}: {value}"
            )
            out.reply = Rejected(error=said, detail=str(error))
            return
        if "nodes" in found and value.upper() != "ALL":
            unknown = [name for name in hostlist.expand(value) if name not in state.nodes] if value else []
            if unknown:
                out.reply = Rejected(error="Invalid node name specified", detail=", ".join(unknown))
                return
        fields |= found
    changed = msgspec.structs.replace(partition, **fields)
    if changed.default and not partition.default:
        for other in [p for p in state.partitions.values() if p.default and p.name != changed.name]:
            record(state, PartitionChanged(time=now, partition=msgspec.structs.replace(other, default=False)), out)
    record(state, PartitionChanged(time=now, partition=changed), out)
    out.reply = Done()


def record(state: ClusterState, event: PartitionChanged | PartitionRemoved, out: Effects) -> None:
    state.apply(event)
    out.records.append(event)


def _parsed(key: str, value: str) -> dict[str, object]:
    """The fields that this key sets."""
    if key == "state":
        return {"state": PartitionState(value.upper())}
    if key in ("maxtime", "defaulttime"):
        seconds = duration.parse(value)
        return {("max_time" if key == "maxtime" else "default_time"): UNLIMITED if seconds is None else seconds}
    if key == "oversubscribe":
        written = oversubscribe(value)
        if written is None:
            raise ValueError("it is NO, EXCLUSIVE, YES:# or FORCE:#")
        return {"oversubscribe": written}
    if key == "gracetime":
        return {"grace_time": _number(value, 1 << 31)}
    if key == "preemptmode":
        if value and mode_of(value) is None:
            raise ValueError("it is OFF, CANCEL, REQUEUE or SUSPEND, with GANG after a comma")
        return {"preempt_mode": value.upper()}
    if key == "nodes":
        return {"nodes": "ALL" if value.upper() == "ALL" else hostlist.fold(hostlist.expand(value)) if value else ""}
    if key == "priority":
        number = _number(value, 65533)
        return {"priority_tier": number, "priority_job_factor": number}
    if key == "jobdefaults":
        return _job_defaults(value)
    if key in _INTEGERS:
        return _integer(key, value)
    if key in _FLAGS:
        word = value.lower()
        if word not in ("yes", "no"):
            raise ValueError("YES or NO is needed")
        return {_FLAGS[key]: word == "yes"}
    if key == "qos":
        return {"qos": "" if value.upper() in ("N/A", "NONE", "") else value.lower()}
    if key in _LISTS:
        return {_LISTS[key]: () if value.upper() in ("ALL", "") else tuple(value.split(","))}
    raise ValueError("no such key, or it can't be changed while running")


def _integer(key: str, value: str) -> dict[str, object]:
    field = _INTEGERS[key]
    if value.upper() in ("UNLIMITED", "INFINITE") and key.startswith("max"):
        return {field: None}
    number = _number(value, 65533 if key.startswith("priority") else (1 << 31) - 1)
    found: dict[str, object] = {field: number}
    if field in _OTHER:
        found = {field: number or None, _OTHER[field]: None}
    return found


def _number(value: str, most: int) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise ValueError(f"a number from 0 to {most} is needed")
    return number


def _job_defaults(value: str) -> dict[str, object]:
    """DefCpuPerGPU=2,DefMemPerGPU=100; nothing = none."""
    found: dict[str, object] = dict.fromkeys(_JOB_DEFAULTS.values())
    for part in value.split(",") if value else ():
        name, _, number = part.partition("=")
        if name.lower() not in _JOB_DEFAULTS:
            raise ValueError(f"{name} is none of DefCpuPerGPU and DefMemPerGPU")
        found[_JOB_DEFAULTS[name.lower()]] = _number(number, (1 << 31) - 1) or None
    return found
