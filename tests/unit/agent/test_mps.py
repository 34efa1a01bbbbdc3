"""One MPS daemon for each GPU and user, from the first job with a share to the last. A stand-in for NVIDIA's program."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corral.agent import mps, mpsclient
from corral.agent.mps import CannotServe, Mps
from corral.daemon.logs import Log
from corral.model.gres import GresDevice, GresShare
from corral.model.job import Owner

ME = Owner(uid=os.getuid(), gid=os.getgid(), user="root", group="root")
DAEMON = Owner(uid=1, gid=1, user="daemon", group="daemon")
GPUS = (GresDevice(name="gpu", count=2, uuids=("GPU-a", "GPU-b"), memory_mb=10_000),)


def part(gpu: int, milli: int = 500) -> tuple[GresShare, ...]:
    return (GresShare("shard", "", (gpu,), milli, 1),)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where other users may go too."""
    directory = Path(tempfile.mkdtemp(prefix="corral-mps-"))
    directory.chmod(0o755)
    programs = directory / "bin"
    programs.mkdir()
    programs.chmod(0o777)
    shutil.copy(Path(__file__).with_name(mps.PROGRAM), programs)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    yield directory
    for pid in directory.glob("mps/*/pipe/*.pid"):
        os.kill(int(pid.read_text()), 9)
    shutil.rmtree(directory)


def daemons(place: Path) -> Mps:
    return Mps(place / "mps", GPUS, Log(place / "log", "info"))


def calls(place: Path) -> list[str]:
    file = place / "bin" / "calls"
    if not file.exists():
        return []
    file.chmod(0o666)
    return file.read_text().splitlines()


def kill_daemon(place: Path) -> None:
    (pid,) = place.glob("mps/*/pipe/*.pid")
    os.kill(int(pid.read_text()), 9)
    pid.unlink()


def test_the_first_job_starts_it_and_the_last_one_ends_it(place: Path) -> None:
    async def scene() -> None:
        served = daemons(place)
        await asyncio.gather(served.enter(("n1", 1, 0), part(1), ME), served.enter(("n1", 2, 0), part(1), ME))
        await served.enter(("n1", 2, 0), part(1), ME)
        assert calls(place) == [f"start GPU-b {ME.uid}"]
        await served.leave(("n1", 1, 0))
        assert calls(place) == [f"start GPU-b {ME.uid}"]
        assert served.jobs() == [("n1", 2, 0)]
        await daemons(place).leave(("n1", 2, 0))  # by an agent that came after
        assert calls(place)[1:] == [f"quit {ME.uid}"]
        assert list((place / "mps").iterdir()) == []

    asyncio.run(scene())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_each_user_has_his_own(place: Path) -> None:
    async def scene() -> None:
        served = daemons(place)
        await served.enter(("n1", 1, 0), part(0), ME)
        calls(place)
        await served.enter(("n1", 2, 0), part(0), DAEMON)
        assert calls(place) == ["start GPU-a 0", "start GPU-a 1"]
        pipe = place / "mps" / "gpu0.1" / "pipe"
        assert (pipe.stat().st_uid, pipe.stat().st_mode & 0o777) == (1, 0o700)
        await served.leave(("n1", 2, 0))
        assert calls(place)[2:] == ["quit 1"]
        await served.leave(("n1", 1, 0))

    asyncio.run(scene())


def test_one_that_has_died_is_started_anew(place: Path) -> None:
    async def scene() -> None:
        served = daemons(place)
        await served.enter(("n1", 1, 0), part(0), ME)
        kill_daemon(place)
        await served.enter(("n1", 1, 0), part(0), ME)
        assert len(calls(place)) == 2
        await served.leave(("n1", 1, 0))

    asyncio.run(scene())


def test_what_is_in_its_way_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "bin" / "fails").write_text("yes")
    with pytest.raises(
        CannotServe, match="MPS cannot be started for GPU 0: An instance of this daemon is already running"
    ):
        asyncio.run(daemons(place).enter(("n1", 1, 0), part(0), ME))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CannotServe, match="nvidia-cuda-mps-control is not on this node"):
        asyncio.run(daemons(place).enter(("n1", 1, 0), part(0), ME))


def test_a_job_with_whole_gpus_needs_none(place: Path) -> None:
    asyncio.run(daemons(place).enter(("n1", 1, 0), (GresShare("gpu", "", (0, 1)),), ME))
    assert not daemons(place).is_used
    assert mpsclient.variables("/s/mps", GPUS, (GresShare("gpu", "", (0,)),), 5) == {}


def test_a_task_is_told_of_its_part() -> None:
    assert mpsclient.variables("/s/mps", GPUS, part(1, 125), 1000) == {
        "CUDA_MPS_PIPE_DIRECTORY": "/s/mps/gpu1.1000/pipe",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "12.5",
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=1250M",
        "CUDA_VISIBLE_DEVICES": "GPU-b",
    }
    nameless = (GresDevice(name="gpu", count=2),)
    assert mpsclient.variables("/s/mps", nameless, part(1), 1000)["CUDA_VISIBLE_DEVICES"] == "0"
