"""A live cluster for the clients: they get the commands on PATH, as a user of a Slurm cluster has them, and nothing else."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

#: `make test` has none of the clients.
collect_ignore_glob = [] if importlib.util.find_spec("submitit") else ["test_*.py"]

#: Nodes, for those who look.
NODES = ("--nodes=4", "--cpus=8", "--mem=16000", "--gpus=2", "--gpu-type=v100", "--prefix=node01")


@pytest.fixture(scope="session", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Four virtual nodes; CORRAL_ENDPOINT leads the commands to them."""
    assert shutil.which("sbatch"), "corral's commands are not on PATH: use `make test-clients`"
    state = tmp_path_factory.mktemp("cluster")
    config = state / "corral.toml"
    config.write_text('[timeouts]\nkill_wait = 2\n[preemption]\ntype = "qos"\nmode = "REQUEUE"\n')
    os.environ["CORRAL_ENDPOINT"] = f"unix://{state}/corral.sock"
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        del os.environ[name]
    subprocess.run(["corral", "up", "--dir", str(state), *NODES], check=True, stdout=subprocess.DEVNULL)
    for qos in (("low", "GraceTime=60"), ("high", "Preempt=low")):
        subprocess.run(["sacctmgr", "-i", "add", "qos", *qos], check=True, stdout=subprocess.DEVNULL)
    yield
    subprocess.run(["corral", "down", "--dir", str(state)], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
