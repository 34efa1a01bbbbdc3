"""The file that holds the modules of all commands: made by the first command that may, never older than the sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import corral


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of what commands import, and the script that pip makes for one of them."""
    source = Path(corral.__file__).parent
    for name in ("__init__.py", "errors.py", "cli", "client", "syntax"):
        target = tmp_path / "corral" / name
        if (source / name).is_dir():
            shutil.copytree(source / name, target, ignore=shutil.ignore_patterns("*.bundle"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source / name, target)
    (tmp_path / "sbatch").write_text("from corral.cli.commands.sbatch import main\nmain()\n")
    return tmp_path


def version_of(package: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "sbatch", "--version"]
    return subprocess.run(
        command, cwd=package, env=environment | {"PYTHONPATH": str(package)}, capture_output=True, text=True, check=True
    ).stdout


def bundle_of(package: Path) -> Path:
    (found,) = (package / "corral" / "cli" / "__pycache__").glob("*.bundle")
    return found


def change(package: Path, version: str) -> None:
    path = package / "corral" / "cli" / "run.py"
    path.write_text(path.read_text().replace("slurm 22.05.8", version))


def test_the_first_command_makes_it_and_the_next_uses_it(package: Path) -> None:
    assert version_of(package) == "slurm 22.05.8\n"
    bundle = bundle_of(package)
    made = bundle.stat()
    data = bundle.read_bytes()
    assert data.count(b"slurm 22.05.8") == 1
    bundle.write_bytes(data.replace(b"slurm 22.05.8", b"out of bundle"))  # so that it is seen
    assert version_of(package) == "out of bundle\n"
    assert bundle_of(package).stat().st_ino == made.st_ino


def test_a_changed_module_counts_at_once_and_the_bundle_follows(package: Path) -> None:
    version_of(package)
    change(package, "slurm changed")
    assert version_of(package) == "slurm changed\n"
    assert b"slurm changed" in bundle_of(package).read_bytes()


def test_a_new_module_is_found(package: Path) -> None:
    version_of(package)
    (package / "corral" / "cli" / "newer.py").write_text("VERSION = 'of a new module'\n")
    run = package / "corral" / "cli" / "run.py"
    run.write_text(run.read_text() + "\nfrom corral.cli.newer import VERSION\n")
    assert version_of(package) == "of a new module\n"
    assert b"of a new module" in bundle_of(package).read_bytes()


@pytest.mark.parametrize("kept", [0, 10, 5_000, 600_000])
def test_a_torn_bundle_costs_time_and_nothing_else(package: Path, kept: int) -> None:
    version_of(package)
    whole = bundle_of(package).read_bytes()
    bundle_of(package).write_bytes(whole[:kept])
    assert version_of(package) == "slurm 22.05.8\n"
    if kept < 600_000:  # else what this command needs may have been whole
        assert len(bundle_of(package).read_bytes()) > 600_000


def test_garbage_is_no_bundle(package: Path) -> None:
    version_of(package)
    whole = bundle_of(package).read_bytes()
    bundle_of(package).write_bytes(whole[:40] + bytes(len(whole) - 40))
    assert version_of(package) == "slurm 22.05.8\n"


def test_a_directory_that_may_not_be_written_gets_none(package: Path) -> None:
    directory = package / "corral" / "cli" / "__pycache__"
    if directory.exists():
        shutil.rmtree(directory)
    directory.write_text("in the way")
    assert version_of(package) == "slurm 22.05.8\n"
