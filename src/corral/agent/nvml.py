"""Is NVIDIA's management library here, and what does it say?"""

import ctypes
from typing import Any


def opened() -> Any | None:
    """The binding, ready to be asked; None where there is no library, or its driver does not answer."""
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
    return pynvml


def told(nvml: Any, default: Any, function: str, *arguments: Any) -> Any:
    """What this function says; the default where this GPU, driver or binding cannot tell."""
    call = getattr(nvml, function, None)
    if call is None:
        return default
    try:
        return call(*arguments)
    except nvml.NVMLError:
        return default


def recovery_action(nvml: Any, handle: Any) -> int:
    """What has to be done about this GPU, or the one of this MIG slice, before it is of use; 0 = nothing, or older drivers cannot tell."""
    field = getattr(nvml, "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", None)
    if field is None:
        return 0
    gpu = told(nvml, handle, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
    (answer,) = told(nvml, None, "nvmlDeviceGetFieldValues", gpu, [field]) or (None,)
    return int(answer.value.uiVal) if answer is not None and answer.nvmlReturn == 0 else 0


def text(value: str | bytes) -> str:
    """Older bindings give bytes."""
    return value.decode() if isinstance(value, bytes) else value


def bus_of(nvml: Any, handle: Any) -> str:
    """The PCI address as the kernel writes it; "" = not known. NVML gives the domain eight digits."""
    info = told(nvml, None, "nvmlDeviceGetPciInfo", handle)
    return kernels_bus(text(info.busId)) if info is not None else ""


def kernels_bus(bus: str) -> str:
    """00000000:65:00.0 -> 0000:65:00.0"""
    domain, colon, rest = bus.lower().partition(":")
    return f"{domain[-4:].rjust(4, '0')}:{rest}" if colon else ""
