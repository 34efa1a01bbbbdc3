"""Hydra with its submitit launcher: one array for a sweep over a parameter."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os
import hydra


@hydra.main(config_path=None, config_name=None, version_base=None)
def main(config):
    with open(f"{hydra.utils.get_original_cwd()}/x{config.x}", "w") as file:
        file.write(os.environ["SLURM_ARRAY_JOB_ID"])


if __name__ == "__main__":
    main()
"""


def test_a_sweep_is_an_array(work: Path) -> None:
    (work / "program.py").write_text(PROGRAM)
    options = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=batch", "hydra.launcher.timeout_min=5"]
    subprocess.run(
        [sys.executable, "program.py", "-m", *options, "hydra.launcher.mem_gb=1", "+x=1,2,3"],
        check=True, timeout=120, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert len({(work / f"x{x}").read_text() for x in (1, 2, 3)}) == 1
