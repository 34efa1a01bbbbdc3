"""Which nodes belong to a partition, and how an operator changes it?"""

import msgspec
import numpy as np

from corral.engine.effects import Effects
from corral.engine.state import ClusterState
from corral.errors import UsageError
from corral.model.job import UNLIMITED
from corral.model.partition import Partition, PartitionState, oversubscribe
from corral.protocol.events import PartitionChanged
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, UpdatePartition
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
}
_FLAGS = {
    "default": "default",
    "hidden": "hidden",
    "rootonly": "root_only",
    "exclusiveuser": "exclusive_user",
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
        out.reply = Rejected(error="Access/permission denied", code="denied")
        return
    fields: dict[str, object] = {}
    if request.state is not None:
        fields["state"] = request.state
    for key, value in request.changes.items():
        try:
            field, parsed = _parsed(key.lower(), value)
        except (ValueError, UsageError) as error:
            out.reply = Rejected(error=f"Invalid value for {key}: {value}", detail=str(error))
            return
        if field == "nodes" and value.upper() != "ALL":
            unknown = [name for name in hostlist.expand(value) if name not in state.nodes]
            if unknown:
                out.reply = Rejected(error="Invalid node name specified", detail=", ".join(unknown))
                return
        fields[field] = parsed
    changed = msgspec.structs.replace(partition, **fields)
    if changed.default and not partition.default:
        for other in [p for p in state.partitions.values() if p.default and p.name != changed.name]:
            record(state, PartitionChanged(time=now, partition=msgspec.structs.replace(other, default=False)), out)
    record(state, PartitionChanged(time=now, partition=changed), out)
    out.reply = Done()


def record(state: ClusterState, event: PartitionChanged, out: Effects) -> None:
    state.apply(event)
    out.records.append(event)


def _parsed(key: str, value: str) -> tuple[str, object]:
    if key == "state":
        return "state", PartitionState(value.upper())
    if key in ("maxtime", "defaulttime"):
        seconds = duration.parse(value)
        return ("max_time" if key == "maxtime" else "default_time"), UNLIMITED if seconds is None else seconds
    if key == "oversubscribe":
        written = oversubscribe(value)
        if written is None:
            raise ValueError("it is NO, EXCLUSIVE, YES:# or FORCE:#")
        return "oversubscribe", written
    if key == "gracetime":
        if duration.parse(value):
            raise ValueError("there is no preemption yet")
        return "grace_time", 0
    if key == "nodes":
        return "nodes", "ALL" if value.upper() == "ALL" else hostlist.fold(hostlist.expand(value))
    if key in _INTEGERS:
        if value.upper() in ("UNLIMITED", "INFINITE") and key.startswith("max"):
            return _INTEGERS[key], None
        number = int(value)
        if number < 0:
            raise ValueError("a number from 0 on is needed")
        return _INTEGERS[key], number
    if key in _FLAGS:
        word = value.lower()
        if word not in ("yes", "no"):
            raise ValueError("YES or NO is needed")
        return _FLAGS[key], word == "yes"
    if key == "qos":
        return "qos", "" if value.upper() in ("N/A", "NONE", "") else value.lower()
    if key in _LISTS:
        return _LISTS[key], () if value.upper() == "ALL" else tuple(value.split(","))
    raise ValueError("no such key, or it can't be changed while running")
