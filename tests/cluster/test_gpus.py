"""A cluster on this machine, whose GPUs a stand-in for NVML makes up."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.unit.agent import fake_nvml
from tests.unit.agent.fake_nvml import Gpu

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CONFIG = """
private_data = []
[timeouts]
heartbeat = 0.2
[gpus]
idle_warn = 1
idle_end = 3
idle_jobs = "all"
"""


@pytest.fixture
def live(make_cluster: Callable[..., LiveCluster], tmp_path: Path) -> LiveCluster:
    """With two GPUs, of which the first works."""
    cluster = make_cluster(config=CONFIG)
    gpus = tmp_path / "gpus.json"
    two = Gpu("GPU-a", minor=240, busy=90), Gpu("GPU-b", minor=241, bus="00000000:02:00.0")
    gpus.write_bytes(msgspec.json.encode(two))
    cluster.environment |= fake_nvml.environment(gpus)
    cluster.up()
    return cluster


def test_a_job_whose_gpu_does_nothing_is_told_and_ended(live: LiveCluster) -> None:
    works = live.submit("--gpus=1", "--wrap", "echo $CUDA_VISIBLE_DEVICES; exec sleep 30")
    idles = live.submit("--gpus=1", "--wrap", "exec sleep 30")
    live.wait_for(idles, "TIMEOUT")
    assert live.state(works) == "RUNNING"
    said = (live.work / f"slurm-{idles}.out").read_text()
    assert f"The GPUs of job {idles} have done nothing for 00:00:0" in said
    assert "DUE TO IDLE GPUS ***" in said
    shown = live.text("sacct", "-nPX", "-j", idles, "-o", "State,Reason,SystemComment")
    assert shown.startswith("TIMEOUT|InactiveLimit|its GPUs did nothing for 00:00:0")
    assert "Reason=InactiveLimit" in live.text("scontrol", "show", "job", idles)
    assert "SystemComment=its GPUs did nothing for 00:00:0" in live.text("scontrol", "show", "job", idles)
    live.run("scancel", works)
    wait_until(lambda: live.state(works).startswith("CANCELLED"))
