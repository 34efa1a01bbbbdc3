"""As whom does a step run, with which limits?"""

import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from corral.model.job import Owner


class Identity:
    """A job's owner as the kernel knows it. An agent that is not root runs everything as itself."""

    def __init__(self, owner: Owner) -> None:
        self.changes = os.geteuid() == 0 and (owner.uid != 0 or owner.gid != os.getegid())
        self.uid, self.gid = owner.uid, owner.gid
        self.groups = os.getgrouplist(owner.user, owner.gid) if self.changes else []

    def assume(self) -> None:
        """For good, in a task before its exec."""
        if self.changes:
            os.setgroups(self.groups)
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)

    @contextmanager
    def for_an_exec(self) -> Iterator[None]:
        """What is executed meanwhile is the owner's for good: an exec forgets the saved user id, by which this process comes back."""
        if not self.changes:
            yield
            return
        groups, gids = os.getgroups(), os.getresgid()
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, 0)
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(*gids)
            os.setgroups(groups)

    @contextmanager
    def for_a_while(self) -> Iterator[None]:
        """To open files as the owner would. The process has one thread."""
        if not self.changes:
            yield
            return
        groups, gid = os.getgroups(), os.getegid()
        os.setgroups(self.groups)
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(gid)
            os.setgroups(groups)


def without(limits: dict[str, tuple[int, int]], names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    return {name: values for name, values in limits.items() if name not in names} if names else limits


def rlimits_to_set(limits: Mapping[str, tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
    """Resources whose limits differ from this process's. Slurm hands over the soft ones; what is too much here is cut."""
    found, is_root = [], os.geteuid() == 0
    for name, (soft, hard) in limits.items():
        number = getattr(resource, f"RLIMIT_{name.upper().removeprefix('RLIMIT_')}", None)
        if number is None:
            continue
        current = resource.getrlimit(number)
        most = current[1] if not is_root else max(_number(hard), _number(soft), key=_size)
        wanted = min(_number(soft), most, key=_size), most
        if wanted != current:
            found.append((number, wanted))
    return found


def set_rlimits(limits: list[tuple[int, tuple[int, int]]]) -> None:
    for number, values in limits:
        try:
            resource.setrlimit(number, values)
        except (OSError, ValueError):
            continue  # more than this node allows


def _number(value: int) -> int:
    return resource.RLIM_INFINITY if value < 0 else value


def _size(value: int) -> float:
    return float("inf") if value == resource.RLIM_INFINITY else value
