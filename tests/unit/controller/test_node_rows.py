"""What is shown of a node's devices. Texts are the real scontrol's."""

import msgspec
import pytest
from tests.builders import node

from corral.controller.api.node_rows import gres_text
from corral.model.gres import GresDevice


@pytest.mark.parametrize(
    ("cores", "text"),
    [
        ((), "gpu:v100:2"),
        (((0, 1, 2, 3), (4, 5, 6, 7)), "gpu:v100:2(S:0-1)"),
        (((4, 5, 6, 7), (4, 5, 6, 7)), "gpu:v100:2(S:1)"),
    ],
)
def test_sockets_near_gpus_stand_behind_them(cores: tuple[tuple[int, ...], ...], text: str) -> None:
    gpus = GresDevice(name="gpu", type="v100", count=2, cores=cores)
    inventory = msgspec.structs.replace(node("n1", cpus=8), sockets=2, cores_per_socket=4, gres=(gpus,))
    assert gres_text(inventory) == text
