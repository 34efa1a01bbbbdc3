"""Who are the users and groups that a reservation names? The engine knows names only; the controller's host knows who there is."""

import grp
import pwd

import msgspec

from corral.protocol.replies import Rejected
from corral.protocol.requests import CreateReservation, Names, UpdateReservation


def with_members(message: CreateReservation | UpdateReservation) -> CreateReservation | UpdateReservation | Rejected:
    """The request with the members of its groups; refused when a name is nobody's."""
    users, groups = message.fields.users, message.fields.groups
    for name in _plain(users):
        try:
            pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
        except (KeyError, OverflowError, ValueError):
            return Rejected(error="Invalid user id", detail="")
    members: dict[str, tuple[str, ...]] = {}
    for name in _plain(groups):
        try:
            group = grp.getgrnam(name)
        except (KeyError, ValueError):
            return Rejected(error="Invalid group id", detail="")
        primary = [user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid]
        members[name] = tuple(sorted({*group.gr_mem, *primary}))
    fields = msgspec.structs.replace(message.fields, members=members)
    if users is not None:
        fields = msgspec.structs.replace(fields, users=_named(users))
    return msgspec.structs.replace(message, fields=fields)


def _plain(names: Names | None) -> list[str]:
    return [name.removeprefix("-") for name in names.names if name] if names is not None else []


def _named(names: Names) -> Names:
    """Users by their names, also those given by number."""
    found = []
    for name in names.names:
        sign, plain = ("-", name[1:]) if name.startswith("-") else ("", name)
        found.append(sign + (pwd.getpwuid(int(plain)).pw_name if plain.isdigit() else plain))
    return Names(names=tuple(found), sign=names.sign)
