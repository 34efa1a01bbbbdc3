"""strigger against what the real one printed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.controller import FakeController, refused
from tests.unit.cli.fakecluster import golden

from corral.cli import run
from corral.cli.commands import strigger

FIELDS = ["id", "resource", "target", "event", "offset", "user", "permanent", "program"]


def transcript() -> dict[str, tuple[str, int]]:
    """Command line -> what it printed (when it printed most), its status."""
    found: dict[str, tuple[str, int]] = {}
    for command, shown, status in re.findall(
        r"^\$ (strigger[^\n]*)\n(.*?)\[exit (\d+)\]$", golden("lifecycle/strigger.txt"), re.MULTILINE | re.DOTALL
    ):
        if len(shown) >= len(found.get(command, ("", 0))[0]):
            found[command] = (shown, int(status))
    return found


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeController]:
    fake = FakeController(tmp_path)
    monkeypatch.setenv("CORRAL_ENDPOINT", fake.endpoint)
    monkeypatch.setattr("os.path.exists", lambda path: True)
    yield fake
    fake.close()


def ran(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    program = run.Program("strigger")
    lines: tuple[str, ...] = ()
    try:
        status = strigger.Strigger(program, line.replace("<A>", "42").split()[1:]).main()
    except run.Exit as end:
        status, lines = end.status, end.lines
    shown = capsys.readouterr()
    text = shown.out + shown.err + "".join(line + "\n" for line in lines)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), status


@pytest.mark.parametrize(
    "line",
    [
        "strigger", "strigger --set", "strigger --set --fini", "strigger --set -j <A>", "strigger --set -j <A> --fini",
        "strigger --set -j <A> --fini -p trig", "strigger --clear", "strigger --set --get", "strigger --foo",
        "strigger --set -j <A> --fini --flags=foo -p /opt/trig", "strigger --set -j abc --fini -p /opt/trig", "strigger --help",
        "strigger --usage", "strigger --clear -u nobody",
    ],
)  # fmt: skip
def test_it_says_what_the_real_one_says(
    controller: FakeController, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(line, capsys) == transcript()[line]


def test_the_table_is_the_real_one(controller: FakeController, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, _ = transcript()["strigger --get"]
    kept = [
        line
        for line in wanted.splitlines(keepends=True)
        if re.search(r"TRIG_ID| (fini|time|idle) |resumed_operation  .* root|node +\* down", line)
    ]
    kept = [line.replace("<A>", "40") for line in kept if "backup" not in line and "database" not in line]
    rows: list[list[Any]] = []
    for line in kept[1:]:
        number, resource, target, event, offset, user, *rest = line.split()
        permanent = rest[0] == "PERM"
        program = line[line.index("/") :].strip()
        rows.append(
            [int(number), resource, "" if target == "*" else target, event, int(offset), user, permanent, program]
        )
    controller.answers["GET /v1/triggers"] = {"type": "JobRows", "fields": FIELDS, "rows": rows}
    assert len(rows) > 4
    assert ran("strigger --get", capsys) == ("".join(kept), 0)


def test_what_is_asked_of_the_controller(controller: FakeController, capsys: pytest.CaptureFixture[str]) -> None:
    controller.answers |= {"SetTrigger": {"type": "Done"}, "ClearTriggers": refused("No such process")}
    assert ran("strigger --set -j 42 --time --offset=-100 -p /opt/trig", capsys) == ("", 0)
    assert ran("strigger --set -n --down --up --flags=perm -p /opt/trig", capsys) == ("", 0)
    assert [(r["resource"], r["event"], r["target"], r["offset"], r["permanent"]) for r in controller.of_type("SetTrigger")] == [
        ("job", "time", "42", -100, False), ("node", "down", "", 0, True), ("node", "up", "", 0, True),
    ]  # fmt: skip
    assert ran("strigger --clear --id=1", capsys) == ("slurm_clear_trigger: No such process\n", 1)
    assert ran("strigger --clear --id=1 -Q", capsys) == ("", 0)


@pytest.mark.parametrize("option", ["--burst_buffer", "--front_end", "-B", "-g", "-h", "-e"])
def test_what_never_happens_here_is_refused(
    controller: FakeController, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, status = ran(f"strigger --set {option} -p /opt/trig", capsys)
    assert ("is not supported" in shown, status) == (True, 1)
