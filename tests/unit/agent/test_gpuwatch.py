"""A GPU that fails is named, whoever notices: NVML, the kernel log, or that its file is gone."""

from pathlib import Path

import pytest
from tests.unit.agent import fake_nvml
from tests.unit.agent.fake_nvml import Gpu, Nvml

from corral.agent import gpuwatch, xid
from corral.agent.gpuwatch import NVIDIAS_RULES, GpuWatch
from corral.agent.nvidia import gpus
from corral.model.gres import GresDevice


class Node:
    """One with two GPUs, a kernel log in a file, and what it has told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, rules: xid.Rules = NVIDIAS_RULES) -> None:
        self.first, self.second = Gpu("GPU-a", bus="00000000:65:00.0"), Gpu("GPU-b", minor=1, bus="00000000:CA:00.0")
        fake_nvml.installed(monkeypatch, Nvml(self.first, self.second))
        self.told: list[str] = []
        self.log = directory / "kmsg"
        self.log.write_text("6,1,1,-;NVRM: Xid (PCI:0000:65:00): 79, from before\n")
        self.watch = GpuWatch(gpus(), self.told.append, str(self.log), rules)

    def looks(self, times: int) -> gpuwatch.Look:
        for _ in range(times):
            self.watch.turn()
            self.watch.wait()
        return self.watch.turn()

    def writes(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text + "\n")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


def test_gpus_that_work_are_told_with_how_busy_they_are(node: Node) -> None:
    node.second.busy = 97
    node.second.used = 5 << 30
    seen = node.looks(1)
    assert (seen.busy, seen.memory_mb) == ((0, 97), (0, 5120))
    assert node.told == []


def test_a_gpu_that_does_not_answer_twice_is_named(node: Node) -> None:
    node.second.broken = True
    node.looks(1)
    assert node.told == []
    node.looks(1)
    assert node.told == ["GPU 1 (GPU-b, 0000:ca:00.0): GPU is lost"]
    assert node.looks(1).busy == (0, -1)
    assert len(node.told) == 1, "the same again only after a while"


def test_what_is_still_wrong_is_told_again_after_a_while(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpuwatch, "REPEAT", 0.0)
    node.first.broken = True
    node.looks(4)
    assert len(node.told) > 1
    node.first.broken = False
    node.looks(2)
    before = len(node.told)
    node.looks(2)
    assert len(node.told) == before


def test_one_that_fails_does_not_blame_the_others(node: Node) -> None:
    node.first.broken = True
    assert node.looks(2).busy == (-1, 0)
    assert node.told == ["GPU 0 (GPU-a, 0000:65:00.0): GPU is lost"]


def test_a_fatal_xid_names_the_gpu_at_once(node: Node) -> None:
    node.writes("4,22,99,-;NVRM: Xid (PCI:0000:ca:00): 79, pid=3, GPU has fallen off the bus.")
    node.watch.turn()
    assert node.told == ["GPU 1 (GPU-b, 0000:ca:00.0): Xid 79, fallen off the bus"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("144, SAW_MVB Nonfatal XC0 i0 Link 0 (0x00000001 0x00000008)", ""),
        ("149, NETIR_LINK_EVT Fatal XC0 i0 Link 00 (0x026001c6 0x00000000)", "fatal NVLink error"),
        (
            "154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
            "the driver asks for: Node Reboot Required",
        ),
        ("154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", ""),
    ],
)
def test_some_errors_say_themselves_whether_they_are_fatal(node: Node, line: str, problem: str) -> None:
    node.writes(f"4,22,99,-;NVRM: Xid (PCI:0000:ca:00): {line}")
    node.watch.turn()
    assert node.told == ([f"GPU 1 (GPU-b, 0000:ca:00.0): Xid {line[:3]}, {problem}"] if problem else [])


def test_an_operator_may_say_which_xids_drain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = Node(monkeypatch, tmp_path, xid.Rules(drain=(109,), ignore=(48,)))
    node.writes("4,22,99,-;NVRM: Xid (PCI:0000:ca:00): 48, pid=3, An uncorrectable double bit error")
    node.watch.turn()
    assert node.told == []
    node.writes("4,22,99,-;NVRM: Xid (PCI:0000:ca:00): 109, pid=3, Ch 0000000a, errorString CTX SWITCH TIMEOUT")
    node.watch.turn()
    assert node.told == ["GPU 1 (GPU-b, 0000:ca:00.0): Xid 109, pid=3, Ch 0000000a, errorString CTX SWITCH TIMEOUT"]


def test_a_gpu_that_waits_for_a_reset_is_named_whenever_its_error_was(node: Node) -> None:
    node.second.recovery = 1
    node.looks(2)
    assert node.told == ["GPU 1 (GPU-b, 0000:ca:00.0): it needs a reset, says the driver"]


@pytest.mark.parametrize("number", [13, 31, 43, 45, 63, 68, 92, 94, 109])
def test_an_applications_fault_drains_nothing(node: Node, number: int) -> None:
    node.writes(f"4,22,99,-;NVRM: Xid (PCI:0000:65:00): {number}, pid=3, name=python")
    node.watch.turn()
    assert node.told == []


def test_an_xid_of_a_gpu_that_is_not_given_out_is_nobodys(node: Node) -> None:
    node.writes("4,22,99,-;NVRM: Xid (PCI:0000:01:00): 79, pid=3")
    node.watch.turn()
    assert node.told == []


def test_a_device_whose_file_goes_is_named(tmp_path: Path) -> None:
    file = tmp_path / "fpga1"
    file.touch()
    told: list[str] = []
    device = GresDevice(name="fpga", count=2, files=(str(tmp_path / "fpga0"), str(file)))
    watch = GpuWatch((device,), told.append)
    file.unlink()
    for _ in range(3):
        watch.turn()
        watch.wait()
    assert told == [f"fpga 1 ({file}): its device file is gone"]


def test_lines_that_tell_of_no_xid_are_none() -> None:
    assert xid.parse("6,1,1,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module") is None
    assert xid.parse("NVRM: Xid (PCI:0000:65:00): 79, GPU") == xid.Xid("0000:65:00", 79, "GPU")


def test_a_log_that_may_not_be_read_says_nothing(tmp_path: Path) -> None:
    log = xid.KernelLog(str(tmp_path / "none"))
    assert not log.is_open
    assert log.news() == []
