"""The example that trains, evaluates and serves, with real daemons and real traffic."""

import http.client
import json
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.live import LiveCluster, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURE = json.dumps([8] * 64)


class Traffic:
    """Requests, one after another, until it is left."""

    def __init__(self, url: str) -> None:
        self.port = int(url.rstrip("/").rsplit(":")[-1])
        self.answers: Counter[str] = Counter()
        self.failed: list[str] = []
        self.goes_on = True
        self.threads = [threading.Thread(target=self._ask, args=(keeps,)) for keeps in (True, False, True)]

    def __enter__(self) -> "Traffic":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.goes_on = False
        for thread in self.threads:
            thread.join()

    def _ask(self, keeps: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        while self.goes_on:
            try:
                if connection is None or not keeps:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request("POST", "/predict", PICTURE, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    self.answers[json.loads(body)["run"]] += 1
                else:
                    self.failed.append(f"{answer.status} {body[:100]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection = None
            time.sleep(0.01)  # the pace of the load, not a wait for something


@pytest.fixture
def digits(tmp_path: Path, make_cluster: Any) -> LiveCluster:
    one: LiveCluster = make_cluster(config="[scheduling]\ntime_limit_step = 1\n[timeouts]\nkill_wait = 1\n")
    one.up("--nodes", "3", "--cpus", "8")
    shutil.copy(EXAMPLES / "pipeline" / "train.yaml", tmp_path / "train.yaml")
    text = (tmp_path / "train.yaml").read_text().replace("/tmp/corral-digits", f"{tmp_path}/runs")
    (tmp_path / "train.yaml").write_text(text.replace("/opt/corral/examples", str(EXAMPLES)))
    one.run("corral", "apply", "-f", str(tmp_path / "train.yaml"), "-f", str(EXAMPLES / "pipeline" / "service.yaml"))
    return one


def begin(cluster: LiveCluster, *parameters: str, check: bool = True) -> str:
    done = cluster.run(
        "corral", "pipeline", "run", "digits", "--wait", *(word for one in parameters for word in ("-p", one)),
        check=check, seconds=240,
    )  # fmt: skip
    return done.stdout.split()[0].partition("/")[2]


def places(cluster: LiveCluster) -> list[str]:
    """The nodes of the replicas."""
    found = json.loads(cluster.text("corral", "get", "pods", "-l", "app=digits", "-o", "json"))["items"]
    return sorted(one["spec"].get("nodeName", "") for one in found)


def test_models_are_rolled_out_and_replicas_move_without_a_failed_request_and_a_bad_model_is_not(
    digits: LiveCluster,
) -> None:
    first = begin(digits)
    service = json.loads(digits.text("corral", "get", "service", "digits", "-o", "json"))
    with Traffic(service["status"]["url"]) as traffic:
        wait_until(lambda: traffic.answers[first] > 20, what="answers of the first model")
        second = begin(digits, "epochs=26")
        wait_until(lambda: traffic.answers[second] > 20, what="answers of the second model")
        third = begin(digits, "epochs=1", "least=0.99", check=False)
        told = digits.text("corral", "pipeline", "status", third)
        (drained, *_) = places(digits)
        digits.run("scontrol", "update", f"nodename={drained}", "state=drain", "reason=a test")
        wait_until(lambda: drained not in places(digits), what="replicas that have moved away")
        assert len(places(digits)) == 2
    assert traffic.failed == []
    assert set(traffic.answers) == {first, second}
    assert "evaluate: Failed" in told
    assert "serve: Skipped" in told
