"""Where does an agent look for the system's programs, and for its configuration?"""

import subprocess
import sys
from pathlib import Path

from corral.agent.main import searched


def test_the_systems_programs_are_found_where_a_users_path_lacks_them() -> None:
    assert searched("/home/ann/bin:/usr/bin").split(":")[:4] == [
        "/home/ann/bin",
        "/usr/bin",
        "/usr/local/sbin",
        "/usr/sbin",
    ]


def test_what_was_there_stays_as_it_was_and_first() -> None:
    path = "/sbin:/usr/local/sbin:/usr/sbin:/bin:/usr/bin"
    assert searched(path) == path


def test_no_path_is_no_current_directory() -> None:
    assert "" not in searched("").split(":")


def test_the_configuration_of_its_state_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "corral.toml").write_text("nonsense = 1\n")
    command = [sys.executable, "-m", "corral.agent", "--dir", str(tmp_path), "--name", "n"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, f"{tmp_path}/corral.toml:1: " in done.stderr) == (1, True), done.stderr
