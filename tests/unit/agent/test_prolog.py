import asyncio
from pathlib import Path

from tests.cluster.agent_kit import context

from corral.agent.prolog import NOT_FOUND, TIMED_OUT, node_program_environment, run_program


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def run(path: str, timeout: float = 5.0, **environment: str) -> tuple[int, str]:
    return asyncio.run(run_program(path, {"PATH": "/usr/bin:/bin", **environment}, timeout))


def test_a_program_that_succeeds_has_status_0(tmp_path: Path) -> None:
    assert run(program(tmp_path / "p", 'test "$WORD" = yes'), WORD="yes")[0] == 0


def test_the_last_line_of_its_errors_is_kept(tmp_path: Path) -> None:
    assert run(program(tmp_path / "p", "echo one >&2; echo disk full >&2; exit 4")) == (4, "disk full")


def test_a_signal_counts_as_a_shell_counts_it(tmp_path: Path) -> None:
    assert run(program(tmp_path / "p", "kill -TERM $$"))[0] == 143


def test_a_program_that_is_not_there_is_said_so() -> None:
    assert run("/no/such/program") == (NOT_FOUND, "/no/such/program: No such file or directory")


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    status, words = run(program(tmp_path / "p", "sleep 60 & sleep 60"), timeout=0.05)
    assert status == TIMED_OUT
    assert "longer than 0.05 s" in words


def test_a_child_that_is_left_behind_holds_nothing_up(tmp_path: Path) -> None:
    assert run(program(tmp_path / "p", "sleep 2 & exit 0"))[0] == 0


def test_a_prolog_knows_the_job() -> None:
    variables = node_program_environment(context(42), "dgx0180", "prolog_slurmd")
    wanted = {"SLURM_JOB_ID": "42", "SLURM_SCRIPT_CONTEXT": "prolog_slurmd", "SLURM_JOB_PARTITION": "batch"}
    assert wanted.items() <= variables.items()
