"""The units of `corral systemd` under a real systemd, with control groups of version 2.

Only where CORRAL_SYSTEMD says that this machine is for it: `make test-vm` does.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

from corral.agent import cgroup_v2

pytestmark = pytest.mark.skipif("CORRAL_SYSTEMD" not in os.environ, reason="installs units: `make test-vm` runs it")
UNITS = Path("/run/systemd/system")
#: The machine may have one CPU.
CONFIG = """
[timeouts]
kill_wait = 1
[[partition]]
name = "batch"
default = true
oversubscribe = "FORCE:4"
"""
SERVICES = ("controller", "agent")


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    cluster = LiveCluster(tmp_path_factory.mktemp("systemd"), CONFIG)
    try:
        for service in SERVICES:
            text = cluster.text("corral", "systemd", service, "--dir", str(cluster.directory))
            (UNITS / f"corral-{service}.service").write_text(text + "\n")
        systemctl("daemon-reload")
        systemctl("start", "corral-controller")
        assert cluster.text("squeue", "-h") == "", "it serves as soon as it is started"
        systemctl("start", "corral-agent")
        wait_until(lambda: cluster.text("sinfo", "-h", "-o%t") == "idle")
        yield cluster
        cluster.run("scancel", "--user=root", check=False)
    finally:
        for service in reversed(SERVICES):
            systemctl("stop", f"corral-{service}")
            (UNITS / f"corral-{service}.service").unlink()
        systemctl("daemon-reload")


def running(cluster: LiveCluster, *options: str) -> tuple[str, Path]:
    """A job, and the group of its batch step."""
    job = cluster.submit("--mem=50", *options)
    groups = Path(cgroup_v2.top())
    return job, wait_until(
        lambda: next((one for one in groups.glob(f"corral-*/*.job_{job}.0/step_batch") if in_it(one)), None)
    )


def in_it(group: Path) -> str:
    return (group / "cgroup.procs").read_text()


def test_jobs_run_on_while_both_are_restarted(cluster: LiveCluster) -> None:
    job, group = running(cluster, "--wrap", "sleep 3000 & wait")
    before = {service: systemctl("show", "-PMainPID", f"corral-{service}") for service in SERVICES}
    pids = in_it(group)
    for service in SERVICES:
        systemctl("restart", f"corral-{service}")
        assert systemctl("show", "-PMainPID", f"corral-{service}") != before[service]
    assert in_it(group) == pids
    assert (group.parent / "memory.max").read_text() == f"{50 << 20}\n"
    ended = cluster.submit("--wrap", "true")
    cluster.wait_for(ended, "COMPLETED")
    assert cluster.state(job) == "RUNNING"
    cluster.run("scancel", job)
    cluster.wait_for(job, "CANCELLED")
    assert not group.exists()


def test_what_systemd_does_to_its_own_groups_leaves_jobs_their_limits(cluster: LiveCluster) -> None:
    job, group = running(cluster, "--wrap", "sleep 3000")
    systemctl("daemon-reload")
    systemctl("daemon-reexec")
    subprocess.run(["systemd-run", "--wait", "--quiet", "-pMemoryMax=100M", "true"], check=True, timeout=60)
    assert (group.parent / "memory.max").read_text() == f"{50 << 20}\n"
    assert in_it(group)
    cluster.run("scancel", job)


def test_a_job_that_takes_too_much_memory_ends_and_nothing_else_does(cluster: LiveCluster) -> None:
    before = {service: systemctl("show", "-PMainPID", f"corral-{service}") for service in SERVICES}
    job = cluster.submit("--mem=50", "--wrap", "python3 -c 'bytearray(200 << 20)'")
    cluster.wait_for(job, "OUT_OF_MEMORY")
    assert before == {service: systemctl("show", "-PMainPID", f"corral-{service}") for service in SERVICES}


def test_the_daemons_log_is_in_the_journal(cluster: LiveCluster) -> None:
    done = subprocess.run(
        ["journalctl", "-u", "corral-agent", "-o", "cat", "--no-pager"], capture_output=True, text=True, timeout=60
    )
    assert '"agent":' in done.stdout
