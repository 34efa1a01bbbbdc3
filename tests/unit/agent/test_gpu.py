import ctypes
import sys

import pytest

from corral.agent.gpu import gpus_of_this_machine, grouped, short_type
from corral.model.gres import GresDevice


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("AMD Instinct MI250X", "mi250x"),
        ("", ""),
    ],
)
def test_a_product_has_a_short_type(name: str, short: str) -> None:
    assert short_type(name) == short


def test_equal_neighbours_form_one_group() -> None:
    found = [("a100", "/dev/nvidia0", "u0"), ("a100", "/dev/nvidia1", "u1"), ("t4", "/dev/nvidia2", "u2")]
    assert grouped(found) == (
        GresDevice(name="gpu", type="a100", count=2, files=("/dev/nvidia0", "/dev/nvidia1"), uuids=("u0", "u1")),
        GresDevice(name="gpu", type="t4", count=1, files=("/dev/nvidia2",), uuids=("u2",)),
    )


class FakeLibrary:
    """As pynvml answers on a machine with two GPUs."""

    NVMLError = RuntimeError

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMinorNumber(self, handle: int) -> int:
        return 1 - handle

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"NVIDIA H200"

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"


def test_gpus_are_taken_in_the_order_of_nvml_with_their_own_device_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    monkeypatch.setitem(sys.modules, "pynvml", FakeLibrary())
    files, uuids = ("/dev/nvidia1", "/dev/nvidia0"), ("GPU-0", "GPU-1")
    assert gpus_of_this_machine() == (GresDevice(name="gpu", type="h200", count=2, files=files, uuids=uuids),)
