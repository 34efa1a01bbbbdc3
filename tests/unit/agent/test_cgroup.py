"""Both versions of control groups: the first for real where this machine has it, the second in a made-up tree."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.waiting import wait_until

from corral.agent import cgroup, cgroup_v1, cgroup_v2, devicefilter
from corral.agent.cgroup_files import Limits
from corral.agent.control import ShepherdSettings
from corral.model.allocation import NodeShare
from corral.model.cluster import Isolation
from corral.model.gres import GresDevice, GresShare
from corral.model.job import JobId
from corral.model.step import BATCH, StepKey

has_v1 = pytest.mark.skipif(
    os.geteuid() != 0 or not cgroup_v1.is_usable(), reason="needs root, and cgroups of version 1"
)
NAME = f"corral-test-groups-{os.getpid()}"


def share(cpus: int = 1, memory_mb: int = 0, gpus: tuple[int, ...] = ()) -> NodeShare:
    return NodeShare(node="n", cpus=tuple(range(cpus)), memory_mb=memory_mb, gres=(GresShare("gpu", "", gpus),))


def devices(*files: str) -> tuple[GresDevice, ...]:
    return (GresDevice(name="gpu", count=len(files), files=files),)


# ---------------------------------------------------------------------- what is to be enforced


def test_a_share_of_a_virtual_node_is_held_to_its_memory_only() -> None:
    settings = ShepherdSettings(virtual=True, devices=devices("/dev/null", "/dev/zero"))
    assert cgroup.limits_of(share(1, 100), settings) == Limits(memory_mb=100)


def test_only_what_is_to_be_enforced_is() -> None:
    settings = ShepherdSettings(devices=devices("/dev/a", "/dev/b"), enforce=("memory",))
    limits = cgroup.limits_of(NodeShare(node="n1", cpus=(), memory_mb=100), settings)
    assert (limits.cpus, limits.memory_mb, limits.denied_devices) == (None, 100, ())


def test_what_is_all_of_the_machine_needs_no_limit() -> None:
    everything = share(os.cpu_count() or 1, cgroup.machine_memory_mb() + 1)
    assert cgroup.limits_of(everything, ShepherdSettings()) == Limits()


def test_cpus_beyond_the_machines_are_not_bound() -> None:
    beyond = NodeShare(node="n", cpus=(10_000,), memory_mb=0)
    assert cgroup.limits_of(beyond, ShepherdSettings()).cpus is None


def test_gpus_that_are_not_the_jobs_are_denied() -> None:
    settings = ShepherdSettings(devices=devices("/dev/fake0", "/dev/fake1", "/dev/fake2"))
    assert cgroup.limits_of(share(gpus=(1,)), settings).denied_devices == ("/dev/fake0", "/dev/fake2")


def test_who_has_no_gpu_cannot_reach_its_driver() -> None:
    settings = ShepherdSettings(devices=devices("/dev/nvidia0", "/dev/nvidia1"))
    denied = cgroup.denied_devices(NodeShare(node="n", cpus=(0,), memory_mb=0), settings)
    assert denied[:4] == ("/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm")
    assert cgroup.denied_devices(share(gpus=(0,)), settings) == ("/dev/nvidia1",)
    amd = ShepherdSettings(devices=devices("/dev/dri/renderD128"))
    assert cgroup.denied_devices(NodeShare(node="n", cpus=(0,), memory_mb=0), amd) == (
        "/dev/dri/renderD128",
        "/dev/kfd",
    )


def test_of_a_sliced_gpu_a_job_has_the_file_and_its_own_slices() -> None:
    sliced = GresDevice(
        name="gpu", count=2, files=("/dev/nvidia0",) * 2, more_files=(("/dev/cap1", "/dev/cap2"), ("/dev/cap3",))
    )
    settings = ShepherdSettings(devices=(sliced,))
    assert cgroup.denied_devices(share(gpus=(1,)), settings) == ("/dev/cap1", "/dev/cap2")


def test_devices_of_any_kind_are_kept_apart() -> None:
    fpga = GresDevice(name="fpga", count=2, files=("/dev/fpga0", "/dev/fpga1"))
    settings = ShepherdSettings(devices=(*devices("/dev/a", "/dev/b"), fpga))
    held = NodeShare(node="n", cpus=(0,), memory_mb=0, gres=(GresShare("gpu", "", (1,)), GresShare("fpga", "", (0,))))
    assert cgroup.denied_devices(held, settings) == ("/dev/a", "/dev/fpga1")


def test_without_cgroups_it_says_what_is_not_enforced() -> None:
    words = cgroup.not_enforced(ShepherdSettings(cgroups="off", virtual=True))
    assert [word.partition(" ")[0] for word in words] == ["cpuset", "memory", "devices"]


# ---------------------------------------------------------------------- version 1, for real


@pytest.fixture
def settings() -> Iterator[ShepherdSettings]:
    yield ShepherdSettings(virtual=True, cgroup_name=NAME)
    for directory in Path(cgroup_v1.ROOT).glob(f"*/{NAME}"):
        directory.rmdir()


def paths(controller: str) -> list[str]:
    base = Path(cgroup_v1.ROOT, controller, NAME)
    return sorted(str(path.relative_to(base)) for path in base.glob("**/") if path != base)


@has_v1
def test_only_what_limits_something_is_made_and_all_of_it_goes(settings: ShepherdSettings) -> None:
    group = cgroup.step_group(StepKey(JobId(7), BATCH), "n", share(), share(), settings)
    assert group is not None
    assert paths("freezer") == ["n.job_7.0.step_batch"]
    assert paths("memory") == []
    group.remove()
    assert paths("freezer") == []


@has_v1
def test_the_jobs_memory_holds_for_all_its_steps_and_a_steps_own_for_it_alone(settings: ShepherdSettings) -> None:
    one = cgroup.step_group(StepKey(JobId(8), BATCH), "n", share(memory_mb=100), share(memory_mb=100), settings)
    other = cgroup.step_group(StepKey(JobId(8), 0), "n", share(memory_mb=100), share(memory_mb=40), settings)
    assert one is not None
    assert other is not None
    base = Path(cgroup_v1.ROOT, "memory", NAME, "n.job_8.0")
    assert (base / "memory.limit_in_bytes").read_text() == f"{100 << 20}\n"
    assert (base / "step_0" / "memory.limit_in_bytes").read_text() == f"{40 << 20}\n"
    one.remove()
    assert paths("memory") == ["n.job_8.0", "n.job_8.0/step_0"]
    other.remove()
    assert paths("memory") == []


@has_v1
def test_memory_may_have_a_soft_limit_below_the_hard_one(settings: ShepherdSettings) -> None:
    soft = msgspec.structs.replace(settings, isolation=Isolation(memory_soft_percent=75, swap_percent=50))
    group = cgroup.step_group(StepKey(JobId(5), 0), "n", share(memory_mb=100), share(memory_mb=40), soft)
    assert group is not None
    base = Path(cgroup_v1.ROOT, "memory", NAME, "n.job_5.0")
    assert (base / "memory.soft_limit_in_bytes").read_text() == f"{75 << 20}\n"
    assert (base / "step_0" / "memory.soft_limit_in_bytes").read_text() == f"{30 << 20}\n"
    assert (base / "memory.limit_in_bytes").read_text() == f"{100 << 20}\n"
    if (base / "memory.memsw.limit_in_bytes").exists():
        assert (base / "memory.memsw.limit_in_bytes").read_text() == f"{150 << 20}\n"
    group.remove()


@has_v1
def test_jobs_on_the_same_cpus_have_them_in_proportion() -> None:
    """And so have the steps of a job; where a job's CPUs are its own, nothing is weighed."""
    real = ShepherdSettings(cgroup_name=NAME)
    weights = Path(cgroup_v1.ROOT, "cpu", NAME)
    one = cgroup.step_group(StepKey(JobId(1), 0), "n", share(1), share(1), real, shares_cpus=True)
    two = cgroup.step_group(StepKey(JobId(2), 0), "n", share(2), share(1), real, shares_cpus=True)
    alone = cgroup.step_group(StepKey(JobId(3), 0), "n", share(2), share(2), real)
    assert one is not None
    assert two is not None
    assert alone is not None
    try:
        small, large = (int((weights / f"n.job_{job}.0" / "cpu.shares").read_text()) for job in (1, 2))
        assert (small, large) == (256, 512)
        assert (weights / "n.job_2.0/step_0/cpu.shares").read_text() == "256\n"
        assert not (weights / "n.job_3.0").exists()
        assert "cpu" not in dict(alone.entrances())
        entrance = os.readlink(f"/proc/self/fd/{dict(one.entrances())['cpu']}")
        assert entrance.endswith("/n.job_1.0/step_0/tasks")
    finally:
        for group in (one, two, alone):
            group.remove()
        cgroup.remove_base(real)
    assert not weights.exists()


@has_v1
def test_a_process_that_enters_is_found_there(settings: ShepherdSettings) -> None:
    key = StepKey(JobId(9), 0)
    group = cgroup.step_group(key, "n", share(memory_mb=100), share(memory_mb=100), settings)
    assert group is not None
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write_end)
        for _, entrance in group.entrances():
            os.write(entrance, b"0")
        os.read(read_end, 1)
        os._exit(0)
    os.close(read_end)
    while group.pids() != [pid]:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    assert cgroup.processes_of(key, "n", settings) == [pid]
    os.close(write_end)
    os.waitpid(pid, 0)
    cgroup.remove_groups(key, "n", settings)
    assert paths("freezer") == paths("memory") == []


@has_v1
def test_cpus_and_devices_of_a_real_node_are_fenced() -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two CPUs")
    real = ShepherdSettings(cgroup_name=NAME, devices=devices("/dev/null", "/dev/zero"))
    group = cgroup.step_group(StepKey(JobId(3), BATCH), "n", share(gpus=(1,)), share(gpus=(1,)), real)
    assert group is not None
    job = f"{NAME}/n.job_3.0/step_batch"
    assert Path(cgroup_v1.ROOT, "cpuset", job, "cpuset.cpus").read_text() == "0\n"
    pid = os.fork()
    if pid == 0:
        for _, entrance in group.entrances():
            os.write(entrance, b"0")
        os.open("/dev/zero", os.O_RDONLY)
        try:
            os.open("/dev/null", os.O_RDONLY)
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    group.remove()
    for directory in Path(cgroup_v1.ROOT).glob(f"*/{NAME}"):
        directory.rmdir()


def batch(
    job: int, settings: ShepherdSettings, memory_mb: int = 100, resting: cgroup.Group | None = None
) -> cgroup.Group:
    held = share(memory_mb=memory_mb)
    group = cgroup.step_group(StepKey(JobId(job), BATCH), "n", held, held, settings, resting=resting)
    assert group is not None
    return group


def in_it(group: cgroup.Group, code: str) -> int:
    """The exit code of a Python program in this group."""
    pid = os.fork()
    if pid == 0:
        for _, entrance in group.entrances():
            os.write(entrance, b"0")
        os.execv(sys.executable, [sys.executable, "-S", "-c", code])
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@has_v1
def test_a_group_whose_job_is_over_serves_the_next_one_that_is_held_to_the_same(settings: ShepherdSettings) -> None:
    group = batch(1, settings)
    assert in_it(group, "bytearray(30 << 20)") == 0
    assert group.memory_peak() > 30 << 20
    assert group.rest()
    assert paths("freezer") == [f"idle.{os.getpid()}.step_batch"]
    assert paths("memory") == [f"idle.{os.getpid()}", f"idle.{os.getpid()}/step_batch"]
    again = batch(2, settings, resting=group)
    assert again is group
    assert paths("memory") == ["n.job_2.0", "n.job_2.0/step_batch"]
    assert again.memory_peak() < 5 << 20, "of the job before nothing is counted to this one"
    assert in_it(again, "bytearray(300 << 20)") == -signal.SIGKILL, "it is held to its memory"
    assert cgroup.processes_of(StepKey(JobId(2), BATCH), "n", settings) == again.pids() == []
    assert (again.memory_peak() > 50 << 20, again.oom_kills()) == (True, 1)
    assert not again.rest(), "who has been short of memory leaves no group"
    again.remove()
    assert paths("freezer") == paths("memory") == []


@has_v1
def test_a_job_that_is_held_to_something_else_gets_another_group(settings: ShepherdSettings) -> None:
    group = batch(1, settings)
    assert group.rest()
    other = batch(2, settings, memory_mb=200, resting=group)
    assert other is not group
    assert paths("memory") == ["n.job_2.0", "n.job_2.0/step_batch"]
    other.remove()


@has_v1
def test_a_group_in_which_somebody_is_or_has_made_others_does_not_rest(settings: ShepherdSettings) -> None:
    group = batch(1, settings)
    other = cgroup.step_group(StepKey(JobId(1), 0), "n", share(memory_mb=100), share(memory_mb=40), settings)
    assert other is not None
    assert not group.rest()
    assert paths("memory") == ["n.job_1.0", "n.job_1.0/step_0", "n.job_1.0/step_batch"]
    assert paths("freezer") == ["n.job_1.0.step_0", "n.job_1.0.step_batch"], "all is as it was"
    other.remove()
    hidden = Path(cgroup_v1.ROOT, "memory", NAME, "n.job_1.0", "step_batch", "of-its-own")
    hidden.mkdir()
    assert not group.rest()
    hidden.rmdir()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write_end)
        os.write(dict(group.entrances())["memory"], b"0")  # and not into the freezer
        os.read(read_end, 1)
        os._exit(0)
    os.close(read_end)
    tasks = Path(cgroup_v1.ROOT, "memory", NAME, "n.job_1.0", "step_batch", "tasks")
    wait_until(lambda: tasks.read_text().strip() == str(pid))
    assert not group.rest()
    os.close(write_end)
    os.waitpid(pid, 0)
    assert group.rest()
    group.remove()
    assert paths("freezer") == paths("memory") == []


@has_v1
def test_what_a_shepherd_that_was_killed_has_let_rest_is_removed(settings: ShepherdSettings) -> None:
    lost, running = batch(1, settings), batch(2, settings)
    assert lost.rest()
    cgroup.remove_resting(settings)
    assert paths("freezer") == ["n.job_2.0.step_batch"]
    assert paths("memory") == ["n.job_2.0", "n.job_2.0/step_batch"]
    new = batch(3, settings, resting=lost)
    assert new is not lost, "its shepherd, should it live, makes another"
    new.remove()
    running.remove()


# ---------------------------------------------------------------------- version 2, made up


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.procs").touch()
    monkeypatch.setattr(cgroup_v2, "ROOT", str(tmp_path))
    # The kernel makes the files of a new group; here writing does.
    monkeypatch.setattr(cgroup_v2, "write", lambda path, text: Path(path).write_text(text))
    return tmp_path


def test_v2_switches_controllers_on_down_to_the_job_and_limits_it(tree: Path) -> None:
    cgroup_v2.GroupV2(NAME, "job_1", "step_0", Limits(cpus=(0, 2), memory_mb=100), Limits(memory_mb=50))
    job = tree / NAME / "job_1"
    for path in (tree, tree / NAME, job):
        assert (path / "cgroup.subtree_control").read_text() == "+cpuset +memory"
    assert (job / "cpuset.cpus").read_text() == "0,2"
    assert (job / "memory.max").read_text() == str(100 << 20)
    assert (job / "step_0" / "memory.max").read_text() == str(50 << 20)
    assert not (job / "step_0" / "cgroup.subtree_control").exists()


def test_v2_has_the_same_limits(tree: Path) -> None:
    of_job = Limits(memory_mb=100, soft_percent=75, swap_percent=50, processes=20, cpu_share=4)
    cgroup_v2.GroupV2(NAME, "job_1", "step_0", of_job, Limits(memory_mb=40, soft_percent=75, cpu_share=2000))
    job = tree / NAME / "job_1"
    assert (job / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert (job / "memory.high").read_text() == str(75 << 20)
    assert (job / "memory.swap.max").read_text() == str(50 << 20)
    assert (job / "pids.max").read_text() == "20"
    assert (job / "cpu.weight").read_text() == "40"
    assert (job / "step_0/memory.high").read_text() == str(30 << 20)
    assert (job / "step_0/cpu.weight").read_text() == "10000", "the kernel takes no more"


def test_v2_freezes_counts_kills_and_finds(tree: Path) -> None:
    group = cgroup_v2.GroupV2(NAME, "job_1", "step_0", Limits(memory_mb=1), Limits())
    step = tree / NAME / "job_1" / "step_0"
    (step / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    (step / "cgroup.procs").write_text("12\n13\n")
    group.freeze()
    assert (step / "cgroup.freeze").read_text() == "1"
    group.thaw()
    assert (step / "cgroup.freeze").read_text() == "0"
    assert group.oom_kills() == 3
    assert group.pids() == cgroup_v2.processes(NAME, "job_1", "step_0") == [12, 13]


UNIFIED = Path("/sys/fs/cgroup/unified")  #: version 2, beside version 1
has_v2 = next((path for path in (UNIFIED, Path("/sys/fs/cgroup")) if (path / "cgroup.controllers").exists()), None)


@pytest.mark.skipif(os.geteuid() != 0 or has_v2 is None, reason="needs root, and cgroups of version 2")
def test_v2_denies_devices_for_real(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By their numbers, whatever file leads there; a step has no more than its job."""
    assert devicefilter.is_usable()
    monkeypatch.setattr(cgroup_v2, "ROOT", str(has_v2))
    again = tmp_path / "again"
    os.mknod(again, stat.S_IFCHR | 0o666, os.stat("/dev/zero").st_rdev)
    limits = Limits(denied_devices=("/dev/zero", "/dev/no-such-device"))
    group = cgroup_v2.GroupV2(NAME, "job_1", "step_0", limits, Limits(denied_devices=("/dev/full",)))
    pid = os.fork()
    if pid == 0:
        os.write(group.entrances()[0][1], b"0")
        can = [
            os.access(file, os.R_OK) and _opens(file) for file in ("/dev/null", "/dev/zero", str(again), "/dev/full")
        ]
        os._exit(0 if can == [True, False, False, False] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    group.remove()
    assert not (Path(str(has_v2)) / NAME / "job_1").exists()
    (Path(str(has_v2)) / NAME).rmdir()


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A part of the kernel's own tree of version 2, with one process in it that is nobody's."""
    if os.geteuid() != 0 or has_v2 is None:
        pytest.skip("needs root, and cgroups of version 2")
    part = has_v2 / f"{NAME}-part"
    part.mkdir()
    given = (has_v2 / "cgroup.subtree_control").read_text().split()
    for name in (has_v2 / "cgroup.controllers").read_text().split():
        (has_v2 / "cgroup.subtree_control").write_text(f"+{name}")
    monkeypatch.setattr(cgroup_v2, "ROOT", str(part))
    process = subprocess.Popen(["sleep", "60"])
    (part / "cgroup.procs").write_text(str(process.pid))
    yield part
    process.kill()
    process.wait()
    for directory in sorted(part.glob("**/"), reverse=True):
        directory.rmdir()
    for name in set((has_v2 / "cgroup.controllers").read_text().split()) - set(given):
        try:
            (has_v2 / "cgroup.subtree_control").write_text(f"-{name}")
        except OSError:
            pass  # somebody has begun to use it


def test_v2_divides_a_part_of_a_tree_that_has_processes_as_a_container_does(real: Path) -> None:
    given = set((real / "cgroup.controllers").read_text().split()) & {"cpuset", "memory", "pids", "cpu"}
    cgroup_v2.divide()
    assert cgroup_v2.controllers() == {"freezer", *given}
    assert not given or (real / "cgroup.procs").read_text() == ""
    group = cgroup_v2.GroupV2("ours", "job_1", "step_0", Limits(memory_mb=100, processes=9), Limits(memory_mb=50))
    if "memory" in given:
        assert (real / "ours/job_1/memory.max").read_text() == f"{100 << 20}\n"
        assert (real / "ours/job_1/step_0/memory.max").read_text() == f"{50 << 20}\n"
        assert (real / "ours/job_1/pids.max").read_text() == "9\n"
    group.remove()


def test_v2_finds_what_a_steps_processes_have_put_into_groups_of_their_own(real: Path) -> None:
    group = cgroup_v2.GroupV2("ours", "job_1", "step_0", Limits(), Limits())
    step = real / "ours/job_1/step_0"
    (step / "machine/inner").mkdir(parents=True)
    pid = int((real / "cgroup.procs").read_text())
    (step / "machine/inner/cgroup.procs").write_text(str(pid))
    assert group.pids() == cgroup_v2.processes("ours", "job_1", "step_0") == [pid]
    (real / "cgroup.procs").write_text(str(pid))
    group.remove()
    assert not (real / "ours/job_1").exists()


def _opens(file: str) -> bool:
    try:
        os.close(os.open(file, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def test_v2_needs_no_controller_to_find_processes(tree: Path) -> None:
    group = cgroup_v2.GroupV2(NAME, "job_1", "step_0", Limits(), Limits())
    assert not (tree / "cgroup.subtree_control").exists()
    group.remove()
    assert not (tree / NAME / "job_1").exists()
    assert cgroup_v2.controllers() == {"freezer", "cpuset", "memory", "pids", "cpu"}
