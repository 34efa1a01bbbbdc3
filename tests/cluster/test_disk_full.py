"""Nothing that was acknowledged is lost when the disk under the store is full, or its last page is torn; it goes on by itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.cluster.chaos import Client, KillableCluster, killable_cluster, wait_until

from corral.errors import Refused

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a small file system")]


class SmallDisk:
    """A file system of a few megabytes that can be filled to the last byte."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def fill(self) -> None:
        with open(self._filling, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                while _has_taken(file, b"\0" * size):
                    pass

    def empty(self) -> None:
        self._filling.unlink()


def _has_taken(file: BinaryIO, data: bytes) -> bool:
    try:
        return bool(file.write(data))
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def refused(cluster: KillableCluster) -> str:
    """sbatch's standard error when it is refused; "" when it is not."""
    code = "import sys; sys.argv[0] = 'sbatch'; from corral.cli.commands.sbatch import main; main()"
    environment = {**os.environ, "CORRAL_ENDPOINT": cluster.endpoint, "PWD": "/tmp"}
    done = subprocess.run(
        [sys.executable, "-c", code, "-o", "/dev/null", "--wrap", "true"],
        env=environment,
        cwd="/tmp",
        capture_output=True,
        text=True,
    )
    assert done.returncode == (1 if done.stderr else 0), done
    return done.stderr


def submit_until_refused(cluster: KillableCluster, client: Client) -> tuple[list[int], Refused]:
    """Those that were acknowledged, and the refusal. What is in the write-ahead log already may take a few more."""
    taken: list[int] = []
    for _ in range(5000):
        try:
            taken += client.submit(cluster.job("true", comment="x" * 10_000))
        except Refused as error:
            return taken, error
    raise AssertionError("a full disk takes everything")


def takes_a_job(cluster: KillableCluster, client: Client) -> list[int]:
    try:
        return client.submit(cluster.job("exit 3"))
    except Refused:
        return []


@pytest.mark.parametrize("place", ["store", "store and spool"])
def test_a_full_disk_refuses_work_loses_none_and_is_over_when_there_is_room(
    tmp_path: Path, disk: SmallDisk, place: str
) -> None:
    spool = tmp_path / "spool" if place == "store" else disk.path / "spool"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with killable_cluster(disk.path / "state", spool_dir=spool) as cluster, cluster.client() as client:
        running = client.submit([cluster.job(f"read x < {gate}; exit {code}") for code in range(20)])
        wait_until(lambda: len(cluster.job_processes()) == 20, what="twenty jobs run")
        disk.fill()
        taken, refusal = submit_until_refused(cluster, client)
        assert "full" in str(refusal), refusal
        assert refusal.fields["code"] == "unavailable"
        assert "database or disk is full" in refused(cluster)
        assert len(cluster.job_processes()) >= 20, "jobs run on"
        assert {client.job(number)["state"] for number in running} == {"RUNNING"}, "what is recorded can be read"
        open_gate(gate, len(running))  # they end while nothing can be recorded
        wait_until(lambda: not cluster.job_processes(), what="the jobs end")
        assert refused(cluster)
        disk.empty()
        wait_until(lambda: takes_a_job(cluster, client), what="it goes on by itself")
        rows = client.wait(running, 60)
        assert [row["exit_code"] for row in rows] == [[code, 0] for code in range(20)]
        assert {row["state"] for row in client.wait(taken, 60)} <= {"COMPLETED"}
        everything = set(client.states())
        cluster.kill("all")
        cluster.start()
        assert set(client.states()) == everything >= set(taken) | set(running)


def open_gate(gate: Path, readers: int) -> None:
    keep = os.open(gate, os.O_RDWR)
    os.write(keep, b"go\n" * readers)
    os.close(keep)


def test_a_controller_that_starts_on_a_full_disk_waits_for_room(tmp_path: Path, disk: SmallDisk) -> None:
    with killable_cluster(disk.path / "state", spool_dir=tmp_path / "spool") as cluster, cluster.client() as client:
        ids = client.submit([cluster.job("exit 0") for _ in range(20)])
        client.wait(ids, 60)
        cluster.kill_controller()
        disk.fill()
        cluster.start()
        disk.empty()
        wait_until(lambda: takes_a_job(cluster, client), what="it goes on by itself")
        assert {client.job(number)["state"] for number in ids} == {"COMPLETED"}


@pytest.mark.parametrize("how", ["cut", "garbled"])
def test_a_torn_tail_of_the_write_ahead_log_costs_nothing_that_was_acknowledged(tmp_path: Path, how: str) -> None:
    """The power fails while a page is being written: what follows the last commit is not what it should be."""
    with killable_cluster(tmp_path / "cluster") as cluster, cluster.client() as client:
        ids = client.submit([cluster.job("exit 1", hold=True) for _ in range(50)])
        cluster.kill("all")
        log = cluster.directory / "corral.db-wal"
        whole = log.stat().st_size
        assert whole
        with open(log, "r+b") as file:
            if how == "cut":
                file.seek(whole)
                file.write(file_head(log)[: 24 + 1000])  # a frame begun
            else:
                file.seek(whole)
                file.write(os.urandom(3 * 4120))
        cluster.start()
        assert set(client.states()) == set(ids)
        more = client.submit(cluster.job("exit 0"))
        client.release(ids)
        assert {row["exit_code"][0] for row in client.wait(ids + more, 60)} == {0, 1}


def file_head(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(32)
        return file.read(4120)
