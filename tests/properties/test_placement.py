"""What is placed is what was asked for, and where nothing is placed nothing can be: compared with a search through every set of nodes.

The check is written anew from what sbatch(1) says of each option; it shares nothing with the scheduler but the text of constraints.
"""

from itertools import combinations

import msgspec
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from corral.model.allocation import Allocation, NodeShare
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.model.topology import Switch, Topology
from corral.scheduler.demand import Demand, demand_of
from corral.scheduler.feasibility import static_rows
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.placement import place
from corral.syntax import distribution, features

LEAVES = {"n1": "a", "n2": "a", "n3": "b", "n4": "b"}

NODES = st.builds(
    lambda sockets, cores, threads, tmp, found: (sockets, cores, threads, tmp, tuple(sorted(found))),
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.sampled_from([0, 500]), st.sets(st.sampled_from("xyz")),
)  # fmt: skip

SPECS = st.builds(
    JobSpec,
    nodes_min=st.sampled_from([None, None, 1, 2, 3]),
    nodes_max=st.sampled_from([None, 3, 4]),
    ntasks=st.sampled_from([None, 1, 2, 3, 5, 8]),
    cpus_per_task=st.sampled_from([None, None, 1, 2, 3]),
    ntasks_per_node=st.sampled_from([None, None, None, 2]),
    ntasks_per_socket=st.sampled_from([None, None, 1, 2]),
    ntasks_per_core=st.sampled_from([None, None, 1, 2]),
    threads_per_core=st.sampled_from([None, None, 1, 2]),
    sockets_per_node=st.sampled_from([None, None, None, 2]),
    cores_per_socket=st.sampled_from([None, None, None, 2]),
    mincpus=st.sampled_from([None, None, 2, 4]),
    tmp_disk_mb=st.sampled_from([None, None, 400]),
    contiguous=st.booleans(),
    switches=st.sampled_from([None, None, 1]),
    spread_job=st.booleans(),
    use_min_nodes=st.booleans(),
    exclusive=st.sampled_from([False, False, True]),
    distribution=st.sampled_from(["", "block:block", "block:fcyclic", "plane=2"]),
    constraint=st.sampled_from(["", "", "x", "x|y", "x*1", "x*1&y*1", "[x|y]", "[x*1&y*1]", "z&x*2"]),
    nodelist=st.sampled_from(["", "", "n2", "n[1,4]"]),
    exclude=st.sampled_from(["", "", "n3"]),
)
HELD = st.lists(st.tuples(st.sampled_from(sorted(LEAVES)), st.integers(0, 5)), max_size=4)
EASY = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def inventories(shapes: list[tuple[int, int, int, int, tuple[str, ...]]]) -> list[NodeInventory]:
    return [
        NodeInventory(
            name=f"n{number}", cpus=sockets * cores * threads, sockets=sockets, cores_per_socket=cores,
            threads_per_core=threads, memory_mb=1000, tmp_disk_mb=tmp, features=found,
        )
        for number, (sockets, cores, threads, tmp, found) in enumerate(shapes, 1)
    ]  # fmt: skip


def filled(
    found: list[NodeInventory], held: list[tuple[str, int]], with_switches: bool
) -> tuple[NodeTable, dict[str, set[int]]]:
    """The table, and which cores are free on each node."""
    table = NodeTable()
    table.set_nodes([(inventory, True, 1) for inventory in found])
    if with_switches:
        leaves = [
            Switch(name="a", nodes="n[1-2]"),
            Switch(name="b", nodes="n[3-4]"),
            Switch(name="top", switches="a,b"),
        ]
        table.topology = Topology(leaves)
    free = {inv.name: set(range(inv.sockets * inv.cores_per_socket)) for inv in found}
    threads = {inv.name: inv.threads_per_core for inv in found}
    for number, (name, core) in enumerate(held):
        if name in free and core in free[name]:
            free[name].discard(core)
            cpus = tuple(core * threads[name] + i for i in range(threads[name]))
            table.take(number + 1, Allocation(nodes=(NodeShare(node=name, cpus=cpus, memory_mb=0),)))
    return table, free


class Node:
    """One node as the specification sees it."""

    def __init__(self, inventory: NodeInventory, free: set[int], spec: JobSpec) -> None:
        self.inventory, self.spec = inventory, spec
        per = inventory.cores_per_socket
        self.by_socket = [{core for core in free if core // per == number} for number in range(inventory.sockets)]
        self.untouched = len(free) == inventory.sockets * per
        self.each = spec.cpus_per_task or 1
        lent = inventory.threads_per_core
        if spec.threads_per_core:
            lent = min(lent, spec.threads_per_core)
        if spec.ntasks_per_core:
            lent = min(lent, spec.ntasks_per_core * self.each)
        self.lent = lent
        if spec.cores_per_socket:
            self.by_socket = [found if len(found) >= spec.cores_per_socket else set() for found in self.by_socket]
        self.cores = sum(map(len, self.by_socket))

    def most_tasks(self) -> int:
        spec, inventory = self.spec, self.inventory
        if spec.tmp_disk_mb and inventory.tmp_disk_mb < spec.tmp_disk_mb:
            return 0
        for asked, there in (
            (spec.sockets_per_node, inventory.sockets), (spec.cores_per_socket, inventory.cores_per_socket),
            (spec.threads_per_core, inventory.threads_per_core),
        ):  # fmt: skip
            if asked and there < asked:
                return 0
        if spec.sockets_per_node and sum(map(bool, self.by_socket)) < spec.sockets_per_node:
            return 0
        if spec.exclusive and not self.untouched:
            return 0
        if spec.mincpus and self.cores * self.lent < spec.mincpus:
            return 0
        tasks = self.fit(self.cores)
        if limit := spec.ntasks_per_socket:
            if inventory.cores_per_socket * inventory.threads_per_core < limit:
                return 0
            span = -(-self.each // (inventory.cores_per_socket * self.lent))
            if span > 1:
                tasks = min(tasks, sum(map(bool, self.by_socket)) // span)
            else:
                tasks = min(tasks, sum(min(limit, self.fit(len(found))) for found in self.by_socket))
        if spec.ntasks_per_node:
            tasks = spec.ntasks_per_node if tasks >= spec.ntasks_per_node else 0
        return tasks

    def fit(self, cores: int) -> int:
        if self.spec.ntasks_per_core == 1 and self.each > 1:
            return cores // -(-self.each // self.lent)
        return cores * self.lent // self.each


def possible(demand: Demand, spec: JobSpec, nodes: dict[str, Node], with_switches: bool) -> list[tuple[str, ...]]:
    """Every set of nodes that will do."""
    capacity = {name: node.most_tasks() for name, node in nodes.items()}
    ntasks = demand.ntasks or demand.nodes_min
    most = demand.nodes_max or len(nodes)
    found = []
    for count in range(demand.nodes_min, min(most, len(nodes)) + 1):
        for names in combinations(sorted(nodes), count):
            chosen = [set(nodes[name].inventory.features) for name in names]
            numbers = [int(name[1:]) for name in names]
            if (
                all(capacity[name] for name in names)
                and sum(capacity[name] for name in names) >= ntasks
                and set(demand.nodelist) <= set(names)
                and not set(demand.exclude) & set(names)
                and (not spec.contiguous or numbers[-1] - numbers[0] == count - 1)
                and (
                    not (spec.switches and with_switches and not spec.spread_job)
                    or len({LEAVES[name] for name in names}) <= spec.switches
                )
                and (not spec.constraint or features.satisfied(features.parse(spec.constraint), chosen))
            ):
                found.append(names)
    return found


def check_share(share: NodeShare, node: Node, spec: JobSpec) -> None:
    threads, per = node.inventory.threads_per_core, node.inventory.cores_per_socket
    cores = {cpu // threads for cpu in share.cpus}
    assert len(share.cpus) == len(cores) * threads, "whole cores"
    assert cores <= set().union(*node.by_socket) or spec.exclusive
    assert share.tasks * node.each <= len(cores) * node.lent, "a CPU for each"
    if spec.ntasks_per_core == 1:
        assert share.tasks <= len(cores)
    if spec.mincpus:
        assert len(cores) * node.lent >= spec.mincpus
    if (
        spec.ntasks_per_socket
        and not spec.exclusive
        and "fcyclic" not in spec.distribution
        and node.each <= per * node.lent
    ):
        room = sum(
            min(spec.ntasks_per_socket, node.fit(len(cores & set(range(n * per, n * per + per)))))
            for n in range(node.inventory.sockets)
        )
        assert room >= share.tasks, "not more to a socket than it may have"
    order = distribution.parse(spec.distribution).sockets if spec.distribution else ""
    if (
        order == "block"
        and not spec.ntasks_per_socket
        and not spec.exclusive
        and not spec.cores_per_socket
        and node.each == 1
    ):
        lowest = sorted(core for found in node.by_socket for core in found)[: len(cores)]
        assert sorted(cores) == lowest, "one socket after another"


@EASY
@given(st.lists(NODES, min_size=1, max_size=4), SPECS, HELD, st.booleans())
def test_what_is_placed_was_asked_for_and_what_can_be_is(
    shapes: list[tuple[int, int, int, int, tuple[str, ...]]],
    spec: JobSpec,
    held: list[tuple[str, int]],
    with_switches: bool,
) -> None:
    assume(spec.nodes_max is None or spec.nodes_max >= (spec.nodes_min or 1))
    found = inventories(shapes)
    there = {inventory.name for inventory in found}
    assume({"n2": 2, "n[1,4]": 4}.get(spec.nodelist, 1) <= len(found))
    assume(not (spec.nodelist == "n[1,4]" and (spec.nodes_max or 9) < 2))
    table, free = filled(found, held, with_switches)
    demand = demand_of(spec, "batch")
    nodes = {inventory.name: Node(inventory, free[inventory.name], spec) for inventory in found}
    allocation = place(table, demand, static_rows(table, demand, np.ones(len(table), np.bool_)))
    sets = possible(demand, spec, nodes, with_switches)
    if allocation is None:
        assert not sets, f"{sets[0]} would do"
        return
    assert set(allocation.node_names) <= there
    assert allocation.node_names in sets, "a set of nodes that will do"
    for share in allocation.nodes:
        check_share(share, nodes[share.node], spec)
    tasks = sum(share.tasks for share in allocation.nodes)
    assert tasks >= (spec.ntasks or 1)
    assert all(share.tasks for share in allocation.nodes)
    if spec.use_min_nodes and demand.nodes_max and not spec.spread_job:
        assert len(allocation.nodes) == min(len(names) for names in sets)
    table.take(1000, allocation)
    table.give_back(1000)
    assert (table.free_cpus == filled(found, held, with_switches)[0].free_cpus).all()


@EASY
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=12), st.integers(2, 3))
def test_no_cpu_is_had_by_more_than_may_share_it(jobs: list[tuple[int, bool, bool]], most: int) -> None:
    """Jobs (CPUs, do they share, do they end again) of two partitions on one node."""
    table, _ = filled(inventories([(1, 2, 2, 0, ())]), [], False)
    having: dict[int, tuple[tuple[int, ...], int]] = {}
    for number, (cpus, shares, ends) in enumerate(jobs, 1):
        demand = msgspec.structs.replace(
            demand_of(JobSpec(cpus_per_task=cpus), "batch" if number % 3 else "other"), sharers=most if shares else 0
        )
        allocation = place(table, demand, np.ones(1, np.bool_))
        if allocation is not None:
            table.take(number, allocation)
            having[number] = allocation.nodes[0].cpus, allocation.sharers
        for cpu in range(4):
            users = [sharers for ids, sharers in having.values() if cpu in ids]
            assert len(users) <= max([1, *users])
            assert len(users) <= 1 or 0 not in users
        if ends and having:
            gone = min(having)
            table.give_back(gone)
            del having[gone]
        taken = set().union(*(ids for ids, _ in having.values()))
        assert table.free_cpus[0] == 4 - len(taken)
