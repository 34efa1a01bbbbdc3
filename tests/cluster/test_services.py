"""Is a service there for its users whatever is done to it? A real cluster with Pods, probes and the gateway, under a steady load."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.cluster.test_pod_faults import killed

_ROOT = Path(__file__).parents[2]
#: Answers with its process id at once; says that it is not ready where a file says so. A stream ends with a word when it is told to end.
_PROGRAM = """
import asyncio, os, signal, sys
streams = set()
def told():
    if not streams:
        os._exit(0)
    for one in streams:
        one.set()
async def stream(writer):
    end = asyncio.Event()
    streams.add(end)
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\ndata: " + str(os.getpid()).encode() + b"\\n\\n")
    await end.wait()
    await asyncio.sleep(0.5)
    writer.write(b"data: goodbye\\n\\n")
    await writer.drain()
    writer.close()
    streams.discard(end)
    if not streams:
        await asyncio.sleep(0.1)
        os._exit(0)
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            if head.startswith(b"GET /stream"):
                return await stream(writer)
            ready = not (head.startswith(b"GET /ready") and os.path.exists(sys.argv[1] + "/unready"))
            body = str(os.getpid()).encode()
            status = b"200 OK" if ready else b"503 No"
            writer.write(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: " + str(len(body)).encode() + b"\\r\\n\\r\\n" + body)
    except (asyncio.IncompleteReadError, OSError):
        writer.close()
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told)
    server = await asyncio.start_server(serve, "0.0.0.0", int(os.environ["PORT"]), backlog=1024)
    await server.serve_forever()
asyncio.run(main())
"""


#: Two CPUs a replica, of four on a node. What is above one replica may be preempted.
_CONFIG = """
[gateway]
http_port = 0
https_port = 0
[preemption]
type = "partition_prio"
mode = "CANCEL"
[[partition]]
name = "batch"
default = true
[[partition]]
name = "urgent"
priority_tier = 10
"""


class Served(LiveCluster):
    """A cluster with one service."""

    def apply(self, replicas: int = 3) -> None:
        (self.work / "web.py").write_text(_PROGRAM)
        container = {
            "name": "web",
            "command": [sys.executable, str(self.work / "web.py"), str(self.work)],
            "ports": [{"containerPort": 8000, "name": "http"}],
            "resources": {"requests": {"cpu": "2"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8000}, "periodSeconds": 1, "failureThreshold": 1,
                               "timeoutSeconds": 10},
        }  # fmt: skip
        labels = {"app": "web"}
        deployment = {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "annotations": {"corral.dev/min-replicas": "1"}},
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
        self.run("corral", "rollout", "status", "deployment", "web")
        self.url = self.run("corral", "get", "service", "web", "-o", "jsonpath={.status.url}").stdout

    def load(self, seconds: float = 300.0) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.httpload", self.url, "--rate", "100", "--seconds", str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT)

    @contextmanager
    def not_one_request_fails(self) -> Iterator[None]:
        load = self.load()
        try:
            wait_until(lambda: self.answers())
            yield
        finally:
            load.terminate()
            found = json.loads(load.communicate()[0])
        assert found["failed"] == 0, found
        assert found["requests"] > 0

    def nodes(self) -> list[str]:
        """Where the replicas are that are ready."""
        pods = json.loads(self.text("corral", "get", "pods", "-o", "json"))["items"]
        return sorted(
            pod["spec"]["nodeName"]
            for pod in pods
            if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])
        )

    def node_of(self, pid: str) -> str:
        """Where this process is a replica."""
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return next(one.partition(b"=")[2].decode() for one in variables if one.startswith(b"SLURMD_NODENAME="))

    def answers(self, count: int = 1) -> set[str]:
        """The processes that answer now."""
        command = [sys.executable, "-m", "tests.httpload", self.url, "--rate", "100", "--seconds", "0.4"]
        found = json.loads(subprocess.run(command, capture_output=True, cwd=_ROOT, check=True).stdout)
        return set(found["bodies"])


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("services"), _CONFIG)
    made.up("--nodes=3", "--cpus=4")
    try:
        made.apply()
        yield made
    finally:
        made.down()


@pytest.fixture
def cluster(one: Served) -> Served:
    """Three replicas that all answer."""
    wait_until(lambda: len(one.answers()) == 3)
    return one


def test_not_one_request_fails_during_an_update(cluster: Served) -> None:
    before = cluster.answers()
    with cluster.not_one_request_fails():
        cluster.run("corral", "rollout", "restart", "deployment", "web")
        cluster.run("corral", "rollout", "status", "deployment", "web")
        wait_until(lambda: not before & cluster.answers())


def test_not_one_request_fails_while_it_is_scaled(cluster: Served) -> None:
    with cluster.not_one_request_fails():
        cluster.run("corral", "scale", "deployment", "web", "--replicas", "1")
        wait_until(lambda: len(cluster.nodes()) == 1 and len(cluster.answers()) == 1)
        cluster.run("corral", "scale", "deployment", "web", "--replicas", "3")
        wait_until(lambda: len(cluster.answers()) == 3)


def test_not_one_request_fails_while_a_node_is_drained(cluster: Served) -> None:
    node = cluster.nodes()[0]
    with cluster.not_one_request_fails():
        cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        wait_until(lambda: node not in (found := cluster.nodes()) and len(found) == 3)
        wait_until(lambda: not cluster.text("squeue", "-h", "-w", node), what="nothing is left on it")
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")


@pytest.mark.parametrize("how", ["update", "drain"])
def test_a_stream_is_ended_by_its_replica_and_not_cut_off(cluster: Served, how: str) -> None:
    parts = urlsplit(cluster.url)
    with socket.create_connection((parts.hostname, parts.port), 60) as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        seen = b""
        while b"\n\n" not in seen.partition(b"data: ")[2]:
            seen += client.recv(65536)
        pid = seen.partition(b"data: ")[2].split()[0].decode()
        if how == "update":
            cluster.run("corral", "rollout", "restart", "deployment", "web")
        else:
            node = cluster.node_of(pid)
            cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        while data := client.recv(65536):
            seen += data
        assert b"data: goodbye" in seen
    if how == "update":
        cluster.run("corral", "rollout", "status", "deployment", "web")
    else:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    wait_until(lambda: len(found := cluster.answers()) == 3 and pid not in found)


def test_not_one_request_fails_while_replicas_are_preempted(cluster: Served) -> None:
    before = cluster.answers()
    with cluster.not_one_request_fails():
        job = cluster.submit(
            "-p", "urgent", "-N2", "--exclusive", "--wrap", "touch started; while [ ! -e go ]; do sleep 0.1; done"
        )
        wait_until((cluster.work / "started").exists, what="it has two of three nodes")
        wait_until(lambda: len(cluster.answers()) == 2, what="the third has two replicas")
        (cluster.work / "go").touch()
        cluster.wait_for(job, "COMPLETED")
        wait_until(lambda: len(cluster.answers()) == 3)
    assert before - cluster.answers()


def test_a_killed_replica_costs_at_most_what_it_was_answering_and_comes_back(cluster: Served) -> None:
    victim = min(cluster.answers())
    load = cluster.load()
    wait_until(cluster.answers)
    killed(int(victim))
    until = perf_counter()
    wait_until(lambda: victim not in (found := cluster.answers()) and len(found) == 3)
    load.terminate()
    found = json.loads(load.communicate()[0])
    assert found["last_failed"] < until, found


def test_the_probes_verdict_decides_over_the_traffic(cluster: Served) -> None:
    (cluster.work / "unready").write_text("")
    pods = lambda: cluster.run("corral", "get", "pods", "--no-headers").stdout  # noqa: E731
    wait_until(lambda: pods().count("0/1") == 3)
    held = cluster.load(0.1)
    (cluster.work / "unready").unlink()
    found = json.loads(held.communicate()[0])
    assert found["failed"] == 0, found


def test_a_daemonset_has_a_pod_on_each_node_and_is_updated_node_by_node(cluster: Served) -> None:
    """An exporter beside the service: it comes with a node, stays on a drained one, and goes with a label."""

    def apply(text: str) -> None:
        labels = {"app": "exporter"}
        container = {
            "name": "main",
            "command": ["/bin/sh", "-c", "exec sleep 1000"],
            "env": [{"name": "V", "value": text}],
        }
        one = {
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "exporter"},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "nodeSelector": {"exported": "yes"}},
            }},
        }  # fmt: skip
        path = cluster.work / "exporter.json"
        path.write_text(json.dumps(one))
        cluster.run("corral", "apply", "-f", str(path))

    def there() -> dict[str, str]:
        items = json.loads(cluster.text("corral", "get", "pods", "-l", "app=exporter", "-o", "json"))["items"]
        return {pod["spec"]["nodeName"]: pod["spec"]["containers"][0]["env"][0]["value"] for pod in items}

    cluster.run("corral", "scale", "deployment", "web", "--replicas", "1")  # there is room on each node
    cluster.run("corral", "label", "node", "node1", "node2", "exported=yes")
    apply("a")
    assert "successfully rolled out" in cluster.text("corral", "rollout", "status", "ds/exporter")
    assert there() == {"node1": "a", "node2": "a"}
    cluster.run("corral", "label", "node", "node3", "exported=yes")
    wait_until(lambda: there().keys() == {"node1", "node2", "node3"})
    cluster.run("scontrol", "update", "NodeName=node2", "State=DRAIN", "Reason=disks")
    apply("b")
    wait_until(lambda: there() == {"node1": "b", "node2": "a", "node3": "b"})
    cluster.run("scontrol", "update", "NodeName=node2", "State=RESUME")
    cluster.run("corral", "rollout", "status", "ds/exporter")
    assert set(there().values()) == {"b"}
    cluster.run("corral", "rollout", "undo", "ds/exporter")
    cluster.run("corral", "rollout", "status", "ds/exporter")
    assert there() == {"node1": "a", "node2": "a", "node3": "a"}
    assert "Desired Number of Nodes Scheduled: 3" in " ".join(
        cluster.text("corral", "describe", "ds", "exporter").split()
    )
    cluster.run("corral", "label", "node", "node1", "exported-")
    wait_until(lambda: there().keys() == {"node2", "node3"})
    cluster.run("corral", "delete", "ds", "exporter")
    wait_until(lambda: not there())
    cluster.run("corral", "scale", "deployment", "web", "--replicas", "3")
