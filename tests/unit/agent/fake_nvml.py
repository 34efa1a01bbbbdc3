"""A stand-in for pynvml at its C API's boundary: functions of the same names, over GPUs that a test describes."""

import ctypes
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


class NVMLError(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.value = {"not supported": 3, "not found": 6, "GPU is lost": 15, "invalid argument": 2}[text]


@dataclass
class Slice:
    """A MIG device."""

    uuid: str
    profile: str = "1g.10gb"
    gi: int = 7
    ci: int = 0
    memory: int = 10 << 30


@dataclass
class Gpu:
    uuid: str
    minor: int = 0
    name: str = "NVIDIA H200"
    bus: str = "00000000:01:00.0"
    memory: int = 141 << 30
    cpus: int = 0  #: a mask; 0 = cannot be told
    nvlinks: tuple[str, ...] = ()  #: PCI addresses of the other ends
    slices: list[Slice] = field(default_factory=list)
    mig: bool = False
    broken: bool = False  #: it does not answer
    recovery: int = 0  #: what it needs before it is used again
    busy: int = 0  #: percent
    used: int = 0  #: bytes
    processes: dict[int, tuple[int, int]] = field(default_factory=dict)  #: pid -> bytes, percent


class Nvml:
    """The library; near: how two GPUs are joined on the bus, by their places."""

    NVMLError = NVMLError
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = 230

    def __init__(self, *gpus: Gpu, near: dict[tuple[int, int], int] | None = None) -> None:
        self.gpus, self.near = list(gpus), near or {}

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self._answering(self.gpus[index])

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:
        for gpu in self.gpus:
            whole: list[Gpu | Slice] = [gpu, *gpu.slices]
            for one in whole:
                if one.uuid == uuid:
                    return self._answering(gpu) and one
        raise NVMLError("not found")

    def _answering(self, gpu: Gpu) -> Gpu:
        if gpu.broken:
            raise NVMLError("GPU is lost")
        return gpu

    def nvmlDeviceGetMinorNumber(self, gpu: Gpu) -> int:
        return self._answering(gpu).minor

    def nvmlDeviceGetName(self, one: Gpu | Slice) -> bytes:
        if isinstance(one, Slice):
            return f"NVIDIA H200 MIG {one.profile}".encode()
        return one.name.encode()

    def nvmlDeviceGetUUID(self, one: Gpu | Slice) -> str:
        return one.uuid

    def nvmlDeviceGetPciInfo(self, gpu: Gpu) -> Any:
        return SimpleNamespace(busId=gpu.bus)

    def nvmlDeviceGetMemoryInfo(self, one: Gpu | Slice) -> Any:
        return SimpleNamespace(total=one.memory, used=getattr(one, "used", 0))

    def nvmlDeviceGetCpuAffinity(self, gpu: Gpu, words: int) -> list[int]:
        if not gpu.cpus:
            raise NVMLError("not supported")
        return [gpu.cpus >> 64 * at & (1 << 64) - 1 for at in range(words)]

    def nvmlDeviceGetMigMode(self, gpu: Gpu) -> list[int]:
        return [int(gpu.mig), int(gpu.mig)]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Gpu) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Gpu, index: int) -> Slice:
        if index >= len(gpu.slices):
            raise NVMLError("not found")
        return gpu.slices[index]

    def nvmlDeviceGetGpuInstanceId(self, one: Slice) -> int:
        return one.gi

    def nvmlDeviceGetComputeInstanceId(self, one: Slice) -> int:
        return one.ci

    def nvmlDeviceGetNvLinkState(self, gpu: Gpu, link: int) -> int:
        if link >= len(gpu.nvlinks):
            raise NVMLError("invalid argument")
        return 1

    def nvmlDeviceGetNvLinkRemotePciInfo(self, gpu: Gpu, link: int) -> Any:
        return SimpleNamespace(busId=gpu.nvlinks[link])

    def nvmlDeviceGetNvLinkRemoteDeviceType(self, gpu: Gpu, link: int) -> int:
        return 2 if "switch" in gpu.nvlinks[link] else 0

    def nvmlDeviceGetTopologyCommonAncestor(self, one: Gpu, other: Gpu) -> int:
        a, b = sorted((self.gpus.index(one), self.gpus.index(other)))
        return self.near.get((a, b), 50)

    def nvmlDeviceGetFieldValues(self, gpu: Gpu, fields: list[int]) -> list[Any]:
        assert fields == [self.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=gpu.recovery))]

    def nvmlDeviceGetUtilizationRates(self, gpu: Gpu) -> Any:
        if isinstance(gpu, Slice):
            raise NVMLError("not supported")
        return SimpleNamespace(gpu=self._answering(gpu).busy, memory=0)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Gpu) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, (size, _) in gpu.processes.items()]

    def nvmlDeviceGetProcessUtilization(self, gpu: Gpu, since: int) -> list[Any]:
        if not gpu.processes:
            raise NVMLError("not found")
        return [SimpleNamespace(pid=pid, smUtil=busy, timeStamp=since + 1) for pid, (_, busy) in gpu.processes.items()]


def installed(monkeypatch: pytest.MonkeyPatch, nvml: Nvml) -> Nvml:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def environment(gpus: Path) -> dict[str, str]:
    """Of a process that is to find the GPUs in this JSON file."""
    directory = gpus.parent / "nvml"
    directory.mkdir(exist_ok=True)
    library = directory / "libnvidia-ml.so.1"
    if not library.exists():  # any library: only that it is there is asked
        library.symlink_to(_path_of("libm.so.6"))
    top = Path(__file__).parents[3]
    return {
        "FAKE_NVML": str(gpus),
        "LD_LIBRARY_PATH": str(directory),
        "PYTHONPATH": f"{top / 'tests/cluster/nvml_standin'}:{top}",
    }


def _path_of(name: str) -> str:
    """Of a library that this process has loaded."""
    ctypes.CDLL(name)
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(line.split()[-1] for line in lines if name in line)
