"""Whoever is killed: Pods run on where they can, and are replaced where they cannot."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.live import LiveCluster, killed, wait_until
from tests.cluster.live import pid_of as pid_of
from tests.cluster.pods_kit import Pods

pytestmark = pytest.mark.skipif(
    not (os.geteuid() == 0 and shutil.which("ip") and shutil.which("iptables")), reason="needs root, ip and iptables"
)

NODES = ("--nodes=2", "--cpus=4")
TIMES = "[scheduling]\ntime_limit_step = 1\n[timeouts]\nkill_wait = 1\n"


def server(flags: Path) -> dict[str, Any]:
    """It is ready as long as there is no file `unready`; each run adds a line to the file `runs`."""
    script = f"echo run >> {flags}/runs; exec {sys.executable} -m http.server 8000 --directory {flags}"
    return {
        "name": "main",
        "command": ["/bin/sh", "-c", script],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"exec": {"command": ["test", "!", "-e", f"{flags}/unready"]}, "periodSeconds": 1, "failureThreshold": 1,
                           "timeoutSeconds": 30},
    }  # fmt: skip


def runs(flags: Path) -> int:
    return len((flags / "runs").read_text().splitlines())


def test_agent_and_controller_are_killed_and_the_pod_runs_on(
    make_cluster: Callable[..., LiveCluster], tmp_path: Path
) -> None:
    one = make_cluster(config=TIMES)
    one.up(*NODES)
    pods = Pods(one)
    pods.put("web", server(tmp_path), terminationGracePeriodSeconds=1)
    pods.wait_ready("web")
    one.kill("agent/virtual/lock")
    one.up(*NODES)
    (tmp_path / "unready").touch()
    wait_until(lambda: not pods.is_ready("web"), what="the probe goes on")
    one.kill("controller.lock")
    (tmp_path / "unready").unlink()
    one.up(*NODES)
    pods.wait_ready("web")
    assert (runs(tmp_path), pods.container("web")["restartCount"]) == (1, 0)
    _delete_amid_a_controllers_death(one, pods)


def _delete_amid_a_controllers_death(one: LiveCluster, pods: Pods) -> None:
    pods.delete("web")
    one.kill("controller.lock")
    one.up(*NODES)
    pods.wait_gone("web")
    wait_until(lambda: not any("http.server" in line for line in one.processes()), what="its program has ended")


def test_a_killed_program_is_started_anew(make_cluster: Callable[..., LiveCluster], tmp_path: Path) -> None:
    one = make_cluster(config=TIMES)
    one.up(*NODES)
    pods = Pods(one)
    pods.put("web", server(tmp_path), terminationGracePeriodSeconds=1)
    pods.wait_ready("web")
    (line,) = [line for line in one.processes() if "http.server" in line]
    killed(int(line.split()[0]))
    wait_until(lambda: pods.container("web")["restartCount"] == 1, what="it is started anew")
    pods.wait_ready("web")
    assert runs(tmp_path) == 2


def test_a_lost_node_fails_its_pods_and_ends_them_when_it_comes_back(
    make_cluster: Callable[..., LiveCluster], tmp_path: Path
) -> None:
    one = make_cluster(config=f"{TIMES}node = 5\nheartbeat = 0.5\n")
    one.up(*NODES)
    pods = Pods(one)
    pods.put("web", server(tmp_path), terminationGracePeriodSeconds=1)
    pods.wait_ready("web")
    one.kill("agent/virtual/lock")
    pods.wait_phase("web", "Failed")
    assert pods.status("web")["reason"] == "NodeLost"
    one.up(*NODES)
    wait_until(lambda: not any("http.server" in line for line in one.processes()), what="its program has ended")
    place = one.directory / "agent/virtual/boxes"
    wait_until(lambda: not list(place.glob("*/*/.net")), what="its network is gone")
