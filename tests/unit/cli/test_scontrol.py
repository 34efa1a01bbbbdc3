"""scontrol against what the real one printed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import DRAINED, FakeCluster, golden, node, queue
from tests.unit.cli.test_data_parser import STEP


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.jobs = queue(ran=109)
        yield fake


_NOBODYS = {"account": "", "tres_alloc": "cpu=1,mem=62.50G,node=1,billing=1", "work_dir": "/tmp"}
_NOBODYS |= dict.fromkeys(("stdin_path", "stdout_path", "stderr_path"), "/dev/null")


def comparable(text: str) -> str:
    """Without what a run of Slurm has and a row has not."""
    text = re.sub(r"LastSchedEval=\S+ Scheduler=\S+", "LastSchedEval=", text)
    text = re.sub(r"(AllocNode:Sid=\S+):\d+", r"\1:0", text)
    return re.sub(r"AccrueTime=\S+|Port=\d+ |LastBusyTime=\S+", "", text)


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        (["show", "job", "110"], "job-running.txt"), (["-d", "show", "job", "110"], "job-running-d.txt"),
        (["-o", "show", "job", "110"], "job-running-o.txt"), (["show", "job", "111"], "job-running2.txt"),
        (["show", "job", "112_2"], "job-running-array-element.txt"), (["show", "job", "121"], "job-array-pending.txt"),
        (["-d", "show", "job", "121"], "job-array-pending-d.txt"), (["show", "job", "120"], "job-begin.txt"),
        (["show", "job", "119"], "job-held.txt"), (["show", "job", "112"], "job-running-wrap-array.txt"),
        (["show", "job", "113"], "job-running-user-nobody.txt"),
        (["show", "partition"], "partition.txt"), (["-o", "show", "part"], "partition-o.txt"),
        (["ping"], "ping.txt"),
    ],
)  # fmt: skip
def test_it_shows_what_slurm_shows(cluster: FakeCluster, argv: list[str], file: str) -> None:
    if file == "job-running-user-nobody.txt":
        cluster.jobs = [row | _NOBODYS for row in cluster.jobs]
    done = cluster.run("scontrol", *argv)
    shown, expected = comparable(done.stdout), comparable(golden(f"scontrol/{file}"))
    if file == "job-running-wrap-array.txt":  # in no certain order
        assert sorted(shown.split("\n\n")) == sorted(expected.split("\n\n"))
    else:
        assert (shown, done.stderr) == (expected, "")


@pytest.mark.parametrize(
    ("special", "argv", "file"),
    [
        ({}, ["show", "node", "dgx0188"], "node-idle.txt"),
        (DRAINED | {"load": 0.22, "free_memory_mb": 23538}, ["show", "node", "dgx0187"], "node-drained.txt"),
        (
            {"state": "MIXED", "cpus_alloc": 7, "memory_alloc_mb": 8192, "gpus_alloc": 2, "gres_used": "gpu:v100:2(IDX:0-1)"},
            ["-d", "show", "node", "dgx0180"], "node-mixed-d.txt",
        ),
    ],
)  # fmt: skip
def test_it_shows_nodes(cluster: FakeCluster, special: dict[str, object], argv: list[str], file: str) -> None:
    cluster.nodes = [node(int(argv[-1][3:]), **special)]
    done = cluster.run("scontrol", *argv)
    assert (comparable(done.stdout), done.stderr) == (comparable(golden(f"scontrol/{file}")), "")


def hostlist_cases() -> list[tuple[str, str, str]]:
    """Those where nothing is wrong with the list, and no letters stand behind a bracket."""
    cases = re.findall(
        r"^\$ scontrol show (host\w+) (.+)\n((?:(?!\$).*\n)*)", golden("scontrol/hostlist.txt"), re.MULTILINE
    )
    return [
        (kind, text.strip("'"), shown) for kind, text, shown in cases
        if "error" not in shown and "Invalid" not in shown and text not in ("''", "'n]'", "'n[1'")
        and "exit" not in shown and "][" not in text
    ]  # fmt: skip


def test_hostnames_need_no_cluster(tmp_path: Path) -> None:
    fake = FakeCluster()
    cases = hostlist_cases()
    assert len(cases) > 20
    for kind, text, shown in cases[:6] + cases[-6:]:
        done = fake.run("scontrol", "show", kind, text)
        assert (done.stdout, done.stderr) == (shown, ""), (kind, text)


def test_a_list_with_several_brackets_keeps_the_last(tmp_path: Path) -> None:
    done = FakeCluster().run("scontrol", "show", "hostlist", "n[1-2][3-4],a1,a2")
    assert done.stdout == "n1[3-4],n2[3-4],a[1-2]\n"


def test_hold_names_each_job_it_could_not_hold(cluster: FakeCluster) -> None:
    answer = [["999999", "Invalid job id specified"]]
    cluster.reply = lambda request: {"type": "Done", "errors": ["999999: Invalid job id specified"], "outcomes": answer}
    done = cluster.run("scontrol", "hold", "999999")
    assert done.returncode == 1
    assert done.stderr == (
        "Invalid job id specified for job 999999\nslurm_suspend error: Invalid job id specified\n"
    )  # fmt: skip


def test_an_update_of_a_job_sends_the_keys_in_lower_case(cluster: FakeCluster) -> None:
    done = cluster.run("scontrol", "update", "JobId=42", "TimeLimit=1:00:00", "Name=x", "QOS=high")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert cluster.requests == [
        {"type": "UpdateJob", "id": "42", "changes": {"timelimit": "1:00:00", "jobname": "x", "qos": "high"}}
    ]


def test_a_drain_needs_a_reason(cluster: FakeCluster) -> None:
    done = cluster.run("scontrol", "update", "nodename=dgx0180", "state=drain")
    assert done.stderr == "You must specify a reason when DOWNING or DRAINING a node. Request denied\n"
    cluster.run("scontrol", "update", "NodeName=dgx[0180-0181]", "State=DRAIN", "Reason=bad disk")
    assert cluster.requests == [
        {"type": "UpdateNodes", "nodes": "dgx[0180-0181]", "state": "drain", "reason": "bad disk"}
    ]


def test_the_prompt_goes_on_after_a_mistake(cluster: FakeCluster) -> None:
    done = cluster.run("scontrol", stdin="show hostnames a[1-2]\nnosuch\nquit\n")
    assert done.stdout == "scontrol: show hostnames a[1-2]\na1\na2\nscontrol: nosuch\nscontrol: quit\n"
    assert (done.stderr, done.returncode) == ("invalid keyword: nosuch\n", 1)


def test_without_a_controller_it_says_how_to_start_one() -> None:
    fake = FakeCluster()
    fake.endpoint = "unix:///nonexistent/socket"
    first, hint = fake.run("scontrol", "show", "job").stderr.splitlines()
    assert first == "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    assert "corral up" in hint


def test_what_a_step_asked_for_is_shown(cluster: FakeCluster) -> None:
    cluster.steps = [
        STEP | {"tres_per_task": "cpu:1"},
        STEP | {"step": 1, "text": "110.1", "name": "gpu1", "cpus": 1, "ntasks": 1, "tres": "cpu=1,mem=200M,node=1,gres/gpu=1",
                "tres_per_step": "cpu:1", "tres_per_node": "gpu:1"},
        STEP | {"step": 2, "text": "110.2", "name": "gpt", "cpus": 1, "ntasks": 1, "tres": "cpu=1,mem=200M,node=1,gres/gpu=1",
                "tres_per_step": "cpu:1", "tres_per_task": "gpu:1", "tres_bind": "gpu:per_task:1", "time_limit": 600},
        STEP | {"step": 4, "text": "110.4", "name": "ov", "cpus": 6, "ntasks": 1, "tres": "cpu=6,mem=1000M,node=1,gres/gpu=1",
                "tres_per_step": "cpu:1", "tres_per_node": "gpu:1"},
    ]  # fmt: skip
    for step in cluster.steps:
        step |= {"nodes": "dgx0182", "distribution": "block" if step["ntasks"] > 1 else "cyclic"}
    shown = re.sub(r"StartTime=\S+", "StartTime=<TIME>", cluster.run("scontrol", "show", "step").stdout)
    assert shown == golden("scontrol/steps-tres.txt")


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["show", "node=dgx0180"], ["show", "node", "dgx0180"]), (["show", "jobid=110"], ["show", "job", "110"]),
        (["show", "jobid", "110"], ["show", "job", "110"]), (["show", "partition=batch"], ["show", "part", "batch"]),
        (["show", "hostnames=a[1-2]"], ["show", "hostnames", "a[1-2]"]),
    ],
)  # fmt: skip
def test_what_is_shown_may_be_named_with_an_equals_sign(
    cluster: FakeCluster, words: list[str], same: list[str]
) -> None:
    one, other = cluster.run("scontrol", *words), cluster.run("scontrol", *same)
    assert one.stdout == other.stdout != ""


def test_quiet_says_nothing_of_what_goes_wrong(cluster: FakeCluster) -> None:
    done = cluster.run("scontrol", "-Q", "show", "job", "9999")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 1)


@pytest.mark.parametrize("entity", ["aliases", "burstbuffer", "bbstat", "dwstat", "federation"])
def test_what_there_is_none_of_is_shown_as_nothing(cluster: FakeCluster, entity: str) -> None:
    done = cluster.run("scontrol", "show", entity)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "No error"), ("1", "Operation not permitted"), ("2017", "Invalid job id specified"), ("07", "Argument list too long"),
        ("4294967295", "Unspecified error"), ("4294967290", "Unknown negative error number"), ("4294967296", "No error"),
        ("99999999999", "Unknown error 1215752191"), ("", "No error"), (" 5", "Input/output error"), ("134", "Unknown error 134"),
    ],
)  # fmt: skip
def test_numbers_of_errors_are_slurms(cluster: FakeCluster, number: str, text: str) -> None:
    assert cluster.run("scontrol", "errnumstr", number).stdout == text + "\n"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ("errnumstr", "one arguments required for keyword:errnumstr"),
        ("errnumstr 1 2", "one arguments required for keyword:errnumstr"),
        ("errnumstr 2017x", "numeric arguments required for keyword:errnumstr"),
        ("notify", "too few arguments for keyword:notify"), ("notify 5", "too few arguments for keyword:notify"),
        ("notify x hi", "Invalid job_id xjob notify failure: No error"),
    ],
)  # fmt: skip
def test_what_errnumstr_and_notify_need(cluster: FakeCluster, argv: str, problem: str) -> None:
    done = cluster.run("scontrol", *argv.split())
    assert (done.returncode, done.stderr) == (1, problem + "\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stepid=42.0"], "No changes specified\n"),
        (["stepid=42.0", "timelimit=x"], "scontrol: error: Invalid TimeLimit value\n"),
        (["stepid=x", "timelimit=3"], "Invalid StepID parameter: stepid=x\nRequest aborted\n"),
        (["stepid=42.0", "foo=1"], "Update of this parameter is not supported: foo=1\nRequest aborted\n"),
    ],
)
def test_a_change_of_a_step_that_means_nothing(cluster: FakeCluster, words: list[str], said: str) -> None:
    done = cluster.run("scontrol", "update", *words)
    assert (done.returncode, done.stderr) == (1, said)


def test_a_change_of_a_steps_limit(cluster: FakeCluster) -> None:
    cluster.reply = {"type": "Done"}
    assert cluster.run("scontrol", "update", "stepid=42_7.batch", "timelimit=+5").returncode == 0
    assert cluster.requests[-1] == {"type": "UpdateStep", "id": "42_7.batch", "time_limit": "+5"}
