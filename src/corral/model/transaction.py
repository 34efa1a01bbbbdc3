"""Who has changed what in the accounts?"""

import msgspec


class Transaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    time: float
    action: str  #: Slurm's words: "Add Accounts", "Modify Users"
    actor: str
    where: str = ""
    info: str = ""
