"""sacct against what the real one printed of the same jobs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.cli.fakecluster import UNLIMITED, FakeCluster, at, golden

from corral.cli import history_columns

SUBMIT = at("2026-11-24T00:47:36")


def row(
    jobid: str, name: str, cpus: int = 1, state: str = "COMPLETED", code: str = "0:0", **given: Any
) -> dict[str, Any]:
    whole, _, step = jobid.partition(".")
    exit_code = [int(part) for part in code.split(":")]
    return {
        "jobid": jobid, "job_id": int(whole.partition("_")[0]), "step": step or None,
        "array_job_id": None, "array_task_id": None, "name": name, "user": "root", "uid": 0, "group": "root", "gid": 0,
        "account": "root", "association": 0, "partition": "batch",
        "qos": "normal", "qos_id": 1, "started_by": "SchedMain", "reservation": "", "reservation_id": 0,
        "state": state, "cancelled_by": None, "submit": SUBMIT, "eligible": SUBMIT, "start": SUBMIT + 1,
        "end": SUBMIT + 1, "elapsed": 0.0, "suspended": 0.0, "time_limit": UNLIMITED, "exit_code": exit_code,
        "derived_exit_code": [0, 0], "nodes": "dgx0181", "node_count": 1, "cpus": cpus, "ntasks": cpus, "req_cpus": cpus,
        "req_mem": "62.50G", "tres_req": "", "tres_alloc": f"cpu={cpus},mem=62.50G,node=1,billing={cpus}", "cluster": "oracle",
        "work_dir": "<DIR>", "submit_line": "", "user_seconds": 0.0, "system_seconds": 0.0, "comment": "",
        "usage": None, "consumed_energy": 0,
        "admin_comment": "", "system_comment": "",
        "wckey": "", "restarts": 0, "reason": "None", "constraint": "", "priority": 1, "memory_per_cpu": False,
    } | given  # fmt: skip


def runs_of(text: str) -> Iterator[dict[str, Any]]:
    """The rows that a golden file in the default format was printed from."""
    for line in text.splitlines()[2:]:
        jobid, name = line[:13].strip(), line[13:24].strip()
        account_and_on = line[35:].split()
        cpus, state, code = account_and_on[1:4]
        by = 0 if state == "CANCELLED+" else None
        name = {"timeouttr+": "timeouttrap"}.get(name, name)
        yield row(jobid, name, int(cpus), state.replace("CANCELLED+", "CANCELLED"), code, cancelled_by=by)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        ([], "default.txt"), (["-X"], "default-X.txt"), (["-s", "F"], "s-F.txt"), (["-s", "TO,CA"], "s-TO-CA.txt"),
        (["-j", "126.batch"], "j-batch.txt"), (["-j", "126.0"], "j-step.txt"),
    ],
)  # fmt: skip
def test_it_prints_what_slurm_prints(cluster: FakeCluster, argv: list[str], file: str) -> None:
    source = "default.txt" if file.startswith("j-") else file
    cluster.history = [
        run for run in runs_of(golden(f"sacct/{source}")) if "-j" not in argv or run["jobid"].startswith("126")
    ]
    done = cluster.run("sacct", "-S", "2026-01-01", *argv)
    assert (done.stdout, done.stderr) == (golden(f"sacct/{file}"), "")


@pytest.mark.parametrize("argv", [["-p"], ["-n"], ["-b"], ["-P"]])
def test_other_forms(cluster: FakeCluster, argv: list[str]) -> None:
    expected = golden(f"sacct/{argv[0][1]}.txt")
    wanted = ("125", "126", "127", "128", "129") if argv == ["-P"] else ("126", "130") if argv == ["-b"] else ("126",)
    cluster.history = [run for run in runs_of(golden("sacct/default.txt")) if run["jobid"].split(".")[0] in wanted]
    shown = cluster.run("sacct", *argv, "-j", "126").stdout
    assert shown
    assert expected.startswith(shown)


def _amount(total: int, high: int, node: str, task: int, low: int, low_node: str, low_task: int) -> dict[str, Any]:
    return {
        "total": total, "ave": total // 3, "max": high, "max_node": node, "max_task": task, "min": low,
        "min_node": low_node, "min_task": low_task,
    }  # fmt: skip


def test_usage_is_shown_in_every_unit(cluster: FakeCluster) -> None:
    def same(value: int, node: str, task: int) -> dict[str, Any]:
        return _amount(3 * value, value, node, task, value, "dgx0180", 1)

    usage = {
        "tasks": 3, "node": "dgx0180", "cpu": same(3725000, "dgx0180", 1), "mem": same(5 << 30, "dgx0181", 2),
        "vmem": same(1234567890, "dgx0181", 2), "pages": same(123456, "dgx0180", 0), "read": same(1048577, "dgx0180", 1),
        "written": _amount(15000000000, 15000000000, "dgx0180", 1, 1048576, "dgx0180", 1),
    }  # fmt: skip
    tres = "cpu=3,mem=125G,node=2"
    cluster.history = [
        row("1.0", "bash", 3, usage=usage, tres_alloc=tres, user_seconds=7322.005, system_seconds=0.999999)
    ]
    cases = golden("sacct/units.txt").split("$ ")[1:]
    for case in cases:
        line, header, _ = case.split("\n", 2)
        done = cluster.run(*line.split(), "-o", header.replace("|", ","))
        assert done.stdout == case.partition("\n")[2]
    assert len(cases) == 7


def test_times_are_cut_to_the_window(cluster: FakeCluster) -> None:
    start = at("2026-11-29T18:17:14")
    cluster.history = [
        row("1", "a", start=start, end=start + 3, elapsed=3.0),
        row("3", "b", state="RUNNING", start=start, end=0.0, elapsed=100.0),
    ]
    window = ("-S", "2026-11-29T18:17:15", "-E", "2026-11-29T18:17:30")
    done = cluster.run("sacct", "-T", "-n", "-P", *window, "-o", "jobid,start,end,elapsed")
    assert done.stdout == (
        "1|2026-11-29T18:17:15|2026-11-29T18:17:17|00:00:02\n3|2026-11-29T18:17:15|2026-11-29T18:17:30|00:00:15\n"
    )


def test_selectors_go_to_the_controller(cluster: FakeCluster) -> None:
    cluster.run("sacct", "-k", "5", "-K", "1:00:00", "-i", "2", "-I", "2-4", "-g", "root", "-N", "n[1-2]", "-C", "fast")
    (path,) = [line for line in cluster.asked if line.startswith("/v1/history")]
    for part in (
        "time_limits=300-3600",
        "node_counts=2-2",
        "cpu_counts=2-4",
        "gids=0",
        "nodes=n[1-2]",
        "constraints=fast",
    ):
        assert part in path.split("?")[1].split("&")
    cluster.asked.clear()
    cluster.run("sacct", "-K", "30")
    assert not any("time_limits" in line for line in cluster.asked)


@pytest.mark.parametrize(
    ("argv", "status", "text"),
    [
        (["-c"], 1, "Slurm job completion is disabled\n"), (["-s", "CG"], 1, "sacct: fatal: job state CG is not supported / accounted\n"),
        (["-k", "abc"], 1, "sacct: fatal: Invalid time limit specification\n"),
        (["-i", "2-"], 1, 'sacct: error: Invalid numeric value "2-" for requested node range.\n'),
        (["-g", "nosuch"], 1, "sacct: error: Invalid group id: nosuch\n"),
        (["-B"], 1, "sacct: fatal: When requesting job scripts you must also request specific jobs with the '-j' option.\n"),
        (["-W", "key"], 0, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(cluster: FakeCluster, argv: list[str], status: int, text: str) -> None:
    done = cluster.run("sacct", *argv)
    assert (done.returncode, done.stderr) == (status, text)


def test_an_unknown_unit_is_refused(cluster: FakeCluster) -> None:
    done = cluster.run("sacct", "--units=x")
    assert (done.returncode, done.stderr) == (
        1,
        "sacct: error: Invalid unit type 'x'. Possible options are 'KMGTP'\nsacct: fatal: Invalid unit type\n",
    )


def test_the_fields_are_slurms() -> None:
    assert history_columns.help_lines() == golden("sacct/helpformat.txt")
    for line in golden("sacct/fields.tsv").splitlines():
        if not line.startswith("#"):
            name, header, width = line.split("\t")[:3]
            (field,) = history_columns.parse(name)
            assert (f"|{field.header()} |", field.width + 1) == (header, int(width))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-j", "x"], "sacct: fatal: Bad job/step specified: x"), (["-S", "x"], "Invalid time specification (pos=0): x"),
        (["-s", "x"], "sacct: fatal: unrecognized job state value 'x'"), (["-u", "nosuch"], "sacct: error: Invalid user id: nosuch"),
        (["-o", "nosuch"], 'sacct: error: Invalid field requested: "nosuch"'),
        (["extra"], "sacct: error: Unknown arguments:\nsacct: error:  extra"),
        (["-g", "nosuch"], "sacct: error: Invalid group id: nosuch"), (["--nosuch"], "sacct: unrecognized option '--nosuch'"),
        (["-i", "x"], 'sacct: error: Invalid numeric value "x" for requested node range.'),
        (["-l", "-o", "jobid"],
         "sacct: fatal: Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(cluster: FakeCluster, argv: list[str], message: str) -> None:
    done = cluster.run("sacct", *argv)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message + "\n")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-o", "jobid%-5,state"], "JobID      State \n----- ---------- \n42    CANCELLED+ \n"),
        (["-o", "jobid%5,state%-20"], "JobID State                \n----- -------------------- \n   42 CANCELLED by 0       \n"),
        (["-o", "job"], "JobID        \n------------ \n42           \n"),
        (["--delimiter=,", "-P", "-o", "jobid,state"], "JobID,State\n42,CANCELLED by 0\n"),
        (["-p", "-P", "-o", "jobid"], "JobID\n42\n"),
    ],
)  # fmt: skip
def test_formats(cluster: FakeCluster, argv: list[str], expected: str) -> None:
    cluster.history = [row("42", "x", state="CANCELLED", cancelled_by=0)]
    assert cluster.run("sacct", "-j", "42", *argv).stdout == expected


def test_a_step_that_was_cancelled_alone_says_by_whom(cluster: FakeCluster) -> None:
    steps = [row("42.0", "x", state="CANCELLED", cancelled_by=0), row("42.1", "x", state="CANCELLED")]
    cluster.history = [row("42", "x"), *steps]
    assert cluster.run("sacct", "-nP", "-j", "42", "-o", "jobid,state").stdout.splitlines()[1:] == [
        "42.0|CANCELLED by 0", "42.1|CANCELLED",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.036, "00:00.036"), (0.0, "00:00:00"), (61.5, "01:01.500"), (3600.25, "01:00:00")]
)
def test_cpu_times_are_precise_below_an_hour(seconds: float, text: str) -> None:
    assert history_columns.precise(seconds) == text


def test_a_job_ended_from_outside_has_no_exit_code_but_its_steps_have(cluster: FakeCluster) -> None:
    ended = {"state": "CANCELLED", "code": "0:15"}
    cluster.history = [
        row("42", "x", **ended),
        row("42.batch", "batch", **ended),
        row("43", "y", state="FAILED", code="0:9"),
    ]
    assert cluster.run("sacct", "-n", "-P", "-o", "jobid,exitcode").stdout == "42|0:0\n42.batch|0:15\n43|0:9\n"


def test_a_waiting_job_shows_the_cpus_it_asks_for(cluster: FakeCluster) -> None:
    cluster.history = [row("42", "x", cpus=0, state="PENDING", req_cpus=4)]
    assert cluster.run("sacct", "-n", "-P", "-o", "alloccpus").stdout == "4\n"


def ids(cluster: FakeCluster, *argv: str) -> list[str]:
    done = cluster.run("sacct", "-X", "-P", "-n", "-o", "jobid", *argv)
    assert done.stderr == ""
    return done.stdout.split()


def test_of_another_cluster_there_is_nothing(cluster: FakeCluster) -> None:
    cluster.history = [row("1", "a")]
    assert ids(cluster, "-M", "all") == ids(cluster, "-M", "oracle") == ids(cluster, "-L") == ["1"]
    assert ids(cluster, "-M", "nosuch") == []


def test_a_list_given_twice_is_one_list(cluster: FakeCluster) -> None:
    ids(cluster, "-j", "1", "-j", "2", "--name", "a", "--name", "b")
    assert "ids=1,2" in cluster.asked[-1]
    assert "names=a,b" in cluster.asked[-1]


def test_truncated_times_lie_within_what_is_looked_at(cluster: FakeCluster) -> None:
    cluster.history = [row("1", "a", start=at("2026-11-24T00:00:00"), end=at("2026-11-24T02:00:00"), elapsed=7200.0)]
    done = cluster.run(
        "sacct", "-T", "-P", "-n", "-S", "2026-11-24T00:30:00", "-E", "2026-11-24T01:00:00", "-o", "start,end,elapsed"
    )
    assert done.stdout == "2026-11-24T00:30:00|2026-11-24T01:00:00|00:30:00\n"


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("--units=G", "1.95G|cpu=4,mem=1.95G,node=2"), ("--units=K", "2048000K|cpu=4,mem=2048000K,node=2"),
        ("--units=M", "2000M|cpu=4,mem=2000M,node=2"), ("--noconvert", "2000M|cpu=4,mem=2000M,node=2"),
    ],
)  # fmt: skip
def test_sizes_in_one_unit(cluster: FakeCluster, option: str, shown: str) -> None:
    cluster.history = [row("1", "a", req_mem="2000M", tres_alloc="cpu=4,mem=2000M,node=2")]
    assert cluster.run("sacct", "-P", "-n", "-o", "reqmem,alloctres", option).stdout == shown + "\n"


def test_all_is_every_field(cluster: FakeCluster) -> None:
    head = cluster.run("sacct", "-P", "-o", "all").stdout.split("\n")[0]
    assert head.split("|") == [field.name for field in history_columns.FIELDS]


@pytest.mark.parametrize(
    ("argv", "window"),
    [
        ("", ("today", "now")), ("-s F", ("now", "now")), ("-s F -S 2026-11-29", ("2026-11-29", "2026-11-29")),
        ("-s F -S 2026-11-28 -E 2026-11-29", ("2026-11-28", "2026-11-29")), ("-j 5", (0.0, 0.0)), ("-j 5 -s F", (0.0, "now")),
        ("-j 5 -S 2026-11-29", ("2026-11-29", 0.0)), ("-S 2026-11-28", ("2026-11-28", "now")),
    ],
)  # fmt: skip
def test_the_time_that_counts_without_a_start_or_an_end(
    cluster: FakeCluster, argv: str, window: tuple[str | float, str | float]
) -> None:
    cluster.run("sacct", *argv.split())
    (path,) = [line for line in cluster.asked if line.startswith("/v1/history")]
    given = parse_qs(urlsplit(path).query)
    now = time.time()
    named = {"now": now, "today": time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))}
    for name, meant in zip(("since", "until"), window, strict=True):
        wanted = meant if isinstance(meant, float) else named[meant] if meant in named else at(f"{meant}T00:00:00")
        assert float(given.get(name, ["0"])[0]) == pytest.approx(wanted, abs=60)


def test_nothing_between_the_fields(cluster: FakeCluster) -> None:
    cluster.history = [row("1", "a")]
    assert cluster.run("sacct", "-n", "-P", "--delimiter", "", "-o", "jobid,jobname").stdout == "1a\n"


def test_how_a_job_got_its_turn(cluster: FakeCluster) -> None:
    cluster.history = [
        row("1", "a", started_by="SchedSubmit", qos="high", qos_id=2), row("1.0", "a"),
        row("2", "b", started_by="SchedBackfill"), row("3", "c", state="PENDING", started_by="", start=0.0),
    ]  # fmt: skip
    assert cluster.run("sacct", "-a", "-P", "-n", "-o", "jobid,flags,qos,qosraw").stdout.splitlines() == [
        "1|SchedSubmit,StartRecieved|high|2", "1.0|||", "2|SchedBackfill,StartRecieved|normal|1",
        "3|StartRecieved|normal|1",
    ]  # fmt: skip


def test_the_json_names_the_reservation_and_how_it_began(cluster: FakeCluster) -> None:
    cluster.history = [row("1", "a", reservation="res1", reservation_id=2)]
    (job,) = json.loads(cluster.run("sacct", "--json").stdout)["jobs"]
    assert (job["reservation"], job["flags"]) == (
        {"id": 2, "name": "res1"}, ["STARTED_ON_SCHEDULE", "START_RECEIVED"],
    )  # fmt: skip


def test_how_jobs_began_and_to_what_they_were_charged_is_asked_of_the_controller(cluster: FakeCluster) -> None:
    cluster.run("sacct", "-a", "-F", "schedmain,SchedBackfill", "-x", "2,x", "--reason=Resources")
    for part in ("started_by=SchedMain%2CSchedBackfill", "associations=2%2C-1", "reasons=Resources"):
        assert part in cluster.asked[-1].replace(",", "%2C")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-F", "SchedMain,foo"], "sacct: error: str_2_job_flags: Invalid job flag foo\n"),
        (["--env-vars"], "sacct: fatal: When requesting job environment you must also request specific jobs with the '-j' option.\n"),
        (["--env-vars", "-B", "-j", "3"], "sacct: fatal: Options --batch-script and --env-vars are mutually exclusive\n"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(cluster: FakeCluster, argv: list[str], said: str) -> None:
    done = cluster.run("sacct", *argv)
    assert (done.returncode, done.stderr) == (1, said)
