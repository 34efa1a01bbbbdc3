"""--json=v0.0.38 has the keys that Slurm 22.05's has."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import FakeCluster, golden
from tests.unit.cli.test_sacct import row

#: Of the allocated nodes Slurm shows each core of each socket; we show the ids of the CPUs.
DIFFERENT = {"job_resources", "steps"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.history = [row("126", "three"), row("126.batch", "batch"), row("126.0", "true")]
        yield fake


@pytest.mark.parametrize(("command", "records"), [("squeue", "jobs"), ("sinfo", "nodes"), ("sacct", "jobs")])
def test_the_keys_are_slurms(cluster: FakeCluster, command: str, records: str) -> None:
    done = cluster.run(command, "--json=v0.0.38")
    assert (done.returncode, done.stderr) == (0, "")
    shown, expected = json.loads(done.stdout), json.loads(golden(f"{command}/json-one.txt"))
    assert list(shown) == list(expected)
    assert set(shown[records][0]) == set(expected[records][0])
    for key, value in expected[records][0].items():
        if isinstance(value, dict) and key not in DIFFERENT:
            assert set(shown[records][0][key]) == set(value), key


def test_steps_stand_in_their_job(cluster: FakeCluster) -> None:
    shown = json.loads(cluster.run("sacct", "--json=v0.0.38").stdout)["jobs"]
    expected = json.loads(golden("sacct/json-one.txt"))["jobs"]
    assert [step["step"]["id"] for step in shown[0]["steps"]] == ["batch", 0]
    assert set(shown[0]["steps"][0]) == set(expected[0]["steps"][0])
