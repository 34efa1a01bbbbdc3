"""scancel: what it asks of the controller, and what it says of the answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import FakeCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


@pytest.mark.parametrize(
    ("argv", "selection", "signal"),
    [
        (["42"], {"ids": ["42"]}, 0), (["42,43", "44_[1-3]"], {"ids": ["42", "43", "44_[1-3]"]}, 0),
        (["-s", "USR1", "42"], {"ids": ["42"]}, 10), (["--signal=sigint", "42_7"], {"ids": ["42_7"]}, 2),
        (["-u", "root", "-t", "PD"], {"users": ["root"], "states": ["PENDING"]}, 0),
        (["-n", "a,b", "-p", "batch", "-A", "x"], {"names": ["a", "b"], "partitions": ["batch"], "accounts": ["x"]}, 0),
        (["-w", "dgx[0180-0181]"], {"nodes": ["dgx0180", "dgx0181"]}, 0), (["42.batch"], {"ids": ["42.batch"]}, 0),
    ],
)  # fmt: skip
def test_it_asks_for_the_jobs_that_are_meant(
    cluster: FakeCluster, argv: list[str], selection: dict[str, object], signal: int
) -> None:
    done = cluster.run("scancel", *argv)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cluster.requests == [
        {"type": "CancelJobs", "selection": selection, "signal": signal, "batch": False, "full": False, "cron": False}
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "scancel: error: No job identification provided"), (["x"], "scancel: error: Invalid job id x"),
        (["1,2,x"], "scancel: error: Invalid job id x"), (["0"], "scancel: error: Invalid job id 0"),
        (["1.5.6"], "scancel: error: Invalid job id 1.5.6"), (["514_[1-2"], "scancel: error: Invalid job id 514_[1-2"),
        (["-s", "NOSUCH", "1"], "Unknown job signal: NOSUCH"), (["-s", "0", "1"], "Unknown job signal: 0"),
        (["-u", "nosuch"], "scancel: error: Invalid user name: nosuch"),
        (["-t", "nosuch"], "Invalid job state specified: nosuch\nValid job states are PENDING, RUNNING, and SUSPENDED"),
        (["-c"], 'scancel: invalid option -- \'c\'\nTry "scancel --help" for more information'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(cluster: FakeCluster, argv: list[str], message: str) -> None:
    done = cluster.run("scancel", *argv)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message + "\n")
    assert cluster.requests == []


def test_a_job_that_is_over_or_unknown_is_no_error(cluster: FakeCluster) -> None:
    unknown = "Kill job error on job id 999999: Invalid job id specified"
    cluster.reply = {"type": "Done", "errors": [unknown]}
    done = cluster.run("scancel", "999999")
    assert (done.returncode, done.stderr) == (0, "")
    done = cluster.run("scancel", "-v", "999999")
    assert (done.returncode, done.stderr) == (0, f"scancel: Terminating job 999999\nscancel: error: {unknown}\n")
    done = cluster.run("scancel", "-u", "root", "999999")
    assert (done.returncode, done.stderr) == (1, f"scancel: error: {unknown}\n")


@pytest.mark.parametrize(
    ("argv", "errors", "status"),
    [
        (["999999_1", "999999.0"], ["job id 999999_1", "job id 999999.0"], 1),
        (["42.7"], ["job step id 42.7"], 225),
        (["-s", "USR1", "999999"], ["job id 999999"], 1),
        (["-b", "999999"], ["job id 999999"], 1),
    ],
)
def test_it_is_one_for_steps_and_for_signals(
    cluster: FakeCluster, argv: list[str], errors: list[str], status: int
) -> None:
    unknown = "Invalid job id specified"
    cluster.reply = {"type": "Done", "errors": [f"Kill job error on {what}: {unknown}" for what in errors]}
    done = cluster.run("scancel", *argv)
    shown = [what.replace("job id 999999.0", "job step id 999999.0") for what in errors]
    assert done.stderr == "".join(f"scancel: error: Kill job error on {what}: {unknown}\n" for what in shown)
    assert done.returncode == status
    quiet = cluster.run("scancel", "-Q", *argv)
    assert (quiet.returncode, quiet.stderr) == (status, "")


def test_anothers_job_gives_slurms_exit_status(cluster: FakeCluster) -> None:
    denied = "Kill job error on job id 42: Access/permission denied"
    cluster.reply = {"type": "Done", "errors": [denied]}
    done = cluster.run("scancel", "42")
    assert (done.returncode, done.stderr) == (210, f"scancel: error: {denied}\n")


def test_interactively_each_job_is_asked_for(cluster: FakeCluster) -> None:
    done = cluster.run("scancel", "-i", "119", "120", stdin="y\nn\n")
    assert done.stdout == (
        "Cancel job_id=119 name=held partition=batch [y/n]? Cancel job_id=120 name=begin partition=batch [y/n]? "
    )
    assert [request["selection"] for request in cluster.requests] == [{"ids": ["119"]}]
