"""What does the API show of the cluster's licences?"""

from collections.abc import Iterable
from typing import NamedTuple

from corral.controller.api.table import Table
from corral.model.reservation import Reservation
from corral.scheduler.licenses import Pool


class LicenseContext(NamedTuple):
    pool: Pool
    reserved: dict[str, int]  #: of reservations that hold now


def license_context(pool: Pool, reservations: Iterable[Reservation], now: float) -> LicenseContext:
    reserved: dict[str, int] = {}
    for one in reservations:
        for name, count in one.licenses if one.is_active(now) else ():
            reserved[name] = reserved.get(name, 0) + count
    return LicenseContext(pool, reserved)


LICENSES: Table[str] = Table(
    {
        "name": lambda name, _: name,
        "total": lambda name, context: context.pool.total[name],
        "used": lambda name, context: context.pool.used.get(name, 0),
        "free": lambda name, context: max(0, context.pool.free(name)),
        "reserved": lambda name, context: context.reserved.get(name, 0),
    }
)
