"""What does a rule want done? The engine carries it out, in order."""

import msgspec

from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject


class Put(msgspec.Struct, frozen=True):
    """Make this object, or put it in place of what has its key. The engine fills in uid, versions and times."""

    object: AnyObject


class Remove(msgspec.Struct, frozen=True):
    """Delete it as a user would: a Pod ends with its grace, what it owns goes after it."""

    key: ObjectKey
    grace_seconds: int | None = None  #: None = as its spec says


class Wake(msgspec.Struct, frozen=True):
    """Look at the object again at this time."""

    at: float


Change = Put | Remove | Wake
