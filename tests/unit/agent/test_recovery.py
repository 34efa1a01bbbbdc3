import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from corral.agent.control import shepherd_pid
from corral.agent.recovery import AgentIsRunning, lock_state, sweep
from corral.agent.steps import LocalStep, Phase
from corral.model.job import JobId
from corral.model.step import StepKey


def test_one_agent_at_a_time_serves_a_state_directory(tmp_path: Path) -> None:
    lock = lock_state(tmp_path)
    with pytest.raises(AgentIsRunning):
        lock_state(tmp_path)
    os.close(lock)
    os.close(lock_state(tmp_path))


def test_a_step_just_taken_has_a_living_shepherd(tmp_path: Path) -> None:
    """Its lock comes before its number: in between it must not count as dead."""
    assert shepherd_pid(str(tmp_path)) is None
    fd = os.open(tmp_path / "pid", os.O_RDWR | os.O_CREAT)
    assert shepherd_pid(str(tmp_path)) is None
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert shepherd_pid(str(tmp_path)) == 0
    os.write(fd, b"42")
    assert shepherd_pid(str(tmp_path)) == 42
    os.close(fd)
    assert shepherd_pid(str(tmp_path)) is None


def test_a_step_taken_while_the_agent_looks_is_not_lost() -> None:
    """Taken between two questions: not begun at the first of them, alive at the second."""

    class Shepherds:
        taken = False

        def has_begun(self, node: str, key: StepKey) -> bool:
            before, self.taken = self.taken, True
            return before

        def is_alive(self, node: str, key: StepKey) -> bool:
            before, self.taken = self.taken, True
            return before

        def begun_at(self, node: str, key: StepKey) -> float:
            return 1.0

    step = LocalStep("n1", StepKey(JobId(1), 0, 0), Phase.LAUNCHED, 0.0)
    said: list[str] = []
    launcher = SimpleNamespace(
        shepherds=Shepherds(),
        spool=SimpleNamespace(exit_record=lambda node, key: None),
        table=[step],
        end_lost=lambda step: said.append("lost"),
        on_started=lambda *_: said.append("started"),
        deliver=lambda step: None,
    )
    sweep(launcher, 0.0)  # type: ignore[arg-type]
    assert said == ["started"]
