"""Does the real program start, answer, come back after SIGKILL, and keep its NATS server alive?"""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import pytest
from tests.unit.controller.running import wait_until

from corral.bus.server import running_server
from corral.client.client import ClusterClient, job


@contextmanager
def cluster(directory: Path):
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "corral.controller.main", "--dir", str(directory)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        processes.append(process)
        return process

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.wait()
        server = running_server(directory / "nats")
        if server:
            server.stop()


def test_a_controller_is_killed_and_comes_back_with_everything(tmp_path):
    with cluster(tmp_path) as start, ClusterClient(f"unix://{tmp_path}/corral.sock") as client:
        first = start()
        wait_until((tmp_path / "controller.ready").exists, 20)
        ids = client.submit([job("true", name=f"j{i}", hold=True) for i in range(100)])
        nats = running_server(tmp_path / "nats")
        assert client.status()["term"] == 1

        first.send_signal(signal.SIGKILL)
        first.wait()
        start()
        assert [row["id"] for row in client.jobs(["id"])] == ids
        assert client.status()["term"] == 2
        assert running_server(tmp_path / "nats").pid == nats.pid

        os.kill(nats.pid, signal.SIGKILL)
        other = wait_until(
            lambda: (server := running_server(tmp_path / "nats")) and server.pid != nats.pid and server, 10
        )
        assert other.url == nats.url
        wait_until(lambda: client.status()["bus_connected"], 10)


def test_a_second_controller_in_the_same_directory_is_refused(tmp_path):
    with cluster(tmp_path) as start:
        first = start()
        wait_until((tmp_path / "controller.ready").exists, 20)
        second = start()
        assert second.wait(20) == 1
        assert f"process {first.pid}" in second.stderr.read().decode()
        first.terminate()
        assert first.wait(20) == 0
        assert not (tmp_path / "controller.ready").exists()


@pytest.mark.slow
def test_ten_thousand_jobs_are_back_in_a_second(tmp_path):
    with cluster(tmp_path) as start, ClusterClient(f"unix://{tmp_path}/corral.sock") as client:
        first = start()
        wait_until((tmp_path / "controller.ready").exists, 20)
        client.submit([job("true", name=f"j{i}", hold=True) for i in range(10_000)])
        first.kill()
        first.wait()
        began = perf_counter()
        start()
        assert len(client.jobs(["id"])) == 10_000
        assert perf_counter() - began < 3.0  # 0.7 s on an idle machine
