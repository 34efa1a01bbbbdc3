"""What does the API show of the cluster's licences?"""

from corral.controller.api.table import Table

#: The context is the ledger's count of them.
LICENSES: Table[str] = Table(
    {
        "name": lambda name, _: name,
        "total": lambda name, pool: pool.total[name],
        "used": lambda name, pool: pool.used.get(name, 0),
        "free": lambda name, pool: max(0, pool.free(name)),
        "reserved": lambda name, _: 0,
    }
)
