"""Reservations: how they are made, whom they keep off, and what becomes of jobs when they begin and end."""

from typing import Any

import pytest
from tests.builders import ANN, BOB, OPERATOR, Cluster, cluster, job, node, nodes

from corral.model.job import JobId, JobSpec, JobState
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.model.reservation import Flag, Reservation
from corral.protocol import requests as rq
from corral.protocol.replies import Done, Rejected, WouldStart

FOREVER = 10**6


def names(*words: str, sign: Any = "") -> rq.Names:
    return rq.Names(names=words, sign=sign)


def ask(c: Cluster, name: str, start: float = 0.0, duration: int = 600, by: rq.Caller = OPERATOR, **fields: Any) -> Any:
    """Times are seconds after the start of the cluster."""
    if not {"users", "accounts", "groups"} & set(fields):
        fields["users"] = names("ann")
    flags = fields.pop("flags", ())
    found = rq.ReservationFields(
        start_time=1000.0 + start, duration=duration, flags=names(*flags) if flags else None, **fields
    )
    return c.ask(rq.CreateReservation(name=name, fields=found), by)


def reserve(c: Cluster, name: str = "r", **fields: Any) -> Reservation:
    reply = ask(c, name, **fields)
    assert isinstance(reply, Done), reply
    return c.state.reservations[reply.messages[0]]


def change(c: Cluster, name: str, **fields: Any) -> Any:
    return c.ask(rq.UpdateReservation(name=name, fields=rq.ReservationFields(**fields)), OPERATOR)


def inside(name: str = "r", cpus: int = 1, time: int = 100, **fields: Any) -> JobSpec:
    return job(cpus, time=time, reservation=name, **fields)


def two() -> Cluster:
    return cluster(nodes("n[1-2]", cpus=4))


# -- making them


def test_named_nodes_are_reserved_for_a_user() -> None:
    c = two()
    found = reserve(c, nodes="n2")
    assert (found.nodes, found.flags, found.start_time, found.end_time) == (("n2",), (Flag.SPEC_NODES,), 1000, 1600)
    c.check()


def test_without_a_name_it_gets_one_after_its_first_user() -> None:
    c = two()
    assert [
        reserve(c, "", nodes="n1").name,
        reserve(c, "", nodes="n2", accounts=names("-physics"), users=None).name,
    ] == [
        "ann_1",
        "physics_2",
    ]


def test_so_many_nodes_are_those_that_nobody_has() -> None:
    c = cluster(nodes("n[1-4]", cpus=4))
    c.run(job(4, time=FOREVER))
    reserve(c, "a", nodes="n2")
    assert reserve(c, "b", node_counts=(2,)).nodes == ("n3", "n4")
    reply = ask(c, "c", node_counts=(1,))
    assert isinstance(reply, Rejected)
    assert reply.error == "Requested nodes are busy"


def test_all_nodes_and_those_of_a_partition_follow_it() -> None:
    c = cluster(
        nodes("n[1-3]", cpus=4),
        partition=(Partition(name="batch", default=True), Partition(name="some", nodes="n[1-2]")),
    )
    assert reserve(c, "all", nodes="ALL").flags == (Flag.SPEC_NODES, Flag.ALL_NODES)
    some = reserve(c, "some", partition="some", flags=("OVERLAP",))
    assert (some.nodes, some.flags) == (("n1", "n2"), (Flag.OVERLAP, Flag.SPEC_NODES, Flag.PART_NODES))
    c.ask(rq.UpdatePartition(name="some", changes={"nodes": "n[2-3]"}), OPERATOR)
    assert c.state.reservations["some"].nodes == ("n2", "n3")


def test_cores_are_spread_as_they_are_asked_for() -> None:
    def cores(found: Reservation) -> dict[str, int]:
        return {part.node: len(part.cpus) for part in found.cores}

    c = two()
    assert cores(reserve(c, "a", nodes="n1", core_counts=(3,))) == {"n1": 3}
    assert cores(reserve(c, "b", core_counts=(4,))) == {"n1": 1, "n2": 3}
    c = two()
    assert cores(reserve(c, "c", core_counts=(4,), node_counts=(2,))) == {"n1": 2, "n2": 2}
    assert isinstance(ask(c, "d", core_counts=(5,)), Rejected)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"nodes": "n9"}, "Invalid node name specified"),
        ({"nodes": "n["}, "Invalid node name specified"),
        ({"nodes": "n1", "start": -100_000}, "Invalid time specified"),
        ({"nodes": "n1", "partition": "none"}, "Invalid partition name specified"),
        ({"nodes": "n1", "licenses": "none"}, "Invalid license specification"),
        ({"node_counts": (1,), "features": "none"}, "Invalid feature specification"),
        ({"nodes": "n1", "users": names("ann", "-bob")}, "Invalid user id"),
        ({"nodes": "n1", "users": names()}, "Reservation request lacks users, groups or accounts"),
        ({"nodes": "n1", "flags": ("HOURLY", "TIME_FLOAT")}, "Requested operation not supported on this system"),
        ({"nodes": "n1", "flags": ("NONSENSE",)}, "Invalid reservation flags"),
        ({}, "Invalid node name specified"),
        ({"flags": ("ANY_NODES",)}, "Requested reservation is invalid"),
        ({"nodes": "n1", "duration": 1 << 40}, None),
        ({"nodes": "n1", "by": ANN}, "Invalid user id"),
        ({"nodes": "n1", "start": 1e11, "flags": ("DAILY",)}, "Invalid time specified"),
        ({"nodes": "n1", "duration": -60}, "Invalid time specified"),
        ({"node_counts": (-1,)}, "Node count specification invalid"),
        ({"nodes": "n1", "core_counts": (-3,)}, "Node count specification invalid"),
        ({"nodes": "n1", "purge_seconds": -1}, "Node count specification invalid"),
        ({"nodes": "n1", "accounts": names("x" * 100_000)}, "Requested reservation is invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(fields: dict[str, Any], error: str | None) -> None:
    c = two()
    before = len(c.events)
    reply = ask(c, "r", **fields)
    if error is None:  # UNLIMITED is a year
        assert isinstance(reply, Done)
        assert c.state.reservations["r"].end_time == 1000 + 365 * 86400
        return
    assert isinstance(reply, Rejected)
    assert reply.error == error
    assert len(c.events) == before


def test_two_do_not_have_one_node_at_one_time_unless_they_may() -> None:
    c = two()
    reserve(c, "a", nodes="n1", duration=600)
    reply = ask(c, "b", nodes="n[1-2]", start=300)
    assert isinstance(reply, Rejected)
    assert reply.error == "Requested reservation overlaps with another reservation"
    reserve(c, "b", nodes="n[1-2]", start=600)
    reserve(c, "c", nodes="n1", flags=("OVERLAP",))
    reserve(c, "d", nodes="ALL", flags=("MAINT",))
    assert isinstance(ask(c, "a", nodes="n2"), Rejected)  # the name


def test_one_that_repeats_overlaps_in_times_to_come() -> None:
    c = two()
    reserve(c, "daily", nodes="n1", duration=3600, flags=("DAILY",))
    assert isinstance(ask(c, "b", nodes="n1", start=3600, duration=7200), Done)
    assert isinstance(ask(c, "c", nodes="n1", start=86400 * 3 + 1800), Rejected)


def test_a_node_with_a_job_is_busy_until_its_limit() -> None:
    c = two()
    c.run(job(4, time=300))
    assert isinstance(ask(c, "a", nodes="n1"), Rejected)
    reserve(c, "b", nodes="n1", start=300)
    reserve(c, "c", nodes="n1", flags=("IGNORE_JOBS",), duration=120)


def test_operators_alone_change_and_delete_them() -> None:
    c = two()
    reserve(c, nodes="n1")
    assert isinstance(c.ask(rq.UpdateReservation(name="r"), ANN), Rejected)
    assert isinstance(c.ask(rq.DeleteReservation(name="r"), ANN), Rejected)
    assert isinstance(c.ask(rq.DeleteReservation(name="none"), OPERATOR), Rejected)
    assert isinstance(c.ask(rq.DeleteReservation(name="r"), OPERATOR), Done)
    assert not c.state.reservations
    c.check()


def test_users_are_added_and_taken_away() -> None:
    c = two()
    reserve(c, nodes="n1")
    change(c, "r", users=names("bob", sign="+"))
    assert c.state.reservations["r"].users == ("ann", "bob")
    change(c, "r", users=names("ann", sign="-"))
    assert c.state.reservations["r"].users == ("bob",)
    assert isinstance(change(c, "r", users=names("bob", sign="-")), Rejected)
    change(c, "r", users=names("-ann"), accounts=names("physics"))
    found = c.state.reservations["r"]
    assert (found.users, found.users_denied, found.accounts) == (("ann",), False, ("physics",)) or found.users == (
        "bob",
    )


def test_times_nodes_and_flags_change() -> None:
    c = cluster(nodes("n[1-4]", cpus=4))
    reserve(c, node_counts=(1,), start=3600, duration=600)
    change(c, "r", duration=1200)
    change(c, "r", node_counts=(3,))
    assert c.state.reservations["r"].nodes == ("n1", "n2", "n3")
    change(c, "r", node_counts=(1,))
    assert c.state.reservations["r"].nodes == ("n3",)
    change(c, "r", start_time=1000.0 + 7200)
    change(c, "r", flags=names("DAILY", sign="+"))
    found = c.state.reservations["r"]
    assert (found.start_time, found.end_time, found.flags) == (8200, 9400, (Flag.DAILY,))
    assert isinstance(change(c, "r", end_time=500.0), Rejected)
    c.check()


# -- whom they keep off


def test_others_keep_off_its_nodes_from_the_moment_on_that_their_limit_reaches_into_it() -> None:
    c = cluster(node("n1", cpus=4))
    reserve(c, nodes="n1", start=200, duration=600)
    long, short = c.add(job(1, time=201)), c.add(job(1, time=200))
    c.cycle()
    assert c.running() == [short]
    assert c.job(long).expected_start == 1800
    c.at(200).cycle()
    assert c.running() == []
    c.at(800).cycle()
    assert c.running() == [long]
    c.check()


def test_its_users_run_in_it_from_its_start_on_and_are_ended_with_it() -> None:
    c = two()
    reserve(c, nodes="n2", start=100, duration=300)
    mine = c.add(inside(time=10_000))
    c.cycle()
    assert c.reason(mine) is Reason.RESERVATION
    c.at(100).cycle()
    assert list(c.where(mine)) == ["n2"]
    assert c.job(mine).allocation.reservation == "r"  # type: ignore[union-attr]
    assert c.job(mine).allocation.reservation_number == 1  # type: ignore[union-attr]
    c.at(400)
    assert c.job(mine).state is JobState.TIMEOUT
    assert not c.state.reservations
    c.check()


def test_a_job_of_a_flexible_one_is_held_to_neither_time_nor_nodes() -> None:
    c = two()
    reserve(c, nodes="n2", start=100, duration=300, flags=("FLEX",))
    mine = c.run(inside(time=10_000, cpus=4))
    other = c.run(inside(time=10_000, cpus=4))
    c.at(400)
    assert c.states(mine, other) == ["RUNNING", "RUNNING"]


def test_who_is_not_named_is_refused() -> None:
    c = two()
    reserve(c, nodes="n1")
    spec = rq.SubmitJobs(jobs=(rq.NewJob(spec=inside()),))
    denied = c.ask(spec, BOB)
    unknown = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=inside("none")),)))
    assert isinstance(denied, Rejected)
    assert isinstance(unknown, Rejected)
    assert (denied.error, unknown.error) == (
        "Access denied to requested reservation",
        "Requested reservation is invalid",
    )


@pytest.mark.parametrize(
    ("fields", "user", "account", "may"),
    [
        ({"users": names("ann")}, "ann", "", True),
        ({"users": names("-ann")}, "ann", "", False),
        ({"users": names("-ann")}, "bob", "", True),
        ({"accounts": names("physics")}, "bob", "physics", True),
        ({"accounts": names("physics")}, "bob", "", False),
        ({"accounts": names("-physics")}, "bob", "physics", False),
        ({"users": names("ann"), "accounts": names("physics")}, "ann", "", False),
        ({"users": names("ann"), "accounts": names("physics")}, "ann", "physics", True),
        ({"groups": names("g"), "members": {"g": ("ann",)}}, "ann", "", True),
        ({"groups": names("g"), "members": {"g": ("ann",)}}, "bob", "", False),
    ],
)  # fmt: skip
def test_users_groups_and_accounts_decide(fields: dict[str, Any], user: str, account: str, may: bool) -> None:
    assert reserve(two(), nodes="n1", **fields).admits(user, account) is may


def test_a_job_fits_what_is_reserved_or_is_refused() -> None:
    c = two()
    reserve(c, nodes="n1")
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=inside(nodes=2)),)))
    assert isinstance(reply, Rejected)
    assert reply.error == "Requested node configuration is not available"


def test_the_first_reservation_of_several_that_is_open_wins() -> None:
    c = two()
    reserve(c, "late", nodes="n1", start=500)
    reserve(c, "early", nodes="n2", start=0)
    mine = c.run(inside("late,early"))
    assert list(c.where(mine)) == ["n2"]


def test_reserved_cores_leave_the_others_of_the_node() -> None:
    c = cluster(node("n1", cpus=8))
    reserve(c, nodes="n1", core_counts=(6,))
    mine = c.run(inside(cpus=6))
    assert c.add(inside(cpus=1))
    other = c.add(job(2))
    third = c.add(job(1))
    whole = c.add(job(1, exclusive=True))
    c.cycle()
    assert c.running() == [mine, other]
    assert c.job(third).reason is Reason.RESOURCES
    assert c.job(whole).is_pending
    c.check()


def test_reserved_licences_are_kept() -> None:
    c = cluster(nodes("n[1-2]", cpus=4), licenses={"a": 3})
    reserve(c, licenses="a:2", flags=("ANY_NODES",))
    others = [c.add(job(1, licenses="a")), c.add(job(1, licenses="a"))]
    mine = c.add(inside(licenses="a:2", cpus=1))
    c.cycle()
    assert c.running() == [others[0], mine]
    c.check()


def test_maintenance_keeps_everybody_off_and_its_own_users_on() -> None:
    c = two()
    reserve(c, "a", nodes="n1", duration=3600)
    reserve(c, "m", nodes="ALL", flags=("MAINT",), users=names("olga"))
    waits, mine = c.add(job(1)), c.add(inside("a"))
    c.cycle()
    assert [c.job(i).reason_text for i in (waits, mine)] == ["Reserved for maintenance"] * 2
    fixes = c.add(inside("m"), by=OPERATOR)
    c.cycle()
    assert c.running() == [fixes]


def test_a_job_that_wants_a_reserved_node_says_so() -> None:
    c = two()
    reserve(c, nodes="n1")
    named, both, free = c.add(job(1, nodelist="n1")), c.add(job(1, nodes=2)), c.add(job(1))
    c.cycle()
    assert (c.job(named).reason, c.job(named).reason_text) == (
        Reason.REQ_NODE_NOT_AVAIL,
        "May be reserved for other job",
    )
    assert c.job(both).reason is Reason.RESOURCES
    assert [c.job(i).expected_start for i in (named, both)] == [1600, 1600]
    assert c.running() == [free]


def test_a_magnetic_one_draws_its_users_jobs() -> None:
    c = two()
    reserve(c, nodes="n2", flags=("MAGNETIC",))
    mine, others = c.add(job(4)), c.add(job(4), by=BOB)
    again = c.add(job(4))
    c.cycle()
    assert list(c.where(mine)) == ["n2"]
    assert c.running() == [mine, others]
    c.finish(others).cycle()
    assert list(c.where(again)) == ["n1"]
    c.check()


def test_one_that_floats_lets_short_jobs_through_for_ever() -> None:
    c = cluster(node("n1", cpus=4))
    reserve(c, nodes="n1", start=300, duration=3600, flags=("TIME_FLOAT",))
    short, long = c.add(job(1, time=300)), c.add(job(1, time=301))
    c.cycle()
    assert c.running() == [short]
    c.at(5000).cycle()
    assert c.job(long).is_pending


def test_a_job_that_may_be_shorter_is_cut_to_end_before_it() -> None:
    c = cluster(node("n1", cpus=4))
    reserve(c, nodes="n1", start=200, duration=600)
    mine = c.run(job(1, time=1000, time_min=100))
    assert c.job(mine).time_limit == 200


def test_what_is_asked_for_a_test_sees_them_too() -> None:
    c = cluster(node("n1", cpus=4))
    reserve(c, nodes="n1", start=200, duration=600)
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(1, time=300)),), test_only=True), BOB)
    assert isinstance(reply, WouldStart)
    assert reply.start == 1800
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=inside(time=300)),), test_only=True))
    assert isinstance(reply, WouldStart)
    assert reply.start == 1200


def test_a_planned_start_within_it_is_protected_too() -> None:
    c = two()
    reserve(c, nodes="n1", duration=3600)
    first = c.run(inside(cpus=3, time=500))
    big, small, tiny = c.add(inside(cpus=4)), c.add(inside(cpus=1, time=600)), c.add(inside(cpus=1, time=500))
    c.cycle()
    assert c.running() == [first, tiny]
    assert c.job(big).expected_start == 1500
    assert c.job(small).is_pending


# -- their time


def test_one_that_repeats_comes_again_and_ends_its_jobs_each_time() -> None:
    c = two()
    reserve(c, nodes="n1", duration=300, flags=("HOURLY",))
    first = c.run(inside(time=10_000))
    second = c.add(inside(cpus=4, time=10_000))
    c.at(300).cycle()
    assert c.states(first, second) == ["TIMEOUT", "PENDING"]
    assert c.state.reservations["r"].start_time == 4600
    assert c.reason(second) is Reason.RESERVATION
    c.at(3600).cycle()
    assert c.states(second) == ["RUNNING"]
    c.check()


def test_who_still_waits_when_it_ends_is_held() -> None:
    c = two()
    reserve(c, nodes="n1", duration=300)
    c.run(inside(cpus=4, time=10_000))
    waits = c.add(inside(cpus=4))
    c.cycle().at(300)
    found = c.job(waits)
    assert (found.held_by, found.reason, found.reason_text) == (
        "user", Reason.RESERVATION_DELETED, "Reservation r was deleted",
    )  # fmt: skip
    assert c.state.spec(found).reservation == ""
    c.ask(rq.ReleaseJobs(ids=(str(waits),)))
    c.cycle()
    assert c.states(waits) == ["RUNNING"]
    c.check()


def test_who_is_queued_again_when_it_is_gone_is_held_too() -> None:
    c = two()
    reserve(c, nodes="n1", duration=120)
    mine = c.run(inside(time=100))
    c.finish(mine).at(120)
    assert not c.state.reservations
    c.ask(rq.RequeueJobs(ids=(str(mine),)))
    c.cycle()
    assert (c.states(mine), c.reason(mine)) == (["PENDING"], Reason.RESERVATION_DELETED)
    c.ask(rq.ReleaseJobs(ids=(str(mine),)))
    c.cycle()
    assert c.states(mine) == ["RUNNING"]
    c.check()


def test_or_runs_outside_if_it_may() -> None:
    c = two()
    reserve(c, nodes="n1", duration=300, flags=("NO_HOLD_JOBS_AFTER_END",))
    c.run(inside(cpus=4, time=10_000))
    waits = c.add(inside(cpus=4))
    c.at(300).cycle()
    assert c.states(waits) == ["RUNNING"]


def test_one_in_use_is_not_deleted() -> None:
    c = two()
    reserve(c, nodes="n1")
    c.add(inside())
    reply = c.ask(rq.DeleteReservation(name="r"), OPERATOR)
    assert isinstance(reply, Rejected)
    assert reply.error == "Requested reservation is in use"


def test_a_node_that_falls_away_is_replaced_unless_it_was_named() -> None:
    c = cluster(nodes("n[1-3]", cpus=4))
    reserve(c, "a", node_counts=(1,))
    reserve(c, "b", nodes="n2")
    c.ask(rq.UpdateNodes(nodes="n[1-2]", state="drain", reason="x"), OPERATOR)
    c.tick()
    assert (c.state.reservations["a"].nodes, c.state.reservations["b"].nodes) == (("n3",), ("n2",))


def test_nodes_that_jobs_have_are_replaced_too_if_asked_for() -> None:
    c = cluster(nodes("n[1-3]", cpus=4))
    reserve(c, node_counts=(1,), flags=("REPLACE",))
    mine = c.run(inside())
    c.tick()
    assert list(c.where(mine)) == ["n1"]
    assert c.state.reservations["r"].nodes == ("n2",)


def test_one_that_lies_idle_is_purged() -> None:
    c = two()
    reserve(c, nodes="n1", duration=36_000, flags=("PURGE_COMP",), purge_seconds=300)
    mine = c.run(inside())
    c.at(310)
    assert "r" in c.state.reservations
    c.finish(mine).at(400)
    c.at(699)
    assert "r" in c.state.reservations
    c.at(700)
    assert not c.state.reservations
    c.check()


def test_the_next_time_of_one_that_repeats_is_skipped() -> None:
    c = two()
    reserve(c, nodes="n1", start=100, duration=300, flags=("HOURLY",))
    c.ask(rq.UpdateReservation(name="r", skip=True), OPERATOR)
    assert c.state.reservations["r"].start_time == 4700
    reserve(c, "once", nodes="n2")
    assert isinstance(c.ask(rq.UpdateReservation(name="once", skip=True), OPERATOR), Rejected)


def test_a_waiting_job_is_moved_into_one() -> None:
    c = two()
    reserve(c, nodes="n1", start=100)
    waits = c.add(job(1, hold=True))
    assert isinstance(c.ask(rq.UpdateJob(id=str(waits), changes={"reservationname": "none"})), Rejected)
    assert isinstance(c.ask(rq.UpdateJob(id=str(waits), changes={"reservationname": "r"})), Done)
    assert c.state.spec(c.job(waits)).reservation == "r"


def test_an_array_runs_in_one() -> None:
    c = two()
    reserve(c, nodes="n1")
    array = c.add(inside(array="0-5", cpus=1))
    c.cycle()
    assert {next(iter(c.where(i))) for i in c.running()} == {"n1"}
    assert len(c.state.array_members[JobId(array)]) == 5
    c.check()
