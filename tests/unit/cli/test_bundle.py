"""The files that hold the modules of commands: made by the first commands that may, never older than the sources."""

import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import corral
from corral.cli import MARK


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of what commands import, and the script that pip makes for one of them."""
    source = Path(corral.__file__).parent
    for name in ("__init__.py", "errors.py", "cli", "client", "syntax"):
        target = tmp_path / "corral" / name
        if (source / name).is_dir():
            shutil.copytree(source / name, target, ignore=shutil.ignore_patterns("*.bundle", "*.start"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source / name, target)
    (tmp_path / "sbatch").write_text("from corral.cli.commands.sbatch import main\nmain()\n")
    return tmp_path


def version_of(package: Path) -> str:
    return run_it(package, "--version")


def run_it(package: Path, *options: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(package), "CORRAL_ENDPOINT": f"unix://{package}/nobody"}
    return subprocess.run(
        [sys.executable, "sbatch", *options], cwd=package, env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


def bundle_of(package: Path) -> Path:
    (found,) = (package / "corral" / "cli" / "__pycache__").glob("*.bundle")
    return found


def start_of(package: Path) -> Path:
    (found,) = (package / "corral" / "cli" / "__pycache__").glob("sbatch.*.start")
    return found


def change(package: Path, version: str) -> None:
    path = package / "corral" / "cli" / "run.py"
    path.write_text(path.read_text().replace("slurm 22.05.8", version))


def settled(package: Path) -> None:
    """The first command makes the bundle, the second its own file."""
    for _ in range(2):
        assert version_of(package) == "slurm 22.05.8\n"


def mark(file: Path) -> None:
    """So that it is seen what is used."""
    data = file.read_bytes()
    assert data.count(b"slurm 22.05.8") == 1
    file.write_bytes(data.replace(b"slurm 22.05.8", b"out of a file"))


def test_the_first_command_makes_the_bundle_and_the_next_uses_it(package: Path) -> None:
    version_of(package)
    mark(bundle_of(package))
    assert version_of(package) == "out of a file\n"


def test_the_second_command_makes_its_own_file_and_the_next_uses_that_alone(package: Path) -> None:
    settled(package)
    mark(start_of(package))
    made = start_of(package).stat().st_ino
    bundle_of(package).unlink()
    assert version_of(package) == "out of a file\n"
    assert start_of(package).stat().st_ino == made
    assert not list((package / "corral" / "cli" / "__pycache__").glob("*.bundle"))  # nobody missed it


def test_a_changed_module_counts_at_once_and_both_files_follow(package: Path) -> None:
    settled(package)
    change(package, "slurm changed")
    assert version_of(package) == "slurm changed\n"
    assert b"slurm changed" in bundle_of(package).read_bytes()
    assert version_of(package) == "slurm changed\n"
    assert b"slurm changed" in start_of(package).read_bytes()
    mark_of_changed = start_of(package).stat().st_ino
    assert version_of(package) == "slurm changed\n"
    assert start_of(package).stat().st_ino == mark_of_changed


def test_a_new_module_is_found(package: Path) -> None:
    settled(package)
    (package / "corral" / "cli" / "newer.py").write_text("VERSION = 'of a new module'\n")
    run = package / "corral" / "cli" / "run.py"
    run.write_text(run.read_text() + "\nfrom corral.cli.newer import VERSION\n")
    assert version_of(package) == "of a new module\n"
    assert b"of a new module" in bundle_of(package).read_bytes()
    version_of(package)
    assert b"of a new module" in start_of(package).read_bytes()


def test_what_a_command_imports_at_one_time_it_finds_in_its_own_file_at_the_next(package: Path) -> None:
    settled(package)
    assert b"How much memory is 4G" not in start_of(package).read_bytes()
    for _ in range(2):
        run_it(package, "--mem=10", "--wrap=true")
    known = start_of(package).read_bytes()
    assert b"How much memory is 4G" in known
    version_of(package)
    assert start_of(package).read_bytes() == known


@pytest.mark.parametrize("kept", [0, 10, 5_000, 600_000])
def test_a_torn_bundle_costs_time_and_nothing_else(package: Path, kept: int) -> None:
    version_of(package)
    whole = bundle_of(package).read_bytes()
    bundle_of(package).write_bytes(whole[:kept])
    assert version_of(package) == "slurm 22.05.8\n"
    if kept < 600_000:  # else what this command needs may have been whole
        assert len(bundle_of(package).read_bytes()) > 600_000


@pytest.mark.parametrize("kept", [0, 10, 5_000, 50_000])
def test_so_does_a_torn_file_of_one_command(package: Path, kept: int) -> None:
    settled(package)
    whole = start_of(package).read_bytes()
    start_of(package).write_bytes(whole[:kept])
    assert version_of(package) == "slurm 22.05.8\n"
    assert start_of(package).read_bytes() == whole


def test_garbage_is_no_bundle(package: Path) -> None:
    settled(package)
    for file in (bundle_of(package), start_of(package)):
        whole = file.read_bytes()
        file.write_bytes(whole[:40] + bytes(len(whole) - 40))
    assert version_of(package) == "slurm 22.05.8\n"


def test_a_module_that_fails_in_its_place_is_imported_the_usual_way(package: Path) -> None:
    settled(package)
    whole = start_of(package).read_bytes()
    first, later = marshal.loads(whole[len(MARK) :])
    torn = [
        (name, source, compile("1 / 0", "x", "exec") if name.endswith(".given") else code)
        for name, source, code in first
    ]
    start_of(package).write_bytes(MARK + marshal.dumps((torn, later)))
    for _ in range(2):
        assert version_of(package) == "slurm 22.05.8\n"
    assert start_of(package).read_bytes() == whole


def test_a_directory_that_may_not_be_written_gets_none(package: Path) -> None:
    directory = package / "corral" / "cli" / "__pycache__"
    if directory.exists():
        shutil.rmtree(directory)
    directory.write_text("in the way")
    assert version_of(package) == "slurm 22.05.8\n"
