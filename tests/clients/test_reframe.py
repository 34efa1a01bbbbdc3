"""ReFrame: regression tests of a cluster, over sacct and over squeue; a flexible one takes every idle node."""

import subprocess
from pathlib import Path

SITE = """
site_configuration = {
    "systems": [{"name": "corral", "hostnames": [".*"], "partitions": [
        {"name": name, "scheduler": name, "launcher": "srun", "access": ["-p batch"], "environs": ["builtin"]}
        for name in ("slurm", "squeue")
    ]}],
    "environments": [{"name": "builtin"}],
}
"""
CHECKS = """
import reframe as rfm
import reframe.utility.sanity as sn


class Places(rfm.RunOnlyRegressionTest):
    valid_prog_environs = ["*"]
    executable = "sh"
    executable_opts = ["-c", "'echo on $SLURMD_NODENAME'"]
    time_limit = "2m"

    @sanity_function
    def four_tasks(self):
        return sn.assert_eq(sn.count(sn.findall("on node", self.stdout)), 4)


@rfm.simple_test
class FourTasks(Places):
    valid_systems = ["*"]
    num_tasks = 4
    num_tasks_per_node = 2


@rfm.simple_test
class EveryIdleNode(Places):
    valid_systems = ["corral:slurm"]
    num_tasks = 0
    num_tasks_per_node = 1
"""


def test_checks_pass(work: Path) -> None:
    (work / "site.py").write_text(SITE)
    (work / "checks.py").write_text(CHECKS)
    done = subprocess.run(
        ["reframe", "-C", "site.py", "-c", "checks.py", "--exec-policy=serial", "-r"], capture_output=True, text=True, timeout=200
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 3/3 test case(s)" in done.stdout
