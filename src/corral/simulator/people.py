"""Who submits the jobs of a workload, and in which accounts, where the policy counts what each has used?"""

from collections.abc import Callable

from corral.protocol import requests as rq
from corral.protocol.accounting import Condition, Settings

#: For work that names no account.
ACCOUNT = "users"


class People:
    """Each user of the trace has a uid; with `accounts`, also a place in the tree of accounts, all with equal shares."""

    def __init__(self, ask: Callable[[rq.AnyRequest], None], accounts: bool) -> None:
        self.ask = ask
        self.accounts: set[str] | None = set() if accounts else None
        self.members: set[tuple[str, str]] = set()
        self.callers: dict[str, rq.Caller] = {}

    def caller(self, user: str, account: str) -> rq.Caller:
        found = self.callers.get(user)
        if found is None:
            uid = 1000 + len(self.callers)
            found = self.callers[user] = rq.Caller(uid=uid, gid=uid, user=user, group=user)
        if self.accounts is not None and (account, user) not in self.members:
            self.join(self.accounts, account or ACCOUNT, user)
            self.members.add((account, user))
        return found

    def join(self, accounts: set[str], account: str, user: str) -> None:
        if account not in accounts:
            accounts.add(account)
            above = Settings(words={"parent": "root"})
            self.ask(rq.ChangeAccounts(verb="add", kind="account", where=Condition(names=(account,)), settings=above))
        where = Condition(names=(user,), accounts=(account,))
        self.ask(rq.ChangeAccounts(verb="add", kind="user", where=where))
