"""Whatever is wrong is refused with words that name it, with the real one's exit status, and leaves everything as it was."""

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.cluster import bad_input_differences as differences
from tests.cluster import forked
from tests.cluster.chaos import Client, KillableCluster, killable_cluster, wait_until

from corral.client.connection import Connection
from corral.errors import Refused

GOLDEN = Path(__file__).parents[1] / "golden" / "errors.json"
NOBODY = 65534


class Scene:
    """A cluster with a held job, one that runs, one that is done and a held array, as when the answers were recorded."""

    def __init__(self, cluster: KillableCluster, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        directory.mkdir()
        directory.chmod(0o777)
        self.client: Client = cluster.client()
        held = self.client.submit(cluster.job("true", hold=True))[0]
        running = self.client.submit(cluster.job("sleep 1000"))[0]
        done = self.client.submit(cluster.job("true"))[0]
        array = self.client.submit(cluster.job("true", hold=True, array="1-4"))[0]
        self.client.wait(done, 60)
        wait_until(lambda: self.client.job(running)["state"] == "RUNNING")
        self.names = {"<HELD>": held, "<RUNNING>": running, "<DONE>": done, "<ARRAY>": array}
        self.connection = Connection(cluster.endpoint)
        self._database = sqlite3.connect(f"file:{cluster.directory}/corral.db?mode=ro", uri=True)

    def named(self, text: str) -> str:
        for name, number in self.names.items():
            text = text.replace(name, str(number))
        return text

    def run(self, case: dict[str, Any], **more: Any) -> forked.Outcome:
        script = self.directory / "job.sh"
        script.unlink(missing_ok=True)
        if "script" in case:
            script.write_bytes(case["script"].encode("utf-8", "surrogateescape"))
        environment = {"CORRAL_ENDPOINT": self.cluster.endpoint, **case.get("env", {})}
        argv = [self.named(word) for word in case["argv"]]
        uid = NOBODY if case.get("user") else None
        return forked.run(argv, self.directory, environment, stdin=case.get("stdin", ""), uid=uid, **more)

    def last_event(self) -> int:
        """Every change of the state is an event."""
        return int(self._database.execute("SELECT max(seq) FROM events").fetchone()[0])

    def settled(self) -> int:
        """The last event when nothing goes on but the one job."""
        own = self.names["<RUNNING>"]
        active = ("RUNNING", "COMPLETING")
        wait_until(lambda: not any(r["state"] in active for i, r in self.client.states().items() if i != own))
        return self.last_event()

    def post(self, body: object) -> Refused | None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.connection.call("POST", "/v1/requests", raw, retry_seconds=1)
        except Refused as error:
            return error
        return None


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with TemporaryDirectory(prefix="corral-bad-input-") as name:  # not below pytest's, where nobody else may look
        place = Path(name)
        place.chmod(0o755)
        with killable_cluster(place / "cluster", cpus=16, gpus=8) as cluster:
            yield Scene(cluster, place / "work")


# -- the commands


def golden_cases() -> list[Any]:
    """What the real one refuses."""
    found = []
    for index, case in enumerate(json.loads(GOLDEN.read_text())):
        if not case["exit"] or (case.get("user") and os.geteuid() != 0):
            continue
        found.append(pytest.param(index, case, id=f"{index}:{' '.join(case['argv'])[:40]}"))
    return found


@pytest.mark.parametrize(("index", "case"), golden_cases())
def test_a_command_is_refused_as_by_the_real_one(scene: Scene, index: int, case: dict[str, Any]) -> None:
    may_start_a_job = case["argv"][0] in ("srun", "salloc")
    before = 0 if may_start_a_job else scene.settled()
    outcome = scene.run(case)
    if index in differences.OTHERWISE:
        return
    assert "unexpected" not in outcome.stderr
    assert "Traceback" not in outcome.stderr
    if differences.NOT_OFFERED in outcome.stderr:
        assert outcome.status == 1
    else:
        assert outcome.status == case["exit"], outcome
        if index not in differences.OTHER_WORDS:
            wanted = scene.named(case["stderr"])
            assert _same(outcome.stderr) == _same(wanted)
    if not may_start_a_job:
        assert scene.last_event() == before, "a refused command has changed something"


def _same(text: str) -> list[str]:
    for pattern, instead in differences.SAME:
        text = pattern.sub(instead, text.replace("<ID>", "1"))
    return text.splitlines()


# -- the API


def test_the_controller_is_as_it_was(scene: Scene) -> None:
    """The last of the file."""
    assert {row["state_text"] for row in scene.client.nodes(["state_text"])} <= {"idle", "mix"}
    errors = [line for line in (scene.cluster.directory / "controller.log").read_text().splitlines() if '"error"' in line]
    assert not errors
