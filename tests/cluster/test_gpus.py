"""A cluster on this machine, whose GPUs a stand-in for NVML makes up."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.unit.agent import fake_nvml
from tests.unit.agent.fake_nvml import Gpu

from corral.agent import cpus
from corral.agent.inventory import topology

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CONFIG = """
private_data = []
[timeouts]
heartbeat = 0.2
[containers]
cdi_dirs = ["CDI"]
[gpus]
idle_warn = 1
idle_end = 3
idle_jobs = "all"
[isolation]
private_dirs = ["/var/tmp"]
"""


#: The kernel's numbers of CPUs on two cores.
CORES = cpus.in_order()[:: topology()[2]][:2]
NEAR = [1 << core for core in CORES] if len(CORES) == 2 else [0, 0]
FIRST = Gpu("GPU-a", minor=240, busy=90, cpus=NEAR[0])
SECOND = Gpu("GPU-b", minor=241, bus="00000000:02:00.0", cpus=NEAR[1])


def set_gpus(live: LiveCluster, *gpus: Gpu) -> None:
    """Also while the cluster runs."""
    file = live.work.parent / "gpus.json"
    file.with_suffix(".new").write_bytes(msgspec.json.encode(gpus))
    file.with_suffix(".new").rename(file)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """With two GPUs, of which the first works."""
    directory = tmp_path_factory.mktemp("gpus")
    one = LiveCluster(directory, CONFIG.replace("CDI", str(directory / "cdi")))
    set_gpus(one, FIRST, SECOND)
    one.environment |= fake_nvml.environment(directory / "gpus.json")
    try:
        one.up()
        yield one
    finally:
        one.down()


@pytest.fixture
def live(cluster: LiveCluster) -> LiveCluster:
    """With nothing on it."""
    set_gpus(cluster, FIRST, SECOND)
    cluster.run("scancel", "-u", "root")
    wait_until(lambda: not cluster.text("squeue", "-h"))
    return cluster


def test_a_job_whose_gpu_does_nothing_is_told_and_ended(live: LiveCluster) -> None:
    works = live.submit("--gpus=1", "--wrap", "echo $CUDA_VISIBLE_DEVICES; exec sleep 300")
    idles = live.submit("--gpus=1", "--wrap", "exec sleep 300")
    live.wait_for(idles, "TIMEOUT")
    assert live.state(works) == "RUNNING"
    said = (live.work / f"slurm-{idles}.out").read_text()
    assert f"The GPUs of job {idles} have done nothing for 00:0" in said
    assert "DUE TO IDLE GPUS ***" in said
    shown = live.text("sacct", "-nPX", "-j", idles, "-o", "State,Reason,SystemComment")
    assert shown.startswith("TIMEOUT|InactiveLimit|its GPUs did nothing for 00:0")
    assert "Reason=InactiveLimit" in live.text("scontrol", "show", "job", idles)
    assert "SystemComment=its GPUs did nothing for 00:0" in live.text("scontrol", "show", "job", idles)
    live.run("scancel", works)
    wait_until(lambda: live.state(works).startswith("CANCELLED"))


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_tasks_see_the_gpus_near_their_cores(live: LiveCluster) -> None:
    bound = ("--cpu-bind=cores", "--gpu-bind=closest")
    lines = live.text("srun", "-l", "-n2", "--gpus=2", *bound, "sh", "-c", "echo $SLURM_STEP_GPUS").splitlines()
    assert sorted(lines) == ["0: 0", "1: 1"]
    assert "(S:0" in live.text("sinfo", "-h", "-o", "%G")


def test_what_a_job_uses_of_its_gpu_is_sampled(live: LiveCluster) -> None:
    job = live.submit("--gpus=1", "--wrap", "echo $$ > pid; sleep 300 & wait")
    pid = int(wait_until(lambda: (live.work / "pid").exists() and (live.work / "pid").read_text()))
    set_gpus(live, dataclasses.replace(FIRST, processes={pid: (3 << 30, 55)}), SECOND)
    shown = wait_until(
        lambda: "gpumem" in (text := live.text("sstat", "-anP", "-j", job, "-o", "TRESUsageInTot")) and text
    )
    assert "gres/gpumem=3G" in shown
    assert "gres/gpuutil=55" in shown
    live.run("scancel", job)
    wait_until(lambda: live.state(job).startswith("CANCELLED"))
    kept = live.text("sacct", "-nP", "-j", f"{job}.batch", "-o", "TRESUsageInTot")
    assert "gres/gpumem=3G" in kept
    assert "gres/gpuutil=55" in kept


def test_an_salloc_tells_its_user_too(live: LiveCluster) -> None:
    taken = live.submit("--gpus=1", "--wrap", "exec sleep 300")  # the one that works
    live.wait_for(taken, "RUNNING")
    done = live.run("salloc", "--gpus=1", "sleep", "300", check=False)
    assert "salloc: The GPUs of job" in done.stderr
    assert "It will be ended in 00:0" in done.stderr
    assert "has been revoked" in done.stderr
    live.run("scancel", taken)


CDI = """
kind: nvidia.com/gpu
devices:
- name: GPU-a
  containerEdits: {deviceNodes: [{path: /dev/nvidia240}], env: [DRIVER_OF=a]}
- name: GPU-b
  containerEdits: {deviceNodes: [{path: /dev/nvidia241}], env: [DRIVER_OF=b]}
containerEdits:
  mounts: [{hostPath: LIBRARY, containerPath: /usr/lib/nv/libdriver.so.550, options: [ro, bind]}]
  hooks:
  - {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, update-ldcache, --folder, /usr/lib/nv]}
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
    args: [nvidia-ctk, hook, create-symlinks, --link, "libdriver.so.550::/usr/lib/nv/libdriver.so"]
  - {hookName: createContainer, path: /usr/bin/strange, args: [strange]}
"""


@pytest.mark.skipif(
    not shutil.which("mksquashfs") or not shutil.which("busybox"), reason="needs squashfs-tools, busybox"
)
def test_a_container_gets_the_driver_that_cdi_tells_of(live: LiveCluster, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    for name in ("busybox", "sh", "cat", "readlink", "touch"):
        shutil.copy(shutil.which("busybox") or "", root / "bin" / name)
    subprocess.run(["mksquashfs", root, tmp_path / "image.sqsh", "-quiet"], check=True, stdout=subprocess.DEVNULL)
    library = tmp_path / "library"
    library.write_text("the driver\n")
    specifications = live.work.parent / "cdi"
    specifications.mkdir()
    (specifications / "nvidia.yaml").write_text(CDI.replace("LIBRARY", str(library)))
    script = "cd /usr/lib/nv; cat libdriver.so; readlink libdriver.so; touch libdriver.so.550; echo $DRIVER_OF $LD_LIBRARY_PATH"
    done = live.run("srun", "--gpus=1", f"--container-image={tmp_path}/image.sqsh", "sh", "-c", script)
    assert done.stdout.startswith("the driver\nlibdriver.so.550\na ")
    assert done.stdout.endswith(":/usr/lib/nv\n")
    assert "slurmstepd: error: CDI: this hook is not run: /usr/bin/strange" in done.stderr
    assert "Read-only file system" in done.stderr


def test_what_is_brought_to_a_jobs_own_directory_is_there_for_its_tasks_and_nobody_else(cluster: LiveCluster) -> None:
    (cluster.work / "brought").write_text("brought")
    there = f"/var/tmp/corral-{os.getpid()}"
    script = f"sbcast brought {there}; srun cat {there}; srun --bcast={there}.prog cat {there}"
    assert cluster.text("salloc", "-Q", "sh", "-c", script) == "broughtbrought"
    assert not Path(there).exists()
