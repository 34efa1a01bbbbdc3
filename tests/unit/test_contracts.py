"""Do the import contracts name every package they should, also those that come later?"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

PURE = {"engine", "scheduler", "services", "protocol", "model", "syntax"}
ADAPTERS = {"store", "bus", "config", "auth", "providers"}
REACH_BY_CLIENT = {"cli", "dashboard", "gateway"}
DECIDE = {"engine", "scheduler", "services", "store"}


def existing(names: set[str]) -> set[str]:
    return {f"corral.{name}" for name in names if (ROOT / "src" / "corral" / name).is_dir()}


def contract(start: str) -> dict[str, list[str]]:
    return next(contract for contract in CONTRACTS if contract["name"].startswith(start))


def test_there_are_six_contracts():
    assert len(CONTRACTS) == 6


def test_every_pure_package_is_kept_from_every_adapter():
    core = contract("The core is pure")
    assert set(core["source_modules"]) == existing(PURE)
    assert {name for name in core["forbidden_modules"] if name.startswith("corral.")} == existing(ADAPTERS)


def test_commands_and_dashboard_are_kept_from_the_core():
    commands = contract("Commands, gateway and dashboard")
    assert set(commands["source_modules"]) == existing(REACH_BY_CLIENT)
    assert set(commands["forbidden_modules"]) == existing(DECIDE | {"bus"})


def test_the_agent_is_kept_from_all_that_decides():
    assert set(contract("The agent obeys")["forbidden_modules"]) == existing(DECIDE)
