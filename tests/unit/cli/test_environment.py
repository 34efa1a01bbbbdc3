"""Which variables go with a job."""

import pytest

from corral.cli.environment import exported, mode, of_step
from corral.cli.given import Given
from corral.cli.run import Program

HERE = {"PATH": "/bin", "FOO": "1", "BAR": "2", "SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, HERE),
        ("ALL", HERE),
        ("NONE", {"SLURM_JOB_ID": "7"}),
        ("NIL", {"SLURM_JOB_ID": "7"}),
        ("FOO", {"SLURM_JOB_ID": "7", "FOO": "1"}),
        ("FOO=x,NOSUCH", {"SLURM_JOB_ID": "7", "FOO": "x"}),
        ("ALL,FOO=x", {**HERE, "FOO": "x"}),
        ("A='x,y',FOO", {"SLURM_JOB_ID": "7", "A": "x,y", "FOO": "1"}),
        ("FOO=", {"SLURM_JOB_ID": "7", "FOO": ""}),
    ],
)
def test_export(text: str | None, kept: dict[str, str]) -> None:
    assert exported(text, HERE) == kept


@pytest.mark.parametrize(
    ("text", "word"), [(None, "ALL"), ("ALL,X=1", "ALL"), ("NONE", "NONE"), ("X", "NONE"), ("NIL", "NIL")]
)
def test_mode(text: str | None, word: str) -> None:
    assert mode(text) == word


def test_a_token_of_the_user_stays_here() -> None:
    assert "CORRAL_TOKEN" not in exported(None, {"CORRAL_TOKEN": "secret"})


def test_the_name_of_a_step_is_told_to_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NAME", "wrap")
    given = Given(Program("srun"))
    given.take_environment({"SLURM_JOB_NAME": "wrap"})
    assert of_step(given)["SLURM_JOB_NAME"] == "wrap"
    given.take(given.split(["-J", "sub"])[0])
    assert of_step(given)["SLURM_JOB_NAME"] == "sub"
