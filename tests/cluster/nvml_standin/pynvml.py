"""A stand-in for NVML in a process of its own: the GPUs are in the JSON file that FAKE_NVML names, and are looked at anew at every call.

A handle stays good, as NVML's do: what it is asked later is answered as of then.
"""

import os
from typing import Any

import msgspec
from tests.unit.agent.fake_nvml import Gpu, Nvml, NVMLError, Slice

__all__ = ["NVMLError"]


def __getattr__(name: str) -> Any:
    if not name.startswith("nvml"):
        raise AttributeError(name)

    def call(*given: Any) -> Any:
        with open(os.environ["FAKE_NVML"], "rb") as file:
            now = Nvml(*msgspec.json.decode(file.read(), type=list[Gpu]))
        found = [now.nvmlDeviceGetHandleByUUID(one.uuid) if isinstance(one, Gpu | Slice) else one for one in given]
        return getattr(now, name)(*found)

    return call
