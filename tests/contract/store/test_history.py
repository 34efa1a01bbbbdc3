"""Does the accounting find the runs that were asked for, and no others?"""

import pytest

from corral.model.job import JobState
from corral.store.interface import Batch, runs
from corral.store.rows import HistoryQuery, Run, StepRun, key_of


def run(job: int, **fields) -> Run:
    defaults = {
        "user": "ann",
        "name": "train",
        "state": JobState.COMPLETED,
        "submit": 100.0,
        "eligible": fields.get("submit", 100.0),
        "start": 110.0,
        "end": 120.0,
    }
    return Run(job=job, **{**defaults, **fields})


RUNS = [
    run(1),
    run(2, user="bob", account="vision", end=200.0),
    run(3, state=JobState.FAILED, submit=300.0, start=310.0, end=320.0, partition="gpu", qos="high"),
    run(4, array_job=4, array_task=0),
    run(5, array_job=4, array_task=1),
    run(6, restart=0, state=JobState.REQUEUED, end=130.0),
    run(6, restart=1, submit=130.0, start=140.0, end=150.0),
]


@pytest.fixture
def filled(store):
    steps = [
        StepRun(job=1, step=-5, name="batch"),
        StepRun(job=1, step=0, name="x"),
        StepRun(job=6, restart=1, step=-5),
    ]
    store.append(Batch(runs=RUNS, steps=steps)).result(5)
    return store


def found(store, **conditions) -> list[tuple[int, int]]:
    return [(one.job, one.restart) for one in runs(store, HistoryQuery(**conditions))]


def test_everything_in_the_order_of_submission(filled):
    assert runs(filled, HistoryQuery()) == sorted(RUNS, key=key_of)


@pytest.mark.parametrize(
    ("conditions", "jobs"),
    [
        ({"users": ("bob",)}, [2]),
        ({"accounts": ("vision",)}, [2]),
        ({"partitions": ("gpu",)}, [3]),
        ({"qos": ("high",)}, [3]),
        ({"names": ("nothing",)}, []),
        ({"states": (JobState.FAILED,)}, [3]),
        ({"ids": ((2, None),)}, [2]),
        ({"ids": ((4, None),)}, [4, 5]),
        ({"ids": ((4, 1),)}, [5]),
        ({"ids": ((1, None), (3, None)), "users": ("ann",)}, [1, 3]),
        ({"since": 150.0}, [2, 6, 3]),
        ({"until": 250.0, "since": 150.0}, [2, 6]),
        ({"until": 250.0, "states": (JobState.FAILED,)}, []),
    ],
)
def test_conditions(filled, conditions, jobs):
    assert [job for job, _ in found(filled, **conditions)] == jobs


WINDOWS = [
    run(11, submit=100.0, start=110.0, end=120.0),
    run(12, submit=100.0, start=150.0, end=400.0),
    run(13, submit=100.0, start=0.0, end=300.0, state=JobState.CANCELLED),
    run(14, submit=100.0, eligible=0.0, start=0.0, end=300.0, state=JobState.CANCELLED),
    run(15, submit=350.0, start=360.0, end=500.0, state=JobState.FAILED),
]


@pytest.mark.parametrize(
    ("conditions", "jobs"),
    [
        ({"since": 200.0, "until": 300.0}, [12, 13]),
        ({"since": 200.0, "until": 300.0, "also_held": True}, [12, 13, 14]),
        ({"since": 200.0, "until": 300.0, "states": (JobState.RUNNING,)}, [12]),
        ({"since": 115.0, "until": 160.0, "states": (JobState.PENDING,)}, [12, 13]),
        ({"since": 200.0, "until": 300.0, "states": (JobState.CANCELLED,)}, [13, 14]),
        ({"since": 200.0, "until": 450.0, "states": (JobState.COMPLETED, JobState.FAILED)}, [12]),
        ({"since": 450.0, "states": (JobState.FAILED,)}, [15]),
        ({"states": (JobState.FAILED,)}, [15]),
    ],
)
def test_windows_of_time(store, conditions, jobs):
    store.append(Batch(runs=WINDOWS)).result(5)
    assert [job for job, _ in found(store, **conditions)] == jobs


@pytest.mark.parametrize(
    ("conditions", "jobs"),
    [
        ({"gids": (7, 8)}, [21]),
        ({"nodes": frozenset({"n2", "n9"})}, [21]),
        ({"constraints": ("fast",)}, [21]),
        ({"constraints": ("fast", "big")}, []),
        ({"node_counts": (2, 4)}, [21]),
        ({"cpu_counts": (1, 3)}, [22]),
        ({"time_limits": (60, 60)}, [22]),
    ],
)
def test_what_no_column_tells(store, conditions, jobs):
    one = run(21, gid=7, node_names=("n1", "n2"), node_count=2, constraint="fast", cpus=4, time_limit=600)
    two = run(22, node_count=1, cpus=2, time_limit=60)
    store.append(Batch(runs=[one, two])).result(5)
    assert [job for job, _ in found(store, **conditions)] == jobs


def test_each_run_of_a_requeued_job_is_kept(filled):
    assert found(filled, ids=((6, None),)) == [(6, 0), (6, 1)]


def test_a_limit_gives_the_newest(filled):
    assert found(filled, limit=2) == [(6, 1), (3, 0)]


def test_a_run_recorded_again_replaces_itself(filled):
    filled.append(Batch(runs=[run(1, end=999.0)])).result(5)
    assert [one.end for one in runs(filled, HistoryQuery(ids=((1, None),)))] == [999.0]


def test_steps_belong_to_one_run(filled):
    chosen = runs(filled, HistoryQuery(ids=((1, None), (6, None))))
    assert [(step.job, step.restart, step.step) for step in filled.steps_at(list(map(key_of, chosen)))] == [
        (1, 0, -5),
        (1, 0, 0),
        (6, 1, -5),
    ]
    assert filled.steps_at([key_of(chosen[1])]) == []


def test_a_history_survives_snapshots(filled):
    filled.write_snapshot(b"state", 0, set()).result(5)
    assert len(runs(filled, HistoryQuery())) == len(RUNS)
