import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.agent.node_side import NodeSide, wait_until

from corral.agent import trampoline
from corral.agent.control import End, shepherd_pid
from corral.model.job import ExitStatus, Owner, StdioSpec

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: users and cgroups")
has_one = pytest.mark.skipif(trampoline.program() is None, reason="no trampoline for this machine")
NOBODY = Owner(uid=65534, gid=65534, user="nobody", group="nogroup")
#: With these a task is spawned, and forked: an address space that is limited is nothing for its shepherd.
SPAWNED, FORKED = {"CORE": (0, 0)}, {"CORE": (0, 0), "AS": (1 << 30, 1 << 30)}
BOTH_WAYS = pytest.mark.parametrize("rlimits", [SPAWNED, FORKED], ids=["spawned", "forked"])


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeSide]:
    side = NodeSide(tmp_path / "agent")
    yield side
    side.close()


def through_trampoline(program: str, *argv: str) -> tuple[int, bytes, int]:
    fd = trampoline.descriptor()
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    pid = os.posix_spawn(
        f"/proc/self/fd/{fd}", [program, *argv], {"SLURM_TASK_PID": trampoline.ZEROS, "LAST": "here"},
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, trampoline.REPORT_FD)],
    )  # fmt: skip
    os.close(write_end)
    report = os.read(read_end, 64)
    os.close(read_end)
    os.close(fd or -1)
    return pid, report, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@has_one
def test_the_trampoline_hands_on_everything_and_the_process_id(tmp_path: Path) -> None:
    code = (
        f"open({str(tmp_path / 'o')!r}, 'w').write(repr((sys.argv, os.environ['SLURM_TASK_PID'], os.environ['LAST'])))"
    )
    pid, report, status = through_trampoline(sys.executable, "python", "-c", f"import os, sys; {code}", "a b", "")
    assert (report, status) == (b"", 0)
    assert (tmp_path / "o").read_text() == repr((["-c", "a b", ""], str(pid), "here"))


@has_one
def test_the_trampoline_says_why_it_could_not_become_the_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program\n")
    (tmp_path / "text").chmod(0o755)
    for program, number in (("/nonexistent", 2), (str(tmp_path), 13), (str(tmp_path / "text"), 8)):
        pid, report, status = through_trampoline(program, program)
        assert (trampoline.REPORT.unpack(report), status) == ((pid, number), number)


@has_one
def test_the_trampoline_leaves_no_descriptor_behind() -> None:
    assert through_trampoline("/bin/sh", "sh", "-c", "test ! -e /proc/self/fd/3")[2] == 0


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_trampoline_is_a_program_of_its_machine(machine: str) -> None:
    code = trampoline.program(machine)
    assert code is not None
    assert code[:4] == b"\x7fELF"
    assert len(code) == 176 + {"x86_64": 142, "aarch64": 168}[machine]
    assert trampoline.program("vax") is None


@needs_root
@BOTH_WAYS
def test_a_task_is_its_owner_through_and_through(node: NodeSide, rlimits: dict[str, tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o777)
        lines = "^(Uid|Gid|Groups|CapPrm|CapEff|NoNewPrivs)"
        script = f"#!/bin/sh\ngrep -E '{lines}' /proc/self/status; umask; pwd; ulimit -c\n"
        key = node.batch(script, owner=NOBODY, rlimits=rlimits, umask=0o027, work_dir=open_to_all)
        node.finished(key)
        assert Path(open_to_all, f"slurm-{key.job}.out").read_text().split() == [
            "Uid:", *["65534"] * 4, "Gid:", *["65534"] * 4, "Groups:", "65534", "CapPrm:", "0" * 16,
            "CapEff:", "0" * 16, "NoNewPrivs:", "0", "0027", open_to_all, "0",
        ]  # fmt: skip


@BOTH_WAYS
def test_a_program_that_is_none_is_named_on_the_tasks_own_standard_error(
    node: NodeSide, rlimits: dict[str, tuple[int, int]]
) -> None:
    (node.work_dir / "text").write_text("no program\n")
    (node.work_dir / "text").chmod(0o755)
    finished = node.finished(node.step("./text", ntasks=2, rlimits=rlimits, stdio=StdioSpec(stdout="o-%t")))
    assert [task.status for task in finished.tasks] == [ExitStatus(8, 0)] * 2
    words = f"slurmstepd: error: execve(): {node.work_dir}/./text: Exec format error\n"
    assert [(node.work_dir / f"o-{rank}").read_text() for rank in range(2)] == [words] * 2


@BOTH_WAYS
def test_tasks_find_only_their_own_descriptors(node: NodeSide, rlimits: dict[str, tuple[int, int]]) -> None:
    node.finished(node.step("ls", "/proc/self/fd", rlimits=rlimits, stdio=StdioSpec(stdout="o")))
    assert (node.work_dir / "o").read_text().split() == ["0", "1", "2", "3"]  # 3 is the directory itself


@BOTH_WAYS
def test_the_shepherd_stays_what_it_was(node: NodeSide, rlimits: dict[str, tuple[int, int]]) -> None:
    node.finished(node.step("true"))
    before = what_is(node.spawner.pid)
    key = node.batch("#!/bin/sh\nsleep 60\n", rlimits={**rlimits, "NOFILE": (99, 200)}, umask=0o077)
    node.started(key)
    shepherd = shepherd_pid(str(node.directory(key)))
    assert what_is(shepherd) == before
    node.tell(key, End())
    node.finished(key)


@needs_root
def test_nobody_inherits_the_script_of_the_job_before(node: NodeSide) -> None:
    """The spool is closed to the user, so the script goes to it as a descriptor; the shepherd then takes another job."""
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o777)
        for number in range(5):
            key = node.batch("#!/bin/sh\ntrue\n", owner=NOBODY, work_dir=open_to_all)
            assert node.finished(key).tasks[0].status == ExitStatus()
            node.finished(node.step("ls", "/proc/self/fd", stdio=StdioSpec(stdout=f"o-{number}")))
            assert (node.work_dir / f"o-{number}").read_text().split() == ["0", "1", "2", "3"]


def test_a_shepherd_that_somebody_has_changed_takes_no_other_step(node: NodeSide) -> None:
    shepherds = []
    for number in range(3):
        key = node.batch(f"#!/bin/sh\ntouch runs-{number}\nwhile [ ! -e end-{number} ]; do sleep 0.05; done\n")
        wait_until((node.work_dir / f"runs-{number}").exists)
        shepherd = shepherd_pid(str(node.directory(key)))
        assert shepherd is not None
        assert os.getpriority(os.PRIO_PROCESS, shepherd) == os.getpriority(os.PRIO_PROCESS, node.spawner.pid)
        os.setpriority(os.PRIO_PROCESS, shepherd, 7)
        shepherds.append(shepherd)
        (node.work_dir / f"end-{number}").touch()
        node.finished(key)
    assert len(set(shepherds)) == 3


def test_what_is_to_be_said_first_is_said(node: NodeSide) -> None:
    key = node.step("sleep", "0.2", cpu_bind="verbose", stdio=StdioSpec(stderr="e"))
    (pid,) = node.started(key)
    node.finished(key)
    assert f"task  0  0 [{pid}]: mask " in (node.work_dir / "e").read_text()


def what_is(pid: int | None) -> list[str]:
    status = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line[:3] in ("Uid", "Gid", "Uma", "Cpu")
    ]
    files = [line for name in ("cgroup", "limits") for line in Path(f"/proc/{pid}/{name}").read_text().splitlines()]
    return [*status, *files, os.readlink(f"/proc/{pid}/cwd")]
