"""Parsl: a block of two nodes whose workers srun starts."""

import math
import os
import sys
from pathlib import Path

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider


def test_apps_run_on_the_nodes_of_a_block(work: Path) -> None:
    provider = SlurmProvider(
        partition="batch", nodes_per_block=2, init_blocks=1, max_blocks=1, walltime="00:05:00", cores_per_node=2, exclusive=False,
        launcher=SrunLauncher(), worker_init=f"export PATH={os.path.dirname(sys.executable)}:$PATH",
    )  # fmt: skip
    executor = HighThroughputExecutor(label="corral", address="127.0.0.1", max_workers_per_node=2, provider=provider)

    # What a test defines cannot be imported where it runs.
    variable, power = parsl.python_app(os.getenv), parsl.python_app(math.pow)
    with parsl.load(Config(executors=[executor], run_dir=str(work / "runinfo"))):
        powers = [power(number, 2) for number in range(6)]
        place = variable("SLURMD_NODENAME")
        assert [app.result(timeout=120) for app in powers] == [0, 1, 4, 9, 16, 25]
        assert place.result(timeout=120).startswith("node0")
