"""The PyTorch example on a real cluster; only where torch is installed."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install torch"),
]


@pytest.mark.parametrize("launcher", [(), ("torchrun",)])
def test_eight_ranks_on_two_nodes_train_one_model(cluster: LiveCluster, launcher: tuple[str, ...]) -> None:
    for name in ("train_ddp.sh", "train_ddp.py"):
        shutil.copy(EXAMPLES / name, cluster.work)
    cluster.environment["PYTHON"] = sys.executable
    cluster.run("sbatch", "-W", "-t", "5", "-o", "ddp.out", "train_ddp.sh", *launcher, seconds=300)
    said = (cluster.work / "ddp.out").read_text()
    assert "trained on 8 ranks, mean loss 0.00" in said
    assert {line.split(" ")[5].rstrip(":") for line in said.splitlines() if line.startswith("rank ")} == {
        "dgx0180",
        "dgx0181",
    }
