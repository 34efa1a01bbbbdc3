"""What is found of GPUs: NVIDIA's by a stand-in for NVML, AMD's in a made-up /sys."""

from pathlib import Path

import pytest
from tests.unit.agent import fake_nvml
from tests.unit.agent.fake_nvml import Gpu, Nvml, Slice

from corral.agent import amd, cpus, gpu, gpu_use
from corral.agent.found import Unit, grouped, short_type
from corral.agent.gpu import gpus_of_this_machine
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
    found = [
        Unit(type="a100", file="/dev/nvidia0", uuid="u0"),
        Unit(type="a100", file="/dev/nvidia1", uuid="u1"),
        Unit(type="t4", file="/dev/nvidia2", uuid="u2"),
    ]
    assert grouped(found) == (
        GresDevice(name="gpu", type="a100", count=2, files=("/dev/nvidia0", "/dev/nvidia1"), uuids=("u0", "u1")),
        GresDevice(name="gpu", type="t4", count=1, files=("/dev/nvidia2",), uuids=("u2",)),
    )


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sockets of two cores, which the kernel counts in turn: 0 and 2 are on the first."""
    monkeypatch.setattr(cpus, "in_order", lambda: (0, 2, 1, 3))
    monkeypatch.setattr(cpus, "highest", lambda: 4)


def test_gpus_are_taken_in_the_order_of_nvml_with_their_own_device_files(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.installed(monkeypatch, Nvml(Gpu("GPU-0", minor=1), Gpu("GPU-1", minor=0, bus="00000000:02:00.0")))
    (found,) = gpus_of_this_machine()
    assert (found.type, found.count, found.memory_mb) == ("h200", 2, 141 << 10)
    assert (found.files, found.uuids) == (("/dev/nvidia1", "/dev/nvidia0"), ("GPU-0", "GPU-1"))
    assert found.buses == ("0000:01:00.0", "0000:02:00.0")
    assert (found.links, found.cores) == ((), ())


def test_cores_near_a_gpu_are_counted_as_the_controller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.installed(monkeypatch, Nvml(Gpu("a", cpus=0b0101), Gpu("b", bus="0:02:00.0", cpus=0b1010)))
    assert gpus_of_this_machine()[0].cores == ((0, 1), (2, 3))
    assert gpus_of_this_machine(threads=2)[0].cores == ((0,), (1,))


def test_cores_that_are_near_all_gpus_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.installed(monkeypatch, Nvml(Gpu("a", cpus=0b0101), Gpu("b", bus="0:02:00.0", cpus=0b0101)))
    assert gpus_of_this_machine()[0].cores == ()


def test_nvlinks_count_more_than_nearness_on_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and 2 have two NVLinks; 0 and 1 are behind one PCI switch."""
    one, other = "00000000:01:00.0", "00000000:03:00.0"
    ends = Gpu("a", bus=one, nvlinks=(other, other)), Gpu("c", bus=other, nvlinks=(one, one))
    between = Gpu("b", bus="00000000:02:00.0")
    fake_nvml.installed(monkeypatch, Nvml(ends[0], between, ends[1], near={(0, 1): 10, (1, 2): 30}))
    assert gpus_of_this_machine()[0].links == ((0, 3, 20), (3, 0, 1), (20, 1, 0))


def test_gpus_at_a_switch_are_all_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    buses = [f"00000000:0{n}:00.0" for n in range(1, 4)]
    fake_nvml.installed(monkeypatch, Nvml(*(Gpu(bus, bus=bus, nvlinks=("switch:1",) * 4) for bus in buses)))
    assert gpus_of_this_machine()[0].links == ((0, 40, 40), (40, 0, 40), (40, 40, 0))


def test_slices_of_a_gpu_are_units_with_their_capabilities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for gi, number in ((7, 66), (8, 75)):
        place = tmp_path / f"proc/driver/nvidia/capabilities/gpu1/mig/gi{gi}"
        (place / "ci0").mkdir(parents=True)
        (place / "access").write_text(f"DeviceFileMinor: {number}\nDeviceFileMode: 292\n")
        (place / "ci0/access").write_text(f"DeviceFileMinor: {number + 1}\nDeviceFileMode: 292\n")
    sliced = Gpu("GPU-1", minor=1, mig=True, bus="0:02:00.0", slices=[Slice("MIG-a", gi=7), Slice("MIG-b", gi=8)])
    fake_nvml.installed(monkeypatch, Nvml(Gpu("GPU-0"), sliced))
    whole, slices = gpus_of_this_machine(str(tmp_path))
    assert (whole.type, whole.uuids) == ("h200", ("GPU-0",))
    assert (slices.type, slices.count, slices.memory_mb) == ("h200_1g.10gb", 2, 10 << 10)
    assert (slices.uuids, slices.files) == (("MIG-a", "MIG-b"), ("/dev/nvidia1", "/dev/nvidia1"))
    caps = "/dev/nvidia-caps/nvidia-cap"
    assert slices.more_files == ((f"{caps}66", f"{caps}67"), (f"{caps}75", f"{caps}76"))


def test_a_gpu_that_does_not_answer_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.installed(monkeypatch, Nvml(Gpu("a"), Gpu("b", minor=1, broken=True), Gpu("c", minor=2)))
    assert gpus_of_this_machine()[0].files == ("/dev/nvidia0", "/dev/nvidia2")


def test_what_processes_use_is_asked_of_the_gpus_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.installed(
        monkeypatch, Nvml(Gpu("a", processes={5: (100, 40)}), Gpu("b", processes={5: (10, 30), 6: (7, 0)}))
    )
    use = gpu_use.use_of(("b", "a", "gone"))
    assert use is not None
    assert use.of_processes() == {5: (110, 70), 6: (7, 0)}


# ---------------------------------------------------------------------- AMD


def amd_machine(root: Path) -> None:
    """Two GPUs with one XGMI link; the driver counts the second card first."""
    for number, minor, to in ((1, 129, 2), (2, 128, 1)):
        node = root / f"sys/class/kfd/kfd/topology/nodes/{number}"
        link = node / "io_links/1"
        link.mkdir(parents=True)
        (node / "properties").write_text(
            f"cpu_cores_count 0\nsimd_count 440\ndrm_render_minor {minor}\ngfx_target_version 90010\n"
        )
        (link / "properties").write_text(f"type 11\nnode_from {number}\nnode_to {to}\nmax_bandwidth 50000\n")
    (root / "sys/class/kfd/kfd/topology/nodes/0").mkdir()
    (root / "sys/class/kfd/kfd/topology/nodes/0/properties").write_text("simd_count 0\n")
    for minor, card, bus, near in ((128, 0, "0000:c1:00.0", "0-1"), (129, 1, "0000:c6:00.0", "2-3")):
        device = root / f"sys/devices/pci/{bus}"
        (device / f"drm/card{card}").mkdir(parents=True)
        for name, text in (
            ("vendor", "0x1002"), ("mem_info_vram_total", str(64 << 30)), ("unique_id", f"id{minor}"), ("local_cpulist", near),
            ("product_name", "AMD Instinct MI250X" if minor == 128 else ""),
        ):  # fmt: skip
            (device / name).write_text(text + "\n")
        (root / f"sys/class/drm/renderD{minor}").mkdir(parents=True)
        (root / f"sys/class/drm/renderD{minor}/device").symlink_to(device)


def test_amds_gpus_are_counted_as_rocm_does(tmp_path: Path) -> None:
    amd_machine(tmp_path)
    second, first = amd.gpus(str(tmp_path))
    assert (second.type, second.files, second.more_files) == (
        "gfx90a",
        ("/dev/dri/renderD129",),
        (("/dev/dri/card1",),),
    )
    assert (first.type, first.files, first.buses) == ("mi250x", ("/dev/dri/renderD128",), ("0000:c1:00.0",))
    assert (first.memory_mb, first.uuids, first.cores) == (64 << 10, ("id128",), ((0, 2),))


def test_amds_driver_says_how_busy_a_gpu_is(tmp_path: Path) -> None:
    amd_machine(tmp_path)
    (tmp_path / "sys/class/drm/renderD128/device/gpu_busy_percent").write_text("42\n")
    assert amd.busy_percent("/dev/dri/renderD128", str(tmp_path)) == 42
    assert amd.busy_percent("/dev/dri/renderD129", str(tmp_path)) == -1
    assert amd.busy_percent("", str(tmp_path)) == -1


def test_amds_gpus_of_one_type_are_linked(tmp_path: Path) -> None:
    amd_machine(tmp_path)
    (tmp_path / "sys/class/drm/renderD129/device/product_name").write_text("AMD Instinct MI250X\n")
    (found,) = amd.gpus(str(tmp_path))
    assert (found.count, found.links) == (2, ((0, 10), (10, 0)))
    assert gpu.control_files((found,)) == ("/dev/kfd",)


def test_without_rocms_driver_amds_cards_are_found_all_the_same(tmp_path: Path) -> None:
    amd_machine(tmp_path)
    (tmp_path / "sys/class/kfd").rename(tmp_path / "sys/class/other")
    assert [one.files for one in amd.gpus(str(tmp_path))] == [("/dev/dri/renderD128",), ("/dev/dri/renderD129",)]


def test_what_processes_use_of_amds_gpus_is_their_memory(tmp_path: Path) -> None:
    for pid, name, text in ((5, "vram_100", "1000"), (5, "vram_200", "24"), (5, "pasid", "3"), (6, "vram_100", "x")):
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        (tmp_path / str(pid) / name).write_text(text)
    use = gpu_use.use_of(("id128",), str(tmp_path))
    assert use is not None
    assert use.of_processes() == {5: (1024, 0), 6: (0, 0)}
    assert gpu_use.use_of((), str(tmp_path)) is None


def test_a_machine_without_gpus_has_none(tmp_path: Path) -> None:
    assert amd.gpus(str(tmp_path)) == ()
