"""What does a task need to come to the MPS daemon of its GPU (mps.py)?"""

from collections.abc import Sequence

from corral.model.gres import WHOLE, GresDevice, GresShare, uuids_of


def place_of(root: str, gpu: int, uid: int) -> str:
    return f"{root}/gpu{gpu}.{uid}"


def variables(root: str, devices: Sequence[GresDevice], shares: Sequence[GresShare], uid: int) -> dict[str, str]:
    """What a task needs that has a share of a GPU: to its daemon the GPU is the only one there is, so it goes by its name."""
    share = next((one for one in shares if one.milli), None)
    if share is None:
        return {}
    gpu = share.indices[0]
    found = {
        "CUDA_MPS_PIPE_DIRECTORY": f"{place_of(root, gpu, uid)}/pipe",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": f"{share.milli * 100 / WHOLE:g}",
        "CUDA_VISIBLE_DEVICES": name_of(devices, gpu) or "0",
    }
    if memory := _memory_mb(devices, gpu):
        found["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={memory * share.milli // WHOLE}M"
    return found


def name_of(devices: Sequence[GresDevice], gpu: int) -> str:
    uuids = uuids_of(devices)
    return uuids[gpu] if gpu < len(uuids) else ""


def _memory_mb(devices: Sequence[GresDevice], gpu: int) -> int:
    for device in devices:
        if device.name == "gpu":
            if gpu < device.count:
                return device.memory_mb
            gpu -= device.count
    return 0
