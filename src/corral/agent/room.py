"""What of its node does a job have for itself: its own /tmp and /dev/shm, and no device files of other jobs' GPUs?

All steps of a job on a node share one place: BOXES/NODE/JOB.RESTART/.private, and for what lies in memory a directory of /dev/shm or, where
the operator gives each a size, a tmpfs that is mounted there. A step's tasks enter a mount namespace in which these lie over the node's.
They are gone with the job. A container sees them too.
"""

import os
import stat

from corral.agent import mounts
from corral.agent.boxes import of_job, remove
from corral.agent.container import Box, namespace_of
from corral.agent.identity import Identity
from corral.agent.viewing import lay
from corral.model.cluster import Isolation
from corral.model.container import Mount
from corral.protocol.orders import LaunchStep

_SHARED_MEMORY = "/dev/shm"
#: What lies over a file of a device that is no device file.
_NOTHING = "nothing"


class Room:
    """Of one step."""

    def __init__(
        self, order: LaunchStep, isolation: Isolation, boxes: str, identity: Identity, hidden: tuple[str, ...],
        resolver: str = "",
    ) -> None:  # fmt: skip
        """resolver: what lies over /etc/resolv.conf."""
        self._order, self._isolation, self._identity, self._hidden = order, isolation, identity, hidden
        self._place = private_of(boxes, order.node, order.key.job, order.key.restart)
        self._boxes, self._resolver = boxes, resolver

    def box(self) -> Box:
        """Raises OSError."""
        self.prepare()
        return Box(namespace_of(self.lay), -1, self._identity, remap_root=False)

    def prepare(self) -> None:
        """Before the namespace: the directories, which all steps of the job find."""
        os.makedirs(self._place, mode=0o700, exist_ok=True)
        for path in self._isolation.private_dirs:
            own = self._own(path)
            try:
                os.makedirs(own, mode=0o700)
            except FileExistsError:
                continue
            if self._isolation.private_size_mb:
                size = f"size={self._isolation.private_size_mb}m,mode=1777"
                mounts.mount("tmpfs", own, "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV, size)
            os.chown(own, self._identity.uid, self._identity.gid)
            os.chmod(own, 0o1777)
        if self._hidden and not os.path.exists(f"{self._place}/{_NOTHING}"):
            os.close(os.open(f"{self._place}/{_NOTHING}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0))

    def lay(self) -> None:
        """In a mount namespace of its own: over the node's."""
        lay(self._resolver)
        for path in self._hidden:
            if os.path.exists(path):
                self._hide(path)
        for path in self._isolation.private_dirs:
            if os.path.isdir(path):
                mounts.mount(self._own(path), path, flags=mounts.MS_BIND)

    def _hide(self, path: str) -> None:
        """A device on a mount without devices is opened by nobody, root neither; a file that root could read has nothing in it."""
        is_device = stat.S_ISCHR(mode := os.stat(path).st_mode) or stat.S_ISBLK(mode)
        mounts.mount(path if is_device else f"{self._place}/{_NOTHING}", path, flags=mounts.MS_BIND)
        if is_device:
            kept = os.statvfs(path).f_flag & (mounts.MS_RDONLY | mounts.MS_NOSUID | mounts.MS_NOEXEC)
            mounts.mount("none", path, flags=mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_NODEV | kept)

    def _own(self, path: str) -> str:
        if path == _SHARED_MEMORY and not self._isolation.private_size_mb:
            return shared_memory_of(self._boxes, self._order.node, self._order.key.job, self._order.key.restart)
        return f"{self._place}/{path.strip('/').replace('/', '.')}"

    def mounts(self) -> list[Mount]:
        """What a container must be given beside /dev."""
        return [Mount(self._own(path), path) for path in self._isolation.private_dirs if not path.startswith("/dev/")]

    def trees(self) -> list[tuple[Mount, int]]:
        return []

    users = ""


def private_of(boxes: str, node: str, job: int, restart: int) -> str:
    return f"{of_job(boxes, node, job, restart)}/.private"


def shared_memory_of(boxes: str, node: str, job: int, restart: int) -> str:
    """Below a directory that nobody else may look into; the agent's state directory tells agents apart."""
    import hashlib

    mark = hashlib.sha256(os.fsencode(boxes)).hexdigest()[:12]
    base = f"{_SHARED_MEMORY}/.corral-{mark}"
    os.makedirs(base, mode=0o700, exist_ok=True)
    return f"{base}/{node}.{job}.{restart}"


def clear(boxes: str, node: str, job: int, restart: int) -> None:
    """The job is over: nothing of what it had for itself stays."""
    place = private_of(boxes, node, job, restart)
    if os.path.isdir(place):
        for name in os.listdir(place):
            path = f"{place}/{name}"
            while os.path.ismount(path):
                mounts.unmount(path)
        own = shared_memory_of(boxes, node, job, restart)
        remove(own)
        try:
            os.rmdir(os.path.dirname(own))
        except OSError:
            pass  # other jobs have theirs there
    remove(of_job(boxes, node, job, restart))
