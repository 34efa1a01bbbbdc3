import os
import subprocess
from collections.abc import Iterator

import pytest

from corral.cli.run import Exit
from corral.cli.scontrol_pids import listpids, pidinfo

HEADER = "PID      JOBID    STEPID   LOCALID GLOBALID\n"


def connect() -> None:
    raise AssertionError("the controller need not be asked")


@pytest.fixture
def process() -> Iterator[int]:
    """One that looks as if task 3 of step 7123.2 had started it on node x1."""
    environment = {"CORRAL_STEP": "x1/7123.2.0", "SLURM_LOCALID": "1", "SLURM_PROCID": "3", "PATH": os.environ["PATH"]}
    one = subprocess.Popen(["sleep", "60"], env=environment)
    yield one.pid
    one.kill()
    one.wait()


def test_processes_of_a_job_are_found_by_their_environment(process: int, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["7123"], ["7123.2"], ["7123", "x1"]):
        assert listpids(connect, "listpids", words) == 0  # type: ignore[arg-type]
        assert capsys.readouterr().out == f"{HEADER}{process:<8} 7123     2        -       -       \n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["7123", "x2"], "JobId=7123 does not exist on node x2."),
        (["7123.1", "x1"], "StepId=7123.1 does not exist on node x1."),
        (["71239"], "There are no steps for job 71239 on node (null)."),
        (["foo"], '"foo" does not look like a jobid'),
        (["1.batch"], '"1.batch" does not look like a stepid'),
        (["a", "b", "c"], "too many arguments for keyword:listpids"),
    ],
)
def test_what_is_not_there_is_said_as_the_real_one_says_it(
    process: int, words: list[str], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    with pytest.raises(Exit) as end:
        listpids(connect, "listpids", words)  # type: ignore[arg-type]
    assert (end.value.status, end.value.lines) == (1, (error,))


def test_nothing_that_is_no_jobs_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert listpids(connect, "listpids", []) == 0  # type: ignore[arg-type]
    assert f"\n{os.getpid()} " not in capsys.readouterr().out


@pytest.mark.parametrize("word", ["1", "0", "999999999", "x", "-1"])
def test_a_process_of_no_job(word: str) -> None:
    with pytest.raises(Exit) as end:
        pidinfo(connect, "pidinfo", [word])  # type: ignore[arg-type]
    assert (end.value.status, end.value.lines) == (1, ("Failed to locate job for requested pid",))
