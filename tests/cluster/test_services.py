"""Is a service there for its users whatever is done to it? A real cluster with Pods, probes and the gateway, under a steady load."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

_ROOT = Path(__file__).parents[2]
#: Answers with its process id at once; says that it is not ready where a file says so.
_PROGRAM = """
import asyncio, os, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            ready = not (head.startswith(b"GET /ready") and os.path.exists(sys.argv[1] + "/unready"))
            body = str(os.getpid()).encode()
            status = b"200 OK" if ready else b"503 No"
            writer.write(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: " + str(len(body)).encode() + b"\\r\\n\\r\\n" + body)
    except (asyncio.IncompleteReadError, OSError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(os.environ["PORT"]), backlog=1024)
    await server.serve_forever()
asyncio.run(main())
"""


class Served(LiveCluster):
    """A cluster with one service."""

    def apply(self, replicas: int = 3) -> None:
        (self.work / "web.py").write_text(_PROGRAM)
        container = {
            "name": "web",
            "command": [sys.executable, str(self.work / "web.py"), str(self.work)],
            "ports": [{"containerPort": 8000, "name": "http"}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8000}, "periodSeconds": 1, "failureThreshold": 1},
        }
        labels = {"app": "web"}
        deployment = {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }  # fmt: skip
        service = {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
        }  # fmt: skip
        for one in (deployment, service):
            path = self.work / f"{one['kind']}.json"
            path.write_text(json.dumps(one))
            self.run("corral", "apply", "-f", str(path))
        self.url = self.run("corral", "get", "service", "web", "-o", "jsonpath={.status.url}").stdout
        self.run("corral", "rollout", "status", "deployment", "web")

    def load(self, seconds: float) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.httpload", self.url, "--rate", "200", "--seconds", str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT)

    def answers(self, count: int = 1) -> set[str]:
        """The processes that answer now."""
        command = [sys.executable, "-m", "tests.httpload", self.url, "--rate", "100", "--seconds", "0.4"]
        found = json.loads(subprocess.run(command, capture_output=True, cwd=_ROOT, check=True).stdout)
        return set(found["bodies"])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path, "[gateway]\nhttp_port = 0\nhttps_port = 0\n")
    one.up("--nodes=3", "--cpus=8")
    try:
        one.apply()
        yield one
    finally:
        one.down()


def test_not_one_request_fails_while_it_is_updated_scaled_and_a_node_is_drained(cluster: Served) -> None:
    before = wait_until(lambda: len(found := cluster.answers()) == 3 and found)
    load = cluster.load(15)
    cluster.run("corral", "rollout", "restart", "deployment", "web")
    cluster.run("corral", "rollout", "status", "deployment", "web")
    cluster.run("corral", "scale", "deployment", "web", "--replicas", "1")
    cluster.run("corral", "scale", "deployment", "web", "--replicas", "3")
    cluster.run("corral", "rollout", "status", "deployment", "web")
    cluster.run("scontrol", "update", "nodename=node1", "state=drain", "reason=test")
    found = json.loads(load.communicate()[0])
    assert found["failed"] == 0, found
    assert not before & cluster.answers()


def test_a_killed_replica_costs_at_most_what_it_was_answering_and_comes_back(cluster: Served) -> None:
    before = wait_until(lambda: len(found := cluster.answers()) == 3 and found)
    load = cluster.load(6)
    os.kill(int(min(before)), signal.SIGKILL)
    found = json.loads(load.communicate()[0])
    assert found["failed"] <= 2, found
    wait_until(lambda: len(cluster.answers()) == 3)


def test_the_probes_verdict_decides_over_the_traffic(cluster: Served) -> None:
    wait_until(lambda: len(cluster.answers()) == 3)
    (cluster.work / "unready").write_text("")
    pods = lambda: cluster.run("corral", "get", "pods", "--no-headers").stdout  # noqa: E731
    wait_until(lambda: pods().count("0/1") == 3)
    held = cluster.load(0.1)
    (cluster.work / "unready").unlink()
    found = json.loads(held.communicate()[0])
    assert found["failed"] == 0, found
