"""A real cluster of virtual nodes, and commands run on it as a user would."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster import afterwards
from tests.waiting import PATIENCE, wait_until

from corral.client.client import ClusterClient

#: The commands stand beside the interpreter.
COMMANDS = Path(sys.executable).parent
TEN_NODES = ("--nodes=10", "--cpus=16", "--mem=64000", "--gpus=8", "--gpu-type=v100", "--prefix=dgx0180")


def pid_of(path: Path) -> int:
    return int(path.read_text().split()[0])


def killed(pid: int) -> None:
    """By SIGKILL, and dead: until then it may still be taken for one that runs."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        assert select.select([handle], [], [], PATIENCE)[0], f"process {pid} does not die"
    finally:
        os.close(handle)


class LiveCluster:
    """A cluster in a directory of its own."""

    def __init__(self, directory: Path, config: str = "") -> None:
        self.directory = directory / "state"
        self.work = directory / "work"  #: where the commands run
        self.endpoint = f"unix://{self.directory}/corral.sock"
        self.work.mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("SLURM_", "SBATCH_", "CORRAL_"))
            },
            "CORRAL_ENDPOINT": self.endpoint,
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
        }
        if config:
            (self.directory / "corral.toml").write_text(config)

    def up(self, *options: str) -> "subprocess.CompletedProcess[str]":
        afterwards.may_be_asked(self.directory, self.endpoint)
        return self.run("corral", "up", "--dir", str(self.directory), "--timeout=120", *options, seconds=150)

    def down(self) -> "subprocess.CompletedProcess[str]":
        return self.run("corral", "down", "--dir", str(self.directory))

    def run(
        self, *command: str, check: bool = True, seconds: float = 2 * PATIENCE
    ) -> "subprocess.CompletedProcess[str]":
        """A command with its output; with `check` it must succeed."""
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def text(self, *command: str) -> str:
        """What it prints, without the last line's end."""
        return self.run(*command).stdout.rstrip("\n")

    def submit(self, *options: str) -> str:
        return self.text("sbatch", "--parsable", *options)

    def state(self, job: str) -> str:
        """As sacct has it."""
        lines = self.text("sacct", "-n", "-P", "-X", "-o", "State", "-j", job).splitlines()
        return lines[0] if lines else ""

    def wait_for(self, job: str, *states: str) -> None:
        """Until it has got so far for squeue and sacct. One that has ended has left its nodes, too."""
        with ClusterClient(self.endpoint) as client:

            def seen() -> list[str]:
                return [row["state"] for row in client.jobs(["state"], ids=job)]

            wait_until(
                lambda: (found := seen()) and set(found) <= {*states}, what=lambda: f"job {job} {' or '.join(states)}: {seen()}"
            )  # fmt: skip
        wait_until(lambda: self.state(job).split(" ")[0] in states, what=lambda: f"job {job}: {self.state(job)}")

    def kill(self, lock: str) -> None:
        """The daemon that holds this file of the state directory, say `controller.lock`."""
        killed(pid_of(self.directory / lock))

    def processes(self) -> list[str]:
        """All that runs for this cluster: daemons, shepherds, tasks."""
        found = []
        marks = (os.fsencode(self.directory), os.fsencode(f"CORRAL_ORIGIN={self.endpoint}"))
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    command = Path(f"/proc/{name}/cmdline").read_bytes()
                    environment = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                is_task = marks[1] in environment and any(v.startswith(b"CORRAL_STEP=") for v in environment)
                if marks[0] in command or is_task:
                    found.append(f"{name} {command.replace(bytes(1), b' ').decode(errors='replace')}")
        return found
