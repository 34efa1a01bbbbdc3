"""What the operator says of devices wins; what was found fills in the rest."""

import pytest

from corral.model import devices
from corral.model.cluster import GresConfig, NodeConfig
from corral.model.gres import GresDevice


def h100(count: int = 4, first: int = 0) -> GresDevice:
    numbers = range(first, first + count)
    return GresDevice(
        name="gpu", type="h100", count=count, files=tuple(f"/dev/nvidia{n}" for n in numbers), uuids=tuple(f"GPU-{n}" for n in numbers),
        links=tuple(tuple(10 * (one != other) for other in numbers) for one in numbers), cores=tuple((n,) for n in numbers),
    )  # fmt: skip


FPGAS = GresConfig(name="fpga", nodes="n[1-2]", files=("/dev/fpga[0-1]",))


def test_a_table_tells_of_devices_that_are_not_found() -> None:
    fpga = GresDevice(name="fpga", count=2, files=("/dev/fpga0", "/dev/fpga1"))
    assert devices.declared((h100(),), [FPGAS], "n2") == (h100(), fpga)
    assert devices.declared((h100(),), [FPGAS], "n3") == (h100(),)
    assert devices.declared((h100(), fpga), [FPGAS], "n2") == (h100(), fpga), "told twice"


def test_a_table_that_leaves_gpus_out_keeps_what_is_known_of_the_others() -> None:
    table = GresConfig(name="gpu", files=("/dev/nvidia[2-3]",))
    (found,) = devices.declared((h100(),), [table], "n1")
    assert found == h100(2, first=2)


def test_gpus_by_the_type_that_the_operator_calls_them() -> None:
    (found,) = devices.counted((h100(),), NodeConfig(name="n", gres="gpu:h100:4"))
    assert found == h100()
    (found,) = devices.counted((h100(),), NodeConfig(name="n", gres="gpu:4"))
    assert found == h100(), "without a type it is what was found"
    (found,) = devices.counted((h100(),), NodeConfig(name="n", gres="gpu:H1:2"))
    assert (found.type, found.files) == ("H1", ("/dev/nvidia0", "/dev/nvidia1")), (
        "a part of the type's name, as in Slurm"
    )


def test_groups_stay_in_the_order_in_which_they_were_found() -> None:
    t4 = GresDevice(name="gpu", type="t4", count=1, files=("/dev/nvidia4",))
    found = devices.counted((h100(), t4), NodeConfig(name="n", gres="gpu:t4:1,gpu:h100:4"))
    assert found == (h100(), t4)


def test_devices_of_a_table_count_also_where_the_nodes_gres_does_not_name_them() -> None:
    fpga = GresDevice(name="fpga", count=2, files=("/dev/fpga0", "/dev/fpga1"))
    assert devices.counted((h100(), fpga), NodeConfig(name="n", gres="gpu:h100:4")) == (h100(), fpga)
    assert devices.counted((h100(), fpga), NodeConfig(name="n", gres="gpu:4,fpga:1")) == (
        h100(), GresDevice(name="fpga", count=1, files=("/dev/fpga0",)),
    )  # fmt: skip
    with_shards = devices.counted((h100(), fpga), NodeConfig(name="n", gres="shard:8"))
    assert with_shards == (h100(), fpga, GresDevice(name="shard", type="h100", count=8))
    assert devices.counted((h100(), fpga), NodeConfig(name="n", gres="fpga:2")) == (fpga,), (
        "GPUs that are not to be used"
    )


def test_links_and_cores_that_are_said_win_each_by_itself() -> None:
    (found,) = devices.counted((h100(2),), NodeConfig(name="n", gpu_cores=("0-1", "2-3")))
    assert (found.cores, found.links) == (((0, 1), (2, 3)), h100(2).links)
    (found,) = devices.counted((h100(2),), NodeConfig(name="n", gpu_links=("-1,3", "3,-1")))
    assert (found.cores, found.links) == (h100(2).cores, ((0, 3), (3, 0)))


@pytest.mark.parametrize(
    ("found", "wanted", "before", "said"),
    [
        (4, 4, 4, ""),
        (4, 4, 0, ""),
        (3, 4, 0, "gres/gpu count reported lower than configured (3 < 4)"),
        (3, 3, 4, "gres/gpu count reported lower than configured (3 < 4): GPU-3 gone"),
        (4, 2, 4, ""),
    ],
)
def test_a_node_with_fewer_gpus_than_it_should_have(found: int, wanted: int, before: int, said: str) -> None:
    assert devices.shortage((h100(found),), (h100(wanted),), (h100(before),)) == said


def test_a_gpu_that_stands_for_another_is_no_loss() -> None:
    assert devices.shortage((h100(2, first=1),), (h100(2),), (h100(2),)) == ""
