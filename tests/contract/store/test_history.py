"""Does the accounting find the runs that were asked for, and no others?"""

import pytest

from corral.model.job import JobState
from corral.store.interface import Batch
from corral.store.rows import HistoryQuery, Run, StepRun


def run(job: int, **fields) -> Run:
    defaults = {
        "user": "ann",
        "name": "train",
        "state": JobState.COMPLETED,
        "submit": 100.0,
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
    run(6, restart=1, start=140.0, end=150.0),
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
    return [(one.job, one.restart) for one in store.runs(HistoryQuery(**conditions))]


def test_everything_in_the_order_of_jobs(filled):
    assert filled.runs(HistoryQuery()) == RUNS


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
        ({"since": 150.0}, [2, 3, 6]),
        ({"until": 250.0, "since": 150.0}, [2, 6]),
        ({"until": 250.0, "states": (JobState.FAILED,)}, []),
    ],
)
def test_conditions(filled, conditions, jobs):
    assert [job for job, _ in found(filled, **conditions)] == jobs


def test_each_run_of_a_requeued_job_is_kept(filled):
    assert found(filled, ids=((6, None),)) == [(6, 0), (6, 1)]


def test_a_limit_gives_the_newest(filled):
    assert found(filled, limit=2) == [(6, 0), (6, 1)]


def test_a_run_recorded_again_replaces_itself(filled):
    filled.append(Batch(runs=[run(1, end=999.0)])).result(5)
    assert [one.end for one in filled.runs(HistoryQuery(ids=((1, None),)))] == [999.0]


def test_steps_belong_to_one_run(filled):
    chosen = filled.runs(HistoryQuery(ids=((1, None), (6, None))))
    assert [(step.job, step.restart, step.step) for step in filled.steps(chosen)] == [(1, 0, -5), (1, 0, 0), (6, 1, -5)]
    assert filled.steps(chosen[1:2]) == []


def test_a_history_survives_snapshots(filled):
    filled.write_snapshot(b"state", 0, set()).result(5)
    assert len(filled.runs(HistoryQuery())) == len(RUNS)
