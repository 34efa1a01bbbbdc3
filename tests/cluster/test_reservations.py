"""Reservations and licences on a real cluster, by the commands."""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

GOLDEN = Path(__file__).parents[1] / "golden" / "scontrol" / "reservations.txt"
CONFIG = """
licenses = { ansys = 4, matlab = 10 }
[scheduling]
time_limit_step = 1
[[partition]]
name = "batch"
default = true
[[partition]]
name = "small"
nodes = "dgx[0180-0181]"
max_time = 3600
"""
FOUR_NODES = ("--nodes=4", "--cpus=8", "--mem=16000", "--gpus=2", "--gpu-type=v100", "--prefix=dgx0180")


@pytest.mark.skipif(os.getuid() != 0, reason="the session that was recorded is root's")
def test_a_session_with_reservations_reads_as_with_slurm(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("one", CONFIG)
    cluster.up(*FOUR_NODES)
    seen = []
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("$ "):
            done = cluster.run(*shlex.split(line[2:]), check=False)
            text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "<TIME>", done.stdout + done.stderr)
            seen.append(f"{line}\n{text}[exit {done.returncode}]\n")
    same_ids = re.compile(r"Submitted batch job \d+")
    assert same_ids.sub("<ID>", "".join(seen)) == same_ids.sub("<ID>", GOLDEN.read_text())


def test_a_job_runs_in_its_reservation_and_ends_with_it(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("one", CONFIG + "[timeouts]\nkill_wait = 1\n")
    cluster.up(*FOUR_NODES)
    user = cluster.text("id", "-un")
    cluster.run("scontrol", "create", "reservation=r", "starttime=now", "duration=30", "nodes=dgx0182", f"users={user}")
    assert re.search(r"1\s+resv\s+dgx0182", cluster.text("sinfo"))
    mine = cluster.submit("--reservation=r", "-o", "mine", "--wrap", "echo $SLURM_JOB_RESERVATION; sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", mine, "-o%t %N %v") == "R dgx0182 r")
    wait_until(lambda: (cluster.work / "mine").exists() and (cluster.work / "mine").read_text() == "r\n")
    other = cluster.submit("-w", "dgx0182", "--wrap", "true")
    wait_until(
        lambda: cluster.text("squeue", "-h", "-j", other, "-o%r") == "ReqNodeNotAvail, May be reserved for other job"
    )
    refused = cluster.run("scontrol", "delete", "reservation=r", check=False)
    assert refused.stderr == "delete_reservation reservation=r: Requested reservation is in use\n"
    cluster.run("scancel", "-R", "r")
    cluster.wait_for(mine, "CANCELLED")
    cluster.run("scontrol", "delete", "reservation=r")
    cluster.wait_for(other, "COMPLETED")


def test_a_licence_is_waited_for(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("one", CONFIG)
    cluster.up(*FOUR_NODES)
    first = cluster.submit("-L", "matlab:8", "--wrap", "sleep 300")
    second = cluster.submit("-L", "matlab:3", "--wrap", "true")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", second, "-o%r %W") == "Licenses matlab:3")
    shown = cluster.text("scontrol", "-o", "show", "licenses", "matlab")
    assert shown == "LicenseName=matlab Total=10 Used=8 Free=2 Reserved=0 Remote=no"
    cluster.run("scancel", first)
    cluster.wait_for(second, "COMPLETED")
