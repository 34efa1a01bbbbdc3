"""`corral simulate` from its command line to what it prints and writes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.builders import cluster, gpus, job, nodes
from tests.unit.simulator.test_swf import HEADER, line

from corral.engine import snapshotfile
from corral.simulator.main import main
from corral.simulator.options import parser, seeds_of
from corral.simulator.page import over_time, shares
from corral.simulator.progress import Bar

SYNTHETIC = ("--synthetic", "60", "--nodes", "4", "--cpus", "8", "--load", "50")


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "t.swf"
    jobs = [line(n, n * 50, 100 + n, used=1 + n % 8, time=300) for n in range(1, 20)]
    path.write_text(HEADER + "".join(jobs) + line(99, run=-1))
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def figures(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(printed(capsys, *arguments, "--json"))["runs"]
    return runs


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    text = capsys.readouterr().err
    assert text.startswith("corral simulate: error: ")
    return text.removeprefix("corral simulate: error: ").rstrip("\n")


def test_policies_stand_side_by_side(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    text = printed(capsys, "--swf", trace, "--policy", "fcfs", "--policy", "easy").splitlines()
    assert text[0].split() == ["fcfs", "easy"]
    assert text[1].split() == ["jobs", "run", "19", "19"]
    assert text[-1] == "left out: 1 with no run time"


def test_a_file_is_a_policy(capsys: pytest.CaptureFixture[str], trace: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[scheduling]\nbackfill = "easy"\ntime_limit_step = 1\n')
    mine, easy = figures(capsys, "--swf", trace, "--policy", str(tmp_path / "mine.toml"), "--policy", "easy")
    assert (mine.pop("policy"), easy.pop("policy")) == ("mine", "easy")
    assert mine == easy


def test_a_bad_policy_is_refused_with_its_line(capsys: pytest.CaptureFixture[str], trace: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[scheduling]\nbackfil = true\n")
    assert "bad.toml:2: there is no key" in refused(capsys, "--swf", trace, "--policy", str(tmp_path / "bad.toml"))
    assert "none.toml" in refused(capsys, "--swf", trace, "--policy", "none.toml")


def test_twice_the_load_waits_longer(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    [plain] = figures(capsys, "--swf", trace, "--policy", "easy")
    [twice] = figures(capsys, "--swf", trace, "--policy", "easy", "--load", "2")
    assert twice["wait"]["mean"] > plain["wait"]["mean"]
    assert twice["makespan"] < plain["makespan"]


def test_more_nodes_wait_less(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    [plain] = figures(capsys, "--swf", trace)
    [more] = figures(capsys, "--swf", trace, "--add", "n:8")
    assert more["wait"]["mean"] < plain["wait"]["mean"]


def test_nodes_that_break_have_jobs_start_again(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    [found] = figures(capsys, "--swf", trace, "--faults", "0.5", "--seed", "3")
    assert found["breakdowns"] > 0
    assert found["jobs"] == 19


def test_each_seed_makes_other_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = figures(capsys, *SYNTHETIC, "--seeds", "1-2")
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["wait"] != second["wait"]


def test_every_job_is_in_the_csv(capsys: pytest.CaptureFixture[str], trace: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    printed(capsys, "--swf", trace, "--policy", "easy", "--policy", "fcfs", "--csv", str(path))
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 38
    assert rows[0] == {
        "policy": "easy", "seed": "0", "job": "1", "user": "user7", "submit": "50", "start": "50", "end": "151", "wait": "0",
        "bounded_slowdown": "1.0000", "cpus": "2", "gpus": "0", "limit": "300", "state": "COMPLETED",
    }  # fmt: skip


def test_the_page_needs_nothing_else(capsys: pytest.CaptureFixture[str], trace: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    printed(capsys, "--swf", trace, "--policy", "easy", "--policy", "fcfs", "--html", str(path))
    text = path.read_text()
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == 5
    assert "http" not in text
    assert "<script" not in text


def test_names_of_users_are_text_on_the_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("JobID|User|Submit|ElapsedRaw|ReqCPUS|Start\n1|<b>|100|5|1|100\n")
    printed(capsys, "--sacct", str(tmp_path / "d.txt"), "--nodes", "1", "--html", str(tmp_path / "p.html"))
    assert "&lt;b&gt;" in (tmp_path / "p.html").read_text()


def test_a_file_that_cannot_be_written_is_an_error(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    assert "No such file or directory" in refused(capsys, "--swf", trace, "--csv", "/none/x.csv")


def test_the_machine_must_be_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("JobID|User|Submit|ElapsedRaw|ReqCPUS|Start\n1|ann|100|5|1|100\n")
    assert refused(capsys, "--sacct", str(tmp_path / "d.txt")).startswith("on which machine?")


def test_partitions_that_are_not_there_are_not_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text(
        "JobID|User|Submit|ElapsedRaw|ReqCPUS|Start|Partition\n1|ann|100|5|1|100|a\n2|ann|100|5|1|100|b\n3|ann|1|5|1|1|x\n"
    )
    (tmp_path / "c.toml").write_text(
        '[[node]]\nname = "n[1-2]"\ncpus = 1\n[[partition]]\nname = "a"\nnodes = "n1"\ndefault = true\n'
        '[[partition]]\nname = "b"\nnodes = "n2"\n'
    )
    options = ("--sacct", str(tmp_path / "d.txt"), "--config", str(tmp_path / "c.toml"))
    [both] = figures(capsys, *options)
    [one] = figures(capsys, *options, "--without-partition", "b")
    assert (both["policy"], both["jobs"], both["wait"]["max"]) == ("configured", 3, 0)
    assert (one["jobs"], one["wait"]["max"]) == (3, 5)


def snapshot(tmp_path: Path) -> str:
    live = cluster(nodes("n[1-2]", cpus=4, gpus=2))
    live.run(job(cpus=4, time=600, nodes=2))
    live.submit(job(cpus=4, time=300, gpus=gpus(2)), job(cpus=1, time=60), job(cpus=4, nodes=2, time=120))
    path = tmp_path / "s.json"
    file = snapshotfile.taken(live.state, live.engine.config, live.now)
    path.write_bytes(b"".join(snapshotfile.written(file)))
    return str(path)


def test_a_snapshot_goes_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = snapshot(tmp_path)
    [found] = figures(capsys, "--snapshot", path)
    assert (found["policy"], found["jobs"], found["waiting"]) == ("configured", 4, 0)
    [shorter] = figures(capsys, "--snapshot", path, "--run-share", "0.5")
    assert shorter["makespan"] < found["makespan"]
    [more] = figures(capsys, "--snapshot", path, "--add", "n:2")
    assert more["makespan"] < found["makespan"]


def test_a_bad_snapshot_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"format": 1')
    assert "s.json" in refused(capsys, "--snapshot", str(tmp_path / "s.json"))
    assert refused(capsys, "--snapshot", snapshot(tmp_path), "--nodes", "3").startswith("--nodes and --snapshot")


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found = set()
    for number in ("1", "77"):
        files = [str(tmp_path / f"{number}.{kind}") for kind in ("csv", "html")]
        options = [
            *SYNTHETIC,
            "--seeds",
            "5,6",
            "--policy",
            "conservative",
            "--policy",
            "default",
            "--faults",
            "20",
            "--json",
        ]
        run = subprocess.run(
            [sys.executable, "-m", "corral.simulator", *options, "--csv", files[0], "--html", files[1]],
            env=os.environ | {"PYTHONHASHSEED": number}, capture_output=True, check=True,
        )  # fmt: skip
        found.add((run.stdout, *(Path(file).read_bytes() for file in files)))
    assert len(found) == 1


@pytest.mark.parametrize(("text", "seeds"), [("3", (3,)), ("42-45", (42, 43, 44, 45)), ("1,2,5-6,2", (1, 2, 5, 6))])
def test_lists_of_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize(
    "options",
    [
        (), ("--swf", "a", "--sacct", "b"), ("--swf", "a", "--seeds", "5-1"), ("--swf", "a", "--seeds", "x"),
        ("--swf", "a", "--load", "0"), ("--swf", "a", "--load", "nan"), ("--synthetic", "0"), ("--synthetic", "-3"),
        ("--swf", "a", "--nodes", "0"), ("--swf", "a", "--gpus", "-1"),
    ],
)  # fmt: skip
def test_bad_options_are_refused(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(options)
    assert ended.value.code == 2


def test_the_bar_says_how_far_it_is_only_where_somebody_looks() -> None:
    class Terminal:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None: ...

    out, quiet = Terminal(), Terminal()
    for terminal, shown in ((out, True), (quiet, False)):
        bar = Bar(terminal, shown)  # type: ignore[arg-type]
        bar.at("easy", 500, 1000)
        bar.at("easy", 501, 1000)
        bar.clear()
    assert out.text == f"\r\x1b[2Keasy [{'#' * 15}{'-' * 15}] 500 of 1,000 jobs\r\x1b[2K"
    assert quiet.text == ""


def test_curves_have_as_many_points_as_can_be_seen() -> None:
    assert shares([4.0, 1.0, 3.0, 2.0]) == [(1.0, 25.0), (2.0, 50.0), (3.0, 75.0), (4.0, 100.0)]
    assert len(shares([float(n) for n in range(100_000)])) <= 401
    assert shares([]) == []


def test_a_curve_over_time_is_the_mean_of_what_was() -> None:
    class Given:
        times, now = [0.0, 100.0, 400.0], 400.0

    points = over_time(Given(), [4, 8, 0], 1)  # type: ignore[arg-type]
    assert [round(y, 6) for _, y in points] == [4.0] * 100 + [8.0] * 300
