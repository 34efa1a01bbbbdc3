"""What does it cost a service's users when something dies? Each node has an agent of its own; a steady load, Pods, probes, the gateway."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from tests.cluster.live import killed, pid_of, wait_until
from tests.cluster.test_services import Served

NODES = ("near", "far", "spare")
NODE_TIMEOUT = 8
CONFIG = f"""
[gateway]
http_port = 0
https_port = 0
[timeouts]
node = {NODE_TIMEOUT}
heartbeat = 1
kill_wait = 1
"""


class Faulty(Served):
    """A service whose nodes can be lost one by one."""

    def start(self) -> None:
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.up("--nodes=near", "--cpus=4")
        for name in NODES[1:]:
            self.start_agent(name)
        self.wait_for_nodes()
        self.apply()

    def wait_for_nodes(self) -> None:
        """All are there, and nothing is on them."""
        wait_until(lambda: set(self.text("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split()) == set(NODES))

    def start_agent(self, node: str) -> None:
        command = ["corral", "agent", "--dir", str(self.directory), "--name", f"agent-{node}"]
        with (self.work / f"{node}.log").open("ab") as log:
            self.agents[node] = subprocess.Popen(
                [*command, "--nodes", node, "--cpus", "4"], env=self.environment, stdout=log, stderr=log
            )

    def kill_agent(self, node: str) -> None:
        """What its node runs runs on."""
        self.agents[node].kill()
        self.agents[node].wait()

    def kill_node(self, node: str) -> None:
        """With all that it runs."""
        self.kill_agent(node)
        home = self.directory / "agent" / f"agent-{node}"
        pids = [int(path.read_text().split()[0]) for path in (home / "spawner", *home.glob("steps/*/*/pid"))]
        for pid in [*pids, *self.programs(node)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not self.programs(node), what="all its programs are dead")

    def spread(self) -> None:
        """One replica on each node."""
        self.run("corral", "scale", "deployment", "web", "--replicas", "0")
        wait_until(lambda: not self.programs_by_pid(), what="there is none")
        self.wait_for_nodes()
        self.run("corral", "scale", "deployment", "web", "--replicas", "3")
        wait_until(lambda: self.nodes() == sorted(NODES), what="there is one on each node")

    def stop(self) -> None:
        """A node that was lost comes back first: what it leaves on this machine is its agent's to take away."""
        try:
            for node, process in list(self.agents.items()):
                if process.poll() is not None:
                    self.start_agent(node)
            self.run("corral", "delete", "deployment", "web", check=False)
            wait_until(lambda: not self.text("squeue", "-h"))
            wait_until(lambda: set(self.text("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split()) == set(NODES))
        finally:
            self._stop_all()

    def _stop_all(self) -> None:
        for process in self.agents.values():
            process.terminate()
            process.wait()
        self.down()

    def programs(self, node: str) -> list[int]:
        """Replicas that are processes there."""
        return [int(pid) for pid, where in self.programs_by_pid().items() if where == node]

    def programs_by_pid(self) -> dict[str, str]:
        """All replicas that are processes, whoever knows of them, and their nodes."""
        found = {}
        mark = os.fsencode(f"CORRAL_ORIGIN={self.endpoint}")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"web.py" in words and mark in variables:
                names = [one.partition(b"=")[2] for one in variables if one.startswith(b"SLURMD_NODENAME=")]
                found[pid] = names[0].decode() if names else ""
        return found


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    made = Faulty(tmp_path_factory.mktemp("faults"), CONFIG)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def cluster(one: Faulty) -> Faulty:
    """Three replicas that answer, and nothing more of it."""
    wait_until(lambda: len(found := one.answers()) == 3 and found == set(one.programs_by_pid()))
    return one


def result(load: "subprocess.Popen[bytes]") -> dict[str, Any]:
    load.terminate()
    found: dict[str, Any] = json.loads(load.communicate()[0])
    return found


def test_a_killed_agent_costs_nothing(cluster: Faulty) -> None:
    before = cluster.programs_by_pid()
    with cluster.not_one_request_fails():
        cluster.kill_agent("far")
        cluster.start_agent("far")
        wait_until(lambda: "far" in cluster.text("sinfo", "-h", "-N", "-t", "mixed", "-o", "%N"))
    assert cluster.programs_by_pid() == before


def test_a_killed_controller_costs_nothing(cluster: Faulty) -> None:
    before = cluster.programs_by_pid()
    with cluster.not_one_request_fails():
        killed(pid_of(cluster.directory / "controller.lock"))
        assert cluster.answers() <= set(before)
        cluster.up("--nodes=near", "--cpus=4")
        cluster.run("corral", "rollout", "status", "deployment", "web")
    assert cluster.programs_by_pid() == before


def test_a_node_that_is_gone_costs_what_it_was_answering_and_its_replicas_go_elsewhere(cluster: Faulty) -> None:
    load = cluster.load()
    wait_until(cluster.answers)
    cluster.kill_node("far")
    until = perf_counter()
    wait_until(lambda: (nodes := cluster.nodes()) and len(nodes) == 3 and "far" not in nodes, what="they are elsewhere")
    wait_until(lambda: len(cluster.answers()) == 3)
    found = result(load)
    assert found["last_failed"] < until, found
    cluster.start_agent("far")
    wait_until(lambda: "far" in cluster.text("sinfo", "-h", "-N", "-t", "idle", "-o", "%N"), what="it is back")
    assert sorted(cluster.programs_by_pid().values()) == cluster.nodes()


def test_a_node_that_was_only_silent_ends_what_was_replaced(cluster: Faulty) -> None:
    cluster.spread()
    (silent,) = cluster.programs("far")
    with cluster.not_one_request_fails():
        cluster.kill_agent("far")
        wait_until(lambda: (nodes := cluster.nodes()) and len(nodes) == 3 and "far" not in nodes)
        wait_until(lambda: len(found := cluster.answers()) == 3 and str(silent) not in found)
        assert str(silent) in cluster.programs_by_pid()  # nobody can tell it
        cluster.start_agent("far")
        wait_until(lambda: str(silent) not in cluster.programs_by_pid(), what="it is ended")
    assert len(cluster.programs_by_pid()) == 3
