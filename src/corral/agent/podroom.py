"""What of its node is laid out anew for a Pod: its volumes, its /etc/hosts, where it leaves its last words?

All containers of a Pod on a node share what lies in BOXES/NODE/JOB.RESTART/.pod. A container with an image has its volumes mounted as other
mounts are (container.py). A program without one enters a mount namespace in which they lie over the node's files; a mount point that the
node does not have is made in a layer over the directory where it would be, so that nothing of it is seen outside.
"""

import glob
import os
import stat
from contextlib import AbstractContextManager, nullcontext

from corral.agent import claimdirs, mounts, resolverfile, room, volumefiles
from corral.agent.container import Box, CannotContain, apart_of, namespace_of
from corral.agent.identity import Identity
from corral.agent.netrecord import Net, net_of
from corral.agent.podplace import pod_place
from corral.agent.room import Room
from corral.agent.servicevariables import service_names
from corral.agent.viewing import file_of, lay
from corral.model.container import Mount
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import PodMount, PodRun, PodVolume

_LAST_WORDS = "/dev/termination-log"
_MOST_LAST_WORDS = 4096
_HOSTS, _RESOLVER = "/etc/hosts", "/etc/resolv.conf"
#: Where systemd-resolved keeps the name servers behind its own 127.0.0.53, which a network of its own cannot reach.
_REAL_RESOLVER = "/run/systemd/resolve/resolv.conf"
#: Of a directory with more entries than this an overlay is made, else each is mounted.
_GUARDED = mounts.MS_NOSUID | mounts.MS_NODEV
#: Kinds of volumes that are not the Pod's alone.
_ELSEWHERE = ("host", "claim", "nfs")


class PodRoom:
    """Of one run of a container."""

    def __init__(
        self, order: LaunchStep, run: PodRun, boxes: str, identity: Identity, inner: Room | None, names: str = ""
    ) -> None:
        """inner: what every job has for itself here. names: the directory of what names services have; "" = they have none here."""
        self._order, self._run, self._identity, self._inner = order, run, identity, inner
        self._place = pod_place(boxes, order.node, order.key.job, order.key.restart)
        self._net = net_of(boxes, order.node, order.key.job, order.key.restart)
        self._names, self._name_server = names, ""
        if names and (self._net is None or self._net.address):
            self._name_server = resolverfile.address_for(names, is_apart=self._net is not None)

    # ------------------------------------------------------------------ as a Room

    def box(self) -> Box:
        """Of a program without an image. Raises CannotContain, OSError."""
        self.prepare()
        if os.geteuid() == 0:
            return Box(namespace_of(self._lay_all), -1, self._identity, remap_root=False)
        return Box(*apart_of(self._lay_all, self.users), self._identity, remap_root=False)

    def prepare(self) -> None:
        """Before the namespace: the files, which all containers of the Pod find."""
        if self._inner is not None:
            self._inner.prepare()
        os.makedirs(f"{self._place}/volumes", mode=0o700, exist_ok=True)
        for volume in self._run.volumes:
            if volume.kind not in _ELSEWHERE:
                self._fill(volume)
        if self._net is not None or self._run.host_aliases:
            _write(f"{self._place}/hosts", self._hosts().encode(), 0o644)
        if (text := self._resolver()) is not None:
            _write(f"{self._place}/resolv.conf", text.encode(), 0o644)
        if self._keeps_words():
            _write(self._words_file(), b"", 0o600)
            if self._identity.changes:
                os.chown(self._words_file(), self._identity.uid, self._identity.gid)

    def lay(self) -> None:
        """What is done to the node's mounts before a container takes some of them."""
        if self._inner is not None:
            self._inner.lay()
        else:
            lay(file_of(self._names))

    def mounts(self) -> list[Mount]:
        return self._inner.mounts() if self._inner is not None else []

    def trees(self) -> list[tuple[Mount, int]]:
        """What a container is given beside these, in the process that makes it."""
        return [(Mount(target, target), tree) for tree, target, _ in self._sources()]

    @property
    def users(self) -> str:
        """Of the user namespace in which its network is."""
        return self._net.users if self._net is not None else ""

    def last_words(self) -> str:
        """What the program has left as its message."""
        try:
            with open(self._words_file(), "rb") as file:
                return file.read(_MOST_LAST_WORDS).decode(errors="replace")
        except OSError:
            return ""

    def too_full(self) -> str:
        """Which volume has grown beyond its limit, in the kubelet's words; "" = none."""
        for volume in self._run.volumes:
            is_held = volume.kind == "memory" and os.geteuid() == 0
            if volume.size_mb and not is_held and _is_larger(self._path(volume), volume.size_mb << 20):
                return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{volume.size_mb}Mi".'
        return ""

    # ------------------------------------------------------------------ what is mounted

    def _sources(self) -> list[tuple[int, str, bool]]:
        """Trees of mounts, where they go, are they directories? The upper ones first. Raises CannotContain."""
        found: list[tuple[int, str, bool]] = []
        known = {volume.name: volume for volume in self._run.volumes}
        for wanted in self._run.mounts:
            if (volume := known.get(wanted.volume)) is not None:
                is_read_only = wanted.read_only or volume.read_only or volume.kind == "files"
                found.append(_tree(self._source(volume, wanted), wanted.target, is_read_only))
        given = {wanted.target.rstrip("/") for wanted in self._run.mounts}
        for target, own in ((_HOSTS, f"{self._place}/hosts"), (_RESOLVER, f"{self._place}/resolv.conf")):
            if target not in given and os.path.exists(own):
                found.append(_tree(os.open(own, os.O_PATH | os.O_CLOEXEC), target, True))
        if self._keeps_words():
            fd = os.open(self._words_file(), os.O_PATH | os.O_CLOEXEC)
            found.append(_tree(fd, self._run.termination_path, False))
        return sorted(found, key=lambda one: one[1].count("/"))

    def _keeps_words(self) -> bool:
        path = self._run.termination_path
        if not path or any(wanted.target.rstrip("/") == path for wanted in self._run.mounts):
            return False
        if path == _LAST_WORDS and not os.path.exists(path):
            if os.geteuid() != 0:
                return False  # an ordinary user cannot make that one; the log's end is told instead
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return True

    def _words_file(self) -> str:
        return f"{self._place}/{self._run.container}.{self._run.number}.words"

    def _source(self, volume: PodVolume, wanted: PodMount) -> int:
        """Its descriptor. What users may have made is opened as they would."""
        if volume.kind == "claim":
            fd = claimdirs.opened(volume, self._identity, self._run.groups)
        elif volume.kind in _ELSEWHERE:
            with self._as_user():
                fd = self._host(volume)
        else:
            fd = os.open(self._path(volume), os.O_PATH | os.O_CLOEXEC)
        if not wanted.sub_path:
            return fd
        try:
            with self._as_user():
                if volume.kind != "files":
                    _make_below(fd, wanted.sub_path)
                return os.open(wanted.sub_path, os.O_PATH | os.O_CLOEXEC, dir_fd=fd)
        except OSError as error:
            words = f"cannot mount {wanted.sub_path} of volume {volume.name}: {error.strerror}"
            raise CannotContain(words) from None
        finally:
            os.close(fd)

    def _as_user(self) -> AbstractContextManager[None]:
        return self._identity.for_a_while() if self._identity.changes else nullcontext()

    def _host(self, volume: PodVolume) -> int:
        path, kind = volume.path, volume.type
        if volume.kind == "nfs":
            path = claimdirs.mounted_share(volume)
        try:
            if kind == "DirectoryOrCreate" and not os.path.exists(path):
                os.makedirs(path, mode=0o755)
            elif kind == "FileOrCreate" and not os.path.exists(path):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise CannotContain(f"hostPath {path} of volume {volume.name}: {error.strerror}") from None
        fits = _FITS.get(kind)
        if fits is not None and not fits(os.fstat(fd).st_mode):
            os.close(fd)
            raise CannotContain(f"hostPath {path} of volume {volume.name} is not a {kind}")
        return fd

    def _path(self, volume: PodVolume) -> str:
        return f"{self._place}/volumes/{volume.name}"

    def _fill(self, volume: PodVolume) -> None:
        """Make the directory of a volume that is the Pod's alone, and its files."""
        path = self._path(volume)
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            if volume.kind != "empty" and os.geteuid() == 0:
                size = f",size={volume.size_mb}m" if volume.size_mb and volume.kind == "memory" else ""
                mounts.mount("tmpfs", path, "tmpfs", _GUARDED, f"mode=0755{size}")
            os.chmod(path, 0o777 if volume.kind != "files" else 0o755)
            if self._run.groups:
                os.chown(path, -1, self._run.groups[0])
                os.chmod(path, 0o2777 if volume.kind != "files" else 0o2755)
            elif self._identity.changes and volume.kind != "files":
                os.chown(path, self._identity.uid, self._identity.gid)
        if volume.kind == "files":
            owner = None
            if self._run.groups:
                owner = (-1, self._run.groups[0])
            elif self._identity.changes:  # as fsGroup would: its user reads what is not for all
                owner = (self._identity.uid, self._identity.gid)
            try:
                volumefiles.write(path, volume.files, owner, for_group=bool(self._run.groups))
            except volumefiles.BadPath as error:
                raise CannotContain(f"volume {volume.name}: {error} is not below it") from None

    def _hosts(self) -> str:
        aliases = "".join(f"{ip}\t{chr(9).join(names)}\n" for ip, names in self._run.host_aliases)
        return (_all_of_the_node() if self._net is None else self._own_hosts(self._net)) + aliases

    def _own_hosts(self, net: Net) -> str:
        name, domain = self._run.host_name, self._run.domain
        names = f"{name}.{domain}\t{name}" if domain else name
        address = net.address or "127.0.1.1"
        own = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{names}\n{_names_of_the_node()}"
        if self._name_server or (self._run.gateway_host and not net.address):
            return own  # names are resolved, or the gateway cannot be reached from there
        services = service_names(self._order.services, self._run.namespace, self._run.gateway_host)
        return own + "".join(f"{number}\t{name}\n" for number, name in services)

    def _resolver(self) -> str | None:
        """None: the node's own does."""
        if self._name_server:
            domain = resolverfile.domain_of(self._names)
            return resolverfile.pods_text(self._name_server, domain, self._run.namespace)
        return _resolver() if self._net is not None else None

    # ------------------------------------------------------------------ in the new namespace

    def _lay_all(self) -> None:
        self.lay()
        for tree, target, is_directory in self._sources():
            try:
                where = os.path.realpath(target)
                _have_target(where, is_directory, self._place)
                mounts.put(tree, where)
                os.close(tree)
            except OSError as error:
                raise CannotContain(f"cannot mount at {target}: {error.strerror}") from None


def _tree(fd: int, target: str, is_read_only: bool) -> tuple[int, str, bool]:
    try:
        tree = mounts.tree_of(fd)
        mounts.set_attributes(tree, mounts.ATTR_NOSUID | (mounts.ATTR_RDONLY if is_read_only else 0), recursive=True)
        return tree, target, stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError as error:
        raise CannotContain(f"cannot mount at {target}: {error.strerror}") from None
    finally:
        os.close(fd)


_FITS = {
    "Directory": stat.S_ISDIR, "DirectoryOrCreate": stat.S_ISDIR, "File": stat.S_ISREG, "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK, "CharDevice": stat.S_ISCHR, "BlockDevice": stat.S_ISBLK,
}  # fmt: skip


def clear(boxes: str, node: str, job: int, restart: int) -> None:
    """The job is over: nothing of what it had for itself stays."""
    _unmount(f"{pod_place(boxes, node, job, restart)}/volumes")
    room.clear(boxes, node, job, restart)


def unmount_all(boxes: str) -> None:
    """Of all jobs: the agent is told to end, and them with it."""
    for volumes in glob.glob(f"{glob.escape(boxes)}/*/*/.pod/volumes"):
        _unmount(volumes)


def _unmount(volumes: str) -> None:
    for name in os.listdir(volumes) if os.path.isdir(volumes) else ():
        while os.path.ismount(f"{volumes}/{name}"):
            mounts.unmount(f"{volumes}/{name}")


def _have_target(path: str, is_directory: bool, place: str) -> None:
    """A mount point, also where the node has none."""
    if os.path.exists(path):
        return
    parent = os.path.dirname(path)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == "/":
        _new_root(place)
    elif not _is_ours(parent):
        _layer(parent, place)
    if is_directory:
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


#: Directories of this process's namespace in which mount points can be made.
_ours: set[str] = set()


def _is_ours(path: str) -> bool:
    return path in _ours


def _layer(path: str, place: str) -> None:
    """A layer over a directory, that takes what is made in it."""
    number = len(os.listdir(place))
    upper, work = f"{place}/upper{number}", f"{place}/work{number}"
    os.makedirs(upper)
    os.makedirs(work)
    found = os.stat(path)
    os.chmod(upper, stat.S_IMODE(found.st_mode))
    data = f"lowerdir={mounts.escaped(path)},upperdir={mounts.escaped(upper)},workdir={mounts.escaped(work)}"
    mounts.mount("overlay", path, "overlay", _GUARDED, data + (",userxattr" if os.geteuid() != 0 else ""))
    _ours.add(path)


def _new_root(place: str) -> None:
    """A root that is as the node's, and in which directories can be made."""
    if "/" in _ours:
        return
    root = f"{place}/root"
    os.makedirs(root, exist_ok=True)
    mounts.mount("tmpfs", root, "tmpfs", mounts.MS_NOSUID, "mode=0755")
    for name in os.listdir("/"):
        path, target = f"/{name}", f"{root}/{name}"
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
            continue
        if os.path.isdir(path):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        mounts.mount(path, target, flags=mounts.MS_BIND | mounts.MS_REC)
    os.chdir(root)
    mounts.pivot_root(".", ".")
    mounts.unmount(".")
    os.chdir("/")
    _ours.add("/")


def _is_larger(directory: str, size: int) -> bool:
    """As it lies on the disk."""
    waiting, used = [directory], 0
    while waiting and used <= size:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    used += found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
        except OSError:
            continue  # it is going, or not for us to see
    return used > size


def _make_below(fd: int, path: str) -> None:
    """A sub path that is not there is a directory."""
    done = ""
    for word in path.split("/"):
        if word in ("", "."):
            continue
        done = f"{done}/{word}" if done else word
        try:
            os.mkdir(done, 0o755, dir_fd=fd)
        except FileExistsError:
            continue


def _write(path: str, data: bytes, mode: int) -> None:
    """Whole or not at all: containers that run may be reading it."""
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as old:
            if old.read() == data:
                os.chmod(path, mode)
                return
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    os.replace(f"{path}.new", path)


def _resolver() -> str | None:
    """None: the node's own does."""
    try:
        with open(_RESOLVER) as file:
            text = file.read()
    except OSError:
        return None
    servers = [
        line.split()[1] for line in text.splitlines() if line.startswith("nameserver ") and len(line.split()) > 1
    ]
    if not servers or not all(server.startswith("127.") for server in servers):
        return None
    try:
        with open(_REAL_RESOLVER) as file:
            return file.read()
    except OSError:
        return None


def _all_of_the_node() -> str:
    try:
        with open(_HOSTS, encoding="utf-8", errors="replace") as file:
            return file.read().rstrip() + "\n"
    except OSError:
        return ""


def _names_of_the_node() -> str:
    """What its /etc/hosts says of others."""
    lines = _all_of_the_node().splitlines()
    kept = [line for line in lines if line.split("#")[0].split() and not line.startswith(("127.", "::1"))]
    return "".join(f"{line}\n" for line in kept)
