"""May this job enter: defaults, limits, and could it ever run?"""

import msgspec
import numpy as np
from msgspec import structs

from corral.engine import bounds, mps, ports, reserved_access
from corral.engine.partitions import partition_rows
from corral.engine.state import ClusterState
from corral.errors import UsageError
from corral.model.cluster import ClusterConfig
from corral.model.job import UNLIMITED, JobKind, JobSpec
from corral.model.partition import Partition, PartitionState
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller
from corral.scheduler import limits, selection
from corral.scheduler.demand import ANY_CORES, Demand, demand_of
from corral.scheduler.feasibility import feature_rows, free_units, static_rows, task_capacity
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.placement import fits_when_empty
from corral.syntax import arrayspec, dependency, features, hostlist, licenses

NO_SUCH_CORES = "Socket, core and/or thread specification can not be satisfied"
NO_SUCH_DISK = "Temporary disk specification can not be satisfied"
UNAVAILABLE = "Requested node configuration is not available"


class Admitted(msgspec.Struct, frozen=True):
    """The spec with its defaults put in."""

    spec: JobSpec
    partition: str
    time_limit: int
    never: bool = (
        False  #: asks for more nodes than its partition has: it may wait for a larger cluster (EnforcePartLimits=NO)
    )
    association: int = 0


def partitions_of(state: ClusterState, spec: JobSpec) -> list[Partition] | Rejected:
    """The partitions named, or the default one."""
    if not spec.partition:
        default = next((p for p in state.partitions.values() if p.default), None)
        if default is None:
            return Rejected(error="No partition specified or system default partition", detail="")
        return [default]
    found = []
    for name in spec.partition.split(","):
        partition = state.partitions.get(name)
        if partition is None:
            return Rejected(error="Invalid partition name specified", detail=f"invalid partition specified: {name}")
        found.append(partition)
    return found


def admit(
    state: ClusterState, config: ClusterConfig, spec: JobSpec, caller: Caller, empty: NodeTable
) -> Admitted | Rejected:
    """`empty` is the cluster with nothing running (NodeTable.emptied), made once for many jobs."""
    refused = bounds.of_job(spec)
    if refused is not None:
        return refused
    told = mps.of_job(config, spec)
    if isinstance(told, Rejected):
        return told
    spec = told
    wanted = spec.ports + ((spec.step.resv_ports or 0) if spec.step is not None else 0)
    if wanted:
        too_many = ports.beyond(config, wanted)
        if too_many is not None:
            return Rejected(error=too_many.error, detail=too_many.detail)
    partitions = partitions_of(state, spec)
    if isinstance(partitions, Rejected):
        return partitions
    for check in (_check_partition_access, _check_times, _check_words):
        refused = check(state, config, spec, partitions, caller)
        if refused is not None:
            return refused
    problems: list[Rejected] = []
    never = False
    possible = False
    for partition in partitions:
        demand = structs.replace(resolve(spec, partition, config), switches=0)
        rows = partition_rows(state, partition, empty)
        if spec.reservation:
            rows = reserved_access.rows_of(state, spec, empty, rows)
        verdict = could_ever_run(empty, demand, rows)
        if verdict is None:
            possible = True
        elif verdict == "" and not spec.reservation:
            never = True
        else:
            problems.append(Rejected(error=UNAVAILABLE, detail="" if verdict == UNAVAILABLE else verdict))
    if not possible and not never and problems:
        return problems[0]
    first = partitions[0]
    limit = spec.time_limit
    if limit is None:
        as_long_as_may_be = first.default_time is None or spec.kind is JobKind.POD
        limit = first.max_time if as_long_as_may_be else min(first.default_time or UNLIMITED, first.max_time)
    spec = _with_default_memory(spec, first, config)
    return Admitted(spec, ",".join(p.name for p in partitions), min(limit, UNLIMITED), never and not possible)


def resolve(spec: JobSpec, partition: Partition, config: ClusterConfig, uid: int = -1) -> Demand:
    """The spec's demand in this partition, memory defaults and the partition's own rules put in; `uid` as in limits.within."""
    per_cpu, per_node = _default_memory(partition, config)
    demand = limits.within(demand_of(spec, partition.name, per_cpu, per_node), spec, partition, uid)
    return selection.given_out(demand, spec, config.scheduling)


def _default_memory(partition: Partition, config: ClusterConfig) -> tuple[int, int]:
    """MB for each CPU, or for each node, of a job that asks for none; 0 = none is counted."""
    for one in (partition, config.scheduling):
        if one.default_memory_per_cpu_mb or one.default_memory_per_node_mb:
            return one.default_memory_per_cpu_mb or 0, one.default_memory_per_node_mb or 0
    return 0, 0


def _with_default_memory(spec: JobSpec, partition: Partition, config: ClusterConfig) -> JobSpec:
    """What it gets without asking it has from now on: squeue shows it, a script is told, the accounting knows."""
    asked = spec.memory_per_cpu_mb, spec.memory_per_node_mb, spec.memory_per_gpu_mb
    if spec.kind is JobKind.POD or asked != (None, None, None) or partition.default_memory_per_gpu_mb:
        return spec
    per_cpu, per_node = _default_memory(partition, config)
    if per_cpu:
        return structs.replace(spec, memory_per_cpu_mb=per_cpu, memory_by_default=True)
    return structs.replace(spec, memory_per_node_mb=per_node, memory_by_default=True) if per_node else spec


def could_ever_run(empty: NodeTable, demand: Demand, rows: BoolColumn) -> str | None:
    """None = yes; "" = only if the partition grew; else the first line of the refusal."""
    if demand.pod is not None:  # nodes get labels, and come: it waits, and says for what
        demand = structs.replace(demand, pod=None)
    allowed = static_rows(empty, demand, rows)
    if any(not rows[empty.index[name]] for name in demand.nodelist if name in empty.index):
        return UNAVAILABLE  # named, and of another partition
    if fits_when_empty(empty, demand, allowed):
        return None
    if not allowed.any() and rows.any() and demand.least_memory_mb > int(empty.memory[rows].max()):
        return "Memory specification can not be satisfied"
    if not allowed.any() and rows.any():
        plain = structs.replace(demand, tmp_disk_mb=0, geometry=ANY_CORES)
        if demand.geometry is not ANY_CORES and static_rows(empty, plain, rows).any():
            by_tmp = structs.replace(demand, geometry=ANY_CORES)
            return NO_SUCH_CORES if static_rows(empty, by_tmp, rows).any() else NO_SUCH_DISK
        if demand.tmp_disk_mb and static_rows(empty, plain, rows).any():
            return NO_SUCH_DISK
    if not allowed.any():
        return "" if not len(empty) else UNAVAILABLE
    capacity = task_capacity(empty, demand, allowed)
    if not (capacity > 0).any():
        least = (demand.tasks_per_node or 1) * demand.cpus_per_task if not demand.overcommit else 1
        if max(least, demand.cpus_per_node) > int(empty.cpus[allowed].max()):
            return "CPU count per node can not be satisfied"
        if demand.memory_per_node_mb > int(empty.memory[allowed].max()):
            return "Memory specification can not be satisfied"
        return UNAVAILABLE
    most = demand.nodes_max or len(empty)
    for request in demand.gres_total:
        units = np.where(capacity > 0, free_units(empty, demand, request), 0)
        if int(np.sort(units)[-most:].sum()) < request.count:
            return UNAVAILABLE
    if demand.gres_per_task and demand.ntasks is not None and int(capacity.sum()) < demand.ntasks:
        return UNAVAILABLE
    if demand.nodes_max is not None and demand.ntasks is not None:
        best = sorted(capacity.tolist(), reverse=True)[: demand.nodes_max]
        if len(best) == demand.nodes_max and sum(best) < demand.ntasks:
            return UNAVAILABLE
    return ""


def _check_partition_access(
    state: ClusterState, config: ClusterConfig, spec: JobSpec, partitions: list[Partition], caller: Caller
) -> Rejected | None:
    for partition in partitions:
        if partition.root_only and caller.uid != 0:
            return Rejected(error="User's group not permitted to use this partition", code="denied")
        if partition.allow_groups and not caller.is_operator and caller.group not in partition.allow_groups:
            return Rejected(error="User's group not permitted to use this partition", code="denied")
        if partition.disable_root_jobs and caller.uid == 0:
            return Rejected(error="Invalid user id", code="denied")
        if partition.requires_reservation and not spec.reservation:
            return Rejected(error="Access/permission denied", code="denied")
        if partition.state in (PartitionState.INACTIVE, PartitionState.DRAIN):
            return Rejected(error="Required partition not available (inactive or drain)", code="invalid")
    return None


def _check_times(
    state: ClusterState, config: ClusterConfig, spec: JobSpec, partitions: list[Partition], caller: Caller
) -> Rejected | None:
    if spec.time_min and spec.time_limit is not None and spec.time_min > spec.time_limit:
        return Rejected(error="Invalid time-min specification (exceeds job's time or other limits)")
    if spec.deadline and spec.time_min and spec.begin_time + spec.time_min > spec.deadline:
        return Rejected(error="Requested time limit is invalid (missing or exceeds some limit)")
    return None


def _check_words(
    state: ClusterState, config: ClusterConfig, spec: JobSpec, partitions: list[Partition], caller: Caller
) -> Rejected | None:
    """Node names, features, GRES, arrays and dependencies must mean something."""
    wanted: set[str] = set()
    for text in (spec.nodelist, spec.exclude):
        if text:
            try:
                names = hostlist.expand(text)
            except UsageError:
                return Rejected(error="Invalid node name specified")
            if any(name not in state.nodes for name in names) or not wanted.isdisjoint(names):
                return Rejected(error="Invalid node name specified", detail="")
            wanted = set(names)
    if spec.constraint:
        try:
            wanted_features = set(features.names(features.parse(spec.constraint)))
        except UsageError:
            return Rejected(error="Invalid feature specification")
        there: set[str] = set().union(*state.ledger.features)
        if not wanted_features <= there or not feature_rows(state.ledger, spec.constraint).any():
            return Rejected(error="Invalid feature specification")
    refused = _check_preferences(state, spec)
    if refused is not None:
        return refused
    for request in (*spec.gres, *spec.gpus, *spec.gpus_per_node, *spec.gpus_per_task, *spec.gpus_per_socket):
        if request.name not in config.gres_types:
            return Rejected(error="Invalid generic resource (gres) specification")
    if refused := _check_share(config, spec):
        return refused
    if spec.licenses and not has_licenses(config, spec.licenses):
        return Rejected(error="Invalid license specification")
    if spec.nodes_min is not None and spec.nodes_min < 1:
        return Rejected(error="Node count specification invalid")
    if spec.array:
        try:
            arrayspec.parse(spec.array, config.limits.max_array_size)
        except UsageError:
            return Rejected(error="Invalid job array specification")
    if spec.dependency:
        try:
            dependency.parse(spec.dependency)
        except UsageError:
            if spec.dependency.lower().startswith("expand:"):
                return Rejected(error="Requested operation not supported on this system")
            return Rejected(error="Job dependency problem")
    if abs(spec.nice) > (1 << 31) - 3 or (spec.nice < 0 and not caller.is_operator):
        return Rejected(error="Invalid --nice value")
    return None


def _check_share(config: ClusterConfig, spec: JobSpec) -> Rejected | None:
    """A part of one GPU on each node, and no other GPUs beside it."""
    per_node, others = spec.gres + spec.gpus_per_node, spec.gpus + spec.gpus_per_task + spec.gpus_per_socket
    shares = [request for request in per_node if request.is_share]
    if not shares and not any(request.is_share for request in others):
        return None
    problem = ""
    if "shard" not in config.gres_types:
        problem = "GPUs are not shared on this cluster: its gres_types has no shard"
    elif any(request.is_share for request in others):
        problem = "a share is of one GPU on each node: ask for it with --gres=gpu:0.5 or --gres=shard:2"
    elif len(shares) > 1 or any(request.name == "gpu" for request in (*per_node, *others) if not request.is_share):
        problem = "a job has one share of a GPU on each node, or whole GPUs"
    elif spec.cpus_per_gpu or spec.memory_per_gpu_mb or spec.ntasks_per_gpu:
        problem = "what is asked for each GPU does not go with a share of one"
    return Rejected(error="Invalid generic resource (gres) specification", detail=problem) if problem else None


def has_licenses(config: ClusterConfig, text: str) -> bool:
    """Could they ever be given?"""
    try:
        wanted = licenses.parse(text)
    except UsageError:
        return False
    return all(name in config.licenses and count <= config.licenses[name] for name, count in wanted)


def _check_preferences(state: ClusterState, spec: JobSpec) -> Rejected | None:
    """--prefer names features that are there, --batch such as --constraint asks for too; a distribution and bindings are such."""
    there: set[str] = set().union(*state.ledger.features) if spec.prefer else set()
    try:
        if spec.prefer and not set(features.names(features.parse(spec.prefer))) <= there:
            return Rejected(error="Invalid preferred feature specification")
    except UsageError:
        return Rejected(error="Invalid preferred feature specification")
    if spec.batch_features:
        asked = set(features.names(features.parse(spec.constraint))) if spec.constraint else set()
        try:
            wanted = features.parse(spec.batch_features)
        except UsageError:
            wanted = None
        if wanted is None or features.needs_more_than_one_look(wanted) or not set(features.names(wanted)) <= asked:
            return Rejected(error="Job --batch option is invalid or not a subset of --constraints")
    return None
