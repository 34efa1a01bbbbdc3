"""Are the sums that sreport adds up right, whatever keeps them?"""

import pytest

from corral.store import rollup
from corral.store.interface import Batch, Purge
from corral.store.rollup import HOUR, NodeChange
from corral.store.rows import HistoryQuery, Run

H = 1000 * HOUR


def run(job: int, **fields) -> Run:
    defaults = {
        "account": "physics", "user": "ann", "submit": H, "eligible": H, "start": H + 60, "end": H + 660, "cpus": 2, "req_cpus": 2,
        "tres_alloc": "cpu=2,mem=100M,node=1,gres/gpu=1",
    }  # fmt: skip
    return Run(job=job, **{**defaults, **fields})


def add(store, *ended: Run) -> None:
    batch = Batch(runs=list(ended))
    for one in ended:
        rollup.add_run(batch.usage, one)
    store.append(batch).result(5)


def test_a_run_counts_in_every_hour_it_ran_in(store):
    add(store, run(1, start=H + 1800, end=H + 2 * HOUR + 900))
    hours = [
        store.usage(hour, hour + HOUR).get(("physics", "ann", "", "cpu"), 0) for hour in range(H, H + 4 * HOUR, HOUR)
    ]
    assert hours == [3600, 7200, 1800, 0]
    assert store.usage(H, H + 4 * HOUR)["physics", "ann", "", "gres/gpu"] == 6300
    assert store.usage(H, H + 4 * HOUR)["physics", "ann", "", "mem"] == 630000


def test_runs_are_added_to_what_is_there(store):
    add(store, run(1))
    add(store, run(2), run(3, user="bob", wckey="blue"))
    assert store.usage(H, H + HOUR)["physics", "ann", "", "cpu"] == 2400
    assert store.usage(H, H + HOUR)["physics", "bob", "blue", "cpu"] == 1200


def test_waiting_is_nobodys_and_suspension_is_not_counted(store):
    add(store, run(1, suspended=100.0))
    assert store.cpu_hours(H, H + HOUR) == {(H, "cpu"): 1000.0, (H, rollup.PLANNED): 120.0}
    assert all(tres != rollup.PLANNED for *_, tres in store.usage(H, H + HOUR))


def test_what_never_ran_used_nothing(store):
    add(store, run(1, start=0.0, tres_alloc=""), run(2, eligible=0.0, start=0.0))
    assert store.usage(0, H + HOUR) == {}


def test_changes_of_nodes_come_by_node_and_time(store):
    changes = [
        NodeChange("n2", 5.0, "up", "cpu=4"),
        NodeChange("n1", 9.0, "down", "cpu=4"),
        NodeChange("n1", 3.0, "up", "cpu=4"),
    ]
    store.append(Batch(node_changes=changes)).result(5)
    assert store.node_changes(10.0) == [changes[2], changes[1], changes[0]]
    assert store.node_changes(6.0) == [changes[2], changes[0]]


@pytest.mark.parametrize(
    ("conditions", "seconds", "jobs"),
    [
        ({}, 900.0, 2), ({"users": ("bob",)}, 300.0, 1), ({"accounts": ("chem",)}, 0.0, 0), ({"partitions": ("gpu",)}, 300.0, 1),
        ({"nodes": frozenset({"n7"})}, 300.0, 1), ({"gids": (7,)}, 300.0, 1), ({"since": H + 360.0}, 300.0, 1),
        ({"until": H + 160.0}, 200.0, 2), ({"since": H + 9000.0}, 0.0, 0),
    ],
)  # fmt: skip
def test_sizes_of_jobs_within_a_window(store, conditions, seconds, jobs):
    add(store, run(1), run(2, user="bob", partition="gpu", node_names=("n7",), gid=7, end=H + 360))
    found = store.job_sizes(HistoryQuery(**{"since": H, "until": H + HOUR, **conditions}))
    assert (sum(row.seconds for row in found), sum(row.jobs for row in found)) == (seconds, jobs)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (0, 3 * rollup.DAY), (HOUR, 3 * rollup.DAY - HOUR), (rollup.DAY, 2 * rollup.DAY), (5 * HOUR, 7 * HOUR),
        (23 * HOUR, rollup.DAY + HOUR), (HOUR, rollup.DAY), (rollup.DAY, rollup.DAY + HOUR),
    ],
)  # fmt: skip
def test_days_and_hours_add_up_to_the_window(store, since, until):
    one = run(1, submit=1800.0, eligible=1800.0, start=1800.0, end=2.5 * rollup.DAY, cpus=1, tres_alloc="cpu=1")
    add(store, one, run(2, user="bob", start=one.start, end=one.end, tres_alloc="cpu=1"))
    add(store, one)
    seconds = min(one.end, until) - max(one.start, since)
    assert store.usage(since, until) == {
        ("physics", "ann", "", "cpu"): 2 * seconds,
        ("physics", "bob", "", "cpu"): seconds,
    }
    used = store.cpu_hours(since, until)
    assert sum(amount for (_, name), amount in used.items() if name == "cpu") == 3 * seconds


def test_days_go_when_all_of_their_hours_are_old(store):
    add(store, run(1, start=0.0 + HOUR, end=2.0 * rollup.DAY, tres_alloc="cpu=1"))
    store.purge(Purge(usage_before=rollup.DAY + HOUR)).result(5)
    assert store.usage(0, HOUR) == {}
    assert store.usage(rollup.DAY + HOUR, 2 * rollup.DAY)["physics", "ann", "", "cpu"] == 23 * HOUR
