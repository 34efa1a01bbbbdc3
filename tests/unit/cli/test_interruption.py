"""When may a signal end an srun that asks for something, so that nothing stays which nobody gives back?"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.controller import FakeController

from corral.cli import steps
from corral.cli.given import Given
from corral.cli.interruption import Interrupted, Interruptible
from corral.cli.run import Exit, Program
from corral.client.connection import Connection


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeController]:
    fake = FakeController(tmp_path)
    monkeypatch.setenv("CORRAL_ENDPOINT", fake.endpoint)
    yield fake
    fake.close()


def tell_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_who_only_waits_is_interrupted_at_once() -> None:
    with pytest.raises(Interrupted), Interruptible():
        tell_ourselves()


def test_who_asks_a_controller_that_is_away_is_interrupted_at_once() -> None:
    def ask() -> None:
        with Interruptible() as signals:
            signals.hold(Connection("unix:///nowhere"))
            tell_ourselves()

    with pytest.raises(Interrupted):
        ask()


def test_a_signal_after_the_answer_finds_somebody_who_ends_the_step(
    controller: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, watched = Program("srun"), list[str]()

    class Watch:
        def __init__(self, *what: str) -> None:
            tell_ourselves()  # the connection is closed by now
            watched.extend(what)

    node = {"share": {"node": "n1"}}
    made = {"key": [7, 3, 0], "nodes": [node], "ntasks": 1}
    controller.answers["CreateStep"] = {"type": "StepMade", "step": made, "access": {}}
    controller.answers["GET /v1/jobs/7"] = {"fields": ["node_count"], "rows": [[1]]}
    monkeypatch.setattr(steps, "DeathWatch", Watch)
    with pytest.raises(Exit):
        steps.create_step(program, 7, {}, {}, Given(program))
    assert watched == ["7.3"]
