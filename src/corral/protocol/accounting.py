"""What may be changed in accounts, users, associations and QOS, and what is answered?"""

from typing import Literal

import msgspec

#: Takes a limit away.
CLEAR = -1


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to set; what is not named stays. The names are the fields of the records in `model`."""

    numbers: dict[str, float] = {}  #: a limit, shares, priority, ...; CLEAR = none
    tres: dict[str, dict[str, int]] = {}  #: a limit -> of each resource how much; CLEAR = no limit of this one
    words: dict[
        str, str
    ] = {}  #: description, organization, parent, default_account, admin_level, default_qos, name ...
    #: qos, flags, preempt: words that begin with = (the list anew), + or -; () = back to what is above
    lists: dict[str, tuple[str, ...]] = {}


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which ones: all that is given must hold. () = any."""

    names: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    default_accounts: tuple[str, ...] = ()
    default_qos: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    admin_level: str = ""


class AssociationName(msgspec.Struct, frozen=True, array_like=True):
    """As sacctmgr names one."""

    account: str
    user: str = ""
    partition: str = ""
    parent: str = ""


class Touched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a change has added, changed or removed (or would, in a test)."""

    accounts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    users_left: tuple[str, ...] = ()  #: removed, because the last association was
    qos: tuple[str, ...] = ()
    associations: tuple[AssociationName, ...] = ()


Verb = Literal["add", "modify", "remove", "reset"]
Kind = Literal["account", "user", "coordinator", "qos", "cluster"]
