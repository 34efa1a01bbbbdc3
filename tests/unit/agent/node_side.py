"""A node without its agent: a real spawner and real shepherds, in a directory of their own."""

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
from tests.waiting import wait_until

from corral.agent import cgroup, control, processes, spawner
from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresShare
from corral.model.job import JobId, JobSpec, Owner, StdioSpec, StepSpec
from corral.model.step import BATCH, StepKey, TaskPlace
from corral.protocol.codec import encode
from corral.protocol.orders import JobContext, LaunchStep, StepIo
from corral.protocol.reports import StepFinished

NODE = "dgx0180"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C"}
_numbers = itertools.count(1)


def _parent(pid: int) -> int:
    """0: it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class NodeSide:
    """What an agent would do, by hand."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.work_dir = root / "work"
        self.work_dir.mkdir(parents=True)
        settings.setdefault("virtual", True)
        self.settings = control.ShepherdSettings(cgroup_name=f"corral-test-{os.getpid()}", **settings)
        self.socket = control.bind_datagrams(f"{root}/agent.sock")
        self.socket.setblocking(True)
        self.socket.settimeout(60)
        self.notices: list[control.Started | control.Exited | control.Sampled] = []
        self.keys: list[StepKey] = []
        self.spawner = spawner.start(str(root), self.settings)

    # ------------------------------------------------------------------ orders

    def batch(self, script: str, *, memory_mb: int = 0, owner: Owner | None = None, **spec: Any) -> StepKey:
        return self.launch(BATCH, script=script, memory_mb=memory_mb, owner=owner, **spec)

    def step(self, *argv: str, ntasks: int = 1, io: StepIo | None = None, **spec: Any) -> StepKey:
        return self.launch(0, argv=argv, ntasks=ntasks, io=io, **spec)

    def launch(
        self,
        step: int,
        *,
        script: str = "",
        ntasks: int = 1,
        io: StepIo | None = None,
        memory_mb: int = 0,
        owner: Owner | None = None,
        environment: dict[str, str] | None = None,
        stdio: StdioSpec = StdioSpec(),  # noqa: B008 - it is frozen
        sample_seconds: float = 30.0,
        cpus: tuple[int, ...] = (0,),
        gpus: tuple[int, ...] = (),
        job: int = 0,
        **spec: Any,
    ) -> StepKey:
        """job: the number of one that is there already; 0 = a new one."""
        key = StepKey(JobId(job or next(_numbers)), step, 0)
        gres = (GresShare("gpu", "", gpus),) if gpus else ()
        share = NodeShare(node=NODE, cpus=cpus, memory_mb=memory_mb, gres=gres)
        spec.setdefault("work_dir", str(self.work_dir))
        order = LaunchStep(
            node=NODE,
            key=key,
            job=JobContext(
                job_id=key.job,
                name="test",
                owner=owner or Owner(uid=os.getuid(), gid=os.getgid(), user="root", group="root"),
                allocation=Allocation(nodes=(share,)),
                spec=JobSpec(work_dir=spec["work_dir"]),
                cluster="test",
            ),
            spec=StepSpec(stdio=stdio, **spec),
            step_nodes=(NODE,),
            tasks_per_node=(ntasks,),
            ntasks=ntasks,
            share=share,
            job_share=share,
            tasks=tuple(TaskPlace(rank, rank) for rank in range(ntasks)),
            script=script,
            environment={**ENVIRONMENT, **(environment or {})},
            io=io,
            sample_seconds=sample_seconds,
        )
        data = encode(order)
        directory = self.directory(key)
        directory.mkdir(parents=True)
        (directory / "launch").write_bytes(data)
        self.keys.append(key)
        self.spawner.launch(data)
        return key

    def tell(self, key: StepKey, command: control.Signal | control.Suspend | control.End) -> None:
        path = f"{self.directory(key)}/ctl"
        wait_until(lambda: control.send_datagram(self.socket, path, control.encode_command(command)))

    # ------------------------------------------------------------------ what comes of it

    def directory(self, key: StepKey) -> Path:
        return self.root / "steps" / NODE / str(key)

    def _notice(self, kind: type, key: StepKey) -> Any:
        while True:
            for notice in self.notices:
                if isinstance(notice, kind) and notice.key == key:
                    return notice
            self.notices.append(control.decode_notice(self.socket.recv(65536)))

    def started(self, key: StepKey) -> tuple[int, ...]:
        """The processes of its tasks. For steps that take their time: of others only the end is heard."""
        self._notice(control.Started, key)
        shepherd = control.shepherd_pid(str(self.directory(key)))
        assert shepherd
        return tuple(pid for pid in processes.descendants(shepherd) if _parent(pid) == shepherd)

    def finished(self, key: StepKey) -> StepFinished:
        self._notice(control.Exited, key)
        return msgspec.msgpack.decode((self.directory(key) / "exit").read_bytes(), type=StepFinished)

    def output(self, key: StepKey) -> str:
        return (self.work_dir / f"slurm-{key.job}.out").read_text()

    def pid_in(self, name: str) -> int:
        """A process id that a script has written to this file."""
        path = self.work_dir / name
        return int(wait_until(lambda: path.exists() and path.read_text().strip()))

    def close(self) -> None:
        for key in self.keys:
            pid = control.shepherd_pid(str(self.directory(key)))
            if pid is not None:
                control.send_datagram(self.socket, f"{self.directory(key)}/ctl", control.encode_command(control.End()))
        for key in self.keys:
            directory = str(self.directory(key))
            try:
                wait_until(lambda at=directory: control.shepherd_pid(at) is None, 6.0)
            except AssertionError:
                if pid := control.shepherd_pid(directory):
                    os.kill(pid, signal.SIGKILL)
        self.spawner.close()
        self.socket.close()
        cgroup.remove_base(self.settings)
