"""Shepherds with the kernel's own control groups of version 2, also on a machine that has version 1.

In a mount namespace of its own a tree of version 2 lies over what is there. It has no controllers where version 1 has them, and needs
none for what is tried here: processes are in their step's group, are found there, frozen, and killed with it. A machine that has version 2
alone tries all this without more ado.
"""

import shutil
import subprocess
import sys
import tempfile

import pytest

from corral.agent import cgroup_v2

MOUNT = "mount -t cgroup2 none /sys/fs/cgroup"
ALONE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")


def _may_mount() -> bool:
    try:
        return subprocess.run([*ALONE, MOUNT], capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(cgroup_v2.is_usable(), reason="test_shepherd.py has them here")
@pytest.mark.skipif(not _may_mount(), reason="needs to mount a tree of control groups")
def test_steps_live_in_groups_of_version_2() -> None:
    words = "setsid or changes_its_number or suspended or only_the_shell or nothing_of_a_step_is_left or outlives"
    # Directories of its own: pytest closes the usual one to other users as it begins, under the feet of tests that opened it.
    own = tempfile.mkdtemp(prefix="corral-v2-")
    options = f'-q -p no:cacheprovider --basetemp={own}/tests -k "{words}"'
    run = f"exec {sys.executable} -m pytest {options} tests/unit/agent/test_shepherd.py"
    is_there = "from corral.agent import cgroup; assert cgroup._version() == 2"
    check = f'{sys.executable} -c "{is_there}"'
    done = subprocess.run([*ALONE, f"{MOUNT} && {check} && {run}"], capture_output=True, text=True, timeout=120)
    shutil.rmtree(own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "failed" not in done.stdout
