"""Who is preempted is compared with a search through all sets of victims; and nobody preempts one who has preempted him."""

from itertools import combinations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.accounts import qos
from tests.builders import ROOT, Cluster, cluster, gpus, job, node, nodes

from corral.model.allocation import Allocation, NodeShare
from corral.model.cluster import Preemption
from corral.model.gres import GresShare
from corral.model.job import JobSpec, JobState
from corral.protocol.events import JobChanged, JobEnded, JobRequeued
from corral.scheduler.backfill import Planner
from corral.scheduler.demand import Demand, demand_of
from corral.scheduler.nodetable import NodeTable, ids_of
from corral.scheduler.placement import place
from corral.scheduler.preemption import Field, Unit, Victim, frozen, hold, measure_of
from corral.scheduler.reservations import NOTHING
from corral.scheduler.running import RunningJob

NAMES = ("n1", "n2", "n3")
NOW = 10_000.0
#: node, CPUs, memory, GPUs; what becomes of it (None = nobody may preempt it), seconds that it has run, whether on two nodes
JOBS = st.tuples(
    st.sampled_from(NAMES), st.integers(1, 4), st.sampled_from([0, 300, 600]), st.sampled_from([0, 0, 1]),
    st.sampled_from(["REQUEUE", "REQUEUE", "CANCEL", "SUSPEND", None]), st.sampled_from([10, 20, 1000, 5000]), st.booleans(),
)  # fmt: skip
WANTED = st.builds(
    job,
    cpus=st.integers(1, 4),
    nodes=st.sampled_from([None, 1, 2, 3]),
    ntasks=st.sampled_from([None, None, 2, 5]),
    memory_per_node_mb=st.sampled_from([None, None, 500, 900]),
    gres=st.sampled_from([(), (), gpus(1), gpus(2)]),
)
OFTEN = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Drawn = tuple[str, int, int, int, str | None, int, bool]


def table_with(drawn: list[Drawn]) -> tuple[NodeTable, list[Victim]]:
    """As many of these as there is room for."""
    table = NodeTable()
    table.set_nodes([(node(name, cpus=4, gpus=2), True, 1) for name in NAMES])
    victims = []
    for number, (name, cpus, memory, units, action, age, is_wide) in enumerate(drawn, 1):
        places = NAMES[:2] if is_wide else (name,)
        shares = tuple(_share(table, place, cpus, memory, units) for place in places)
        if any(share is None for share in shares):
            continue
        table.take(number, Allocation(nodes=tuple(share for share in shares if share is not None)))
        if action is not None:
            victims.append(Victim(job=number, action=action, start=NOW - age))
    return table, victims


def _share(table: NodeTable, name: str, cpus: int, memory: int, units: int) -> NodeShare | None:
    row = table.index[name]
    free = ids_of(table.cpu_masks[row])
    devices = ids_of(table.gres_masks[row][("gpu", "v100")])
    if len(free) < cpus or table.free_memory[row] < memory or len(devices) < units:
        return None
    gres = (GresShare("gpu", "v100", devices[:units]),) if units else ()
    return NodeShare(node=name, cpus=free[:cpus], memory_mb=memory, gres=gres)


def fits_without(table: NodeTable, demand: Demand, gone: tuple[Victim, ...]) -> bool:
    left = table.copy()
    for victim in gone:
        held = left.holders[victim.job]
        left.give_back(victim.job)
        if victim.action == "SUSPEND":
            left.take(victim.job, frozen(held))
    return place(left, demand, np.ones(len(left), np.bool_)) is not None


@given(st.lists(JOBS, max_size=9), WANTED)
@OFTEN
def test_no_one_goes_who_could_have_stayed_and_none_in_vain(drawn: list[Drawn], spec: JobSpec) -> None:
    table, victims = table_with(drawn)
    demand = demand_of(spec, "batch")
    measure, need = measure_of(demand)

    def fits(left: NodeTable) -> tuple[Allocation | None, int | None]:
        return place(left, demand, np.ones(len(left), np.bool_)), None

    room = Field(table, victims, (), measure, NOW, False).room(fits, need)
    possible = fits_without(table, demand, tuple(victims)) and not fits_without(table, demand, ())
    assert (room is not None) == possible
    if room is None:
        return
    chosen = room.victims
    assert fits_without(table, demand, chosen)
    for left_out in chosen:
        assert not fits_without(table, demand, tuple(one for one in chosen if one is not left_out)), left_out
    ranks = {victim.job: Unit([victim], table, measure, NOW, False).rank for victim in victims}
    worst = max(ranks[victim.job] for victim in chosen)
    assert not fits_without(table, demand, tuple(one for one in victims if ranks[one.job] < worst))
    assert hold(table, -7, room.allocation, [victim.job for victim in chosen])
    for victim in chosen:
        table.give_back(victim.job)
    assert table.holders[-7] == room.allocation
    _check(table)


def _check(table: NodeTable) -> None:
    """What is free and what is held make up all there is."""
    for name in NAMES:
        row = table.index[name]
        shares = [share for held in table.holders.values() for share in held.nodes if share.node == name]
        assert sum(len(share.cpus) for share in shares) + table.free_cpus[row] == 4
        assert sum(share.memory_mb for share in shares) + table.free_memory[row] == 1000


@given(st.lists(JOBS, max_size=9), WANTED)
@settings(max_examples=100, deadline=None)
def test_on_one_node_the_fewest_of_a_rank_go(drawn: list[Drawn], spec: JobSpec) -> None:
    """Where all are alike but in size, and one node is asked for."""
    alike: list[Drawn] = [
        (name, cpus, 0, 0, action and "REQUEUE", 10, False) for name, cpus, _, _, action, _, _ in drawn
    ]
    table, victims = table_with(alike)
    demand = demand_of(job(cpus=spec.cpus_per_task), "batch")
    measure, need = measure_of(demand)

    def fits(left: NodeTable) -> tuple[Allocation | None, int | None]:
        return place(left, demand, np.ones(len(left), np.bool_)), None

    room = Field(table, victims, (), measure, NOW, False).room(fits, need)
    if room is None:
        return
    for fewer in range(len(room.victims)):
        for gone in combinations(victims, fewer):
            assert not fits_without(table, demand, gone)


JOB_OF_QOS = st.builds(
    lambda name, cpus, priority: job(cpus=cpus, time=60, qos=name, priority=priority),
    st.sampled_from(["a", "b", "c"]),
    st.integers(1, 4),
    st.integers(1, 5),
)


def _pairs(c: Cluster) -> set[tuple[int, int]]:
    found = set()
    for event in c.events:
        match event:
            case JobRequeued(ended=ended) if ended.state is JobState.PREEMPTED and ended.preempted is not None:
                found.add((ended.preempted.by, int(ended.id)))
            case JobEnded(job=one) | JobChanged(job=one) if one.preempted is not None:
                found.add((one.preempted.by, int(one.id)))
    return found


@given(
    st.lists(st.one_of(JOB_OF_QOS, st.integers(1, 40)), max_size=14),
    st.sampled_from(["requeue", "requeue,within", "cancel"]),
    st.sampled_from([0, 5]),
)
@settings(max_examples=60, deadline=None)
def test_no_two_jobs_preempt_each_other(steps: list[object], mode: str, grace: int) -> None:
    c = cluster(nodes("n[1-2]", cpus=4), preemption=Preemption(type="qos", mode="REQUEUE"))
    qos(c, "c", preempt_mode=mode, grace_time=grace)
    qos(c, "b", preempt=("=c",), preempt_mode=mode)
    qos(c, "a", preempt=("=b", "=c"), grace_time=grace)
    for step in steps:
        if isinstance(step, int):
            c.at(c.now - 1000.0 + step)
            for one in sorted(c.state.active):
                started = c.job(one)
                if started.state is JobState.RUNNING and c.now - started.start_time >= 30:
                    c.finish(one)
        else:
            c.submit(step, by=ROOT)  # type: ignore[arg-type]
        for _ in range(4):
            c.cycle()
    pairs = _pairs(c)
    assert not {(by, victim) for by, victim in pairs if (victim, by) in pairs}
    c.check()


@given(st.lists(JOBS, max_size=9), WANTED, WANTED)
@OFTEN
def test_planned_starts_are_the_same_when_room_is_booked_as_when_all_is_planned_anew(
    drawn: list[Drawn], spec: JobSpec, other: JobSpec
) -> None:
    table, victims = table_with(drawn)
    demand, behind = demand_of(spec, "batch"), demand_of(other, "batch")
    measure, need = measure_of(demand)
    rows = np.ones(len(table), np.bool_)
    room = Field(table, victims, (), measure, NOW, False).room(lambda left: (place(left, demand, rows), None), need)
    if room is None:
        return
    running = [RunningJob(NOW + 100 * number, number) for number in table.holders]
    told, anew = (Planner(table, running, NOW, NOTHING, "pack") for _ in range(2))
    planned = [one.plan([(behind, rows)], 250.0) for one in (told, anew)]
    assert planned[0] == planned[1]
    before = {victim.job: table.holders[victim.job] for victim in room.victims}
    assert hold(table, -7, room.allocation, before)
    assert told.on_room(before, -7, room.allocation, NOW + 450)
    anew.renew([*running, RunningJob(NOW + 450, -7)])
    for end in (50.0, 150.0, 330.0, 460.0, 2000.0):
        tables = [one.beside(behind, NOW + end, rows)[0] for one in (told, anew)]
        assert np.array_equal(tables[0].free_cpus, tables[1].free_cpus)
        assert np.array_equal(tables[0].free_memory, tables[1].free_memory)
        assert tables[0].gres_masks == tables[1].gres_masks
    assert told.plan([(behind, rows)], 250.0) == anew.plan([(behind, rows)], 250.0)
