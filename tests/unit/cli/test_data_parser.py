"""--json and --yaml in the shape of data_parser v0.0.40."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.cli.fakecluster import FakeCluster, golden, job, running
from tests.unit.cli.test_sacct import row as run

from corral.cli.data_parser.values import exit_status, job_state, minutes, number, tres
from corral.cli.times import UNLIMITED

STEP: dict[str, Any] = {
    "job": 110, "step": 0, "array_job_id": None, "array_task_id": None, "restart": 0, "text": "110.0", "name": "one", "user": "root",
    "uid": 0, "partition": "batch", "state": "RUNNING", "nodes": "dgx0180", "node_names": ["dgx0180"], "node_count": 1, "ntasks": 2,
    "cpus": 2, "cpus_per_task": 1, "start_time": 1.0, "end_time": 0.0, "run_seconds": 5.0, "time_limit": UNLIMITED,
    "tres": "cpu=2,mem=100M,node=1", "exit_code": [0, 0], "cause": "exited", "tres_per_node": "", "tres_per_step": "cpu:2",
    "tres_per_task": "", "tres_bind": "", "client_host": "vm", "client_pid": 7, "distribution": "", "submit_line": "", "ports": "",
}  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.history = [run("126", "three"), run("126.batch", "batch"), run("126.0", "true")]
        fake.steps = [STEP]
        yield fake


def shown(cluster: FakeCluster, *argv: str) -> Any:
    done = cluster.run(*argv)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def kind(value: Any) -> Any:
    """What a program that reads it must expect: a number that may be missing is one thing, whatever it is now."""
    match value:
        case {"set": bool(), "infinite": bool(), "number": int() | float()}:
            return "number?"
        case dict():
            return {key: kind(one) for key, one in value.items()}
        case list():
            return [kind(value[0])] if value and isinstance(value[0], dict) else []
        case bool():
            return "bool"
        case int() | float():
            return "number"
    assert isinstance(value, str)
    return "text"


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        (["squeue", "--json", "-j", "110"], "jobs"), (["scontrol", "show", "job", "110", "--json"], "jobs"),
        (["scontrol", "show", "nodes", "--json"], "nodes"), (["scontrol", "show", "partitions", "--json"], "partitions"),
        (["scontrol", "show", "steps", "--json"], "steps"), (["sinfo", "--json"], "sinfo"), (["sacct", "--json"], "history"),
    ],
)  # fmt: skip
def test_the_shape_is_that_of_the_data_parser(cluster: FakeCluster, argv: list[str], file: str) -> None:
    document = shown(cluster, *argv)
    expected = json.loads(golden(f"data_parser/{file}.json"))
    assert kind(document) == expected
    assert list(document) == list(expected)


def test_the_meta_data_say_what_was_asked_and_of_whom(cluster: FakeCluster) -> None:
    meta = shown(cluster, "squeue", "--json=v0.0.40", "-j", "110")["meta"]
    assert meta["plugin"]["data_parser"] == "data_parser/v0.0.40"
    assert meta["slurm"] == {
        "version": {"major": "22", "micro": "8", "minor": "05"}, "release": "22.05.8", "cluster": "oracle",
    }  # fmt: skip
    assert meta["command"][1:] == ["--json=v0.0.40", "-j", "110"]


def test_the_versions_are_listed(cluster: FakeCluster) -> None:
    done = cluster.run("sinfo", "--json=list")
    assert (done.stdout, done.returncode) == (
        "Possible data_parser plugins:\ndata_parser/v0.0.40\ndata_parser/v0.0.38\n",
        0,
    )


@pytest.mark.parametrize("command", ["squeue", "sinfo", "sacct"])
def test_an_unknown_version_is_refused(cluster: FakeCluster, command: str) -> None:
    done = cluster.run(command, "--yaml=v9")
    assert (done.stdout, done.returncode) == ("", 1)
    assert "--yaml=v9: there is no such data_parser; --yaml=list names those there are" in done.stderr


def test_yaml_says_the_same_as_json(cluster: FakeCluster) -> None:
    one, other = shown(cluster, "squeue", "--json"), yaml.safe_load(cluster.run("squeue", "--yaml").stdout)
    for document in (one, other):
        del document["meta"]["command"], document["last_update"], document["last_backfill"]
    assert one == other


def test_an_unlimited_job_that_waits(cluster: FakeCluster) -> None:
    cluster.jobs = [job(7, "x", reason="Priority")]
    (found,) = shown(cluster, "squeue", "--json")["jobs"]
    assert found["job_state"] == ["PENDING"]
    assert found["time_limit"] == {"set": False, "infinite": True, "number": 0}
    assert (found["start_time"]["number"], found["state_reason"], found["job_resources"]) == (0, "Priority", {})


def test_the_cores_of_a_running_job_stand_in_their_sockets(cluster: FakeCluster) -> None:
    for node in cluster.nodes:
        node |= {"cores_per_socket": 4, "threads_per_core": 1, "sockets": 4}
    cluster.jobs = [
        running(7, "x", "dgx0180", ["dgx0180"], alloc_detail=[["dgx0180", "3-4,9", 100, "gpu:v100:1(IDX:0)"]])
    ]
    (found,) = shown(cluster, "squeue", "--json")["jobs"]
    (node,) = found["job_resources"]["allocated_nodes"]
    assert node["sockets"] == {
        "0": {"cores": {"3": "allocated"}}, "1": {"cores": {"0": "allocated"}}, "2": {"cores": {"1": "allocated"}},
    }  # fmt: skip
    assert found["gres_detail"] == ["gpu:v100:1(IDX:0)"]


def test_states_are_a_base_and_flags() -> None:
    assert job_state("RUNNING") == ["RUNNING"]
    assert job_state("COMPLETING", "FAILED") == ["FAILED", "COMPLETING"]
    assert job_state("CONFIGURING") == ["RUNNING", "CONFIGURING"]


def test_exit_codes_and_signals() -> None:
    none = {"set": False, "infinite": False, "number": 0}
    assert exit_status([0, 0]) == {
        "status": ["SUCCESS"],
        "return_code": number(0),
        "signal": {"id": none, "name": ""},
    }
    assert exit_status([3, 0])["status"] == ["ERROR"]
    assert exit_status([0, 9])["signal"] == {"id": number(9), "name": "KILL"}
    assert exit_status([0, 0], pending=True)["return_code"] == none


def test_numbers_that_may_be_missing_or_endless() -> None:
    assert number(None) == {"set": False, "infinite": False, "number": 0}
    assert minutes(3600) == {"set": True, "infinite": False, "number": 60}
    assert minutes(UNLIMITED)["infinite"]


def test_tres_as_records() -> None:
    assert tres("cpu=2,mem=1G,node=1,billing=2,gres/gpu=3") == [
        {"type": "cpu", "name": "", "id": 1, "count": 2}, {"type": "mem", "name": "", "id": 2, "count": 1024},
        {"type": "node", "name": "", "id": 4, "count": 1}, {"type": "billing", "name": "", "id": 5, "count": 2},
        {"type": "gres", "name": "gpu", "id": 1001, "count": 3},
    ]  # fmt: skip


def test_options_of_scontrol_may_stand_behind_the_words(cluster: FakeCluster) -> None:
    assert cluster.run("scontrol", "show", "part", "-o").stdout == cluster.run("scontrol", "-o", "show", "part").stdout
    assert cluster.run("scontrol", "show", "-o", "nodes").stdout.count("\n") == len(cluster.nodes)


def test_what_the_tasks_of_a_step_used(cluster: FakeCluster) -> None:
    mem = {
        "total": 3072,
        "ave": 1536,
        "max": 2048,
        "max_node": "dgx0181",
        "max_task": 1,
        "min": 1024,
        "min_node": "dgx0180",
        "min_task": 0,
    }
    usage = {"tasks": 2, "node": "dgx0180", "mem": mem, "written": mem}
    cluster.history = [run("126", "three", constraint="fast", memory_per_cpu=True), run("126.0", "true", usage=usage)]
    (found,) = shown(cluster, "sacct", "--json")["jobs"]
    assert found["constraints"] == "fast"
    assert found["priority"] == number(1)
    assert found["required"]["memory_per_cpu"] == number(64000)
    assert not found["required"]["memory_per_node"]["set"]
    (step,) = found["steps"]
    record = {"type": "mem", "name": "", "id": 2}
    assert step["tres"]["requested"] == {
        "max": [record | {"count": 2048, "task": 1, "node": "dgx0181"}],
        "min": [record | {"count": 1024, "task": 0, "node": "dgx0180"}],
        "average": [record | {"count": 1536}],
        "total": [record | {"count": 3072}],
    }
    assert step["tres"]["consumed"]["total"] == [{"type": "fs", "name": "disk", "id": 6, "count": 3072}]
    assert step["tres"]["allocated"][0]["type"] == "cpu"


def test_no_reservations_are_an_empty_list(cluster: FakeCluster) -> None:
    assert shown(cluster, "scontrol", "show", "reservations", "--json")["reservations"] == []
