"""What do processes use of GPUs: memory, and (NVIDIA's) the share of the time that something of theirs ran?"""

import os
from typing import Any

from corral.agent import nvml


class NvidiaUse:
    """Asked through NVML, of the GPUs with these UUIDs."""

    def __init__(self, library: Any, uuids: tuple[str, ...]) -> None:
        self._nvml = library
        self._handles: list[Any] = []
        self._seen: dict[int, int] = {}  #: the time stamp of the last sample of utilisation, by GPU
        for uuid in uuids:
            handle = nvml.told(library, None, "nvmlDeviceGetHandleByUUID", uuid)
            if handle is not None:
                self._handles.append(handle)

    def of_processes(self) -> dict[int, tuple[int, int]]:
        """pid -> bytes, percent. On several GPUs both are added up."""
        memory: dict[int, int] = {}
        busy: dict[int, int] = {}
        for place, handle in enumerate(self._handles):
            for pid, size in self._memory(handle):
                memory[pid] = memory.get(pid, 0) + size
            for pid, percent in self._busy(place, handle):
                busy[pid] = busy.get(pid, 0) + percent
        return {pid: (memory.get(pid, 0), busy.get(pid, 0)) for pid in {*memory, *busy}}

    def _memory(self, handle: Any) -> list[tuple[int, int]]:
        try:
            return [(p.pid, p.usedGpuMemory or 0) for p in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        except self._nvml.NVMLError:
            return []

    def _busy(self, place: int, handle: Any) -> list[tuple[int, int]]:
        """The highest of the samples since the last look."""
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(handle, self._seen.get(place, 0))
        except self._nvml.NVMLError:
            return []  # nothing ran, or this GPU cannot tell
        highest: dict[int, int] = {}
        for sample in samples:
            self._seen[place] = max(self._seen.get(place, 0), sample.timeStamp)
            highest[sample.pid] = max(highest.get(sample.pid, 0), sample.smUtil)
        return list(highest.items())


class AmdUse:
    """Told by the driver: memory only. A process has opened no GPUs but its step's, so all that it has counts."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def of_processes(self) -> dict[int, tuple[int, int]]:
        return {int(name): (self._memory(name), 0) for name in _names(self._directory) if name.isdigit()}

    def _memory(self, process: str) -> int:
        total = 0
        for name in _names(f"{self._directory}/{process}"):
            if name.startswith("vram_"):
                try:
                    with open(f"{self._directory}/{process}/{name}") as file:
                        total += int(file.read())
                except (OSError, ValueError):
                    continue  # it has just ended
        return total


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def use_of(gpus: tuple[str, ...], kfd: str = "/sys/class/kfd/kfd/proc") -> NvidiaUse | AmdUse | None:
    """Of the GPUs, or slices, of these UUIDs. None where no GPU is held, or nobody tells."""
    library = nvml.opened() if gpus else None
    if library is not None:
        return NvidiaUse(library, gpus)
    return AmdUse(kfd) if gpus and os.path.isdir(kfd) else None
