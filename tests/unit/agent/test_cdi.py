"""What CDI specifications say of the GPUs that a step holds."""

import os
import shutil
from ctypes.util import find_library
from pathlib import Path

import pytest

from corral.agent import cdi
from corral.agent.cdi import Edits, Held
from corral.model.allocation import NodeShare
from corral.model.container import Mount
from corral.model.gres import GresDevice, GresShare

NVIDIA = """
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes: [{path: /dev/nvidia0}]
    env: [ONLY=zero]
- name: "1"
  containerEdits:
    deviceNodes: [{path: /dev/nvidia1}]
- name: GPU-b
  containerEdits:
    deviceNodes: [{path: /dev/nvidia1}]
- name: all
  containerEdits:
    deviceNodes: [{path: /dev/nvidia0}, {path: /dev/nvidia1}]
    env: [ONLY=all]
- name: "1:0"
  containerEdits:
    deviceNodes: [{path: /dev/nvidia1}, {path: /dev/nvidia-caps/nvidia-cap3}]
    env: [ONLY=slice]
containerEdits:
  deviceNodes: [{path: /dev/nvidiactl}]
  env: [NVIDIA_VISIBLE_DEVICES=void]
  mounts:
  - {hostPath: LIBRARY, containerPath: /usr/lib/x/libdriver.so.550.1, options: [ro, nosuid, nodev, bind]}
  - {hostPath: /no/such/file, containerPath: /usr/bin/nothing}
  hooks:
  - {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, create-symlinks, --link, "a.so.1::/usr/lib/x/a.so"]}
  - {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, update-ldcache, --folder, /usr/lib/x]}
  - {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, chmod, --mode, "755", --path, /dev/dri]}
  - {hookName: createContainer, path: /usr/bin/own-hook, args: [own-hook, prepare]}
"""
FIRST, SECOND = Held("GPU-a", ("/dev/nvidia0",)), Held("GPU-b", ("/dev/nvidia1",))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    library = tmp_path / "libdriver.so.550.1"
    shutil.copy(os.path.realpath(f"/lib/x86_64-linux-gnu/{find_library('z')}"), library)
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi/nvidia.yaml").write_text(NVIDIA.replace("LIBRARY", str(library)))
    return tmp_path / "cdi"


def edits(directory: Path, *held: Held) -> Edits:
    return cdi.edits_for([str(directory)], held, ("/dev/nvidiactl", "/dev/kfd"))


def test_a_gpu_brings_its_drivers_libraries_and_variables(directory: Path) -> None:
    found = edits(directory, SECOND)
    library = str(directory.parent / "libdriver.so.550.1")
    assert found.mounts == (Mount(library, "/usr/lib/x/libdriver.so.550.1", ("ro", "nosuid", "nodev")),)
    assert found.environment == (("NVIDIA_VISIBLE_DEVICES", "void"),)
    image = directory.parent / "image"
    assert found.variables({"LD_LIBRARY_PATH": "/opt/lib"}, str(image))["LD_LIBRARY_PATH"] == "/opt/lib:/usr/lib/x"
    (image / "usr/lib/x").mkdir(parents=True)
    (image / "usr/lib/x/libc.so.6").touch()
    assert "LD_LIBRARY_PATH" not in found.variables({}, str(image)), "its linker looks there anyway"


def test_what_hooks_do_for_libraries_is_done_and_others_are_named(directory: Path) -> None:
    found = edits(directory, SECOND)
    assert found.links == (("a.so.1", "/usr/lib/x/a.so"), ("libdriver.so.550.1", "/usr/lib/x/libz.so.1"))
    assert found.notes == ("this hook is not run: /usr/bin/own-hook prepare",)


def test_only_devices_that_are_held_count(directory: Path) -> None:
    assert dict(edits(directory, FIRST).environment)["ONLY"] == "zero"
    assert "ONLY" not in dict(edits(directory, SECOND).environment)
    sliced = Held("MIG-x", ("/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap3"))
    assert dict(edits(directory, sliced).environment)["ONLY"] == "slice"
    assert edits(directory) == Edits()
    assert edits(directory, Held("", ("/dev/fpga0",))) == Edits()


def test_the_later_directory_wins(directory: Path, tmp_path: Path) -> None:
    later = tmp_path / "run"
    later.mkdir()
    (later / "more.json").write_text(
        '{"kind": "nvidia.com/gpu", "devices": [{"name": "0", "containerEdits":'
        ' {"deviceNodes": [{"path": "/dev/nvidia0"}], "env": ["ONLY=x"]}}]}'
    )
    found = cdi.edits_for([str(directory), str(later)], [FIRST, SECOND])
    assert dict(found.environment) == {"ONLY": "x", "NVIDIA_VISIBLE_DEVICES": "void"}, (
        "the second one has its own file's"
    )


def test_amds_devices_share_a_driver_file(directory: Path) -> None:
    (directory / "amd.yaml").write_text(
        "kind: amd.com/gpu\ndevices:\n- name: '0'\n  containerEdits:\n    env: [AMD=0]\n"
        "    deviceNodes: [{path: /dev/kfd}, {path: /dev/dri/card0}, {path: /dev/dri/renderD128}]\n"
    )
    held = Held("", ("/dev/dri/renderD128", "/dev/dri/card0"))
    assert edits(directory, held).environment == (("AMD", "0"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "kind: [",
        "kind: x\ndevices: 3",
        "a: b",
        "kind: x\ndevices: [{name: y, containerEdits: [3]}]",
        "\0\xff",
    ],
)
def test_a_file_that_makes_no_sense_is_passed_over_and_named(directory: Path, text: str) -> None:
    (directory / "a.yaml").write_text(text, encoding="latin1")
    found = edits(directory, FIRST)
    assert found.mounts
    assert found.notes[0].startswith(f"{directory}/a.yaml is not understood: ")


def test_what_is_left_empty_is_not_there(directory: Path) -> None:
    (directory / "a.yaml").write_text(
        "kind: x.org/y\ndevices:\n- name: 3\n  containerEdits:\n    env: [N=1]\n    mounts:\n"
        "    deviceNodes: [{path: /dev/fpga0, major: 5}]\ncontainerEdits:\n"
    )
    assert edits(directory, Held("", ("/dev/fpga0",))).environment == (("N", "1"),)


def test_which_devices_a_share_holds() -> None:
    devices = (
        GresDevice(name="gpu", count=2, files=("/dev/a", "/dev/b"), uuids=("A", "B"), more_files=((), ("/dev/c",))),
        GresDevice(name="fpga", count=1, files=("/dev/f",)),
    )
    share = NodeShare(
        node="n", cpus=(), memory_mb=0, gres=(GresShare("shard", "", (1,), 500), GresShare("fpga", "", (0,)))
    )
    assert cdi.held_by(share, devices) == [Held("B", ("/dev/b", "/dev/c")), Held("", ("/dev/f",))]


def test_links_are_made_in_the_container_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "lib"
    (tmp_path / "evil").symlink_to("/dev")
    Edits(
        links=(("x.so.1", f"{place}/x.so"), ("x.so.1", f"{place}/x.so"), ("y", f"{tmp_path}/evil/corral-test-link"))
    ).make_links()
    assert os.readlink(place / "x.so") == "x.so.1"
    assert not os.path.lexists("/dev/corral-test-link")
