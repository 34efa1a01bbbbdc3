"""Which GPUs does this machine have?"""

import ctypes
from glob import glob

from corral.model.gres import GresDevice


def gpus_of_this_machine() -> tuple[GresDevice, ...]:
    """NVIDIA's by NVML where its library is there, else AMD's by sysfs, else none. Equal neighbours form one group."""
    return _nvidia() or _amd()


def short_type(name: str) -> str:
    """A GRES type from a product's name: "NVIDIA A100-SXM4-80GB" -> "a100", "Tesla V100-SXM2-16GB" -> "v100"."""
    words = [
        w for w in name.lower().replace("-", " ").split() if w not in ("nvidia", "tesla", "geforce", "quadro", "amd")
    ]
    if words[:1] in (["rtx"], ["gtx"], ["instinct"]) and len(words) > 1:
        return words[1] if words[0] == "instinct" else words[0] + words[1]
    return words[0] if words else ""


def grouped(found: list[tuple[str, str, str]]) -> tuple[GresDevice, ...]:
    """(type, device file, UUID) in index order -> groups of equal neighbours."""
    groups: list[list[tuple[str, str, str]]] = []
    for device in found:
        if groups and groups[-1][0][0] == device[0]:
            groups[-1].append(device)
        else:
            groups.append([device])
    return tuple(
        GresDevice(
            name="gpu",
            type=group[0][0],
            count=len(group),
            files=tuple(file for _, file, _ in group),
            uuids=tuple(uuid for _, _, uuid in group if uuid),
        )
        for group in groups
    )


def _nvidia() -> tuple[GresDevice, ...]:
    try:
        # Asked first: the binding is a large module, and most machines have no GPU.
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            minor = pynvml.nvmlDeviceGetMinorNumber(handle)
            name, uuid = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetUUID(handle)
            found.append((short_type(_text(name)), f"/dev/nvidia{minor}", _text(uuid)))
        return grouped(found)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _amd() -> tuple[GresDevice, ...]:
    found = []
    for card in sorted(glob("/sys/class/drm/card[0-9]*/device/vendor")):
        if _content(card) != "0x1002":
            continue
        directory = card.removesuffix("/vendor")
        render = glob(f"{directory}/drm/renderD*")
        if not render or not _content(f"{directory}/mem_info_vram_total"):
            continue
        name = _content(f"{directory}/product_name")
        file = "/dev/dri/" + render[0].rpartition("/")[2]
        found.append((short_type(name), file, _content(f"{directory}/unique_id")))
    return grouped(found)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _content(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
