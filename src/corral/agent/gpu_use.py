"""What do processes use of NVIDIA's GPUs: memory, and the share of the time that something of theirs ran?"""

import ctypes
from typing import Any


class NvidiaUse:
    """Asked through NVML, of the GPUs with these indices."""

    def __init__(self, nvml: Any, indices: tuple[int, ...]) -> None:
        self._nvml = nvml
        self._handles = []
        self._seen: dict[int, int] = {}  #: the time stamp of the last sample of utilisation, by GPU
        for index in indices:
            try:
                self._handles.append(nvml.nvmlDeviceGetHandleByIndex(index))
            except nvml.NVMLError:
                continue

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


def use_of(indices: tuple[int, ...]) -> NvidiaUse | None:
    """None where NVML is not, or no GPU is held."""
    if not indices:
        return None
    try:
        # Asked first: the binding is a large module, and most machines have no GPU.
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return NvidiaUse(pynvml, indices)
