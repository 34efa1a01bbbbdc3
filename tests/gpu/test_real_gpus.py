"""Jobs on NVIDIA's GPUs: they are found, fenced, computed on, sampled and shared.

`make test-gpu` runs this on a machine that has one. Elsewhere stand-ins take the driver's place, which shows that these tests are sound,
and all of Corral up to the driver.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.gpu import cuda_add, machine
from tests.gpu.machine import Machine

from corral.agent import nvml
from corral.client.client import ClusterClient

CONFIG = """
gres_types = ["gpu", "shard"]
[timeouts]
heartbeat = 0.5
[containers]
cdi_dirs = ["CDI"]
[gpu_sharing]
fence = "FENCE"
"""
MPS = "nvidia-cuda-mps-control"
#: Which of these files may a task open?
OPENS = """
import errno, os, sys
for path in sys.argv[1:]:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        if error.errno != errno.ENXIO:
            continue
    print(path)
"""
MEGABYTES = 512


@pytest.fixture(scope="module")
def gpus() -> Iterator[Machine]:
    found = machine.real()
    if found is not None:
        yield found
        return
    if os.environ.get("CORRAL_REAL_GPU"):
        pytest.skip("there is no NVIDIA GPU here")
    if why := machine.why_no_stand_ins():
        pytest.skip(f"no NVIDIA GPU, and {why}")
    try:
        with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # of all users
            os.chmod(directory, 0o755)
            yield machine.stand_ins(Path(directory))
    finally:
        machine.remove()


@pytest.fixture(scope="module")
def live(gpus: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    directory = tmp_path_factory.mktemp("cluster")
    fence = "mps" if shutil.which(MPS, path=(os.environ | gpus.environment)["PATH"]) else "none"
    one = LiveCluster(directory, CONFIG.replace("CDI", str(directory / "cdi")).replace("FENCE", fence))
    path = gpus.environment.get("PATH", "")
    one.environment |= gpus.environment | {
        "PATH": f"{one.environment['PATH'].split(':')[0]}:{path or os.environ['PATH']}"
    }
    try:
        one.up()
        yield one
    finally:
        one.down()


@pytest.fixture(scope="module")
def program() -> Iterator[str]:
    """cuda_add.py, where every user may read it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        yield shutil.copy(cuda_add.__file__, directory)


def node_of(live: LiveCluster, *fields: str) -> dict[str, Any]:
    with ClusterClient(live.endpoint) as client:
        (node,) = client.nodes(fields=fields)
    return node


def files_of(gpus: Machine) -> list[str]:
    units, _ = gpus.found
    return sorted({unit["file"] for unit in units})


def needs_fences(live: LiveCluster) -> None:
    missing = [word for word in node_of(live, "unenforced")["unenforced"] if word.startswith("devices")]
    if missing:
        pytest.skip(f"this machine does not let an agent fence GPUs: {', '.join(missing)}")


def whole_gpu(gpus: Machine) -> str:
    """Type of one that is not sliced."""
    if all(unit["uuid"].startswith("MIG-") for unit in gpus.found[0]):
        pytest.skip("all GPUs are sliced")
    from corral.agent.found import short_type

    return short_type(gpus.gpus()[0].name)


def test_corral_finds_what_nvidia_smi_finds(gpus: Machine, live: LiveCluster) -> None:
    units, _ = gpus.found
    seen = {one.uuid: one for one in gpus.gpus()}
    whole = [unit for unit in units if not unit["uuid"].startswith("MIG-")]
    assert sorted(unit["uuid"] for unit in units if unit["uuid"].startswith("MIG-")) == sorted(gpus.slices())
    for unit in whole:
        one = seen[unit["uuid"]]
        assert unit["bus"] == nvml.kernels_bus(one.bus)
        assert float(unit["memory"]) == pytest.approx(one.memory_mb, rel=0.01)
        assert os.path.exists(unit["file"])
    assert len(whole) == len(seen) or gpus.slices()
    assert node_of(live, "gpus_total") == {"gpus_total": len(units)}
    shown = wait_until(lambda: (row := node_of(live, "gpus_busy", "gpus_memory_mb"))["gpus_busy"] and row)
    assert len(shown["gpus_busy"]) == len(shown["gpus_memory_mb"]) == len(units)


def test_healthy_gpus_need_nothing(gpus: Machine, live: LiveCluster) -> None:
    assert set(gpus.found[1]) == {0}
    assert node_of(live, "state_text", "reason")["reason"] == ""


def as_users(live: LiveCluster, *words: str) -> list[str]:
    """What a job says as the one who runs the tests, and, where that is root, as an ordinary user."""
    command = ("sh", "-c", *words)
    ways = [(), ("--uid=daemon", "--chdir=/")] if os.geteuid() == 0 else [()]
    return [live.text("srun", "-c1", *way, *command) for way in ways]


def test_a_job_without_gpus_opens_none_and_cuda_finds_none(gpus: Machine, live: LiveCluster, program: str) -> None:
    needs_fences(live)
    script = """exec 2>&1; "$1" -c "$2" $3; nvidia-smi -L | grep -c "UUID: GPU"; "$1" "$4"; echo $?"""
    for said in as_users(live, script, "sh", gpus.python, OPENS, " ".join(files_of(gpus)), program):
        *_, shown, problem, status = lines = said.splitlines()
        assert not any(line.startswith("/dev/") for line in lines), said
        assert (shown, status) == ("0", str(cuda_add.NO_DEVICE)), said
        assert problem.startswith("cuInit: CUDA_ERROR_"), said


def test_a_job_with_a_gpu_computes_on_it_and_reaches_no_other(gpus: Machine, live: LiveCluster, program: str) -> None:
    script = """"$1" -c "$2" $3; nvidia-smi -L | grep -c "UUID: GPU"; exec "$1" "$4" """
    live.environment["SLURM_GPUS"] = f"{whole_gpu(gpus)}:1"
    try:
        both = as_users(live, script, "sh", gpus.python, OPENS, " ".join(files_of(gpus)), program)
    finally:
        del live.environment["SLURM_GPUS"]
    for said in both:
        *opened, shown, result = said.splitlines()
        done = json.loads(result)
        assert done["right"] == done["of"] == cuda_add.COUNT
        assert done["uuid"] in {one.uuid for one in gpus.gpus()}
    needs_fences(live)
    for said in both:
        *opened, shown, result = said.splitlines()
        assert (len(opened), shown, json.loads(result)["devices"]) == (1, "1", 1), said


def tres(live: LiveCluster, command: str, job: str) -> dict[str, str]:
    options = ("-anP", "-o") if command == "sstat" else ("-nP", "-o")
    text = live.run(command, *options, "TRESUsageInTot", "-j", job, check=False).stdout
    return dict(part.split("=", 1) for line in text.splitlines() for part in line.split(",") if "=" in part)


def test_what_a_job_uses_of_its_gpu_is_shown_and_kept(gpus: Machine, live: LiveCluster, program: str) -> None:
    kind, note = whole_gpu(gpus), live.work / "pid"
    command = f"exec {gpus.python} {program} --seconds 30 --megabytes {MEGABYTES} --pid-file {note}"
    job = live.submit(f"--gpus={kind}:1", "--wrap", command)
    pid = int(wait_until(lambda: note.exists() and note.read_text()))
    gpus.use(pid, (MEGABYTES + 100) << 20, 55)
    if gpus.is_real and pid not in processes(gpus):
        live.run("scancel", job)
        pytest.skip("the driver tells no process ids that count here (a container with process ids of its own)")
    wait_until(lambda: is_seen(tres(live, "sstat", f"{job}.batch")))
    live.run("scancel", job)
    live.wait_for(job, "CANCELLED")
    assert is_seen(tres(live, "sacct", f"{job}.batch"))


def is_seen(used: dict[str, str]) -> bool:
    """The first sample may be of before the program had its memory."""
    memory, busy = used.get("gres/gpumem", "0"), used.get("gres/gpuutil", "0")
    return int(memory.rstrip("M").rstrip("K")) >= MEGABYTES and int(busy) > 0


def processes(gpus: Machine) -> set[int]:
    text = gpus.run("nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader")
    return {int(line) for line in text.splitlines() if line.strip().isdigit()}


def test_two_shares_of_a_gpu_compute_at_once(gpus: Machine, live: LiveCluster, program: str) -> None:
    kind = whole_gpu(gpus)
    has_mps = shutil.which(MPS, path=live.environment["PATH"]) is not None
    if not has_mps:
        pytest.skip(f"{MPS} is not here")
    seconds = 8 if gpus.is_real else 3
    command = (
        f"echo $CUDA_MPS_PIPE_DIRECTORY; ls $CUDA_MPS_PIPE_DIRECTORY; exec {gpus.python} {program} --seconds {seconds}"
    )
    jobs = [live.submit(f"--gres=gpu:{kind}:0.5", "-c1", "-o", f"share{n}", "--wrap", command) for n in (1, 2)]
    for job in jobs:
        live.wait_for(job, "COMPLETED", "FAILED")
    said = [(live.work / f"share{n}").read_text().splitlines() for n in (1, 2)]
    assert said[0][0] == said[1][0] != "", said
    assert all(f"{MPS}.pid" in lines for lines in said)
    first, second = (json.loads(lines[-1]) for lines in said)
    assert first["uuid"] == second["uuid"]
    assert all(one["right"] == one["of"] and one["launches"] for one in (first, second))
    assert max(first["from"], second["from"]) < min(first["to"], second["to"]), "one after the other"
    wait_until(lambda: not os.path.exists(f"{said[0][0]}/{MPS}.pid"))


def test_a_container_computes_with_the_driver_that_cdi_brings(gpus: Machine, live: LiveCluster, program: str) -> None:
    if not shutil.which("mksquashfs"):
        pytest.skip("needs squashfs-tools")
    kind, specifications = whole_gpu(gpus), live.work.parent / "cdi"
    specifications.mkdir()
    if gpus.is_real:
        if not shutil.which("nvidia-ctk"):
            pytest.skip("nvidia-ctk (of the NVIDIA Container Toolkit) is not here")
        subprocess.run(
            ["nvidia-ctk", "cdi", "generate", f"--output={specifications}/nvidia.yaml"], check=True, capture_output=True
        )
        library = ""
    else:
        library = str(Path(gpus.environment["LD_LIBRARY_PATH"].split(":")[0]) / "libcuda.so.1")
        (specifications / "nvidia.yaml").write_text(_CDI.replace("LIBRARY", library))
    root = live.work / "root"
    for name in ("etc", "tmp", "dev", "proc", "sys", "usr"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(f"usr/{name}")
    subprocess.run(["mksquashfs", root, live.work / "image.sqsh", "-quiet"], check=True, stdout=subprocess.DEVNULL)
    mounts = f"/usr:/usr:ro,{Path(program).parent}:/program:ro"
    options = (f"--gpus={kind}:1", f"--container-image={live.work}/image.sqsh", f"--container-mounts={mounts}")
    export = "--export=ALL" if gpus.is_real else f"--export=ALL,LD_LIBRARY_PATH={Path(library).parent}"
    done = json.loads(live.text("srun", *options, export, "/usr/bin/python3", "/program/cuda_add.py"))
    assert done["right"] == done["of"]


_CDI = """
kind: nvidia.com/gpu
devices:
- {name: GPU-5f1c7f5e-1111-4111-8111-111111111111, containerEdits: {deviceNodes: [{path: /dev/nvidia250}]}}
containerEdits:
  mounts: [{hostPath: LIBRARY, containerPath: LIBRARY, options: [ro, bind]}]
"""
