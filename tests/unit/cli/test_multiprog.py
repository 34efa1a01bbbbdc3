"""srun --multi-prog files."""

from pathlib import Path

import pytest

from corral.agent.tasks import program_of
from corral.cli import multiprog
from corral.cli.run import Exit, Program


def read(tmp_path: Path, text: str, ntasks: int) -> object:
    path = tmp_path / "mp.conf"
    path.write_text(text)
    return multiprog.read(Program("srun"), str(path), ntasks, [])


def test_ranks_and_programs(tmp_path: Path) -> None:
    text = "# comment\n0 echo zero %t\n1-2,4 sh -c x\n\n* sleep \\\n 1\n"
    assert read(tmp_path, text, 6) == [
        ["0", ["echo", "zero", "%t"]],
        ["1-2,4", ["sh", "-c", "x"]],
        ["*", ["sleep", "1"]],
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("0 true\n5-6 true\n", ("Invalid task id, 6 >= ntasks", "Line 2 of configuration file PATH invalid")),
        ("x true\n", ("Invalid task range specification (x)", "Line 1 of configuration file PATH invalid")),
        ("0\n1 true\n", ("Line 1 of configuration file PATH invalid",)),
        ("0 true\n", ("Configuration file PATH invalid, no record for task id 1",)),
    ],
)
def test_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, lines: tuple[str, ...]) -> None:
    with pytest.raises(Exit) as end:
        read(tmp_path, text, 2)
    said = capsys.readouterr().err + "\n".join(end.value.lines)
    assert said.strip().replace(str(tmp_path / "mp.conf"), "PATH").split("\n") == [
        f"srun: error: {line}" for line in lines
    ]


def test_single_quotes_hold_words_together_and_keep_their_percents(tmp_path: Path) -> None:
    text = "0 sh -c 'echo \"%t %o\"' \"%t x\" a'b c'%t '' e\\ f\n"
    [[ranks, argv]] = read(tmp_path, text, 1)  # type: ignore[misc]
    assert program_of(0, [(ranks, tuple(argv))]) == (
        "sh", "-c", 'echo "%t %o"', '"0', 'x"', "ab c0", "", "e f",
    )  # fmt: skip
