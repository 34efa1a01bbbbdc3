"""Does the real program start, answer, come back after SIGKILL, and keep its NATS server alive?"""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.waiting import wait_until

from corral.auth import tokens
from corral.bus.server import running_server
from corral.client.client import ClusterClient, job
from corral.errors import PermissionDenied, Refused
from corral.protocol.requests import Reconfigure


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
        wait_until((tmp_path / "controller.ready").exists)
        ids = client.submit([job("true", name=f"j{i}", hold=True) for i in range(100)])
        nats = running_server(tmp_path / "nats")
        term = client.status()["term"]

        first.send_signal(signal.SIGKILL)
        first.wait()
        (tmp_path / "controller.ready").unlink()
        start()
        wait_until((tmp_path / "controller.ready").exists)  # a loaded machine may need longer than a command waits
        assert [row["id"] for row in client.jobs(["id"])] == ids
        assert client.status()["term"] > term
        assert running_server(tmp_path / "nats").pid == nats.pid

        os.kill(nats.pid, signal.SIGKILL)
        other = wait_until(
            lambda: (server := running_server(tmp_path / "nats")) and server.pid != nats.pid and server, 30
        )
        assert other.url == nats.url
        wait_until(lambda: client.status()["bus_connected"], 30)


def test_a_second_controller_in_the_same_directory_is_refused(tmp_path):
    with cluster(tmp_path) as start:
        first = start()
        wait_until((tmp_path / "controller.ready").exists)
        second = start()
        assert second.wait(60) == 1
        assert f"process {first.pid}" in second.stderr.read().decode()
        first.terminate()
        assert first.wait(60) == 0
        assert not (tmp_path / "controller.ready").exists()


@pytest.mark.slow
def test_ten_thousand_jobs_are_back_after_a_kill(tmp_path):
    with cluster(tmp_path) as start, ClusterClient(f"unix://{tmp_path}/corral.sock") as client:
        first = start()
        wait_until((tmp_path / "controller.ready").exists)
        client.submit([job("true", name=f"j{i}", hold=True) for i in range(10_000)])
        first.kill()
        first.wait()
        start()
        assert len(client.jobs(["id"])) == 10_000


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a disk of a few megabytes needs root")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no tmpfs here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.root
def test_a_full_disk_refuses_submissions_loses_none_and_heals(small_disk):
    with cluster(small_disk) as start, ClusterClient(f"unix://{small_disk}/corral.sock") as client:
        first = start()
        wait_until((small_disk / "controller.ready").exists)
        acknowledged = []
        many = [job("true", hold=True, comment="x" * 5000, environment={"A": "x"}) for _ in range(20)]
        refusal = None
        while refusal is None:
            try:
                acknowledged += client.submit(many)
            except Refused as error:
                refusal = error
        assert refusal.fields["code"] == "unavailable"
        assert "full" in str(refusal)
        assert [row["id"] for row in client.jobs(["id"])] == acknowledged

        subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
        wait_until(lambda: not client.status()["unavailable"])
        acknowledged += client.submit(job("true", hold=True))
        first.kill()
        first.wait()
        start()
        assert [row["id"] for row in client.jobs(["id"])] == acknowledged


def test_tls_and_a_token_from_another_host(tmp_path, monkeypatch):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl here")
    port = free_port()
    (tmp_path / "corral.toml").write_text(
        f'[api]\nlisten = "127.0.0.1:{port}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    )
    monkeypatch.setenv("CORRAL_CA", str(certificate))
    with cluster(tmp_path) as start:
        start()
        wait_until((tmp_path / "controller.ready").exists)
        token = tokens.sign(tokens.Claims(user="root"), tokens.load_key(tmp_path / "api.key"))
        with ClusterClient(f"https://127.0.0.1:{port}", token) as client:
            assert len(client.submit([job("true", hold=True)] * 100)) == 100
            assert len(client.jobs(["id"])) == 100
        with ClusterClient(f"https://127.0.0.1:{port}", "nonsense") as client, pytest.raises(PermissionDenied):
            client.jobs()


def test_a_changed_configuration_is_read_while_it_runs(tmp_path):
    file = tmp_path / "corral.toml"
    file.write_text('[[partition]]\nname = "batch"\n')
    with cluster(tmp_path) as start, ClusterClient(f"unix://{tmp_path}/corral.sock") as client:
        start()
        wait_until((tmp_path / "controller.ready").exists)
        file.write_text('[[partition]]\nname = "batch"\n[[partition]]\nname = "gpu"\nmax_time = "1:00:00"\n')
        client.ask(Reconfigure())
        assert [row["name"] for row in client.partitions(["name"])] == ["batch", "gpu"]
        file.write_text("nonsense = 1\n")
        with pytest.raises(Refused, match="nonsense"):
            client.ask(Reconfigure())
