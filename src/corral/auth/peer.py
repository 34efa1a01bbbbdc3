"""Which user is at the other end of a local socket, and what may it do?"""

import functools
import grp
import os
import pwd
import socket
import struct
from typing import Literal

from corral.model.cluster import Roles
from corral.model.job import Owner
from corral.protocol.requests import Caller

_CREDENTIALS = struct.Struct("3i")

Role = Literal["user", "operator", "administrator"]


def credentials(connection: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process that connected, as the kernel saw it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return pid, uid, gid


@functools.lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """The account's name; its number as text where it has none (a container's user)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.lru_cache(maxsize=4096)
def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def role_of(uid: int, user: str, roles: Roles) -> Role:
    """Root and the controller's own user are administrators; others are what the configuration says."""
    if uid in (0, os.getuid()) or user in roles.administrators:
        return "administrator"
    return "operator" if user in roles.operators else "user"


def caller(uid: int, gid: int, roles: Roles) -> Caller:
    user = user_name(uid)
    return Caller(uid=uid, gid=gid, user=user, group=group_name(gid), role=role_of(uid, user, roles))


def owner_named(user: str, group: str = "") -> Owner | None:
    """Whom jobs of this user (a name or a number) run as, in this group; None where there is no such user or group."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        gid = entry.pw_gid
        if group:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except (KeyError, OverflowError):
        return None
    return Owner(uid=entry.pw_uid, gid=gid, user=entry.pw_name, group=group_name(gid))
