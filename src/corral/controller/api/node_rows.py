"""What does the API show of nodes and partitions?"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from corral.controller import values
from corral.controller.api.table import Table
from corral.model.allocation import NodeShare
from corral.model.gres import GresDevice
from corral.model.job import Job, JobState
from corral.model.node import Node, NodeInventory
from corral.model.partition import Partition, oversubscribe
from corral.model.reservation import Flag, Reservation
from corral.model.topology import Switch
from corral.syntax import hostlist

#: sinfo's compact and long words for a base state.
_SHORT = {"UNKNOWN": "unk", "DOWN": "down", "IDLE": "idle", "MIXED": "mix", "ALLOCATED": "alloc"}
_LONG = {"UNKNOWN": "unknown", "DOWN": "down", "IDLE": "idle", "MIXED": "mixed", "ALLOCATED": "allocated"}


class Held(dict[str, list[tuple[Job, NodeShare]]]):
    """Which jobs hold what on which node."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        super().__init__()
        for job in jobs:
            if job.allocation is not None:
                for share in job.allocation.nodes:
                    self.setdefault(share.node, []).append((job, share))


class NodeContext:
    """What rows need beside the node itself."""

    def __init__(
        self,
        active: Iterable[Job],
        partitions: Mapping[str, Partition],
        all_nodes: Iterable[str],
        now: float,
        heard: Mapping[str, float] | None = None,
        node_timeout: float = 30.0,
        reservations: Iterable[Reservation] = (),
    ) -> None:
        self.held = Held(active)
        self.partitions = {name: members(partition, all_nodes) for name, partition in partitions.items()}
        self.now = now
        self.gpu_fence = "none"  #: what keeps jobs on one GPU apart
        self.heard = heard or {}
        self.node_timeout = node_timeout
        open_now = [one for one in reservations if one.is_active(now)]
        self.reserved: dict[str, str] = {}  #: node -> names of the reservations that hold it now
        for one in open_now:
            for name in one.nodes:
                self.reserved[name] = f"{self.reserved[name]},{one.name}" if name in self.reserved else one.name
        self.maintained = {name for one in open_now if one.has(Flag.MAINT) for name in one.nodes}

    def shares(self, node: Node) -> list[tuple[Job, NodeShare]]:
        return self.held.get(node.name, [])


def members(partition: Partition, all_nodes: Iterable[str]) -> dict[str, None]:
    """The names of a partition's nodes, in order (also of nodes that have not come yet)."""
    if partition.nodes.upper() == "ALL":
        return dict.fromkeys(all_nodes)
    return dict.fromkeys(hostlist.expand(partition.nodes) if partition.nodes else ())


def allocated_cpus(node: Node, context: NodeContext) -> int:
    return _taken(context.shares(node))


def _taken(shares: Iterable[tuple[Job, NodeShare]]) -> int:
    """CPUs; those that several jobs share count once, and those of a suspended one are nobody's."""
    shares = list(shares)
    if any(job.cpus_lent for job, _ in shares):
        return len({cpu for job, share in shares if not _is_set_aside(job) for cpu in share.cpus})
    taken = 0
    shared: set[int] = set()
    for job, share in shares:
        if job.allocation is not None and job.allocation.sharers:
            shared.update(share.cpus)
        else:
            taken += len(share.cpus)
    return taken + len(shared)


def _is_set_aside(job: Job) -> bool:
    return job.cpus_lent and job.state is JobState.SUSPENDED


def base_state(node: Node, context: NodeContext) -> str:
    """Flags taken off: what is left, and how full it is."""
    if node.down_reason or node.admin_down or node.is_booting:
        return "DOWN"
    if not node.up:
        return "UNKNOWN"
    working = [
        (job, share)
        for job, share in context.shares(node)
        if job.state is not JobState.COMPLETING and not _is_set_aside(job)
    ]
    if not working:
        return "IDLE"
    taken = _taken(working)
    exclusive = any(job.allocation and job.allocation.exclusive for job, _ in working)
    return "ALLOCATED" if taken >= node.inventory.cpus or exclusive else "MIXED"


def flags(node: Node, context: NodeContext) -> list[str]:
    found = []
    reboot = node.reboot
    asked = reboot is not None and not node.is_booting
    if any(not drain.fails for drain in node.drains) or (asked and reboot is not None and reboot.asap):
        found.append("DRAIN")
    if any(job.state is JobState.COMPLETING for job, _ in context.shares(node)):
        found.append("COMPLETING")
    if any(drain.fails for drain in node.drains):
        found.append("FAIL")
    if not node.up and (node.agent or node.down_reason) and not node.is_booting:
        found.append("NOT_RESPONDING")
    if node.name in context.maintained:
        found.append("MAINTENANCE")
    if node.name in context.reserved:
        found.append("RESERVED")
    if node.is_booting:
        found.append("REBOOT_ISSUED")
    elif asked:
        found.append("REBOOT_REQUESTED")
    return found


def state_text(words: Mapping[str, str]) -> Callable[[Node, NodeContext], str]:
    """Slurm's node_state_string: the one flag that counts most, behind the word or in its place."""

    def text(node: Node, context: NodeContext) -> str:
        base, marked = base_state(node, context), flags(node, context)
        star = "*" if "NOT_RESPONDING" in marked else ""
        boots = "^" if "REBOOT_ISSUED" in marked else "@" if "REBOOT_REQUESTED" in marked else ""
        full = base in ("MIXED", "ALLOCATED")
        busy = full or "COMPLETING" in marked
        short = words is _SHORT
        if base == "IDLE" and "MAINTENANCE" in marked and "DRAIN" not in marked:
            return "maint" + star
        if boots and not full:
            return ("boot" if short else "reboot") + boots.strip("@")
        if "DRAIN" in marked:
            word = ("drng" if busy else "drain") if short else ("draining" if busy else "drained")
        elif "FAIL" in marked:
            word = ("failg" if short else "failing") if base == "ALLOCATED" or "COMPLETING" in marked else "fail"
            return word + star
        elif "COMPLETING" in marked and base == "ALLOCATED":
            word = words[base] + "+"
        elif "COMPLETING" in marked and base in ("IDLE", "MIXED"):
            word = "comp" if short else "completing"
        elif base == "IDLE" and "RESERVED" in marked:
            word = "resv" if short else "reserved"
        else:
            word = words[base]
        return word + ("$" if "MAINTENANCE" in marked else boots or star)

    return text


def gres_text(inventory: NodeInventory) -> str:
    """gpu:v100:8, and behind it the sockets whose cores are near: (S:0-1)"""
    return ",".join(
        f"{one.name}:{one.type + ':' if one.type else ''}{one.count}{_sockets(one, inventory)}"
        for one in inventory.gres
    )


def _sockets(device: GresDevice, inventory: NodeInventory) -> str:
    each = max(1, inventory.cores_per_socket)
    near = {core // each for cores in device.cores for core in cores}
    return f"(S:{values.id_ranges(tuple(near))})" if near else ""


def gres_used(node: Node, context: NodeContext) -> str:
    """gpu:v100:2(IDX:0-1); also what is at 0."""
    taken: dict[tuple[str, str], set[int]] = {(one.name, one.type): set() for one in node.inventory.gres}
    counts: dict[tuple[str, str], int] = {}
    for _, share in context.shares(node):
        for gres in share.gres:
            kind = (gres.name, gres.type)
            taken.setdefault(kind, set()).update(gres.indices)
            counts[kind] = counts.get(kind, 0) + gres.count
    return ",".join(
        f"{name}:{type + ':' if type else ''}{counts.get((name, type), 0)}(IDX:{values.id_ranges(tuple(ids)) if ids else 'N/A'})"
        for (name, type), ids in taken.items()
    )


def gpu_fence(node: Node, context: NodeContext) -> str:
    """Only where GPUs are shared."""
    shares = (gres for _, share in context.shares(node) for gres in share.gres)
    is_shared = any(one.name == "shard" for one in node.inventory.gres) or any(gres.milli for gres in shares)
    return context.gpu_fence if is_shared else ""


def gpus(node: Node) -> int:
    return sum(one.count for one in node.inventory.gres if one.name == "gpu")


def gpus_in_use(node: Node, context: NodeContext) -> int:
    return sum(len(g.indices) for _, share in context.shares(node) for g in share.gres if g.name == "gpu")


def reason(part: str) -> Callable[[Node, NodeContext], Any]:
    def get(node: Node, _: NodeContext) -> Any:
        if node.reboot is not None:
            told = node.reboot.issued
            text = f"{node.reboot.reason} : reboot issued" if told else node.reboot.reason
            return {"text": text, "by": node.reboot.by, "time": told or node.reboot.since}[part]
        if node.drains:
            drain = node.drains[0]
            return {"text": drain.reason, "by": drain.by, "time": drain.since}[part]
        if not node.down_reason:
            return 0.0 if part == "time" else ""
        return {"text": node.down_reason, "by": node.down_by or "root", "time": node.down_since}[part]

    return get


def found(name: str) -> Callable[[Node, NodeContext], Any]:
    return lambda node, _: getattr(node.inventory, name)


NODES: Table[Node] = Table(
    {
        "name": lambda node, _: node.name,
        "hostname": lambda node, _: node.inventory.hostname or node.name,
        "address": lambda node, _: node.inventory.address or node.inventory.hostname or node.name,
        "agent": lambda node, _: node.agent,
        "state": base_state,
        "flags": flags,
        "state_text": state_text(_SHORT),
        "state_long": state_text(_LONG),
        "cpus": found("cpus"),
        "cpus_alloc": allocated_cpus,
        "boards": found("boards"),
        "sockets": found("sockets"),
        "cores_per_socket": found("cores_per_socket"),
        "threads_per_core": found("threads_per_core"),
        "memory_mb": found("memory_mb"),
        "memory_alloc_mb": lambda node, context: sum(share.memory_mb for _, share in context.shares(node)),
        "free_memory_mb": lambda node, _: node.free_memory_mb,
        "load": lambda node, _: node.load,
        "tmp_disk_mb": found("tmp_disk_mb"),
        "gres": lambda node, _: gres_text(node.inventory),
        "gres_used": gres_used,
        "gpu_fence": gpu_fence,
        "gpus_total": lambda node, _: gpus(node),
        "gpus_alloc": gpus_in_use,
        "gpus_busy": lambda node, _: node.gpus_busy,
        "gpus_memory_mb": lambda node, _: node.gpus_memory_mb,
        "gpu_memory_mb": lambda node, _: [
            device.memory_mb for device in node.inventory.gres if device.name == "gpu" for _ in range(device.count)
        ],
        "features": found("features"),
        "reservation": lambda node, context: context.reserved.get(node.name, ""),
        "weight": lambda node, _: node.weight,
        "partitions": lambda node, context: [p for p, names in context.partitions.items() if node.name in names],
        "next_state": lambda node, _: node.reboot.next_state if node.reboot is not None else "",
        "reason": reason("text"),
        "reason_by": reason("by"),
        "reason_time": reason("time"),
        "boot_time": found("boot_time"),
        "agent_start_time": found("agent_start_time"),
        "arch": found("arch"),
        "os": found("os"),
        "version": found("version"),
        "comment": lambda node, _: node.comment,
        "jobs": lambda node, context: sorted(job.id for job, _ in context.shares(node)),
        "last_heard": lambda node, context: context.heard.get(node.name, node.last_heard),
        "unenforced": found("unenforced"),
        "virtual": found("virtual"),
    }
)


def _total_cpus(partition: Partition, context: Mapping[str, Node]) -> int:
    return sum(context[name].inventory.cpus for name in members(partition, context) if name in context)


#: The context is the table of nodes.
PARTITIONS: Table[Partition] = Table(
    {
        "name": lambda p, _: p.name,
        "nodes": lambda p, nodes: hostlist.fold(members(p, nodes)),
        "node_names": lambda p, nodes: list(members(p, nodes)),
        "default": lambda p, _: p.default,
        "state": lambda p, _: p.state.value,
        "max_time": lambda p, _: p.max_time,
        "default_time": lambda p, _: p.default_time,
        "max_nodes": lambda p, _: p.max_nodes,
        "min_nodes": lambda p, _: p.min_nodes,
        "max_cpus_per_node": lambda p, _: p.max_cpus_per_node,
        "allow_groups": lambda p, _: p.allow_groups,
        "allow_accounts": lambda p, _: p.allow_accounts,
        "deny_accounts": lambda p, _: p.deny_accounts,
        "allow_qos": lambda p, _: p.allow_qos,
        "deny_qos": lambda p, _: p.deny_qos,
        "qos": lambda p, _: p.qos,
        "billing_weights": lambda p, _: p.billing_weights,
        "priority_tier": lambda p, _: p.priority_tier,
        "priority_job_factor": lambda p, _: p.priority_job_factor,
        "root_only": lambda p, _: p.root_only,
        "hidden": lambda p, _: p.hidden,
        "oversubscribe": lambda p, _: oversubscribe(p.oversubscribe) or p.oversubscribe,
        "grace_time": lambda p, _: p.grace_time,
        "preempt_mode": lambda p, _: p.preempt_mode,
        "lln": lambda p, _: p.lln,
        "total_cpus": _total_cpus,
        "total_nodes": lambda p, nodes: len(members(p, nodes)),
        "exclusive_user": lambda p, _: p.exclusive_user,
        "default_memory_per_cpu_mb": lambda p, _: p.default_memory_per_cpu_mb,
        "default_memory_per_node_mb": lambda p, _: p.default_memory_per_node_mb,
        "max_memory_per_node_mb": lambda p, _: p.max_memory_per_node_mb,
        "max_memory_per_cpu_mb": lambda p, _: p.max_memory_per_cpu_mb,
        "default_cpus_per_gpu": lambda p, _: p.default_cpus_per_gpu,
        "default_memory_per_gpu_mb": lambda p, _: p.default_memory_per_gpu_mb,
        "disable_root_jobs": lambda p, _: p.disable_root_jobs,
        "requires_reservation": lambda p, _: p.requires_reservation,
        "tres": lambda p, nodes: _tres(p, nodes),
    }
)


def _tres(partition: Partition, nodes: Mapping[str, Node]) -> str:
    there = [nodes[name] for name in members(partition, nodes) if name in nodes]
    cpus = sum(node.inventory.cpus for node in there)
    memory = sum(node.inventory.memory_mb for node in there)
    total = sum(gpus(node) for node in there)
    return values.tres_text(cpus, memory, len(there), {"gpu": total} if total else {})


#: The context is the tree.
SWITCHES: Table[Switch] = Table(
    {
        "name": lambda one, _: one.name,
        "level": lambda one, tree: tree.level.get(one.name, 0),
        "link_speed": lambda one, _: one.link_speed,
        "nodes": lambda one, tree: hostlist.fold_sorted(tree.nodes_under(one.name)),
        "node_names": lambda one, tree: tree.nodes_under(one.name),
        "block": lambda one, tree: next((i for i, block in enumerate(tree.blocks) if block.name == one.name), None),
        "switches": lambda one, tree: hostlist.fold(tree.below[one.name]) if tree.below[one.name] else "",
    }
)
