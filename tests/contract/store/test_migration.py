"""A database that an older version wrote is taken over: tests/golden/store/version-N.db, each with the same few jobs."""

import shutil
from pathlib import Path

import pytest

from corral.controller.recovery import recover
from corral.model.job import JobState
from corral.store.interface import runs
from corral.store.rows import HistoryQuery, key_of
from corral.store.sqlite import SqliteStore

OLD = sorted((Path(__file__).parents[2] / "golden" / "store").glob("version-*.db"))
T = 1_700_000_000


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def store(request: pytest.FixtureRequest, tmp_path: Path):
    shutil.copy(request.param, tmp_path / "corral.db")
    made = SqliteStore(tmp_path / "corral.db")
    yield made
    made.close()


def test_the_state_is_as_it_was_left(store):
    state = recover(store).state
    assert {job: state.jobs[job].state for job in state.jobs} == {3: JobState.RUNNING}
    assert state.steps[3][0].start_time == T + 6
    assert store.next_term() == 2


def test_the_history_is_there(store):
    found = runs(store, HistoryQuery())
    assert [(run.job, run.user, run.state) for run in found] == [
        (1, "ann", JobState.COMPLETED),
        (2, "bob", JobState.FAILED),
    ]
    (step,) = store.steps_at([key_of(found[0])])
    assert step.usage["max_rss_kb"] == 51200.0


def test_what_had_been_used_is_summed_up(store):
    used = store.usage(T // 3600 * 3600 - 3 * 3600, T + 3600)
    assert used["physics", "ann", "", "cpu"] == 12000.0
    assert used["", "bob", "", "cpu"] == 300.0
    assert store.usage(0, T // 3600 * 3600 - 3 * 3600) == {}


def test_it_is_taken_over_once(store):
    again = SqliteStore(store.path)
    assert again.usage(0, T + 7200) == store.usage(0, T + 7200)
    again.close()
