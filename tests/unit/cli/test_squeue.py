"""squeue against what the real one printed of the same jobs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import FakeCluster, at, golden, job, queue, running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


def same_lines(shown: str, expected: str) -> None:
    """Jobs that sort equal stand in no certain order in the golden files."""
    assert shown.startswith(" " * 15 + "JOBID") == expected.startswith(" " * 15 + "JOBID")
    assert sorted(shown.splitlines()) == sorted(expected.splitlines())


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        ([], "-a.txt"), (["-a"], "-a.txt"), (["-h"], "-h.txt"), (["-r"], "--array.txt"), (["-S", "i"], "-Si.txt"),
        (["-S", "-p,i"], "-S-p_i.txt"), (["-j", "110,112"], "-j110_112.txt"), (["-j112_1"], "-j112_1.txt"),
        (["-n", "train"], "-ntrain.txt"), (["-o", "%i"], "-o%i.txt"), (["-pbatch"], "-pbatch.txt"), (["--me"], "--me.txt"),
        (["-u", "nobody"], "-unobody.txt"), (["-wdgx0180"], "-wdgx0180.txt"), (["--start"], "--start.txt"),
        (["--noconvert", "-o", "%m"], "--noconvert-o%m.txt"), (["-O", "jobid,name"], "-Ojobid_name.txt"),
    ],
)  # fmt: skip
def test_it_prints_what_slurm_prints(cluster: FakeCluster, argv: list[str], file: str) -> None:
    if "--start" in argv:  # taken before the scheduler had planned
        cluster.jobs = [row | ({"expected_start": 0.0} if row["id"] in (115, 121) else {}) for row in cluster.jobs]
    done = cluster.run("squeue", *argv)
    assert done.stderr == ""
    same_lines(done.stdout, golden(f"squeue/{file}"))


@pytest.mark.parametrize(
    ("argv", "file"), [(["-l"], "-l.txt"), (["-l", "-r"], "-l-r.txt"), (["-tPD", "-l"], "-tPD-l.txt")]
)
def test_long_begins_with_the_date(cluster: FakeCluster, argv: list[str], file: str) -> None:
    cluster.jobs = queue(ran=3)
    done = cluster.run("squeue", *argv)
    date, rest = done.stdout.split("\n", 1)
    assert len(date) == len("Tue Nov 24 00:45:43 2026")
    same_lines(rest, golden(f"squeue/{file}").split("\n", 1)[1])


def test_all_letters_at_once(cluster: FakeCluster) -> None:
    head, first = cluster.run("squeue", "-j", "110", "-o", "x%all").stdout.splitlines()[:2]
    assert head.startswith(
        "xACCOUNT|TRES_PER_NODE|MIN_CPUS|MIN_TMP_DISK|END_TIME|FEATURES|GROUP|OVER_SUBSCRIBE|JOBID|NAME|"
    )
    assert head.endswith("|START_TIME|STATE|UID|SUBMIT_TIME|LICENSES|CORE_SPEC|SCHEDNODES|WORK_DIR")
    assert first.startswith("xroot|gres:gpu:2|")


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["-o", "%i", "-O", "jobid"], "squeue: error: -O (--Format) is incompatible with -o (--format)\n"),
        (["-O", "jobid", "-o", "%i"], "squeue: error: -o (--format) is incompatible with -O (--Format)\n"),
    ],
)
def test_one_format_language_at_a_time(cluster: FakeCluster, argv: list[str], error: str) -> None:
    done = cluster.run("squeue", *argv)
    assert (done.stdout, done.stderr, done.returncode) == ("", error, 1)


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        ("", "25_[0,3,6,9,12,15,18,21,24,27,3|0,3,6,9,12,15,18,21,24,27,30,50"),
        ("0", "25_[0,3,6,9,12,15,18,21,24,27,30,50]|0,3,6,9,12,15,18,21,24,27,30,50"),
        ("10", "25_[0,3,6,...]|0,3,6,..."),
        ("30", "25_[0,3,6,9,12,15,18,21,24,27,...]|0,3,6,9,12,15,18,21,24,27,..."),
        ("99999", "25_[0,3,6,9,12,15,18,21,24,27,30,50]|0,3,6,9,12,15,18,21,24,27,30,50"),
    ],
)
def test_long_lists_of_elements_are_cut(cluster: FakeCluster, limit: str, shown: str) -> None:
    cluster.jobs = [job(25, "x", array_job_id=25, array_waiting=[[0, 30, 3], [50, 50, 1]])]
    more = {"SLURM_BITSTR_LEN": limit} if limit else {}
    assert cluster.run("squeue", "-h", "-o", "%i|%K", **more).stdout == shown + "\n"


def test_sorted_by_start_either_way_what_has_none_comes_last(cluster: FakeCluster) -> None:
    cluster.jobs = [
        job(1, "never"), job(2, "later", expected_start=at("2030-01-01T00:00:00")), running(3, "now", "dgx0180", ["dgx0180"]),
    ]  # fmt: skip
    assert cluster.run("squeue", "-h", "-o", "%j", "-S", "S").stdout.split() == ["now", "later", "never"]
    assert cluster.run("squeue", "-h", "-o", "%j", "-S", "-S").stdout.split() == ["later", "now", "never"]


def test_sorted_by_nodes_the_first_of_them_counts(cluster: FakeCluster) -> None:
    cluster.jobs = [
        job(1, "none"), running(2, "b", "dgx0182", ["dgx0182"]), running(3, "a", "dgx[0180-0181]", ["dgx0180", "dgx0181"]),
    ]  # fmt: skip
    assert cluster.run("squeue", "-h", "-o", "%j", "-S", "N").stdout.split() == ["a", "b", "none"]


def test_every_letter_is_a_key_of_sorting(cluster: FakeCluster) -> None:
    for letter in "ABCDEFGHIJKLMNOPQSTUVWXbcdefghijlmnopqrstuvwxyz":
        assert cluster.run("squeue", "-h", "-S", letter).stderr == ""


def test_the_letters_of_the_environment_win_over_its_names(cluster: FakeCluster) -> None:
    both = {"SQUEUE_FORMAT": "%i|%j", "SQUEUE_FORMAT2": "jobid,name"}
    assert cluster.run("squeue", "-j", "110", **both).stdout == "JOBID|NAME\n110|train\n"
    assert cluster.run("squeue", "-j", "110", "-l", **both).stdout.splitlines()[1].split()[0] == "JOBID"


@pytest.mark.parametrize("option", ["-p", "-n", "-A", "-q", "-w", "-L", "-R", "-u", "-t"])
def test_an_empty_list_chooses_no_job(cluster: FakeCluster, option: str) -> None:
    done = cluster.run("squeue", "-h", option, "")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("command", ["squeue", "sinfo"])
def test_no_header_no_date(cluster: FakeCluster, command: str) -> None:
    assert not re.match(r"\w+ \w+ +\d+ ", cluster.run(command, "-l", "-h").stdout)
    assert re.match(r"\w+ \w+ +\d+ ", cluster.run(command, "-l").stdout)


def test_it_goes_on_looking_whatever_goes_wrong(cluster: FakeCluster) -> None:
    """-i: a job that is not there yet, or a controller that is starting anew, ends nothing."""
    cluster.jobs = []
    with cluster.start("squeue", "-h", "-i", "1", "-j", "110", "-o", "%i") as process:
        assert process.stdout
        assert process.stderr
        assert process.stderr.readline() == "slurm_load_jobs error: Invalid job id specified\n"
        cluster.jobs = queue()
        assert "110\n" in [process.stdout.readline() for _ in range(3)]
        process.kill()


@pytest.mark.parametrize("word", ["4294967295", "2147483648", "0"])
def test_numbers_that_no_job_has(cluster: FakeCluster, word: str) -> None:
    done = cluster.run("squeue", "-j", word)
    assert (done.returncode, done.stderr) == (1, f"squeue: error: Invalid job id: {word}\n")


def test_bytes_that_are_no_utf_8_are_shown_as_they_are(cluster: FakeCluster) -> None:
    """And whatever Python is told of its streams."""
    cluster.jobs = [job(7, "caf\U0010ffe9"), job(8, "café")]
    told = {"PYTHONIOENCODING": "ascii", "LANG": "en_US.UTF-8"}
    assert cluster.raw("squeue", "-h", "-o", "%j", **told) == b"caf\xe9\ncaf\xc3\xa9\n"
    named = cluster.run("squeue", "--json", **told).stdout
    assert [one["name"] for one in json.loads(named)["jobs"]] == ["caf?", "café"]
