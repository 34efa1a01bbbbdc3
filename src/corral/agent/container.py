"""How do a step's tasks come to see an image as their root?

The image lies unpacked on the node (images.py). One process of the step makes a mount namespace of its own: an overlay over the image
that takes what is written, the machine's /proc, /sys and /dev, what the user wants to have mounted; then that is its root, and it
ends. The shepherd keeps a descriptor of the namespace, and each task enters it before its program begins. So a container is no
process, and the tasks stay what they are: the shepherd's children, in the step's control group, as their user, with their terminal.

Nothing that an image or its user says is resolved while the machine's own root is still there: sources are opened as the user, and
are mounted once the new root is in place. Programs of the image gain nothing by set-user-id bits, and its device files are none.

As root, the image's files (root's on disk) are shown as the user's own, by an id-mapped mount, so that packages can be installed;
where the kernel can't do that (before 5.19) they are root's. An agent that is not root makes a user namespace first.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import msgspec

from corral.agent import mounts
from corral.agent.boxes import Place
from corral.agent.identity import Identity
from corral.model.container import Container, ImageConfig, Mount

#: What of the machine is seen inside always.
_DIRECTORIES = ("/proc", "/sys", "/dev")
_FILES = ("/etc/resolv.conf", "/etc/hosts")
_ATTRIBUTES = {
    "ro": mounts.ATTR_RDONLY,
    "nosuid": mounts.ATTR_NOSUID,
    "nodev": mounts.ATTR_NODEV,
    "noexec": mounts.ATTR_NOEXEC,
}
_PROPAGATION = {"private": mounts.MS_PRIVATE, "slave": mounts.MS_SLAVE}
_LAST_ID = (1 << 32) - 2


class CannotContain(Exception):
    """The container cannot be made, in words for the user."""


class Box:
    """A container that is there: tasks go into it."""

    def __init__(self, namespace: int, users: int, identity: Identity, *, remap_root: bool) -> None:
        self._namespace, self._users = namespace, users  #: descriptors; -1 = no user namespace of its own
        self._identity, self._remap_root = identity, remap_root

    def enter(self) -> None:
        """In a task, before it becomes its user."""
        if self._users >= 0:
            mounts.setns(self._users, mounts.CLONE_NEWUSER)
        mounts.setns(self._namespace, mounts.CLONE_NEWNS)

    def settle(self) -> None:
        """After that."""
        if self._remap_root and self._users < 0 and self._identity.uid != 0:
            mounts.unshare(mounts.CLONE_NEWUSER)
            mounts.own_proc_files()
            _map_own(self._identity.uid, self._identity.gid, 0, 0)

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of its mount and user namespace, for others who join."""
        return self._namespace, self._users

    def close(self) -> None:
        for fd in (self._namespace, self._users):
            if fd >= 0:
                os.close(fd)


class Extras(msgspec.Struct, frozen=True):
    """What is inside beside what the user asks for."""

    needed: Sequence[Mount] = ()  #: by the step itself: opened as the user
    own: Sequence[Mount] = ()  #: of the job: opened as root
    first: Callable[[], None] | None = None  #: done to the machine's mounts before they are looked at
    last: Callable[[], None] | None = None  #: done in the new root when everything is mounted
    trees: Callable[[], list[tuple[Mount, int]]] = list  #: mounts that are there already, and where they go
    users: str = ""  #: of an ordinary user's Pod: the user namespace of its network


_NO_EXTRAS = Extras()


def make(
    container: Container, image: str, place: Place, identity: Identity, work_dir: str, home: str, extras: Extras = _NO_EXTRAS
) -> Box:  # fmt: skip
    """image: directory of the unpacked image. Raises CannotContain, OSError."""
    wanted = [*extras.needed, *container.mounts]
    if container.mount_home and home:
        wanted.append(Mount(home, "/root" if container.remap_root else home))
    builder = _Builder(container, image, place, identity, work_dir, wanted, own_users=os.geteuid() != 0)
    builder.extras = extras
    return builder.build()


def show(container: Container, image: str, place: Place, identity: Identity) -> None:
    """Lay image and what was written over each other at place.root, in a mount namespace of this process's own; nothing else."""
    builder = _Builder(container, image, place, identity, "/", [], own_users=os.geteuid() != 0)
    builder.leave()
    builder.stack()


def namespace_of(lay: Callable[[], None]) -> int:
    """A mount namespace as this one, in which that has been done. By root only. Raises CannotContain."""

    def made() -> None:
        mounts.unshare(mounts.CLONE_NEWNS)
        mounts.mount("", "/", flags=mounts.MS_REC | mounts.MS_SLAVE)
        lay()

    return _made_by_a_child(made, has_users=False)[0]


def apart_of(lay: Callable[[], None], users: str = "") -> tuple[int, int]:
    """Likewise by an ordinary user: descriptors of the mount namespace and of its user namespace, which is made in `users`."""

    def made() -> None:
        uid, gid = os.geteuid(), os.getegid()
        join_users(users)
        mounts.unshare(mounts.CLONE_NEWUSER | mounts.CLONE_NEWNS)
        _map_own(uid, gid, uid, gid)
        mounts.mount("", "/", flags=mounts.MS_REC | mounts.MS_SLAVE)
        lay()

    return _made_by_a_child(made, has_users=True)


def join_users(path: str) -> None:
    """The user namespace of a Pod's network; "" = there is none."""
    if path:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        mounts.setns(fd, mounts.CLONE_NEWUSER)
        os.close(fd)


def _made_by_a_child(make_it: Callable[[], None], *, has_users: bool) -> tuple[int, int]:
    """Descriptors of its mount namespace, and of its user namespace (-1 = it has none of its own)."""
    said, say = os.pipe2(os.O_CLOEXEC)
    wait, go = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(said)
            os.close(go)
            make_it()
            os.write(say, b"+")
            os.read(wait, 1)
            status = 0
        except CannotContain as error:
            os.write(say, str(error).encode(errors="replace")[:2000])
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            os.write(say, f"{where}{error.strerror}".encode(errors="replace")[:2000])
        except BaseException as error:
            os.write(say, repr(error).encode(errors="replace")[:2000])
        finally:
            os._exit(status)
    os.close(say)
    os.close(wait)
    try:
        words = os.read(said, 4096)
        if words != b"+":
            raise CannotContain(words.decode(errors="replace") or "the process that set it up was killed")
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC) if has_users else -1
        return namespace, users
    finally:
        os.close(said)
        os.close(go)
        os.waitpid(pid, 0)


class _Builder:
    def __init__(
        self, container: Container, image: str, place: Place, identity: Identity, work_dir: str, wanted: list[Mount], *,
        own_users: bool,
    ) -> None:  # fmt: skip
        self.container, self.image, self.place, self.identity = container, image, place, identity
        self.work_dir, self.wanted, self.own_users = work_dir, wanted, own_users
        self.extras = Extras()

    def build(self) -> Box:
        """A child makes it; this process has only the descriptors."""
        namespace, users = _made_by_a_child(self._assemble, has_users=self.own_users)
        return Box(namespace, users, self.identity, remap_root=bool(self.container.remap_root))

    # ------------------------------------------------------------------ in the child

    def _assemble(self) -> None:
        os.umask(0o022)
        self.leave()
        if self.extras.first is not None:
            self.extras.first()
        inside = [(mount, self._opened(mount, as_user=False)) for mount in (*self._of_the_machine(), *self.extras.own)]
        inside += [(mount, self._opened(mount, as_user=True)) for mount in self.wanted]
        inside += self.extras.trees()
        lines = self._user_lines()
        self.stack()
        os.chdir(self.place.root)
        mounts.pivot_root(".", ".")
        mounts.unmount(".")
        os.chdir("/")
        for mount, tree in inside:
            self._put(mount, tree)
        if self.extras.last is not None:
            self.extras.last()
        self._name_the_user(*lines)
        if self.container.writable is False:
            mounts.mount("", "/", flags=mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY | _GUARDED)
            for path in ("/tmp", "/run"):
                if os.path.isdir(path) and not any(mount.target == path for mount, _ in inside):
                    mounts.mount("tmpfs", path, "tmpfs", _GUARDED, "mode=1777")

    def leave(self) -> None:
        """For a mount namespace of its own, whose mounts nobody else sees."""
        if self.own_users:
            uid, gid = os.geteuid(), os.getegid()
            join_users(self.extras.users)
            mounts.unshare(mounts.CLONE_NEWUSER | mounts.CLONE_NEWNS)
            _map_own(uid, gid, *((0, 0) if self.container.remap_root else (uid, gid)))
        else:
            mounts.unshare(mounts.CLONE_NEWNS)
        mounts.mount("", "/", flags=mounts.MS_REC | mounts.MS_SLAVE)

    def _of_the_machine(self) -> list[Mount]:
        there = [Mount(path, path) for path in _DIRECTORIES]
        return there + [Mount(path, path, ("ro",)) for path in _FILES if os.path.isfile(path)]

    def _opened(self, mount: Mount, *, as_user: bool) -> int:
        """Its tree; -1 = there is none to be had."""
        if mount.source in ("tmpfs", "umount"):
            return -1
        source = mount.source if mount.source.startswith("/") else os.path.join(self.work_dir, mount.source)
        with self.identity.for_a_while() if as_user else nullcontext():
            try:
                fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
            except OSError as error:
                raise CannotContain(f"cannot mount {source}: {os.strerror(error.errno or 0)}") from None
        tree = mounts.tree_of(fd, recursive="bind" not in mount.flags or self.own_users)
        os.close(fd)
        attributes = mounts.ATTR_NOSUID if as_user or mount.source != "/dev" else 0
        for flag in mount.flags:
            attributes |= _ATTRIBUTES.get(flag, 0)
        if attributes:
            mounts.set_attributes(tree, attributes, recursive=True)
        for word in mount.flags:
            if kind := _PROPAGATION.get(word.removeprefix("r")):
                mounts.set_attributes(tree, 0, recursive=word.startswith("r"), propagation=kind)
        return tree

    def stack(self) -> None:
        """The image below, what is written above."""
        place, lower = self.place, self.image
        for path in (place.upper, place.work, place.root):
            os.makedirs(path, exist_ok=True)
        uid, gid = self.identity.uid, self.identity.gid
        options = ""
        if self.own_users:
            options = ",userxattr"
        elif self.identity.changes:
            os.chown(place.upper, uid, gid)
            lower = self._owned(lower) or lower
        data = ",".join(
            f"{layer}={mounts.escaped(path)}"
            for layer, path in (("lowerdir", lower), ("upperdir", place.upper), ("workdir", place.work))
        )
        try:
            mounts.mount("overlay", place.root, "overlay", _GUARDED, data + options)
        except OSError as error:
            raise CannotContain(
                f"cannot lay an overlay over the image, in {place.upper}: {os.strerror(error.errno or 0)}"
            ) from None

    def _owned(self, lower: str) -> str | None:
        """The image with root's files as the user's; None: not by this kernel, or not for its file system."""
        place, uid, gid = self.place, self.identity.uid, self.identity.gid
        users = _namespace_of(uid, gid)
        fd = os.open(lower, os.O_PATH | os.O_CLOEXEC)
        try:
            tree = mounts.tree_of(fd, recursive=False)
            mounts.set_attributes(tree, mounts.ATTR_IDMAP, user_ns=users)
            os.makedirs(place.image, exist_ok=True)
            mounts.put(tree, place.image)
            os.close(tree)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
                return None
            raise
        finally:
            os.close(fd)
            os.close(users)
        return place.image

    # ------------------------------------------------------------------ in the new root

    def _put(self, mount: Mount, tree: int) -> None:
        target = os.path.normpath(os.path.join("/", mount.target))
        if mount.source == "umount":
            return mounts.unmount(target)
        try:
            if tree < 0:
                os.makedirs(target, exist_ok=True)
                flags = _GUARDED | sum(_OLD_FLAGS.get(flag, 0) for flag in mount.flags)
                return mounts.mount("tmpfs", target, "tmpfs", flags, "mode=1777")
            _make_target(target, is_directory=stat.S_ISDIR(os.fstat(tree).st_mode))
            mounts.put(tree, target)
        except OSError as error:
            raise CannotContain(f"cannot mount {mount.source} at {target}: {os.strerror(error.errno or 0)}") from None
        if tree >= 0:
            os.close(tree)

    def _user_lines(self) -> tuple[str, str]:
        """Of the machine's lists of users and groups."""
        uid, gid = self.identity.uid, self.identity.gid
        try:
            who = pwd.getpwuid(uid)
            line = f"{who.pw_name}:x:{uid}:{gid}:{who.pw_gecos}:{who.pw_dir}:/bin/sh\n"
        except KeyError:
            line = f"user{uid}:x:{uid}:{gid}::/:/bin/sh\n"
        try:
            return line, f"{grp.getgrgid(gid).gr_name}:x:{gid}:\n"
        except KeyError:
            return line, f"group{gid}:x:{gid}:\n"

    def _name_the_user(self, user: str, group: str) -> None:
        """In the container's own lists, should they not know him."""
        if not self.container.remap_root and self.identity.uid != 0:
            os.makedirs("/etc", exist_ok=True)
            _add_line("/etc/passwd", self.identity.uid, user)
            _add_line("/etc/group", self.identity.gid, group)


_GUARDED = mounts.MS_NOSUID | mounts.MS_NODEV
_OLD_FLAGS = {"ro": mounts.MS_RDONLY, "noexec": mounts.MS_NOEXEC}


def _make_target(path: str, *, is_directory: bool) -> None:
    if is_directory:
        os.makedirs(path, exist_ok=True)
    elif not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _add_line(path: str, number: int, line: str) -> None:
    try:
        with open(path, "a+", encoding="utf-8", errors="surrogateescape") as file:
            file.seek(0)
            known = [entry.split(":") for entry in file.read().splitlines()]
            if not any(len(words) > 2 and words[2] == str(number) for words in known):
                file.write(line)
    except OSError:
        pass  # an image may have none, or a link to nowhere; programs then show the number


def _map_own(uid: int, gid: int, uid_inside: int, gid_inside: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid_inside} {uid} 1"),
        ("gid_map", f"{gid_inside} {gid} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def id_map(number: int) -> str:
    """Root's on disk is `number`'s in the container; all others stay. As lines of uid_map."""
    ranges = [(0, number, 1), (1, 1, number - 1), (number + 1, number + 1, _LAST_ID - number)]
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in ranges if count > 0)


def _namespace_of(uid: int, gid: int) -> int:
    """A user namespace of such a map, as a descriptor. By root only."""
    ready, say = os.pipe2(os.O_CLOEXEC)
    wait, go = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            os.close(go)
            mounts.unshare(mounts.CLONE_NEWUSER)
            os.write(say, b"+")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(say)
    os.close(wait)
    try:
        if os.read(ready, 1) != b"+":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), "user namespace")
        for name, number in (("uid_map", uid), ("gid_map", gid)):
            with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
                file.write(id_map(number).encode())
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.close(go)
        os.waitpid(pid, 0)


def image_config(image: str) -> ImageConfig:
    """Of an unpacked image's directory."""
    with open(f"{os.path.dirname(image)}/config.json", "rb") as file:
        return msgspec.json.decode(file.read(), type=ImageConfig)


def environment(outside: dict[str, str], container: Container, config: ImageConfig) -> dict[str, str]:
    """What the tasks get: the image's value counts where it has one, but for those of --container-env."""
    result = dict(outside)
    for text in config.environment:
        name, _, value = text.partition("=")
        if name not in container.environment or name not in outside:
            result[name] = value
    if container.remap_root:
        result["HOME"] = "/root"
    return result
