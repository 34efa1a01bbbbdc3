import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.agent.node_side import NodeSide

from corral.agent import child, processes, shift, tasks, vfork
from corral.agent.kit import Kit
from corral.model.job import ExitStatus, StdioSpec

has_one = pytest.mark.skipif(child.prepare() is None, reason="no such child on this machine")
SAY = (
    "import os, sys; print(os.getpid(), os.environ['SLURM_TASK_PID'], os.getpgid(0), sys.argv[1:], os.environ['LAST'])"
)


@pytest.fixture
def streams() -> Iterator[tuple[int, int, int]]:
    """Nothing, and a pipe."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    yield null, write_end, read_end
    os.close(null)
    os.close(read_end)


def run(one: child.Child, streams: tuple[int, int, int], *argv: str, **environment: str) -> tuple[int, int, str]:
    """Process id, exit code, and what it has said."""
    null, write_end, read_end = streams
    pid = one.begin(argv[0], argv, environment, (null, write_end, write_end))
    status = os.waitpid(pid, 0)[1]
    return pid, os.waitstatus_to_exitcode(status), os.read(read_end, 65536).decode() if status < 256 else ""


@has_one
def test_a_child_has_everything_and_its_process_id(streams: tuple[int, int, int]) -> None:
    one = child.Child()
    for argv in (["a b", "", "ä\udcff"], []):
        pid, code, said = run(one, streams, sys.executable, "-c", SAY, *argv, LAST="here=\n", SLURM_TASK_PID="7")
        assert (code, said) == (0, f"{pid} {pid} {pid} {argv!r} here=\n\n")


@has_one
def test_a_child_that_finds_no_program_is_gone_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program\n")
    (tmp_path / "text").chmod(0o755)
    one, children = child.Child(), _children()
    for program, number in (("/nonexistent", 2), (str(tmp_path), 13), (str(tmp_path / "text"), 8)):
        with pytest.raises(OSError) as found:
            one.begin(program, [program], {}, (0, 1, 2))
        assert (found.value.errno, found.value.filename) == (number, program)
    with pytest.raises(OSError, match="Bad file descriptor"):
        one.begin("/bin/true", ["true"], {}, (0, 999, 2))
    assert _children() <= children


def _children() -> set[str]:
    """Of this process, which other tests may have left some, dead or alive."""
    return {pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


@has_one
def test_a_child_enters_by_itself_before_it_becomes_its_program(tmp_path: Path, streams: tuple[int, int, int]) -> None:
    null, write_end, read_end = streams
    entrances = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC) for name in "abc"]
    argv = ["cat", *(str(tmp_path / name) for name in "abc")]
    pid = child.Child().begin("/bin/cat", argv, {}, (null, write_end, write_end), entrances)
    assert (os.waitpid(pid, 0)[1], os.read(read_end, 100)) == (0, b"000")
    for entrance in entrances:
        os.close(entrance)
    with pytest.raises(OSError, match="Bad file descriptor"):
        child.Child().begin("/bin/cat", argv, {}, (null, write_end, write_end), entrances)


@has_one
def test_what_a_child_cannot_take_is_left_to_others() -> None:
    one = child.Child()
    for argv, environment in ((["a\0b"], {}), (["a"], {"A": "1\0B=2"}), ([], {}), (["a"], {"A": "x" * (1 << 18)})):
        with pytest.raises(ValueError, match="a null in a word"):
            one.begin("/bin/true", argv, environment, (0, 1, 2))


@has_one
def test_signals_are_in_a_child_as_after_any_exec(streams: tuple[int, int, int]) -> None:
    """What is handled is the default's again, what is ignored or blocked stays so."""
    one = child.Child()
    old = signal.signal(signal.SIGUSR1, lambda *_: None), signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
    try:
        _, _, said = run(one, streams, "/bin/grep", "^Sig[BIC]", "/proc/self/status")
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {*mask, signal.SIGWINCH}, "and here all is as it was"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip((signal.SIGUSR1, signal.SIGUSR2), old, strict=True):
            signal.signal(number, handler)
    blocked, ignored, caught = (int(word, 16) for word in said.split()[1::2])
    assert blocked >> signal.SIGWINCH - 1 & 1
    assert ignored >> signal.SIGUSR2 - 1 & 1
    assert not (ignored | caught) >> signal.SIGUSR1 - 1 & 1


class _Forks:
    """In the spawner's place: each launch in a process of its own, where tasks have no such child."""

    def __init__(self, side: NodeSide) -> None:
        self._side, self._pids = side, list[int]()
        side.spawner.close()

    def launch(self, data: bytes) -> None:
        self._pids.append(os.fork())
        if self._pids[-1]:
            return
        try:
            os.setsid()
            processes.become_subreaper()
            tasks.catch_signals()
            spawn = vfork.prepare(self._side.settings)
            assert spawn is not None
            spawn.child = None
            spawned = spawn._spawn

            def noted(*arguments: object) -> int:
                (self._side.root / "spawned").touch()
                return spawned(*arguments)  # type: ignore[arg-type]

            spawn._spawn = noted  # type: ignore[method-assign]
            shift.run(str(self._side.directory(self._side.keys[-1])), Kit(self._side.settings, spawn), lambda: None)
        finally:
            os._exit(0)

    def close(self) -> None:
        for pid in self._pids:
            os.waitpid(pid, 0)


@pytest.mark.skipif(vfork.trampoline.program() is None, reason="no trampoline for this machine")
def test_where_there_is_no_such_child_tasks_begin_through_the_trampoline(tmp_path: Path) -> None:
    node = NodeSide(tmp_path / "agent")
    node.spawner = _Forks(node)  # type: ignore[assignment]
    try:
        key = node.batch("#!/bin/sh\necho $SLURM_TASK_PID $$\nexit 3\n")
        assert node.finished(key).tasks[0].status == ExitStatus(3, 0)
        told, own = node.output(key).split()
        assert told == own
        finished = node.finished(node.step("./none", ntasks=2, stdio=StdioSpec(stdout="o-%t")))
        assert [task.status for task in finished.tasks] == [ExitStatus(2, 0)] * 2
    finally:
        node.close()
    assert (node.root / "spawned").exists()


@has_one
def test_a_trial_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_TRIAL_SECONDS", 0.05)
    monkeypatch.setattr(child, "_finds_no_program", lambda one: signal.pause())
    assert child.prepare() is None
