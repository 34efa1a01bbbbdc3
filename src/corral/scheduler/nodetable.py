"""What is free on every node, as numpy columns; the one ledger that says who holds what.

The engine keeps one table up to date as events apply; a cycle works on a copy. Row i is node `names[i]`; rows are in natural name
order, so that ties go to the lowest name. Beside the columns stand the very units: a bit mask of free CPU ids and of free GRES
indices per node. `take` refuses what is not free: nothing can be given twice.

CPU ids run through sockets, then cores, then threads: id = (socket * cores + core) * threads + thread. The CPUs of a job that shares
them (OverSubscribe) are not free; others of its partition may have them as long as there is a layer below the limit in which they
are not held (sharing.py).
"""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from corral.model.allocation import Allocation, NodeShare
from corral.model.node import NodeInventory
from corral.model.topology import Topology
from corral.scheduler.bits import ids_of as ids_of
from corral.scheduler.bits import mask_of as mask_of
from corral.scheduler.columns import BoolColumn as BoolColumn
from corral.scheduler.columns import IntColumn as IntColumn
from corral.scheduler.gpushares import GpuColumns
from corral.scheduler.leaves import Leaves
from corral.scheduler.licenses import Pool
from corral.scheduler.sharing import Layers

GresKind = tuple[str, str]  #: (name, type)


class Overcommitted(AssertionError):
    """Something was to be given twice. A fault of ours, never of a user."""


def units_of(share: NodeShare) -> Iterable[tuple[GresKind, int]]:
    """How much it takes of each column of GRES."""
    return [((gres.name, gres.type), len(gres.indices)) for gres in share.gres]


def natural_key(name: str) -> tuple[str, int, str]:
    """node2 before node10."""
    end = len(name)
    while end and name[end - 1].isdigit():
        end -= 1
    return (name[:end], int(name[end:] or -1), name)


def _alike(one: NodeInventory, other: NodeInventory) -> bool:
    """Is there as much of everything on it, under the same names? It may have booted, or run another version."""
    return one is other or all(getattr(one, field) == getattr(other, field) for field in _SEEN)


#: What the table takes from an inventory.
_SEEN = (
    "cpus", "sockets", "cores_per_socket", "threads_per_core", "memory_mb", "tmp_disk_mb", "gres", "features", "partitions",
    "labels", "taints", "arch", "os",
)  # fmt: skip


def layout_of(inventory: NodeInventory) -> tuple[int, int, int]:
    """Sockets, cores of each, threads of each: of the CPUs that are given out, whatever else was claimed."""
    sockets, cores, threads = inventory.sockets, inventory.cores_per_socket, inventory.threads_per_core
    if sockets > 0 and cores > 0 and threads > 0:
        if sockets * cores * threads == inventory.cpus:
            return sockets, cores, threads
        if sockets * cores == inventory.cpus:
            return sockets, cores, 1
    return 1, max(1, inventory.cpus), 1


def whole_cores(mask: int, threads: int) -> int:
    """The cores all of whose threads are in this mask of CPU ids, as a mask of their first threads."""
    whole = mask
    for thread in range(1, threads):
        whole &= mask >> thread
    if threads > 1:
        whole &= _first_threads(mask.bit_length(), threads)
    return whole


@functools.cache
def _first_threads(bits: int, threads: int) -> int:
    return mask_of(range(0, bits, threads))


class NodeTable:
    """Columns over nodes."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.inventories: list[NodeInventory] = []
        self.cpus: IntColumn = np.zeros(0, np.int64)
        self.memory: IntColumn = np.zeros(0, np.int64)
        self.weight: IntColumn = np.zeros(0, np.int64)
        self.usable: BoolColumn = np.zeros(0, np.bool_)
        self.free_cpus: IntColumn = np.zeros(0, np.int64)
        self.free_memory: IntColumn = np.zeros(0, np.int64)
        self.jobs: IntColumn = np.zeros(0, np.int64)  #: how many jobs hold something there
        self.sockets: IntColumn = np.zeros(0, np.int64)
        self.cores: IntColumn = np.zeros(0, np.int64)  #: of each socket
        self.threads: IntColumn = np.zeros(0, np.int64)  #: of each core
        self.has_single_threads = True  #: all of them
        self.tmp_disk: IntColumn = np.zeros(0, np.int64)
        self.shared = Layers()
        #: CPUs and memory as they are, also for those who look at it through another table (timetable.py)
        self.true_free: tuple[IntColumn, IntColumn] = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.withheld: dict[int, int] = {}  #: CPUs of a row that nobody gets out of this copy
        self._by_socket: IntColumn | None = None  #: free whole cores, row by socket; None = nobody has asked
        self._stale: set[int] = set()  #: rows of it that are out of date
        self.free_gres: dict[GresKind, IntColumn] = {}
        self.total_gres: dict[GresKind, IntColumn] = {}
        self.layouts: list[tuple[int, int, int]] = []  #: sockets, cores of each, threads of each
        self.kinds: list[int] = []  #: rows with the same number are alike: cores, memory, devices
        self.all_cpus: list[int] = []  #: CPU ids, as bits
        self.cpu_masks: list[int] = []  #: free ones
        self.gres_masks: list[dict[GresKind, int]] = []  #: free indices
        self.all_gres: list[dict[GresKind, int]] = []  #: all indices
        self.features: list[frozenset[str]] = []
        self.feature_sets: list[frozenset[str]] = []  #: those that there are, each once
        self.feature_set: IntColumn = np.zeros(0, np.int64)  #: which of them each node has
        self.gpus: GpuColumns | None = None  #: how much of each GPU is free; None = there are none
        self.holders: dict[int, Allocation] = {}
        #: by job, what it holds in rows and columns (timetable.py): remembered as long as the rows stay what they are
        self.amounts: dict[int, tuple[Allocation, IntColumn]] = {}
        self.licenses = Pool()
        self.version = 0  #: grows whenever a node comes, goes or changes
        self.layout_version = 0  #: likewise, but not when it only becomes usable or stops being so
        self.grown = 0  #: grows whenever something may have become free: what found no place before still finds none if it has not
        self.moves = 0  #: how often something has been taken
        #: nodes without a row yet, or with another one to come; None = with one that goes
        self.unsettled: dict[str, tuple[NodeInventory, bool, int] | None] = {}
        self.topology: Topology | None = None  #: which switches there are; None = none are configured
        self._leaves: tuple[int, Topology, Leaves] | None = None
        self.words: dict[object, Any] = {}  #: what nodes say to Pods (nodewords.py)
        self.matching: dict[object, BoolColumn] = {}  #: which nodes have features, by what was asked for
        self._emptied: tuple[int, NodeTable] | None = None
        self.popular: object = None  #: which shapes of GPU jobs are usual (popular.Popular); None = nobody knows
        self.scores: dict[object, object] = {}  #: what fragmentation.py has worked out for this copy
        self.remembered: dict[object, object] = {}  #: answers that hold as long as this (emptied) table does

    def __len__(self) -> int:
        return len(self.names)

    @property
    def changes(self) -> int:
        """How often anything of it has changed."""
        return self.version + self.grown + self.moves

    # -- nodes ------------------------------------------------------------------------------------------------------

    def set_node(self, inventory: NodeInventory, usable: bool, weight: int = 1) -> None:
        """Add a node, or replace what is known of it; what jobs hold on it stays held. Of what is new `settle` makes rows."""
        i = self.index.get(inventory.name)
        if i is None or not _alike(self.inventories[i], inventory):
            self.unsettled[inventory.name] = (inventory, usable, weight)
            return
        self.unsettled.pop(inventory.name, None)
        if self.inventories[i] is not inventory:
            self.inventories[i] = inventory
        if self.weight[i] != weight:
            self.weight[i] = weight
            self.layout_version += 1
        if self.usable[i] != usable:
            self.usable[i] = usable
            self.grown += 1
        self.version += 1

    def set_nodes(self, nodes: Iterable[tuple[NodeInventory, bool, int]]) -> None:
        """Many at once: the columns are built anew only once."""
        for inventory, usable, weight in nodes:
            self.set_node(inventory, usable, weight)
        self.settle()

    def settle(self) -> None:
        """Make rows of the nodes that are new or have changed: all of them together, as that costs as much as there are rows."""
        if self.unsettled:
            known: dict[str, tuple[NodeInventory, bool, int] | None] = {
                inv.name: (inv, bool(self.usable[i]), int(self.weight[i])) for i, inv in enumerate(self.inventories)
            }
            known.update(self.unsettled)
            self.unsettled = {}
            self._rebuild([row for row in known.values() if row is not None])

    def set_licenses(self, total: dict[str, int]) -> None:
        """How many the cluster has. What jobs hold stays held, even when it is more."""
        self.licenses.total = total
        self.version += 1
        self.layout_version += 1
        self.grown += 1

    def remove_node(self, name: str) -> None:
        """Its row goes with `settle`."""
        row = self.index.get(name)
        if row is not None and self.jobs[row]:
            raise Overcommitted(f"node {name} still holds jobs")
        self.unsettled[name] = None

    def set_usable(self, name: str, usable: bool) -> None:
        self.usable[self.index[name]] = usable
        self.version += 1
        self.grown += 1

    def _rebuild(self, rows: list[tuple[NodeInventory, bool, int]]) -> None:
        rows.sort(key=lambda row: natural_key(row[0].name))
        held = self.holders
        n = len(rows)
        self.inventories = [row[0] for row in rows]
        self.names = [inv.name for inv in self.inventories]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.usable = np.array([row[1] for row in rows], np.bool_)
        self.weight = np.array([row[2] for row in rows], np.int64)
        self.cpus = np.array([inv.cpus for inv in self.inventories], np.int64)
        self.memory = np.array([inv.memory_mb for inv in self.inventories], np.int64)
        self.layouts = [layout_of(inv) for inv in self.inventories]
        layouts = np.array(self.layouts, np.int64).reshape(n, 3)
        self.sockets, self.cores, self.threads = layouts[:, 0], layouts[:, 1], layouts[:, 2]
        kinds: dict[object, int] = {}
        self.kinds = [
            kinds.setdefault((*layout, inv.memory_mb, inv.gres), len(kinds))
            for layout, inv in zip(self.layouts, self.inventories, strict=True)
        ]
        self.has_single_threads = bool((self.threads == 1).all())
        self.tmp_disk = np.array([inv.tmp_disk_mb for inv in self.inventories], np.int64)
        self.shared = Layers()
        self._by_socket, self._stale = None, set()
        self.free_cpus = self.cpus.copy()
        self.free_memory = self.memory.copy()
        self.true_free = self.free_cpus, self.free_memory
        self.jobs = np.zeros(n, np.int64)
        self.all_cpus = [(1 << inv.cpus) - 1 for inv in self.inventories]
        self.cpu_masks = self.all_cpus.copy()
        self.gres_masks = []
        self.matching, self.words = {}, {}
        self.features = [frozenset(inv.features) for inv in self.inventories]
        number = {features: i for i, features in enumerate(dict.fromkeys(self.features))}
        self.feature_sets = list(number)
        self.feature_set = np.array([number[features] for features in self.features], np.int64)
        self.total_gres = {}
        for i, inv in enumerate(self.inventories):
            masks: dict[GresKind, int] = {}
            first: dict[str, int] = {}
            for device in inv.gres:
                if device.name == "shard":  # parts of the GPUs
                    continue
                start = first.get(device.name, 0)
                first[device.name] = start + device.count
                kind = (device.name, device.type)
                masks[kind] = masks.get(kind, 0) | (((1 << device.count) - 1) << start)
            self.gres_masks.append(masks)
            for kind, mask in masks.items():
                column = self.total_gres.get(kind)
                if column is None:
                    column = self.total_gres[kind] = np.zeros(n, np.int64)
                column[i] = mask.bit_count()
        self.gpus = GpuColumns(self.inventories) if any(name == "gpu" for name, _ in self.total_gres) else None
        self.scores = {}
        self.all_gres = [masks.copy() for masks in self.gres_masks]
        self.free_gres = {kind: column.copy() for kind, column in self.total_gres.items()}
        self.holders, self.amounts = {}, {}
        self.licenses = Pool(self.licenses.total)
        self.version += 1
        self.layout_version += 1
        self.grown += 1
        for job, allocation in held.items():
            self._take(job, allocation, forced=True)

    # -- what jobs hold -----------------------------------------------------------------------------------------------

    def take(self, job: int, allocation: Allocation) -> None:
        """Give all this to the job. Raises Overcommitted, and changes nothing, when some of it is not free."""
        if job in self.holders:
            raise Overcommitted(f"job {job} holds an allocation already")
        for share in allocation.nodes:
            problem = self._why_not(share, allocation)
            if problem:
                raise Overcommitted(f"job {job} on {share.node}: {problem}")
        self._take(job, allocation)

    def hold(self, job: int, allocation: Allocation) -> None:
        """As `take`, of what has just been found free here: it is not looked at again."""
        self._take(job, allocation)

    def can_take(self, allocation: Allocation) -> bool:
        """Is all of it free, on usable nodes?"""
        return self.licenses.has(allocation.licenses) and all(
            share.node in self.index and self.usable[self.index[share.node]] and not self._why_not(share, allocation)
            for share in allocation.nodes
        )

    def has_cpus(self, allocation: Allocation) -> bool:
        """Are all of its CPUs free?"""
        rows = ((self.index.get(share.node), share) for share in allocation.nodes)
        return not any(
            mask_of(share.cpus) & ~self.free_mask(row, allocation.partition, allocation.sharers)
            for row, share in rows if row is not None
        )  # fmt: skip

    def give_back(self, job: int) -> None:
        """Free all that the job holds; nothing when it holds nothing."""
        allocation = self.holders.pop(job, None)
        if allocation is not None:
            self.grown += 1
            self.amounts.pop(job, None)
            self._change(allocation, -1, forced=True)
            self.licenses.change(allocation.licenses, -1)

    def withhold(self, row: int, cpus: int) -> None:
        """Nobody gets these CPUs out of this copy."""
        self.cpu_masks[row] &= ~cpus
        self.free_cpus[row] = self.cpu_masks[row].bit_count()
        self._stale.add(row)
        if self.gpus is not None:
            self.gpus.touch(row)
        self.withheld[row] = self.withheld.get(row, 0) | cpus

    def free_mask(self, row: int, partition: str = "", sharers: int = 0) -> int:
        """The CPU ids that a job may have; `sharers` of this partition may have one together, 0 = its own ones only."""
        mask = self.cpu_masks[row]
        if sharers:
            mask |= self.shared.room(partition, row, sharers) & ~self.withheld.get(row, 0)
        return mask

    def free_cpus_of(self, partition: str, sharers: int) -> IntColumn:
        """As `free_mask`, counted."""
        if not sharers:
            return self.free_cpus
        free = self.free_cpus.copy()
        for row in self.shared.rows(partition):
            free[row] = self.free_mask(row, partition, sharers).bit_count()
        return free

    def by_socket(self) -> IntColumn:
        """Free whole cores: a line for each row, a column for each socket. Not to be changed."""
        if self._by_socket is None:
            self._by_socket = np.zeros((len(self), int(self.sockets.max(initial=1))), np.int64)
            self._stale = set(range(len(self)))
        elif self._stale:
            self._by_socket = self._by_socket.copy()
        for row in self._stale:
            self._by_socket[row] = self.cores_free_in(row, self.cpu_masks[row])
        self._stale = set()
        return self._by_socket

    def cores_free_in(self, row: int, mask: int) -> IntColumn:
        """How many whole cores of each socket are in this mask."""
        threads, span = int(self.threads[row]), int(self.cores[row] * self.threads[row])
        whole, socket = whole_cores(mask, threads), (1 << span) - 1
        found = np.zeros(int(self.sockets.max(initial=1)), np.int64)
        for number in range(int(self.sockets[row])):
            found[number] = ((whole >> number * span) & socket).bit_count()
        return found

    def _why_not(self, share: NodeShare, allocation: Allocation) -> str:
        i = self.index.get(share.node)
        if i is None:
            return "no such node"
        cpus = mask_of(share.cpus)
        free = self.free_mask(i, allocation.partition, allocation.sharers)
        if cpus & ~free:
            return f"CPUs {ids_of(cpus & ~free)} are not free"
        if share.memory_mb and share.memory_mb > self.free_memory[i]:
            return f"{share.memory_mb} MB wanted, {self.free_memory[i]} free"
        for gres in share.gres:
            if gres.milli:
                if self.gpus is None or (problem := self.gpus.problem(i, gres, allocation.owner)):
                    return problem if self.gpus is not None else "no GPUs"
                continue
            free = self.gres_masks[i].get((gres.name, gres.type), 0)
            if mask_of(gres.indices) & ~free:
                return f"{gres.name} {gres.indices} are not free"
        return ""

    def _take(self, job: int, allocation: Allocation, forced: bool = False) -> None:
        self._change(allocation, 1, forced)
        self.licenses.change(allocation.licenses, 1)
        self.holders[job] = allocation
        self.moves += 1

    def _change(self, allocation: Allocation, sign: int, forced: bool = False) -> None:
        """Taken (1) or given back (-1). `forced`: a job may hold what a node no longer has."""
        rows: list[int] = []
        counts: list[int] = []
        free_masks, all_cpus, gpus, memory = self.cpu_masks, self.all_cpus, self.gpus, 0
        for share in allocation.nodes:
            i = self.index.get(share.node)
            if i is None:
                if forced:
                    continue
                raise Overcommitted(f"no node {share.node}")
            mask = mask_of(share.cpus)
            if allocation.sharers:
                mask = self.shared.change(allocation.partition, i, mask, sign)
            free = free_masks[i] & ~mask if sign > 0 else free_masks[i] | (mask & all_cpus[i])
            free_masks[i] = free
            rows.append(i)
            counts.append(free.bit_count())
            memory += share.memory_mb
            if gpus is not None:
                gpus.touch(i)
            if share.gres:
                self._change_gres(i, share, sign, allocation.owner)
        self._stale.update(rows)
        if len(rows) == 1:
            row = rows[0]
            self.free_cpus[row] = counts[0]
            self.jobs[row] += sign
            self.free_memory[row] -= sign * memory
        elif rows:
            self.free_cpus[rows] = counts
            self.jobs[rows] += sign
            if memory:
                held = [share.memory_mb for share in allocation.nodes if share.node in self.index]
                self.free_memory[rows] -= sign * np.array(held, np.int64)

    def _change_gres(self, row: int, share: NodeShare, sign: int, owner: int) -> None:
        masks = self.gres_masks[row]
        for gres in share.gres:
            kind = (gres.name, gres.type) if not gres.milli else ("gpu", gres.type)
            if kind not in masks:
                continue
            if gres.milli and self.gpus is not None:
                emptied, begun = self.gpus.change(row, gres, sign, owner)
                masks[kind] = (masks[kind] & ~begun) | emptied
                self.free_gres[kind][row] = masks[kind].bit_count()
                continue
            units = mask_of(gres.indices) & self.all_gres[row][kind]
            if gres.name == "gpu" and self.gpus is not None:
                self.gpus.change_whole(row, gres.indices, sign)
            masks[kind] = masks[kind] & ~units if sign > 0 else masks[kind] | units
            self.free_gres[kind][row] = masks[kind].bit_count()

    # -- views ------------------------------------------------------------------------------------------------------

    def gres_column(self, name: str, type: str = "", free: bool = True) -> IntColumn:
        """Units of this name (of this type, if given) per node."""
        source = self.free_gres if free else self.total_gres
        total = np.zeros(len(self), np.int64)
        for (kind_name, kind_type), column in source.items():
            if kind_name == name and type in ("", kind_type):
                total = total + column
        return total

    def leaves(self) -> Leaves:
        """At which switches the nodes are, where there are any."""
        assert self.topology is not None
        known = self._leaves
        if known is None or known[0] != self.layout_version or known[1] is not self.topology:
            known = self._leaves = (self.layout_version, self.topology, Leaves(self.topology, self.names))
        return known[2]

    def copy(self) -> "NodeTable":
        """A table to plan on. Inventories and features are shared: they are never changed in place."""
        other = NodeTable.__new__(NodeTable)
        other.__dict__.update(self.__dict__)
        for column in ("usable", "weight", "free_cpus", "free_memory", "jobs"):
            setattr(other, column, getattr(self, column).copy())
        other.true_free = other.free_cpus, other.free_memory
        other.gpus = self.gpus.copy() if self.gpus is not None else None
        other.scores = {}
        other.free_gres = {kind: column.copy() for kind, column in self.free_gres.items()}
        other.cpu_masks = self.cpu_masks.copy()
        if self.total_gres:
            other.gres_masks = (
                [masks.copy() if masks else masks for masks in self.gres_masks]
                if type(self.gres_masks) is list
                else self.gres_masks.copy()
            )
        other.holders = self.holders.copy()
        other.licenses = self.licenses.copy()
        other.shared = self.shared.copy()
        other.withheld = self.withheld.copy()
        other._stale = self._stale.copy() if self._by_socket is not None else set()
        return other

    def emptied(self) -> "NodeTable":
        """The same nodes, usable and with nothing held: could a job ever run? Kept until a node changes; not to be changed."""
        known = self._emptied
        if known is None or known[0] != self.layout_version or known[1].topology is not self.topology:
            other = NodeTable()
            other.licenses = Pool(self.licenses.total)
            other.topology = self.topology
            other._rebuild([(inv, True, int(self.weight[i])) for i, inv in enumerate(self.inventories)])
            other._emptied = (
                other.layout_version,
                other,
            )  # so that what is asked of it is remembered with what others ask
            known = self._emptied = (self.layout_version, other)
        return known[1]
