"""The GPUs that the tests run on: this machine's, or stand-ins for the driver, its files, NVML, CUDA and nvidia-smi, so that the tests
themselves are tried where there is no GPU."""

import dataclasses
import functools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
from tests.unit.agent import fake_nvml
from tests.unit.agent.fake_nvml import Gpu, Slice

HERE = Path(__file__).parent
#: Of NVIDIA's driver: the files of GPUs have its number.
_MAJOR = 195
_INVENTORY = """
import json
from corral.agent import nvidia, nvml
library = nvml.opened()
handles = [library.nvmlDeviceGetHandleByIndex(at) for at in range(library.nvmlDeviceGetCount())]
found = [
    {"uuid": uuid, "bus": bus, "memory": device.memory_mb, "file": file}
    for device in nvidia.gpus() for uuid, bus, file in zip(device.uuids, device.buses, device.files)
]
print(json.dumps([found, [nvml.recovery_action(library, handle) for handle in handles]]))
"""


class Seen(NamedTuple):
    """One GPU, as nvidia-smi tells of it."""

    uuid: str
    bus: str
    memory_mb: int
    name: str


class Machine:
    def __init__(self, environment: dict[str, str], stand_ins: tuple[Gpu, ...] = (), file: Path | None = None) -> None:
        self.environment = environment  #: beside the usual one
        self.is_real = not stand_ins
        self.python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
        self._stand_ins, self._file = stand_ins, file

    def run(self, *command: str) -> str:
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    def gpus(self) -> list[Seen]:
        query = "--query-gpu=uuid,pci.bus_id,memory.total,name"
        rows = [
            line.split(", ") for line in self.run("nvidia-smi", query, "--format=csv,noheader,nounits").splitlines()
        ]
        return [Seen(uuid, bus, int(float(memory)), name) for uuid, bus, memory, name in rows]

    def slices(self) -> list[str]:
        """UUIDs of MIG devices."""
        return re.findall(r"^ .*UUID: (MIG-[^)]*)\)", self.run("nvidia-smi", "-L"), re.MULTILINE)

    @functools.cached_property
    def found(self) -> tuple[list[dict[str, str]], list[int]]:
        """By Corral: a line for each unit; and what the driver wants done about each GPU."""
        units, actions = json.loads(self.run(sys.executable, "-c", _INVENTORY))
        return units, actions

    def use(self, pid: int, memory: int, percent: int) -> None:
        """A stand-in cannot tell by itself."""
        if self._file is not None:
            first = dataclasses.replace(self._stand_ins[0], processes={pid: (memory, percent)})
            self.set(first, *self._stand_ins[1:])

    def set(self, *gpus: Gpu) -> None:
        if self._file is not None:
            new = self._file.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(gpus))
            new.rename(self._file)


def real() -> Machine | None:
    """This machine's GPUs, if there are any."""
    if not shutil.which("nvidia-smi"):
        return None
    machine = Machine({})
    try:
        return machine if machine.gpus() else None
    except (subprocess.SubprocessError, OSError):
        return None


def why_no_stand_ins() -> str:
    if os.geteuid() != 0:
        return "needs root for device files"
    return "" if shutil.which("gcc") else "needs gcc for a stand-in for CUDA"


def stand_ins(directory: Path) -> Machine:
    """Two GPUs, of which the second is sliced. To be taken away by `remove`."""
    parts = [
        Slice("MIG-5f1c7f5e-0000-5000-8000-000000000001", gi=1),
        Slice("MIG-5f1c7f5e-0000-5000-8000-000000000002", gi=2),
    ]
    gpus = (
        Gpu("GPU-5f1c7f5e-1111-4111-8111-111111111111", minor=250, busy=80),
        Gpu("GPU-5f1c7f5e-2222-4222-8222-222222222222", minor=251, bus="00000000:02:00.0", mig=True, slices=parts),
    )
    for gpu in gpus:
        path = f"/dev/nvidia{gpu.minor}"
        if not os.path.exists(path):
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(_MAJOR, gpu.minor))
            os.chmod(path, 0o666)
    library = directory / "lib"
    library.mkdir()
    command = ["gcc", "-O1", "-shared", "-fPIC", "-o", library / "libcuda.so.1", HERE / "libcuda_standin.c"]
    subprocess.run(command, check=True)
    programs = directory / "bin"
    programs.mkdir()
    for program in (HERE / "nvidia-smi", HERE.parent / "unit/agent/nvidia-cuda-mps-control"):
        shutil.copy(program, programs)
    file = directory / "gpus.json"
    nvml = fake_nvml.environment(file)
    machine = Machine(
        nvml | {
            "LD_LIBRARY_PATH": f"{library}:{nvml['LD_LIBRARY_PATH']}",
            "PATH": f"{programs}:{os.environ['PATH']}",
            "STANDIN_CUDA_FILES": ":".join(f"/dev/nvidia{gpu.minor}" for gpu in gpus),
            "STANDIN_CUDA_UUIDS": ":".join(gpu.uuid for gpu in gpus),
        },
        gpus,
        file,
    )  # fmt: skip
    machine.set(*gpus)
    return machine


def remove() -> None:
    for minor in (250, 251):
        try:
            os.unlink(f"/dev/nvidia{minor}")
        except FileNotFoundError:
            pass
