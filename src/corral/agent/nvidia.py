"""Which NVIDIA GPUs does this machine have, which are linked, and what is near them? Asked through NVML.

A GPU in MIG mode is as many units as it has slices. A slice's processes need its GPU's file and two of /dev/nvidia-caps, whose numbers the
driver tells in /proc.
"""

from typing import Any

from corral.agent import cpus, nvml
from corral.agent.found import Unit, grouped, short_type
from corral.model.gres import GresDevice

#: Files of the driver that every process needs which uses a GPU of it, and no other does.
CONTROL_FILES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")

_CAPABILITIES = "proc/driver/nvidia/capabilities"
#: A GPU on the other end of a link, and a switch, as NVML counts what they are.
_GPU, _SWITCH = 0, 2
#: How near two GPUs are on the PCI bus: on one board, behind one switch, behind several, at one host bridge. Further apart: not linked.
_NEAR = {0: 4, 10: 3, 20: 2, 30: 1}
#: One NVLink joins more than any way over the PCI bus.
_LINK = 10


def gpus(root: str = "/", threads: int = 1) -> tuple[GresDevice, ...]:
    """`root`: where /proc is looked for; threads: of each core."""
    library = nvml.opened()
    if library is None:
        return ()
    try:
        handles = _handles(library)
        units = [unit for handle in handles for unit in _units(library, handle, root, threads)]
        return grouped(units, _links(library, handles))
    finally:
        nvml.told(library, None, "nvmlShutdown")


def _handles(library: Any) -> list[Any]:
    """In NVML's order. One that does not answer is left out: it is missed by who knows how many there should be."""
    found = []
    for index in range(nvml.told(library, 0, "nvmlDeviceGetCount")):
        handle = nvml.told(library, None, "nvmlDeviceGetHandleByIndex", index)
        if handle is not None and nvml.told(library, None, "nvmlDeviceGetMinorNumber", handle) is not None:
            found.append(handle)
    return found


def _units(library: Any, handle: Any, root: str, threads: int) -> list[Unit]:
    minor = nvml.told(library, 0, "nvmlDeviceGetMinorNumber", handle)
    memory = nvml.told(library, None, "nvmlDeviceGetMemoryInfo", handle)
    whole = Unit(
        type=short_type(nvml.text(nvml.told(library, "", "nvmlDeviceGetName", handle))),
        file=f"/dev/nvidia{minor}",
        uuid=nvml.text(nvml.told(library, "", "nvmlDeviceGetUUID", handle)),
        bus=nvml.bus_of(library, handle),
        memory_mb=memory.total >> 20 if memory is not None else 0,
        cores=cpus.cores_of(_near_cpus(library, handle, root), threads),
    )
    mode = nvml.told(library, (0, 0), "nvmlDeviceGetMigMode", handle)
    return _slices(library, handle, whole, minor, root) if mode[0] == 1 else [whole]


def _slices(library: Any, handle: Any, whole: Unit, minor: int, root: str) -> list[Unit]:
    """None = it is in MIG mode and has no slices: nobody can use it."""
    found = []
    for index in range(nvml.told(library, 0, "nvmlDeviceGetMaxMigDeviceCount", handle)):
        mig = nvml.told(library, None, "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if mig is None:
            continue
        memory = nvml.told(library, None, "nvmlDeviceGetMemoryInfo", mig)
        name = nvml.text(nvml.told(library, "", "nvmlDeviceGetName", mig))
        gi = nvml.told(library, -1, "nvmlDeviceGetGpuInstanceId", mig)
        ci = nvml.told(library, -1, "nvmlDeviceGetComputeInstanceId", mig)
        caps = (f"gpu{minor}/mig/gi{gi}/access", f"gpu{minor}/mig/gi{gi}/ci{ci}/access")
        found.append(
            Unit(
                type=f"{whole.type}_{name.partition(' MIG ')[2] or 'mig'}",
                file=whole.file,
                uuid=nvml.text(nvml.told(library, "", "nvmlDeviceGetUUID", mig)),
                bus=whole.bus,
                memory_mb=memory.total >> 20 if memory is not None else 0,
                cores=whole.cores,
                more_files=tuple(file for cap in caps if (file := _cap_file(root, cap))),
            )
        )
    return found


def _cap_file(root: str, capability: str) -> str:
    try:
        with open(f"{root.rstrip('/')}/{_CAPABILITIES}/{capability}") as file:
            words = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return ""
    number = words.get("DeviceFileMinor", "").strip()
    return f"/dev/nvidia-caps/nvidia-cap{number}" if number else ""


def _near_cpus(library: Any, handle: Any, root: str) -> tuple[int, ...]:
    """The kernel's numbers of the CPUs of its NUMA node."""
    width = 64
    words = nvml.told(library, None, "nvmlDeviceGetCpuAffinity", handle, (cpus.highest() + width - 1) // width)
    if words is None:
        return cpus.listed(f"{root.rstrip('/')}/sys/bus/pci/devices/{nvml.bus_of(library, handle)}/local_cpulist")
    return tuple(width * at + bit for at, word in enumerate(words) for bit in range(width) if int(word) >> bit & 1)


def _links(library: Any, handles: list[Any]) -> dict[tuple[str, str], int]:
    """Between two GPUs, by their PCI addresses: ten for each NVLink, also through switches, and how near they are on the bus."""
    buses = [nvml.bus_of(library, handle) for handle in handles]
    direct: dict[tuple[str, str], int] = {}
    switched: dict[str, int] = {}
    for bus, handle in zip(buses, handles, strict=True):
        for link in range(getattr(library, "NVML_NVLINK_MAX_LINKS", 18)):
            state = nvml.told(library, None, "nvmlDeviceGetNvLinkState", handle, link)
            if state is None:
                break
            remote = nvml.told(library, None, "nvmlDeviceGetNvLinkRemotePciInfo", handle, link) if state == 1 else None
            if remote is None:
                continue
            other = nvml.kernels_bus(nvml.text(remote.busId))
            if other in buses:
                direct[bus, other] = direct.get((bus, other), 0) + 1
            elif nvml.told(library, _SWITCH, "nvmlDeviceGetNvLinkRemoteDeviceType", handle, link) != _GPU:
                switched[bus] = switched.get(bus, 0) + 1
    found = {}
    for one, handle in zip(buses, handles, strict=True):
        for other, that in zip(buses, handles, strict=True):
            if one != other:
                ancestor = nvml.told(library, -1, "nvmlDeviceGetTopologyCommonAncestor", handle, that)
                links = direct.get((one, other), 0) + min(switched.get(one, 0), switched.get(other, 0))
                found[one, other] = _LINK * links + _NEAR.get(ancestor, 0)
    return found
