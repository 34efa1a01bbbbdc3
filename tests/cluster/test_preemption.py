"""Preemption on a real cluster: what a script sees of it, and what the commands say."""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

BY_QOS = """
[timeouts]
kill_wait = 5
[scheduling]
time_limit_step = 1
[preemption]
type = "qos"
mode = "REQUEUE"
send_user_signal = true
"""
BY_PARTITION = """
[timeouts]
kill_wait = 2
[preemption]
type = "partition_prio"
mode = "SUSPEND,GANG"
time_slice = 5
[[partition]]
name = "turns"
oversubscribe = "FORCE:2"
[[partition]]
name = "low"
default = true
preempt_mode = "CANCEL"
grace_time = 5
[[partition]]
name = "frozen"
oversubscribe = "FORCE:1"
[[partition]]
name = "high"
priority_tier = 10
"""
#: As the real one was configured for tests/golden/scontrol/preemption.txt.
SESSION = """
[timeouts]
kill_wait = 5
[scheduling]
requeue_delay = 120
[preemption]
type = "qos"
mode = "REQUEUE"
strict_order = true
send_user_signal = true
[[partition]]
name = "batch"
default = true
[[partition]]
name = "other"
preempt_mode = "CANCEL"
grace_time = 7
priority_tier = 3
"""
GOLDEN = Path(__file__).parents[1] / "golden" / "scontrol" / "preemption.txt"
ONE_NODE = ("--nodes=1", "--cpus=4", "--mem=4000")
CHECKPOINTS = """#!/bin/bash
#SBATCH --requeue --open-mode=append --signal=B:USR1@20 -o out
trap 'echo saved > checkpoint; exit 3' USR1
echo "run ${SLURM_RESTART_COUNT:-0}"
if [ -e checkpoint ]; then echo "went on from $(cat checkpoint)"; exit 0; fi
touch started
while true; do sleep 0.1; done
"""


def test_a_script_that_saves_its_work_on_the_signal_goes_on_after_the_urgent_job(
    make_cluster: Callable[..., LiveCluster],
) -> None:
    cluster = make_cluster("qos", BY_QOS)
    cluster.up(*ONE_NODE)
    cluster.run("sacctmgr", "-i", "add", "qos", "low", "GraceTime=60")
    cluster.run("sacctmgr", "-i", "add", "qos", "high", "Preempt=low")
    (cluster.work / "job.sh").write_text(CHECKPOINTS)
    low = cluster.submit("-n4", "-q", "low", "job.sh")
    wait_until((cluster.work / "started").exists)
    tried = cluster.run("sbatch", "--test-only", "-n4", "-q", "high", "--wrap=true").stderr
    assert re.fullmatch(
        rf"sbatch: Job \d+ to start at \S+ using 4 processors on nodes \S+ in partition batch\nsbatch:   Preempts: {low}\n",
        tried,
    )
    high = cluster.submit("-n4", "-q", "high", "--wrap=true")
    cluster.wait_for(high, "COMPLETED")
    cluster.wait_for(low, "COMPLETED")
    assert (cluster.work / "out").read_text().splitlines() == ["run 0", "run 1", "went on from saved"]
    rows = cluster.text("sacct", "-D", "-X", "-n", "-P", "-o", "jobid,state", "-j", low).splitlines()
    assert rows == [f"{low}|PREEMPTED", f"{low}|COMPLETED"]


def test_a_job_in_its_grace_time_is_told_and_then_ended(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("cancel", BY_PARTITION)
    cluster.up(*ONE_NODE)
    script = "#!/bin/bash\nsrun -n1 bash -c 'trap \"echo told\" TERM; touch started; while true; do sleep 0.1; done'\n"
    (cluster.work / "job.sh").write_text(script)
    low = cluster.submit("-n4", "-o", "out", "job.sh")
    wait_until((cluster.work / "started").exists)
    high = cluster.submit("-n4", "-p", "high", "--wrap=true")
    shown = wait_until(lambda: _shown(cluster, low, "PreemptTime=2"), what="it is preempted")
    assert "JobState=RUNNING" in shown
    cluster.wait_for(low, "PREEMPTED")
    cluster.wait_for(high, "COMPLETED")
    text = (cluster.work / "out").read_text()
    assert "told" in text
    assert re.search(rf"slurmstepd\S*: error: \*\*\* JOB {low} ON \S+ CANCELLED AT \S+ DUE TO PREEMPTION \*\*\*", text)
    assert cluster.text("squeue", "-h", "-t", "all", "-j", low, "-o", "%t %r") == "PR None"


def test_a_suspended_job_goes_on_where_it_was(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("suspend", BY_PARTITION)
    cluster.up(*ONE_NODE)
    (cluster.work / "job.sh").write_text("#!/bin/bash\nfor i in $(seq 1000000); do echo $i > at; sleep 0.02; done\n")
    low = cluster.submit("-n4", "-p", "frozen", "job.sh")
    wait_until((cluster.work / "at").exists)
    high = cluster.submit("-n4", "-p", "high", "--wrap=while [ ! -e over ]; do sleep 0.05; done")
    cluster.wait_for(high, "RUNNING")
    assert cluster.text("squeue", "-h", "-j", low, "-o", "%t") == "S"
    at = _at(cluster.work)
    Path(cluster.work / "over").touch()
    cluster.wait_for(high, "COMPLETED")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", low, "-o", "%t") == "R")
    wait_until(lambda: _at(cluster.work) > at, what="it goes on")
    cluster.run("scancel", low)
    (cluster.work / "count.sh").write_text("#!/bin/bash\nwhile true; do echo $((++i)) > at.$1; sleep 0.02; done\n")
    first, second = [cluster.submit("-n4", "-p", "turns", "count.sh", name) for name in ("1", "2")]
    cluster.wait_for(first, "RUNNING")
    wait_until(lambda: _states(cluster) in ("R S", "S R"), what="one of them waits for its turn")
    before = _states(cluster)
    wait_until(lambda: _states(cluster) == before[::-1], what="the other has its turn")
    cluster.run("scancel", first, second)


@pytest.mark.skipif(os.getuid() != 0, reason="the session that was recorded is root's")
def test_a_session_with_preemption_reads_as_with_slurm(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("session", SESSION)
    cluster.up("--nodes=1", "--cpus=4", "--mem=64000", "--prefix=dgx0180")
    seen = []
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("$ "):
            done = cluster.run(*shlex.split(line[2:]), check=False)
            text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "<TIME>", done.stdout + done.stderr)
            text = re.sub(r"Submitted batch job \d+", "<ID>", text)
            seen.append(f"{line}\n{text}[exit {done.returncode}]\n")
    assert "".join(seen) == GOLDEN.read_text()


def _shown(cluster: LiveCluster, job: str, text: str) -> str:
    shown = cluster.text("scontrol", "show", "job", job)
    return shown if text in shown else ""


def _states(cluster: LiveCluster) -> str:
    return " ".join(cluster.text("squeue", "-h", "-p", "turns", "-S", "i", "-o", "%t").split())


def _at(work: Path) -> int:
    return int((work / "at").read_text() or 0)
