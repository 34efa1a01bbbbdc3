from corral.agent.visibility import Naming, naming_of, visible
from corral.model.gres import GresDevice


def test_nvidias_gpus_go_by_their_numbers_everywhere() -> None:
    assert visible((2, 3), (2, 3), Naming()) == dict.fromkeys(
        ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"), "2,3"
    )
    assert visible((3,), (2, 3), Naming(renumber=True))["CUDA_VISIBLE_DEVICES"] == "1"


def test_slices_go_by_their_names() -> None:
    devices = (
        GresDevice(name="gpu", type="h100", files=("/dev/nvidia0",), uuids=("GPU-0",)),
        GresDevice(name="gpu", type="h100_1g", count=2, files=("/dev/nvidia1",) * 2, uuids=("MIG-a", "MIG-b")),
    )
    naming = naming_of(devices, renumber=True)
    assert visible((1, 2), (1, 2), naming)["CUDA_VISIBLE_DEVICES"] == "MIG-a,MIG-b"
    assert naming_of(devices[:1], renumber=True).slices == ()


def test_amds_are_counted_among_those_that_rocr_leaves() -> None:
    naming = naming_of((GresDevice(name="gpu", count=4, files=("/dev/dri/renderD128",) * 4),), renumber=False)
    assert visible((2, 3), (2, 3), naming) == {
        "ROCR_VISIBLE_DEVICES": "2,3", "HIP_VISIBLE_DEVICES": "0,1", "GPU_DEVICE_ORDINAL": "0,1",
    }  # fmt: skip
