"""The messages and exit codes of sbatch, srun and salloc for wrong options are those of the real ones, word for word."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corral.cli import run
from corral.cli.commands import salloc, sbatch, srun

GOLDEN = Path(__file__).parents[2] / "golden" / "errors.json"

#: Said by the controller, which is not asked here.
BY_CONTROLLER = (
    "can not be satisfied", "Requested node configuration", "Invalid feature", "Job dependency problem", "Invalid job array",
    "Invalid partition name specified", "Invalid node name specified", "Node count specification invalid", "time-min",
    "allocation failure", "to start at", "Invalid --nice value\n", "time limit is invalid", "not supported on this system",
    "Invalid generic resource (gres) specification", "Invalid license specification", "reservation is invalid",
    "Job --batch option",
)  # fmt: skip
#: Options that Corral refuses.
NOT_OFFERED = "is not supported by Corral"


#: Said by one that was built without what binds tasks.
WITHOUT_AFFINITY = "srun: cluster configuration lacks support for cpu binding\n"

#: A range that runs backwards makes the real one say "memory allocation failure"; /dev/stdin is the test's own; help is given
#: to who gives no command too; clusters are the controller's to know (test_clusters.py).
UNLIKE = ("-M", "--clusters=nosuch", "dgx[5-1]", "/dev/stdin", "--cpu-bind=help")


def cases(command: str) -> list[Any]:
    found = []
    for number, case in enumerate(json.loads(GOLDEN.read_text())):
        if case["argv"][0] != command or case["exit"] is None or case.get("note") or case.get("user"):
            continue
        if "verbose" in case["stderr"]:  # says how the real one is built
            continue
        if any("<" in word or word in UNLIKE for word in case["argv"]):
            continue
        found.append(pytest.param(case, id=f"{number}:{' '.join(case['argv'])[:50]}"))
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Jobs go no further than this list."""
    jobs: list[dict[str, Any]] = []

    def submit(
        program: run.Program, connection: Any, job: dict[str, Any], user: str = "", group: str = "", others: Any = ()
    ) -> tuple[Any, int]:
        jobs.append(job)
        return None, 1

    monkeypatch.setattr(sbatch, "submit", submit)
    monkeypatch.setattr("corral.cli.submission.say_when", lambda *_: 0)
    monkeypatch.setattr("corral.cli.submission.exit_status_when_ended", lambda *_: 0)
    return jobs


@pytest.mark.parametrize("case", cases("sbatch"))
def test_sbatch_says_what_the_real_one_says(
    case: dict[str, Any],
    asked: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "script" in case:
        Path("job.sh").write_text(case["script"])
    for name, value in case.get("env", {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sbatch, "PROGRAM", run.Program("sbatch"))
    monkeypatch.setattr("sys.stdin", open_stdin(tmp_path, case.get("stdin", "")))
    try:
        status = sbatch.sbatch(case["argv"][1:])
        stderr = ""
    except run.Exit as end:
        status, stderr = end.status, "".join(line + "\n" for line in end.lines)
    stderr = capsys.readouterr().err + stderr
    compare(case, status, stderr)


def compare(case: dict[str, Any], status: int, stderr: str) -> None:
    wanted = case["stderr"].removeprefix(WITHOUT_AFFINITY)
    if NOT_OFFERED in stderr:
        assert status == 1
    elif not any(text in wanted for text in BY_CONTROLLER) or stderr:
        assert (status, stderr) == (case["exit"], wanted)


class Asked(Exception):
    """The command has got as far as asking the controller."""


def ask(*_: object) -> None:
    raise Asked


@pytest.mark.parametrize("case", [*cases("srun"), *cases("salloc")])
def test_srun_and_salloc_say_what_the_real_ones_say(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    for name, value in case.get("env", {}).items():
        monkeypatch.setenv(name, value)
    for module in (srun, salloc):
        monkeypatch.setattr(module, "PROGRAM", run.Program(module.__name__.rpartition(".")[2]))
    monkeypatch.setattr("corral.cli.allocation.allocate_and_launch", ask)
    monkeypatch.setattr("corral.cli.allocation.allocate", ask)
    monkeypatch.setattr("corral.cli.steps.create_step", ask)
    monkeypatch.setattr("corral.cli.submission.say_when", ask)
    monkeypatch.setattr(salloc, "Allocation", ask)
    command = srun.srun if case["argv"][0] == "srun" else salloc.salloc
    try:
        status, lines = command(case["argv"][1:]), ()
    except run.Exit as end:
        status, lines = end.status, end.lines
    except Asked:
        assert case["exit"] != 255
        return
    compare(case, status, capsys.readouterr().err + "".join(line + "\n" for line in lines))


def open_stdin(directory: Path, text: str) -> Any:
    path = directory / ".stdin"
    path.write_text(text)
    return path.open()


def test_the_commands_start_without_heavy_modules() -> None:
    heavy = {"typing", "re", "json", "argparse", "asyncio", "msgspec", "socket", "subprocess", "dataclasses", "inspect"}
    code = "import sys; before = set(sys.modules); import corral.cli.commands.NAME; print(*sorted(set(sys.modules) - before))"
    for name in ("sbatch", "srun", "salloc"):
        words = [sys.executable, "-c", code.replace("NAME", name)]
        loaded = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        assert not heavy & set(loaded), name
