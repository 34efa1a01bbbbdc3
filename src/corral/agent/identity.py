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


def set_rlimits(limits: Mapping[str, tuple[int, int]]) -> None:
    """Slurm hands over the soft limits; what this node does not allow is cut to what it does."""
    for name, (soft, hard) in limits.items():
        number = getattr(resource, f"RLIMIT_{name.upper().removeprefix('RLIMIT_')}", None)
        if number is None:
            continue
        wanted = _number(hard), _number(soft)
        _, most = resource.getrlimit(number)
        if os.geteuid() == 0:
            most = max(wanted, key=_size)
        try:
            resource.setrlimit(number, (min(wanted[1], most, key=_size), most))
        except (OSError, ValueError):
            continue


def _number(value: int) -> int:
    return resource.RLIM_INFINITY if value < 0 else value


def _size(value: int) -> float:
    return float("inf") if value == resource.RLIM_INFINITY else value
