"""Which GPUs does this machine have?"""

from corral.agent import amd, nvidia
from corral.model.gres import GresDevice


def gpus_of_this_machine(root: str = "/", threads: int = 1) -> tuple[GresDevice, ...]:
    """NVIDIA's by NVML where its library is there, else AMD's by sysfs, else none. `threads`: of each core."""
    return nvidia.gpus(root, threads) or amd.gpus(root, threads)


def control_files(devices: tuple[GresDevice, ...]) -> tuple[str, ...]:
    """Of the drivers of these GPUs: whoever has none of them has no use for these files."""
    files = [file for device in devices if device.name == "gpu" for file in device.files]
    found: tuple[str, ...] = ()
    if any(file.startswith("/dev/nvidia") for file in files):
        found += nvidia.CONTROL_FILES
    if any(file.startswith("/dev/dri/") for file in files):
        found += amd.CONTROL_FILES
    return found
