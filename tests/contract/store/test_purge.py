"""What leaves the history, and what stays?"""

import asyncio
from pathlib import Path

import pytest

from corral.controller import purge
from corral.controller.purge import Purged, Purger
from corral.daemon.logs import Log
from corral.model.cluster import Accounting, ClusterConfig
from corral.store import archive
from corral.store.interface import Batch, Purge, runs
from corral.store.rollup import NodeChange, UsageKey
from corral.store.rows import HistoryQuery, Run, StepRun, key_of

NOW = 1_700_000_000.0
DAY = 86400.0


def steps(store) -> list[StepRun]:
    return store.steps_at([key_of(run) for run in runs(store, HistoryQuery())])


def jobs(store) -> list[int]:
    return [run.job for run in runs(store, HistoryQuery())]


@pytest.fixture
def filled(store):
    ended = [
        Run(job=n, name=f"j{n}", user="ann", submit=NOW - n * DAY, eligible=1.0, end=NOW - n * DAY)
        for n in (1, 5, 9, 40)
    ]
    begun = [StepRun(job=run.job, step=step, name="x", end=run.end, node_count=1) for run in ended for step in (-5, 0)]
    store.append(Batch(runs=ended, steps=begun)).result(5)
    return store


def purger(store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Purger:
    monkeypatch.setattr(purge, "PAUSE", 0.0)
    monkeypatch.setattr(purge.clock, "now", lambda: NOW)
    return Purger(store, ClusterConfig, Log(tmp_path / "log"))


def test_old_jobs_go_with_their_steps(filled, tmp_path, monkeypatch):
    done = asyncio.run(purger(filled, tmp_path, monkeypatch).purge(Accounting(purge_jobs_after=7 * DAY)))
    assert done == Purged(jobs=2, files=[])
    assert sorted(jobs(filled)) == [1, 5]
    assert {step.job for step in steps(filled)} == {1, 5}


def test_old_steps_go_and_their_jobs_stay(filled, tmp_path, monkeypatch):
    done = asyncio.run(purger(filled, tmp_path, monkeypatch).purge(Accounting(purge_steps_after=7 * DAY)))
    assert (done.jobs, done.steps) == (0, 4)
    assert len(jobs(filled)) == 4
    assert {step.job for step in steps(filled)} == {1, 5}


def test_what_is_archived_can_be_loaded_again(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(purge, "AT_ONCE", 1)
    before = runs(filled, HistoryQuery())
    rules = Accounting(purge_jobs_after=7 * DAY, archive_dir=str(tmp_path / "archive"))
    worker = purger(filled, tmp_path, monkeypatch)
    done = asyncio.run(worker.purge(rules))
    assert len(done.files) == 2
    assert len(jobs(filled)) == 2
    worker = purger(filled, tmp_path, monkeypatch)
    for file in done.files:
        assert asyncio.run(worker.load(Path(file))).jobs == 1
    assert runs(filled, HistoryQuery()) == before
    assert len(steps(filled)) == 8


def test_nothing_is_purged_unless_it_is_configured(filled, tmp_path, monkeypatch):
    assert asyncio.run(purger(filled, tmp_path, monkeypatch).purge(Accounting())) == Purged(files=[])
    assert len(jobs(filled)) == 4


def test_sums_and_changes_of_nodes(store):
    hours = {UsageKey(hour, "a", "ann", "", "cpu"): 1.0 for hour in (0, 3600, 7200)}
    changes = [NodeChange("n1", time, kind, "cpu=4") for time, kind in ((1.0, "up"), (5.0, "down"), (9.0, "up"))]
    store.append(Batch(usage=hours, node_changes=changes, runs=[Run(job=1)])).result(5)
    store.purge(Purge(usage_before=3600, changes_before=6.0)).result(5)
    assert store.usage(0, 10000)["a", "ann", "", "cpu"] == 2.0
    assert [change.time for change in store.node_changes(100.0)] == [
        5.0,
        9.0,
    ]  # how it was at that moment is still known


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x").write_text("hello")
    with pytest.raises(archive.ArchiveUnusable, match="gzip"):
        list(archive.read(tmp_path / "x"))
    with pytest.raises(archive.ArchiveUnusable, match="No such file"):
        list(archive.read(tmp_path / "y"))
