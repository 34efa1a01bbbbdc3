"""What runs before and after each task, on a node with real shepherds. The words are slurmstepd's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.agent.node_side import NodeSide

from corral.model.job import ExitStatus, StdioSpec
from corral.model.step import StepKey


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeSide]:
    side = NodeSide(tmp_path / "agent")
    yield side
    side.close()


def program(node: NodeSide, name: str, text: str, mode: int = 0o755) -> str:
    path = node.work_dir / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


def step(node: NodeSide, script: str, **spec: str) -> tuple[StepKey, ExitStatus, str]:
    out = node.work_dir / "out"
    out.unlink(missing_ok=True)
    key = node.step("sh", "-c", script, stdio=StdioSpec(stdout=str(out)), environment={"GONE": "1"}, **spec)
    return key, node.finished(key).tasks[0].status, out.read_text()


def test_lines_of_a_prolog_act_on_the_task(node: NodeSide) -> None:
    path = program(
        node,
        "prolog",
        "echo export A=1 and more; echo unset GONE; echo print hello; echo printed; echo export NO; echo ' export B=2'",
    )
    _, status, said = step(node, 'echo "$A|$GONE|$NO|$B|$SLURM_SCRIPT_CONTEXT"', task_prolog=path)
    assert status == ExitStatus()
    assert said == "hello\n1 and more||||prolog_task\n"


def test_a_prolog_that_fails_ends_the_task_with_its_status(node: NodeSide) -> None:
    path = program(node, "prolog", "exit 4")
    _, status, said = step(node, "echo ran", task_prolog=path)
    assert (status, said) == (ExitStatus(4), "slurmstepd: error: --task-prolog failed status=4\n")


def test_a_prolog_that_may_not_be_executed_is_said_so(node: NodeSide) -> None:
    path = program(node, "prolog", "", 0o600)
    _, status, said = step(node, "echo ran", task_prolog=path)
    assert status == ExitStatus(1)
    assert said == (
        f"slurmstepd: error: run_command: user task_prolog can not be executed ({path}) Permission denied\n"
        "slurmstepd: error: user task_prolog did not exit normally. reason: Run command failed - configuration error\n"
        "slurmstepd: error: --task-prolog failed status=1\n"
    )


def test_an_epilog_runs_after_the_task_and_changes_nothing_of_its_status(node: NodeSide) -> None:
    path = program(node, "epilog", "echo not shown; echo shown $SLURM_PROCID $SLURM_SCRIPT_CONTEXT >&2; exit 3")
    _, status, said = step(node, "echo ran; exit 7", task_epilog=path)
    assert status == ExitStatus(7)
    assert said == "ran\nshown 0 epilog_task\nslurmstepd: error: TaskEpilog failed status=768\n"


def test_an_epilog_that_is_not_there_is_said_so(node: NodeSide) -> None:
    _, status, said = step(node, "echo ran", task_epilog="/nonexistent/epilog")
    assert status == ExitStatus()
    assert said == (
        "ran\nslurmstepd: error: Could not run user task_epilog [/nonexistent/epilog]: access denied\n"
        "slurmstepd: error: TaskEpilog failed status=-1\n"
    )
