"""Do this node's GPUs still work, and how busy are they?

A thread asks NVML, which can hang with a broken GPU; the agent goes on. What is wrong in two looks running is told, and again every so
often as long as it stays so: a node that was taken back with a dead GPU is drained again. An Xid is told once, when the driver
writes it; that a GPU waits for a reset is also seen after an Xid from before the agent ran.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from corral.agent import amd, nvml, xid
from corral.daemon import clock
from corral.model.gres import GresDevice

#: Seconds after which it is told again what is still wrong.
REPEAT = 30.0
#: Seconds for one look: a driver that takes longer answers no more.
PATIENCE = 60.0
#: Errors of NVML that speak of the GPU (or its driver), not of the question: not found, no driver, lost, to be reset, unknown.
_FATAL = frozenset({6, 9, 15, 16, 999})
#: What the driver wants done about a GPU before it is used again, as NVML counts it; 0 = nothing.
_RECOVERY = {
    1: "a reset",
    2: "a reboot of the node",
    3: "that its links to others are drained",
    4: "that its links to others are drained, and a reset",
    5: "that its IMEX domain is recovered",
    6: "a reset of its bus",
    7: "a reboot of the node",
}
NVIDIAS_RULES = xid.Rules()


class Unit(msgspec.Struct, frozen=True):
    """One device as it was found."""

    name: str
    index: int
    uuid: str = ""
    bus: str = ""
    files: tuple[str, ...] = ()  #: of its own, if it was there
    file: str = ""

    def __str__(self) -> str:
        """GPU 3 (GPU-5f1c, 0000:65:00.0)"""
        known = [word for word in (self.uuid, self.bus) if word] or list(self.files)
        name = "GPU" if self.name == "gpu" else self.name
        return f"{name} {self.index} ({', '.join(known)})" if known else f"{name} {self.index}"


class Look(msgspec.Struct, frozen=True):
    problems: tuple[str, ...] = ()
    busy: tuple[int, ...] = ()  #: percent, of each GPU; -1 = it cannot tell
    memory_mb: tuple[int, ...] = ()  #: in use; likewise


def units_of(devices: Iterable[GresDevice]) -> tuple[Unit, ...]:
    """Files that are not there now are not missed later: some are made when they are first used."""
    found: list[Unit] = []
    for device in devices:
        for place in range(device.count):
            files = device.files[place : place + 1]
            there = tuple(file for file in files if os.path.exists(file))
            index = sum(1 for unit in found if unit.name == device.name)
            uuid = device.uuids[place] if place < len(device.uuids) else ""
            bus = device.buses[place] if place < len(device.buses) else ""
            found.append(Unit(device.name, index, uuid, bus, there, files[0] if files else ""))
    return tuple(found)


class Looker:
    """Asks, in a thread of its own."""

    def __init__(self, units: tuple[Unit, ...]) -> None:
        self._units = units
        self._library: Any = None
        self._seen: frozenset[str] = frozenset()

    def look(self) -> Look:
        gpus = [unit for unit in self._units if unit.name == "gpu"]
        is_nvidia = any(unit.uuid.startswith(("GPU-", "MIG-")) for unit in gpus)
        if is_nvidia and self._library is None:
            self._library = nvml.opened()
        seen = [_nvidias(self._library, unit) if is_nvidia else _amds(unit) for unit in gpus]
        found = [f"{unit}: {one.problem}" for unit, one in zip(gpus, seen, strict=True) if one.problem]
        if found and is_nvidia:
            self._library = None  # a library that has lost a GPU does not find it again
        for unit in self._units:
            if any(not os.path.exists(file) for file in unit.files):
                found.append(f"{unit}: its device file is gone")
        twice = tuple(problem for problem in found if problem in self._seen)
        self._seen = frozenset(found)
        return Look(twice, tuple(one.busy for one in seen), tuple(one.memory_mb for one in seen))


class _Seen(NamedTuple):
    """Of one GPU."""

    busy: int = -1
    memory_mb: int = -1
    problem: str = ""


def _nvidias(library: Any, unit: Unit) -> _Seen:
    if library is None:
        return _Seen(problem="NVML cannot be opened")
    memory = busy = None
    try:
        handle = library.nvmlDeviceGetHandleByUUID(unit.uuid)
        memory = nvml.told(library, None, "nvmlDeviceGetMemoryInfo", handle)
        wanted = nvml.recovery_action(library, handle)
        if wanted:
            return _Seen(problem=f"it needs {_RECOVERY.get(wanted, f'recovery action {wanted}')}, says the driver")
        busy = int(library.nvmlDeviceGetUtilizationRates(handle).gpu)
    except library.NVMLError as error:
        if getattr(error, "value", 999) in _FATAL:
            return _Seen(problem=str(error))
    return _Seen(-1 if busy is None else busy, -1 if memory is None else int(memory.used) >> 20)


def _amds(unit: Unit) -> _Seen:
    return _Seen(amd.busy_percent(unit.file), amd.memory_used_mb(unit.file))


class GpuWatch:
    """The agent's end. `tell`: called with the reason to drain the node, in the agent's own thread."""

    def __init__(
        self,
        devices: Iterable[GresDevice],
        tell: Callable[[str], None],
        kernel_log: str = "/dev/kmsg",
        rules: xid.Rules = NVIDIAS_RULES,
    ) -> None:
        self._units = units_of(devices)
        self._tell, self._rules = tell, rules
        self._looker = Looker(self._units)
        has_nvidia = any(unit.uuid.startswith(("GPU-", "MIG-")) for unit in self._units)
        self._kernel_log = xid.KernelLog(kernel_log) if has_nvidia else None
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._last = Look()
        self._told: tuple[str, float] = ("", 0.0)

    def is_needed(self) -> bool:
        return any(unit.uuid or unit.files for unit in self._units)

    def turn(self) -> Look:
        """What was last seen; the next look begins. To be called every few seconds."""
        for found in self._kernel_log.news() if self._kernel_log is not None else ():
            self._on_xid(found)
        now = clock.monotonic()
        if self._thread is not None and self._thread.is_alive():
            if now - self._began > PATIENCE:
                self._say(("the driver of the GPUs does not answer (NVML)",), now)
            return Look()
        self._say(self._last.problems, now)
        seen = self._last
        self._began = now
        self._thread = threading.Thread(target=self._look, name="gpus", daemon=True)
        self._thread.start()
        return seen

    def wait(self) -> None:
        """Until the look that has begun is over."""
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        self._last = self._looker.look()

    def _say(self, problems: tuple[str, ...], now: float) -> None:
        text = "; ".join(problems)
        before, when = self._told
        if text and (text != before or now - when >= REPEAT):
            self._told = text, now
            self._tell(text)
        elif not text:
            self._told = "", 0.0

    def _on_xid(self, found: xid.Xid) -> None:
        mine = [unit for unit in self._units if unit.bus.startswith(found.bus)]
        problem = self._rules.problem_of(found)
        if not problem or (not mine and any(unit.bus for unit in self._units)):
            return
        who = str(mine[0]) if mine else f"GPU at {found.bus}"
        self._tell(f"{who}: Xid {found.number}, {problem[:200]}")
