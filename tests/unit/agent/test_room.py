"""What a job has of its node for itself, tried with real tasks: its directories, its GPUs' files, its number of processes."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.agent.node_side import NODE, NodeSide

from corral.agent import cgroup_v1, cgroup_v2, control, room
from corral.model.cluster import Isolation
from corral.model.gres import GresDevice
from corral.model.job import Owner

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
DAEMON = Owner(uid=1, gid=1, user="daemon", group="daemon")
Make = Callable[..., NodeSide]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Where other users may go too."""
    directory = Path(tempfile.mkdtemp(prefix="corral-room-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[NodeSide] = []

    def one(**settings: object) -> NodeSide:
        made.append(NodeSide(tmp_path / "node", boxes=str(tmp_path / "boxes"), **settings))
        made[-1].work_dir.chmod(0o777)
        return made[-1]

    yield one
    for node in made:
        node.close()


def said(node: NodeSide, script: str, **more: object) -> list[str]:
    key = node.batch(f"#!/bin/sh\nexec 2>&1\n{script}\n", **more)  # type: ignore[arg-type]
    node.finished(key)
    return node.output(key).splitlines()


def test_a_jobs_directories_are_its_own_and_its_steps_share_them(make: Make, tmp_path: Path) -> None:
    private = tmp_path / "scratch"
    private.mkdir(mode=0o755)
    (private / "nodes").touch()
    node = make(isolation=Isolation(private_dirs=(str(private), "/dev/shm")))
    script = f"ls {private}; echo mine > {private}/x; echo shared > /dev/shm/corral-test-room; stat -c %a {private}"
    first = node.batch(f"#!/bin/sh\n{script}\n", owner=DAEMON)
    node.finished(first)
    assert node.output(first) == "1777\n"
    show = f"cat {private}/x /dev/shm/corral-test-room > {node.work_dir}/second"
    second = node.step("sh", "-c", show, owner=DAEMON, job=first.job)
    node.finished(second)
    assert (node.work_dir / "second").read_text() == "mine\nshared\n"
    assert said(node, f"ls {private} /dev/shm/corral-test-room", owner=DAEMON) == [
        "ls: cannot access '/dev/shm/corral-test-room': No such file or directory", f"{private}:",
    ]  # fmt: skip
    assert [path.name for path in private.iterdir()] == ["nodes"]
    assert not Path("/dev/shm/corral-test-room").exists()
    for job in {key.job for key in node.keys}:
        room.clear(str(tmp_path / "boxes"), NODE, job, 0)
    assert list((tmp_path / "boxes").rglob("*.0")) == []
    assert not [path for path in Path("/dev/shm").glob(".corral-*") if list(path.glob(f"{NODE}.{first.job}.*"))]


def test_who_fills_his_directory_hurts_nobody_else(make: Make, tmp_path: Path) -> None:
    private = tmp_path / "scratch"
    private.mkdir()
    node = make(isolation=Isolation(private_dirs=(str(private),), private_size_mb=4))
    key = node.batch(
        f"#!/bin/sh\nhead -c 100000000 /dev/zero > {private}/big\nstat -c %s {private}/big\n", owner=DAEMON
    )
    node.finished(key)
    lines = node.output(key).splitlines()
    assert "No space left on device" in lines[0]
    assert int(lines[1]) <= 4 << 20
    assert list(private.iterdir()) == []
    room.clear(str(tmp_path / "boxes"), NODE, key.job, 0)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize("owner", [DAEMON, None], ids=["user", "root"])
def test_a_jobs_processes_open_its_gpus_and_no_others(make: Make, tmp_path: Path, owner: Owner | None) -> None:
    """Two files that are not used otherwise (zero and full) stand for GPUs."""
    files = (tmp_path / "gpu0", tmp_path / "gpu1")
    for file, minor in zip(files, (5, 7), strict=True):
        os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        file.chmod(0o666)
    node = make(virtual=False, devices=(GresDevice(name="gpu", count=2, files=tuple(map(str, files))),))
    script = f"for gpu in {files[0]} {files[1]}; do head -c 1 $gpu 2>/dev/null | wc -c; done"
    assert said(node, script, owner=owner, gpus=(1,)) == ["0", "1"]
    assert said(node, script, owner=owner) == ["0", "0"]
    refused = f"for gpu in {files[0]} {files[1]}; do ( : < $gpu ) 2>/dev/null || echo refused; done"
    assert said(node, refused, owner=owner, gpus=(1,)) == ["refused"]
    assert said(node, script, owner=owner, gpus=(0, 1)) == ["1", "1"]
    if cgroup_v1.is_usable() or cgroup_v2.keeps_devices():  # a file of its own for the same device does not help
        again = f"mknod {tmp_path}/again c 1 5; head -c 1 {tmp_path}/again 2>/dev/null | wc -c"
        assert said(node, again, gpus=(1,))[-1] == "0"


@pytest.mark.skipif(
    "pids" not in cgroup_v1.controllers() | cgroup_v2.controllers(),
    reason="needs a control group that counts processes",
)
def test_a_fork_bomb_hurts_nobody_else(make: Make) -> None:
    node = make(isolation=Isolation(max_processes=20))
    bomb = node.batch("#!/bin/sh\nbomb() { bomb | bomb & }; bomb & exec sleep 30\n", owner=DAEMON)
    root = f"{cgroup_v1.ROOT}/pids" if cgroup_v1.is_usable() else cgroup_v2.top()
    limit = Path(f"{root}/{node.settings.cgroup_name}/{NODE}.job_{bomb.job}.0")
    node.started(bomb)
    assert said(node, "for i in 1 2 3 4 5 6 7 8 9; do true | true; done; echo fine", owner=DAEMON) == ["fine"]
    assert (limit / "pids.max").read_text() == "20\n"
    assert int((limit / "pids.current").read_text()) <= 20
    node.tell(bomb, control.End(reason="cancelled"))
    node.finished(bomb)
    assert not limit.exists()
