"""Accounts on a real cluster, with two users; what is known of them outlives a killed controller."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.cluster.live import LiveCluster, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="other users' jobs are run by root only")

CONFIG = """
private_data = ["jobs"]
[accounting]
enforce = ["associations", "limits", "qos"]
[priority]
fair_share = 1000
[timeouts]
kill_wait = 1
"""
ACCOUNTS = (
    "add account physics", "add account chem parent=physics grpjobs=1", "add qos high maxjobsperuser=1",
    "add user daemon account=chem qos=normal,high defaultqos=normal", "add user games account=chem", "add user bin account=physics",
)  # fmt: skip
BATCH = ("sbatch", "--parsable", "-D/tmp", "-o/dev/null")


def by(cluster: LiveCluster, user: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return cluster.run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command, check=False)


@pytest.fixture
def cluster() -> Iterator[LiveCluster]:
    with TemporaryDirectory(prefix="corral-accounts-") as name:  # not below pytest's, where nobody else may look
        Path(name).chmod(0o755)
        one = LiveCluster(Path(name), CONFIG)
        try:
            one.up("--nodes=2", "--cpus=4")
            yield one
        finally:
            one.down()


def test_two_users_share_the_limits_of_their_account(cluster: LiveCluster) -> None:
    refused = by(cluster, "daemon", *BATCH, "--wrap", "true")
    assert "Invalid account or account/partition combination specified" in refused.stderr
    for line in ACCOUNTS:
        cluster.run("sacctmgr", "-i", *line.split())

    submitted = [by(cluster, user, *BATCH, "--wrap", "sleep 300") for user in ("daemon", "games")]
    assert [one.stderr for one in submitted] == ["", ""]
    first, second = (one.stdout.strip() for one in submitted)
    wait_until(lambda: cluster.text("squeue", "-h", "-j", second, "-o%a %t %r") == "chem PD AssocGrpJobsLimit")
    assert cluster.text("squeue", "-h", "-j", first, "-o%a %q %t") == "chem normal R"
    assert "Invalid qos specification" in by(cluster, "games", *BATCH, "--qos=high", "--wrap", "true").stderr

    # A coordinator manages the jobs of its account, and sees them; an ordinary user neither.
    assert by(cluster, "games", "squeue", "-h", "-o%i").stdout.split() == [second]
    assert by(cluster, "games", "scancel", first).returncode
    cluster.run("sacctmgr", "-i", "add", "coordinator", "account=chem", "names=games")
    assert sorted(by(cluster, "games", "squeue", "-h", "-o%i").stdout.split()) == [first, second]
    assert not by(cluster, "games", "sacctmgr", "-i", "modify", "user", "daemon", "set", "maxjobs=3").returncode
    assert by(cluster, "daemon", "sacctmgr", "-i", "modify", "user", "games", "set", "maxjobs=3").returncode
    assert not by(cluster, "games", "scancel", first).returncode
    wait_until(lambda: cluster.text("squeue", "-h", "-j", second, "-o%t") == "R")

    # An admin level makes an operator, at once and everywhere.
    assert by(cluster, "bin", "scancel", second).returncode
    cluster.run("sacctmgr", "-i", "modify", "user", "bin", "set", "adminlevel=operator")
    seen = by(cluster, "bin", "squeue", "-h", "-o%i")
    assert (seen.stdout.strip(), seen.stderr) == (second, ""), cluster.text(
        "sacct", "-a", "-X", "-o", "JobID,State,ExitCode,Reason"
    )

    before = cluster.text("sacctmgr", "-P", "show", "associations")
    used = wait_until(lambda: int(cluster.text("sshare", "-nP", "-A", "chem", "-o", "rawusage").split()[0]))
    cluster.kill("controller.lock")
    cluster.up("--nodes=2", "--cpus=4")
    assert cluster.text("sacctmgr", "-P", "show", "associations") == before
    assert int(cluster.text("sshare", "-nP", "-A", "chem", "-o", "rawusage").split()[0]) >= used > 0
    assert not by(cluster, "bin", "scancel", second).returncode
    cluster.wait_for(second, "CANCELLED")
