"""Who may change accounts: administrators and operators, and coordinators what lies below their accounts."""

from corral.engine.books import Books
from corral.engine.draft import Refusal
from corral.protocol.requests import Caller

DENIED = "Access/permission denied"

_LEVELS = {"None": 0, "Operator": 1, "Administrator": 2}
_ROLES = {"user": 0, "operator": 1, "administrator": 2}


def level_of(books: Books, caller: Caller) -> int:
    """0 = an ordinary user, 1 = an operator, 2 = an administrator: by role, or by what the accounts say of the user."""
    user = books.users.get(caller.user)
    own = _LEVELS.get(user.admin_level, 0) if user is not None and user.name != "root" else 0
    return max(_ROLES[caller.role], own)


def check_level(books: Books, caller: Caller, least: int) -> None:
    if level_of(books, caller) < least:
        raise Refusal(DENIED, "denied")


def check_account(books: Books, caller: Caller, account: str, above: bool = False) -> None:
    """`above`: being a coordinator of the account itself is not enough."""
    if level_of(books, caller) >= 1:
        return
    coordinators = books.coordinators_of(account)
    if caller.user not in coordinators or (above and coordinators[caller.user]):
        raise Refusal(DENIED, "denied")
