"""Many people want a shell with a GPU at the same moment."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable

from tests.cluster.live import LiveCluster, wait_until

ASK = b"echo got:$SLURMD_NODENAME/$CUDA_VISIBLE_DEVICES:\n"


class Person:
    """Someone who types srun at a terminal, and then asks which GPU it is."""

    def __init__(self, cluster: LiveCluster) -> None:
        self.terminal, inner = pty.openpty()
        self.srun = subprocess.Popen(
            ["srun", "--gres=gpu:1", "--time=60", "--pty", "bash", "--norc"], cwd=cluster.work,
            env={**cluster.environment, "PS1": "ready> ", "TERM": "dumb"}, stdin=inner, stdout=inner, stderr=inner,
            start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        self.seen = b""
        self.has_asked = False

    def read(self) -> None:
        while select.select([self.terminal], [], [], 0)[0]:
            try:
                self.seen += os.read(self.terminal, 4096)
            except OSError:
                return
        if not self.has_asked and b"ready> " in self.seen:
            self.has_asked = True
            os.write(self.terminal, ASK)

    @property
    def gpu(self) -> bytes:
        """node/index, when it has been said."""
        answer = self.seen.rpartition(b"\ngot:")[2] if b"\ngot:" in self.seen else b""
        return answer.partition(b":")[0] if b":" in answer else b""

    def go(self) -> int:
        if self.has_asked:
            os.write(self.terminal, b"exit\n")
        else:
            self.srun.terminate()
        status = self.srun.wait(30)
        os.close(self.terminal)
        return status


def test_each_has_a_gpu_of_its_own_or_a_planned_start(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=3", "--cpus=8", "--mem=8000", "--gpus=4", "--gpu-type=v100", "--prefix=dgx0180")
    hall = [Person(cluster) for _ in range(15)]
    try:

        def seated() -> list[Person]:
            for person in hall:
                person.read()
            return [person for person in hall if person.gpu]

        wait_until(lambda: len(seated()) == 12)
        assert sorted(person.gpu for person in seated()) == sorted(
            f"dgx018{node}/{gpu}".encode() for node in range(3) for gpu in range(4)
        )
        starts = wait_until(
            lambda: (
                (found := cluster.text("squeue", "-h", "--start", "-o", "%S").split())
                and "N/A" not in found
                and len(found) == 3
                and found
            )
        )
        assert all(start > time.strftime("%Y-%m-%dT%H:%M:%S") for start in starts)
    finally:
        statuses = [person.go() for person in hall]
    assert statuses.count(0) >= 12  # whoever still waited was told to go
    wait_until(lambda: not cluster.text("squeue", "-h"))
