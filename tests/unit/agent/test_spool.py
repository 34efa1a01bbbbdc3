import os
from pathlib import Path

import pytest

from corral.agent import spool as spool_module
from corral.agent.spool import Spool, parsed_key, step_name
from corral.model.job import JobId
from corral.model.step import BATCH, StepKey

KEY = StepKey(JobId(42), BATCH, 1)


def test_a_launch_is_claimed_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.claim("n1", KEY, b"order")
    assert not spool.claim("n1", KEY, b"order")
    assert spool.claim("n2", KEY, b"order")
    assert spool.launch_order("n1", KEY) == b"order"
    assert list(spool.all_steps()) == [("n1", KEY), ("n2", KEY)]


def test_only_the_agents_owner_reads_an_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.claim("n1", KEY, b"order")
    assert os.stat(f"{spool.step_directory('n1', KEY)}/launch").st_mode & 0o077 == 0


def test_a_step_goes_with_all_that_lies_in_its_directory(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.claim("n1", KEY, b"order")
    (Path(spool.step_directory("n1", KEY)) / "deep").mkdir()
    spool.remove_step("n1", KEY)
    spool.remove_step("n1", KEY)
    assert list(spool.all_steps()) == []


def test_an_order_that_could_not_be_written_may_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    spool = Spool(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(spool_module, "_write_new", full)
        with pytest.raises(OSError, match="No space"):
            spool.claim("n1", KEY, b"order")
    assert spool.claim("n1", KEY, b"order")


def test_tombstones_outlive_the_agent_and_the_oldest_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "TOMBSTONES_KEPT", 3)
    spool = Spool(tmp_path)
    names = [step_name("n1", StepKey(JobId(job), 0)) for job in range(8)]
    for name in names:
        spool.bury(name)
    again = Spool(tmp_path)
    assert [again.is_buried(name) for name in names] == [False, False, False, True, True, True, True, True]


def test_marks_of_a_job_are_kept_until_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.mark_job("n1", 42, 0, "epilog", 3)
    assert Spool(tmp_path).job_mark("n1", 42, 0, "epilog") == 3
    spool.remove_job_marks("n1", 42, 0)
    assert spool.job_mark("n1", 42, 0, "epilog") is None


def test_the_term_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.read_term() == 0
    spool.write_term(7)
    assert Spool(tmp_path).read_term() == 7


@pytest.mark.parametrize("name", ["", "42", "42.0", "42.x.0", "42.0.0.tmp"])
def test_what_is_no_key_is_passed_over(name: str) -> None:
    assert parsed_key(name) is None
    assert parsed_key(str(KEY)) == KEY


def test_the_highest_job_is_known_from_what_runs_and_from_what_is_over(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.highest_job == 0
    spool.claim("n1", StepKey(JobId(7), BATCH), b"")
    assert Spool(tmp_path).highest_job == spool.highest_job == 7
    spool.bury("n1 9.-5.0", "n1 12..0")
    with open(tmp_path / "tombstones", "a") as file:
        file.write("n1 1")  # a full disk
    assert Spool(tmp_path).highest_job == 12
