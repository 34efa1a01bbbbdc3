"""Which AMD GPUs does this machine have, which are linked, and what is near them? Read from sysfs.

/sys/class/kfd tells of those that can compute, in the order in which ROCm counts them, and how they are joined; /sys/class/drm
tells of each what it is. Without the first (no ROCm driver) the second is all there is.
"""

import os
import re
from glob import glob

from corral.agent import cpus
from corral.agent.found import Unit, grouped, short_type
from corral.model.gres import GresDevice

#: Every process needs it that computes on a GPU, and no other does.
CONTROL_FILES = ("/dev/kfd",)

_AMD = "0x1002"
_XGMI = "11"  #: HSA_IOLINK_TYPE_XGMI
_LINK_BANDWIDTH = 50_000  #: MB/s of one XGMI link
_LINK = 10  #: as much as an NVLink counts (nvidia.py)


def gpus(root: str = "/", threads: int = 1) -> tuple[GresDevice, ...]:
    """`root`: where /sys is looked for; threads: of each core."""
    base = root.rstrip("/")
    nodes = _nodes(base)
    found = [(node, _unit(base, f"renderD{minor}", threads, _gfx(node))) for node, minor in nodes.items()]
    found = [(node, unit) for node, unit in found if unit is not None]
    if not nodes:
        minors = sorted(glob(f"{base}/sys/class/drm/renderD*"), key=lambda path: (len(path), path))
        alone = [_unit(base, os.path.basename(path), threads, "") for path in minors]
        return grouped([unit for unit in alone if unit is not None])
    units = [unit for _, unit in found if unit is not None]
    return grouped(units, _links([(node, unit.bus) for node, unit in found if unit is not None]))


def busy_percent(file: str, root: str = "/") -> int:
    """How busy the GPU with this render node is; -1 = that is not known."""
    return _number(file, "gpu_busy_percent", root)


def memory_used_mb(file: str, root: str = "/") -> int:
    """Of its own memory."""
    used = _number(file, "mem_info_vram_used", root)
    return used >> 20 if used >= 0 else used


def _number(file: str, what: str, root: str) -> int:
    name = os.path.basename(file)
    text = _content(f"{root.rstrip('/')}/sys/class/drm/{name}/device/{what}") if name else ""
    return int(text) if text.isdigit() else -1


def _nodes(base: str) -> dict[str, str]:
    """The driver's nodes that are GPUs: directory -> minor number of the render node."""
    found = {}
    pattern = f"{base}/sys/class/kfd/kfd/topology/nodes"
    for number in (
        sorted((int(name) for name in os.listdir(pattern) if name.isdigit()), key=int) if os.path.isdir(pattern) else ()
    ):
        words = _properties(f"{pattern}/{number}/properties")
        if int(words.get("simd_count", "0")) > 0 and int(words.get("drm_render_minor", "0")) > 0:
            found[f"{pattern}/{number}"] = words["drm_render_minor"]
    return found


def _gfx(node: str) -> str:
    """gfx_target_version 90010 is gfx90a."""
    version = int(_properties(f"{node}/properties").get("gfx_target_version", "0"))
    return f"gfx{version // 10000}{version // 100 % 100}{version % 100:x}" if version else ""


def _unit(base: str, render: str, threads: int, gfx: str) -> Unit | None:
    device = f"{base}/sys/class/drm/{render}/device"
    memory = _content(f"{device}/mem_info_vram_total")
    if _content(f"{device}/vendor") != _AMD or not memory.isdigit():
        return None
    cards = sorted(os.path.basename(path) for path in glob(f"{device}/drm/card*"))
    address = os.path.basename(os.path.realpath(device))
    return Unit(
        type=short_type(_content(f"{device}/product_name")) or gfx,
        file=f"/dev/dri/{render}",
        more_files=tuple(f"/dev/dri/{card}" for card in cards),
        uuid=_content(f"{device}/unique_id"),
        bus=address if re.fullmatch(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", address) else "",
        memory_mb=int(memory) >> 20,
        cores=cpus.cores_of(cpus.listed(f"{device}/local_cpulist"), threads),
    )


def _links(nodes: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """By PCI addresses: ten for each XGMI link, one where two are joined over the PCI bus by themselves."""
    bus_of = {os.path.basename(node): bus for node, bus in nodes}
    found = {}
    for node, bus in nodes:
        for path in glob(f"{node}/*_links/*/properties"):
            words = _properties(path)
            other = bus_of.get(words.get("node_to", ""))
            if other and other != bus:
                wide = int(words.get("max_bandwidth", "0")) // _LINK_BANDWIDTH
                found[bus, other] = _LINK * max(1, wide) if words.get("type") == _XGMI else 1
    return found


def _properties(path: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in _content(path).splitlines() if " " in line)


def _content(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
