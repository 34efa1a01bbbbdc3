"""Every option and field of the real commands is supported here, or listed with the reason why not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "compatibility.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compatibility", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compatibility"] = module
    spec.loader.exec_module(module)
    return module


compatibility = load()


@pytest.mark.parametrize("command", compatibility.COMMANDS)
def test_every_option_is_in_a_table(command: str) -> None:
    names = compatibility.Names(command)
    if names.module is None:
        assert compatibility.NOT_HERE[command, ""]
    else:
        assert names.missing == [], (
            "add them to OPTIONS, with REFUSED if need be, or to NOT_HERE in scripts/compatibility.py"
        )


@pytest.mark.parametrize("command", compatibility.COMMANDS)
def test_every_field_is_in_a_table(command: str) -> None:
    for table, fields in compatibility.fields_of(command).items():
        assert fields.known, f"no names of {command}'s {table} in tests/golden/field_names.tsv"
        assert fields.missing == [], f"{command}: {table}"


@pytest.mark.parametrize("command", ["squeue", "sinfo", "sacct", "sprio", "scontrol"])
def test_every_table_of_the_real_command_is_declared(command: str) -> None:
    real = {row[1] for row in compatibility.lines("field_names.tsv") if row[0] == command}
    assert set(compatibility.fields_of(command)) == real
