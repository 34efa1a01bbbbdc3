"""Two clusters of the same ten nodes on this machine: Corral, and the real Slurm from Debian's packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NODES, CPUS, MEMORY_MB, GPUS = 10, 16, 64000, 8

#: The fastest configuration found for the real one, after SchedMD's High Throughput Computing guide.
TUNED = """\
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,default_queue_depth=10000,max_sched_time=4,\
bf_interval=1,bf_max_job_test=10000,bf_continue,bf_yield_interval=1000000,bf_yield_sleep=100000,bf_resolution=60,bf_max_time=30
JobAcctGatherType=jobacct_gather/none
PriorityType=priority/basic
PropagateResourceLimits=NONE
MinJobAge=10
CompleteWait=0
MessageTimeout=60
SlurmctldDebug=error
SlurmdDebug=error
TCPTimeout=10
"""

_SLURM_CONF = """\
ClusterName=reference
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/munge
CryptoType=crypto/munge
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
ReturnToService=2
SlurmUser=root
SlurmdUser=root
SlurmdParameters=config_overrides
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool.%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.%n.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.%n.log
SwitchType=switch/none
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
JobCompType=jobcomp/none
InactiveLimit=0
KillWait=5
MaxJobCount=200000
MaxArraySize=100001
NodeName=dgx[0180-0189] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[26900-26909] CPUs={cpus} RealMemory={memory} \
Gres=gpu:v100:{gpus} State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
{tuned}
"""


class Cluster:
    """How to speak to one of the two."""

    def __init__(
        self, name: str, environment: dict[str, str], controller: Callable[[], int], restart: list[str]
    ) -> None:
        self.name = name
        self.environment = environment
        self.controller = controller  #: its process id now
        self.restart = restart  #: starts the controller again after a crash

    def run(self, *command: str, check: bool = True, quiet: bool = False) -> str:
        """Standard output of one of the cluster's commands."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)} gave {done.returncode}: {done.stderr}")
        return done.stdout or ""


def until(condition: Callable[[], bool], seconds: float = 60.0, every: float = 0.02) -> None:
    """Wait for a condition; a TimeoutError says that it never came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(every)


@contextmanager
def corral(directory: Path, nodes: int = NODES) -> Iterator[Cluster]:
    """So many virtual nodes by `corral up`."""
    programs = Path(sys.executable).parent
    environment = dict(
        os.environ, PATH=f"{programs}:{os.environ['PATH']}", CORRAL_ENDPOINT=f"unix://{directory}/corral.sock"
    )
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    for name in [name for name in environment if name.startswith("SLURM_")]:
        del environment[name]
    up = ["corral", "up", "--dir", str(directory), "--nodes", str(nodes), "--cpus", str(CPUS), "--mem", str(MEMORY_MB)]
    up += ["--gpus", str(GPUS), "--gpu-type", "v100", "--prefix", "dgx0180"]
    subprocess.run(up, env=environment, check=True, stdout=subprocess.DEVNULL)
    cluster = Cluster("corral", environment, lambda: _pid_in(directory / "controller.lock"), up)
    try:
        yield cluster
    finally:
        subprocess.run(
            ["corral", "down", "--dir", str(directory)], env=environment, check=False, stdout=subprocess.DEVNULL
        )


def _pid_in(file: Path) -> int:
    return int(file.read_text().split()[0])


def slurm_is_here() -> bool:
    return shutil.which("slurmctld", path="/usr/sbin:/usr/bin") is not None and os.geteuid() == 0


@contextmanager
def slurm(directory: Path) -> Iterator[Cluster]:
    """A slurmctld and ten slurmds (package slurm-wlm; root; munge runs or is started)."""
    conf = directory / "slurm.conf"
    (directory / "state").mkdir(parents=True, exist_ok=True)
    (directory / "bin").mkdir(exist_ok=True)
    (directory / "gpu").mkdir(exist_ok=True)
    # Slurm's daemons look at argv[0] to learn which of them they are; Debian calls them NAME-wlm.
    for name in ("slurmctld", "slurmd", "slurmstepd"):
        program = next(p for p in (f"/usr/sbin/{name}-wlm", f"/usr/sbin/{name}") if os.path.exists(p))
        link = directory / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    for index in range(GPUS):
        link = directory / "gpu" / f"nvidia{index}"
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    (directory / "gres.conf").write_text(
        f"NodeName=dgx[0180-0189] Name=gpu Type=v100 File={directory}/gpu/nvidia[0-{GPUS - 1}]\n"
    )
    conf.write_text(_SLURM_CONF.format(dir=directory, cpus=CPUS, memory=MEMORY_MB, gpus=GPUS, tuned=TUNED))
    if subprocess.run(["munge", "-n"], check=False, capture_output=True).returncode:
        os.makedirs("/run/munge", exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", "/usr/sbin/munged"], check=True)
    environment = dict(os.environ, PATH=f"/usr/bin:/usr/sbin:{os.environ['PATH']}", SLURM_CONF=str(conf))
    start = [f"{directory}/bin/slurmctld"]
    subprocess.run(start, env=environment, check=True, stderr=subprocess.DEVNULL)
    for number in range(180, 180 + NODES):
        command = [f"{directory}/bin/slurmd", "-d", f"{directory}/bin/slurmstepd", "-N", f"dgx{number:04}"]
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    cluster = Cluster("slurm", environment, lambda: _pid_in(directory / "slurmctld.pid"), start)
    try:
        until(lambda: cluster.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False).count("dgx") >= NODES)
        yield cluster
    finally:
        cluster.run("scontrol", "update", "partitionname=batch", "state=down", check=False)
        cluster.run("scancel", "--state=running", check=False)
        for file in directory.glob("*.pid"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ProcessLookupError, ValueError):
                pass
        for pid in _steps_of(environment["SLURM_CONF"]):
            os.kill(pid, signal.SIGKILL)


def _steps_of(configuration: str) -> list[int]:
    """The slurmstepds of this cluster: others on the machine are nobody's business here."""
    found = []
    mark = f"SLURM_CONF={configuration}".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            is_step = Path(f"/proc/{name}/cmdline").read_bytes().startswith(b"slurmstepd: ")
            if is_step and mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
        except OSError:
            pass
    return found
