"""A stand-in for NVML in a process of its own: the GPUs are in the JSON file that FAKE_NVML names, and are looked at anew at every call."""

import os
from typing import Any

import msgspec
from tests.unit.agent.fake_nvml import Gpu, Nvml, NVMLError

__all__ = ["NVMLError"]


def __getattr__(name: str) -> Any:
    if not name.startswith("nvml"):
        raise AttributeError(name)
    with open(os.environ["FAKE_NVML"], "rb") as file:
        return getattr(Nvml(*msgspec.json.decode(file.read(), type=list[Gpu])), name)
