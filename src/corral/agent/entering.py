"""How do tasks come into a container of a Pod that runs already (srun --container-name=NAME:exec)?

The shepherd of the container's run leaves word of its program beside what else the Pod has here. Whoever comes later enters that
process's namespaces and has its variables.
"""

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

import msgspec

from corral.agent import mounts
from corral.agent.confine import Confinement
from corral.agent.container import Box, CannotContain
from corral.agent.identity import Identity
from corral.agent.podplace import pod_place
from corral.agent.tasks import TaskPlan
from corral.model.job import Owner
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import PodRun

#: Variables that are the newcomer's own.
_OWN = ("TERM", "SLURM_STEPID", "SLURM_STEP_ID", "SRUN_DEBUG", "CORRAL_STEP", "CORRAL_ORIGIN")
_KINDS = (
    ("user", mounts.CLONE_NEWUSER), ("net", mounts.CLONE_NEWNET), ("uts", mounts.CLONE_NEWUTS), ("mnt", mounts.CLONE_NEWNS),
)  # fmt: skip
_FLAGS = os.O_RDONLY | os.O_CLOEXEC


class Running(msgspec.Struct, frozen=True):
    """The program of a container."""

    pid: int
    began: str  #: in the kernel's ticks
    work_dir: str
    confined: Confinement = Confinement()
    run_as: tuple[int, int] | None = None  #: where that is not its job's owner
    groups: tuple[int, ...] = ()  #: beside its user's


def note(order: LaunchStep, boxes: str, pid: int, work_dir: str, confined: Confinement = Confinement()) -> None:  # noqa: B008  frozen
    """It runs."""
    assert order.pod is not None
    place = pod_place(boxes, order.node, order.key.job, order.key.restart)
    os.makedirs(place, mode=0o700, exist_ok=True)
    path = f"{place}/{order.pod.container}.run"
    Path(f"{path}.new").write_bytes(msgspec.json.encode(_running(order.pod, pid, work_dir, confined)))
    os.replace(f"{path}.new", path)


def _running(run: PodRun, pid: int, work_dir: str, confined: Confinement) -> Running:
    return Running(pid, _beginning(pid), work_dir, confined, run.run_as, (*run.groups, *run.more_groups))


def _as_its_user(running: Running, identity: Identity) -> Identity:
    """A command runs as the program does."""
    if running.run_as is not None and os.geteuid() == 0:
        uid, gid = running.run_as
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        identity = Identity(Owner(uid=uid, gid=gid, user=name, group=str(gid)))
    if identity.changes:
        identity.groups += [gid for gid in running.groups if gid not in identity.groups]
    return identity


class _Namespaces(Box):
    """Of another process."""

    def __init__(self, pid: int, identity: Identity) -> None:
        super().__init__(-1, -1, identity, remap_root=False)
        self._fds = [
            (os.open(f"/proc/{pid}/ns/{name}", _FLAGS), kind)
            for name, kind in _KINDS
            if os.stat(f"/proc/{pid}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino
        ]

    def enter(self) -> None:
        for fd, kind in self._fds:
            mounts.setns(fd, kind)

    def close(self) -> None:
        for fd, _ in self._fds:
            os.close(fd)


class Entered:
    """The container that the tasks of a step go into."""

    def __init__(self, order: LaunchStep, name: str, boxes: str, identity: Identity) -> None:
        """Raises CannotContain."""
        self.notes: tuple[str, ...] = ()
        place = pod_place(boxes, order.node, order.key.job, order.key.restart)
        try:
            running = msgspec.json.decode(Path(f"{place}/{name}.run").read_bytes(), type=Running)
            if _beginning(running.pid) != running.began:
                raise FileNotFoundError
            self._identity = _as_its_user(running, identity)
            self._box = _Namespaces(running.pid, self._identity)
            words = Path(f"/proc/{running.pid}/environ").read_bytes().split(b"\0")
        except (OSError, msgspec.DecodeError):
            raise CannotContain(f"container {name} does not run") from None
        self._variables = dict(os.fsdecode(word).split("=", 1) for word in words if b"=" in word)
        self._confined = running.confined
        self._work_dir = order.spec.container.work_dir if order.spec.container is not None else ""
        self._work_dir = self._work_dir or running.work_dir

    def put_in(self, plans: Sequence[TaskPlan]) -> None:
        for plan in plans:
            own = {key: plan.environment[key] for key in _OWN if key in plan.environment}
            plan.box, plan.work_dir, plan.environment = self._box, self._work_dir, self._variables | own
            plan.identity = self._identity
            if self._confined:
                plan.before = (*plan.before, self._confined)

    def end(self) -> str:
        self._box.close()
        return ""


def _beginning(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].split()[19]
    except (OSError, IndexError):
        return ""
