"""Whatever is wrong is refused with words that name it, with the real one's exit status, and leaves everything as it was."""

import json
import os
import shlex
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cluster import bad_input_differences as differences
from tests.cluster import forked
from tests.cluster.chaos import Client, KillableCluster, killable_cluster, wait_until

from corral.client.connection import Connection
from corral.errors import Refused
from corral.model.job import JobSpec, StepSpec
from corral.protocol import requests

GOLDEN = Path(__file__).parents[1] / "golden" / "errors.json"
NOBODY = 65534
#: Options with values that mean something, and how a refusal names them.
OPTIONS = {
    name: name
    for name in (
        "array", "begin", "cpus-per-task", "deadline", "distribution", "mem", "mem-per-cpu", "mem-per-gpu", "nice", "ntasks",
        "ntasks-per-node", "open-mode", "priority", "signal", "time", "time-min", "cpus-per-gpu", "mail-type",
    )
} | {
    "nodes": "node count", "nodelist": "ode", "exclude": "ode", "constraint": "feature", "gres": "gres", "gpus": "gres",
    "partition": "partition", "dependency": "dependency", "array": "array",
}  # fmt: skip


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

    def clear(self) -> None:
        """End what was not refused."""
        kept = set(self.names.values())
        if others := [job for job in self.client.states() if job not in kept]:
            self.client.cancel(others)
            self.client.wait(others, 60)

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
        scene.clear()
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


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(OPTIONS)), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
def test_a_made_up_directive_is_read_or_refused_by_its_name(scene: Scene, option: str, value: str) -> None:
    script = f"#!/bin/sh\n#SBATCH --hold\n#SBATCH --{option}={shlex.quote(value)}\n#SBATCH --output=/dev/null\ntrue\n"
    before = scene.settled()
    outcome = scene.run({"argv": ["sbatch", "job.sh"], "script": script})
    assert "unexpected" not in outcome.stderr
    if outcome.status:
        assert outcome.status in (1, 255)
        named = (OPTIONS[option], "Requested node configuration", *([value] if value else []))
        assert any(words in outcome.stderr for words in named), outcome
        assert scene.last_event() == before


# -- the API


def wrong_values(kind: type[Any]) -> Iterator[tuple[str, object]]:
    """Each field, with a value of a type that it cannot have."""
    for field in msgspec.structs.fields(kind):
        text = str(field.type)
        yield field.encode_name, {"no": ["such", {"type": 1}]} if "dict[" not in text else [1]
        if "str" not in text:
            yield field.encode_name, "text"


#: Made by the controller out of what it has read; nobody can ask for them as they are.
NOT_ASKED = (requests.PutObjects, requests.DeleteObjects, requests.ReportUse)


def wrong_requests() -> Iterator[tuple[str, object]]:
    """The name of what is wrong, and the body."""
    for kind in get_args(requests.AnyRequest):
        if kind in NOT_ASKED:
            continue
        for name, value in wrong_values(kind):
            yield name, {"type": kind.__name__, name: value}
        yield "nosuch", {"type": kind.__name__, "nosuch": 1}
    for name, value in wrong_values(JobSpec):
        yield name, {"type": "SubmitJobs", "jobs": [{"spec": {name: value}}]}
    for kind in NOT_ASKED:
        yield "type", {"type": kind.__name__}
    yield "nosuch", {"type": "SubmitJobs", "jobs": [{"spec": {"nosuch": 1}}]}
    yield "nosuch", {"type": "CreateStep", "job": "1", "spec": {"stdio": {"nosuch": 1}}}
    for name, value in wrong_values(StepSpec):
        yield name, {"type": "CreateStep", "job": "1", "spec": {name: value}}


@pytest.mark.parametrize(("name", "body"), list(wrong_requests()), ids=lambda value: json.dumps(value)[:60])
def test_a_request_of_wrong_types_is_refused_by_the_name_of_the_field(scene: Scene, name: str, body: object) -> None:
    before = scene.last_event()
    refused = scene.post(body)
    assert refused is not None, "it was taken"
    assert refused.fields["status"] == 400
    assert name in str(refused) or "missing required field" in str(refused)
    assert scene.last_event() == before


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("not valid JSON", b""),
        ("not valid JSON", b"{"),
        ("not valid JSON", b"\xff\xfe"),
        ("not valid JSON", bytes(range(128, 228))),
        ("not a valid request", b"[" * 100_000),
        ("type", {"type": "NoSuchRequest"}),
        ("script: larger than", {"type": "SubmitJobs", "jobs": [{"spec": {}, "script": "x" * (5 << 20)}]}),
        ("at least one job", {"type": "SubmitJobs", "jobs": []}),
        ("--mem", {"type": "SubmitJobs", "jobs": [{"spec": {"memory_per_node_mb": -(1 << 63)}}]}),
        ("--umask", {"type": "SubmitJobs", "jobs": [{"spec": {"umask": 1 << 62}}]}),
        ("--job-name", {"type": "SubmitJobs", "jobs": [{"spec": {"name": "\0"}}]}),
        ("--distribution", {"type": "SubmitJobs", "jobs": [{"spec": {"distribution": "plane=0"}}]}),
    ],
    ids=str,
)
def test_a_body_that_says_nothing_sensible_is_refused(scene: Scene, said: str, body: object) -> None:
    before = scene.last_event()
    refused = scene.post(body)
    assert refused is not None
    assert (refused.fields["status"], said in str(refused)) == (400, True), refused
    assert scene.last_event() == before


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
specs = st.dictionaries(st.sampled_from([f.encode_name for f in msgspec.structs.fields(JobSpec)]), values, max_size=3)
bodies = values | st.fixed_dictionaries(
    {"type": st.just("SubmitJobs"), "jobs": st.lists(st.fixed_dictionaries({"spec": specs}), max_size=2)}
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(bodies)
def test_no_made_up_body_is_a_fault(scene: Scene, body: object) -> None:
    refused = scene.post(body)
    assert refused is None or refused.fields["status"] == 400, refused


# -- connections


def test_a_thousand_half_requests_and_a_huge_one_keep_nobody_waiting(scene: Scene) -> None:
    held = []
    for _ in range(1000):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{scene.cluster.directory}/corral.sock")
        connection.sendall(b"POST /v1/requests HTTP/1.1\r\nContent-Len")
        held.append(connection)
    assert scene.client.ping()["pid"] == scene.cluster.controller_pid
    refused = scene.post(b'{"type":"SubmitJobs","jobs":[{"spec":{},"script":"' + b"x" * 100_000_000 + b'"}]}')
    assert "script: larger than" in str(refused)
    for connection in held:
        connection.close()
    assert scene.client.submit(scene.cluster.job("true", hold=True))


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 1000,
        b"POST /v1/requests HTTP/1.1\r\nContent-Length: -5\r\n\r\n{}",
        b"POST /v1/requests HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_is_no_http_is_told_so(scene: Scene, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"{scene.cluster.directory}/corral.sock")
        connection.sendall(sent)
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")


def test_the_controller_is_as_it_was(scene: Scene) -> None:
    """The last of the file."""
    wait_until(lambda: {row["state_text"] for row in scene.client.nodes(["state_text"])} <= {"idle", "mix"})
    log = (scene.cluster.directory / "controller.log").read_text().splitlines()
    assert not [line for line in log if '"level":"error"' in line]
    assert scene.client.wait(scene.client.submit(scene.cluster.job("exit 7")), 60)[0]["exit_code"] == [7, 0]
