"""Planned starts beside a planner that is slow and plain: every waiting job gets the earliest start that delays none before it."""

from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.builders import OPERATOR, Cluster, cluster, gpus, job, nodes, partitions

from corral.model.job import JobId, JobSpec
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.scheduler.plan import Plan
from corral.syntax import hostlist

CPUS, MEMORY, GPUS, LICENCES = 4, 1000, 2, 3
NAMES = ("n1", "n2", "n3", "n4")
INSIDE = {"a": NAMES[:3], "b": NAMES[1:], "all": NAMES}


class Wish(NamedTuple):
    """On each node so much; alone there, or not; for so long, or at least for so long."""

    nodes: int
    cpus: int
    memory: int
    gpus: int
    licences: int
    alone: bool
    seconds: int
    least: int
    partitions: tuple[str, ...]

    @property
    def spec(self) -> JobSpec:
        return job(
            self.cpus, time=self.seconds, nodes=self.nodes, memory_per_node_mb=self.memory, gpus_per_node=gpus(self.gpus),
            licenses=f"x:{self.licences}" if self.licences else "", exclusive=self.alone, partition=",".join(self.partitions),
            time_min=self.least or None,
        )  # fmt: skip


class Held(NamedTuple):
    """What somebody has, or will have, of some nodes."""

    start: float
    end: float
    nodes: tuple[str, ...]
    wish: Wish


class Away(NamedTuple):
    """Nodes that are kept for nobody."""

    start: float
    end: float
    nodes: tuple[str, ...]


WISHES = st.builds(
    Wish,
    nodes=st.sampled_from([1, 1, 1, 2, 3]),
    cpus=st.integers(1, CPUS),
    memory=st.sampled_from([1, 300, 600, 1000]),
    gpus=st.sampled_from([0, 0, 1, 2]),
    licences=st.sampled_from([0, 0, 0, 1, 2]),
    alone=st.sampled_from([False, False, False, True]),
    seconds=st.sampled_from([5, 10, 20, 21, 50]),
    least=st.just(0),
    partitions=st.sampled_from([("a",), ("b",), ("all",), ("a", "b")]),
)
SHORTER = st.builds(lambda wish, least: wish._replace(least=min(least, wish.seconds)), WISHES, st.integers(0, 20))
RESERVATIONS = st.lists(
    st.tuples(st.integers(1, 40), st.just(60), st.sampled_from(["n1", "n[2-3]", "n4", "n[1-4]"])), max_size=2
)


def fits(wish: Wish, seconds: float, name: str, start: float, held: list[Held], away: list[Away]) -> bool:
    """Has this node enough, from then on, for so long?"""
    end = start + seconds
    if any(one.start < end and start < one.end and name in one.nodes for one in away):
        return False
    others = [one for one in held if one.start < end and start < one.end and name in one.nodes]
    if others and (wish.alone or any(one.wish.alone for one in others)):
        return False
    for moment in [start, *(one.start for one in others if one.start > start)]:
        there = [one.wish for one in others if one.start <= moment < one.end]
        if sum(one.cpus for one in there) + wish.cpus > CPUS or sum(one.gpus for one in there) + wish.gpus > GPUS:
            return False
        if sum(one.memory for one in there) + wish.memory > MEMORY:
            return False
    return True


def licences_fit(wish: Wish, seconds: float, start: float, held: list[Held]) -> bool:
    others = [one for one in held if one.start < start + seconds and start < one.end]
    moments = [start, *(one.start for one in others if one.start > start)]
    used = (sum(one.wish.licences for one in others if one.start <= moment < one.end) for moment in moments)
    return not wish.licences or max(used) + wish.licences <= LICENCES


def may_start(wish: Wish, seconds: float, start: float, held: list[Held], away: list[Away]) -> bool:
    if not licences_fit(wish, seconds, start, held):
        return False
    return any(
        sum(fits(wish, seconds, name, start, held, away) for name in INSIDE[partition]) >= wish.nodes
        for partition in wish.partitions
    )


def earliest(wish: Wish, now: float, held: list[Held], away: list[Away]) -> float:
    moments = {now, *(one.end for one in held), *(one.end for one in away)}
    return next(time for time in sorted(moments) if time >= now and may_start(wish, wish.seconds, time, held, away))


def world(policy: dict[str, Any]) -> Cluster:
    return cluster(
        nodes("n[1-4]", cpus=CPUS, gpus=GPUS, memory=MEMORY),
        scheduling=policy,
        licenses={"x": LICENCES},
        **partitions(
            Partition(name="all", default=True),
            *(Partition(name=name, nodes=hostlist.fold(list(INSIDE[name]))) for name in ("a", "b")),
        ),
    )


def running(c: Cluster, wishes: dict[JobId, Wish]) -> list[Held]:
    found = []
    for number in c.running():
        record = c.job(number)
        assert record.allocation is not None
        end = record.start_time + record.time_limit
        found.append(Held(record.start_time, end, record.allocation.node_names, wishes[record.id]))
    return found


def reserve(c: Cluster, wishes: list[tuple[int, int, str]]) -> list[Away]:
    away = []
    for number, (start, duration, names) in enumerate(wishes):
        fields = rq.ReservationFields(
            start_time=c.now + start, duration=duration, nodes=names, users=rq.Names(names=("bob",)),
            flags=rq.Names(names=("IGNORE_JOBS", "OVERLAP")),
        )  # fmt: skip
        reply = c.ask(rq.CreateReservation(name=f"r{number}", fields=fields), OPERATOR)
        found = c.state.reservations.get(f"r{number}")
        note(f"{reply}")
        if found is not None:
            away.append(Away(found.start_time, found.end_time, found.nodes))
    return away


def prepared(
    policy: dict[str, Any], before: list[Wish], wishes: list[Wish], reserved: list[tuple[int, int, str]]
) -> tuple[Cluster, dict[JobId, Wish], list[Away], Plan, list[Held]]:
    c = world(policy)
    asked = {c.add(wish.spec): wish for wish in before}
    c.cycle()
    c.cancel(*(number for number in asked if number not in c.running()))
    c.at(3)
    away = reserve(c, reserved)
    waiting = {c.add(wish.spec): wish for wish in wishes}
    held = running(c, asked)
    return c, waiting, away, c.plan(), held


OFTEN = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@OFTEN
@given(st.lists(WISHES, max_size=4), st.lists(WISHES, min_size=1, max_size=8), RESERVATIONS)
def test_every_waiting_job_gets_the_earliest_start_that_delays_none_before_it(
    before: list[Wish], wishes: list[Wish], reserved: list[tuple[int, int, str]]
) -> None:
    c, waiting, away, plan, held = prepared({"backfill": "conservative"}, before, wishes, reserved)
    starts = {start.job: start.allocation.node_names for start in plan.starts}
    for number, wish in waiting.items():
        start = earliest(wish, c.now, held, away)
        note(f"{number}: {wish} expected {start - c.now}; {starts.get(number)} {plan.expected.get(number)}")
        if number in starts:
            assert start == c.now, number
            names = starts[number]
        else:
            assert number in plan.expected, number
            assert plan.expected[number].time == start, number
            names = tuple(hostlist.expand(plan.expected[number].nodes))
        assert len(names) == wish.nodes
        assert all(fits(wish, wish.seconds, name, start, held, away) for name in names)
        assert licences_fit(wish, wish.seconds, start, held)
        held.append(Held(start, start + wish.seconds, names, wish))


@OFTEN
@given(
    st.lists(WISHES, max_size=4),
    st.lists(SHORTER, min_size=1, max_size=8),
    RESERVATIONS,
    st.sampled_from([{"backfill": "easy"}, {"backfill": True, "backfill_max_jobs": 2}, {"backfill": "conservative"}]),
)
def test_what_starts_delays_no_planned_start(
    before: list[Wish], wishes: list[Wish], reserved: list[tuple[int, int, str]], policy: dict[str, Any]
) -> None:
    c, waiting, away, plan, held = prepared(policy, before, wishes, reserved)
    later = [
        (waiting[number], found.time, tuple(hostlist.expand(found.nodes))) for number, found in plan.expected.items()
    ]
    for start in plan.starts:
        wish = waiting[start.job]
        seconds = start.time_limit or wish.seconds
        assert wish.least <= seconds <= wish.seconds
        names = start.allocation.node_names
        assert all(fits(wish, seconds, name, c.now, held, away) for name in names)
        assert licences_fit(wish, seconds, c.now, held)
        held.append(Held(c.now, c.now + seconds, names, wish))
    for wish, time, names in later:
        note(f"planned {wish} {time - c.now} {names}")
        assert all(fits(wish, wish.seconds, name, time, held, away) for name in names)
        assert licences_fit(wish, wish.seconds, time, held)
        held.append(Held(time, time + wish.seconds, names, wish))
