"""GPUs keep their numbers while one of them is lost."""

from pathlib import Path

from corral.agent.gpumemory import remembered
from corral.model.gres import GresDevice


def gpus(*uuids: str) -> tuple[GresDevice, ...]:
    return (GresDevice(name="gpu", count=len(uuids), uuids=uuids, files=tuple(f"/dev/{uuid}" for uuid in uuids)),)


def test_a_lost_gpu_keeps_its_place_until_the_machine_boots(tmp_path: Path) -> None:
    path = str(tmp_path / "gpus")
    assert remembered(path, "boot1", gpus("a", "b", "c")) == gpus("a", "b", "c")
    assert remembered(path, "boot1", gpus("b", "c")) == gpus("a", "b", "c")
    assert remembered(path, "boot1", ()) == gpus("a", "b", "c")
    assert remembered(path, "boot2", gpus("b", "c")) == gpus("b", "c")
    assert remembered(path, "boot2", gpus("c")) == gpus("b", "c")


def test_a_new_gpu_or_slice_makes_it_another_machine(tmp_path: Path) -> None:
    path = str(tmp_path / "gpus")
    remembered(path, "boot1", gpus("a", "b"))
    assert remembered(path, "boot1", gpus("a", "MIG-b1", "MIG-b2")) == gpus("a", "MIG-b1", "MIG-b2")
    assert remembered(path, "boot1", gpus("a", "b")) == gpus("a", "b")


def test_what_cannot_be_read_or_kept_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "gpus"
    path.write_text("nonsense")
    assert remembered(str(path), "boot1", gpus("a")) == gpus("a")
    assert remembered(str(tmp_path / "no/such/place"), "boot1", gpus("a")) == gpus("a")
    assert remembered(str(tmp_path / "none"), "boot1", ()) == ()
    assert not (tmp_path / "none").exists()
