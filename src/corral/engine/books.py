"""Which accounts, users, associations and QOS are there, and how do they hang together?

Until somebody changes something the tables are empty; `founded` says what is there then: the root account with user root, and the
QOS normal.
"""

from collections.abc import Iterator

import msgspec

from corral.model.account import ROOT, Account, Association, Limits, User
from corral.model.qos import NORMAL, Qos
from corral.model.transaction import Transaction
from corral.protocol.events import AccountsChanged

#: The youngest so many transactions are kept.
TRANSACTIONS = 10_000

#: Limits of an association that those below take over.
INHERITED = tuple(field for field in Limits.__struct_fields__ if not field.startswith("grp_"))


class BooksDump(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    accounts: tuple[Account, ...] = ()
    users: tuple[User, ...] = ()
    associations: tuple[Association, ...] = ()
    qos: tuple[Qos, ...] = ()
    next_association: int = 1
    next_qos: int = 1
    transactions: tuple[Transaction, ...] = ()


class Effective(msgspec.Struct, frozen=True):
    """What holds for an association, with what it takes over from above."""

    limits: Limits
    qos: tuple[str, ...]
    default_qos: str
    priority: int | None


class Books:
    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.users: dict[str, User] = {}
        self.associations: dict[int, Association] = {}
        self.qos: dict[str, Qos] = {}
        self.next_association = 1
        self.next_qos = 1
        self.transactions: list[Transaction] = []
        self.version = 0  #: grows with every change
        self.rules_version = 0  #: grows when what was known before changes: what is only added touches no job
        # indexes
        self.by_key: dict[tuple[str, str, str], int] = {}
        self.below: dict[str, dict[int, None]] = {}  #: account -> the associations right below it
        self.of_user: dict[str, dict[int, None]] = {}
        self._effective: dict[int, Effective] = {}
        self._chains: dict[int, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.associations)

    # -- reading

    def account_of(self, name: str) -> Association | None:
        """The association of the account itself."""
        found = self.by_key.get((name, "", ""))
        return None if found is None else self.associations[found]

    def parent_of(self, one: Association) -> Association | None:
        return self.account_of(one.account if one.user else one.parent)

    def chain(self, association: int) -> tuple[int, ...]:
        """From this one up to the root."""
        found = self._chains.get(association)
        if found is None:
            ids = []
            one: Association | None = self.associations.get(association)
            while one is not None:
                ids.append(one.id)
                one = self.parent_of(one)
            found = self._chains[association] = tuple(ids)
        return found

    def find(self, account: str, user: str, partition: str = "") -> Association | None:
        """The user's association in this account: that of the partition, or of all."""
        for key in ((account, user, partition), (account, user, "")):
            found = self.by_key.get(key)
            if found is not None:
                return self.associations[found]
        return None

    def tree(self, account: str = ROOT, depth: int = 0) -> Iterator[tuple[Association, int]]:
        """In the order of sacctmgr's tree: an account, its users, the accounts below it, by name."""
        top = self.account_of(account)
        if top is None:
            return
        yield top, depth
        below = [self.associations[number] for number in self.below.get(account, ())]
        users = sorted((one for one in below if one.user), key=lambda one: (one.user, one.partition))
        for one in users:
            yield one, depth + 1
        for one in sorted((one for one in below if not one.user), key=lambda one: one.account):
            yield from self.tree(one.account, depth + 1)

    def numbered(self) -> dict[int, tuple[int, int]]:
        """The left and the right number of each in the tree, as a nested set; the youngest stand first."""
        found: dict[int, tuple[int, int]] = {}
        counter = 0

        def visit(one: Association) -> None:
            nonlocal counter
            counter += 1
            left = counter
            if not one.user:
                below = [self.associations[number] for number in self.below.get(one.account, ())]
                for child in sorted(below, key=lambda child: (-child.added, child.id)):
                    visit(child)
            counter += 1
            found[one.id] = (left, counter)

        top = self.account_of(ROOT)
        if top is not None:
            visit(top)
        return found

    def effective(self, association: int) -> Effective:
        found = self._effective.get(association)
        if found is None:
            found = self._effective[association] = self._worked_out(self.associations[association])
        return found

    def _worked_out(self, one: Association) -> Effective:
        parent = self.parent_of(one)
        above = None if parent is None else self.effective(parent.id)
        qos = one.qos
        if qos is None:
            qos = () if above is None else above.qos
            for change in one.qos_changes:
                name = change[1:]
                qos = tuple(other for other in qos if other != name) + ((name,) if change[0] == "+" else ())
        qos = tuple(sorted((name for name in qos if name in self.qos), key=lambda name: self.qos[name].id))
        default = one.default_qos
        if default is None:
            default = "" if above is None else above.default_qos
        limits = one.limits
        if above is not None:
            fields: dict[str, object] = {}
            for name in INHERITED:
                own, higher = getattr(limits, name), getattr(above.limits, name)
                if own is None:
                    fields[name] = higher
                elif isinstance(own, dict):
                    fields[name] = {**higher, **own}
            limits = msgspec.structs.replace(limits, **fields)
        priority = one.priority if one.priority is not None or above is None else above.priority
        return Effective(limits, qos, default, priority)

    def coordinators_of(self, account: str) -> dict[str, bool]:
        """User -> is it named at this account itself (else at one above)?"""
        found: dict[str, bool] = {}
        name = account
        while name:
            record, one = self.accounts.get(name), self.account_of(name)
            for user in record.coordinators if record is not None else ():
                found.setdefault(user, name == account)
            name = one.parent if one is not None else ""
        return found

    def coordinates(self, user: str, account: str) -> bool:
        return user in self.coordinators_of(account)

    # -- changing

    def apply(self, event: AccountsChanged) -> None:
        if self.changes_rules(event):
            self.rules_version += 1
            self._effective.clear()
            self._chains.clear()
        for name in event.removed_accounts:
            self.accounts.pop(name, None)
        for name in event.removed_users:
            self.users.pop(name, None)
        for name in event.removed_qos:
            self.qos.pop(name, None)
        for number in event.removed_associations:
            self._drop(number)
        for account in event.accounts:
            self.accounts[account.name] = account
        for user in event.users:
            self.users[user.name] = user
        for qos in event.qos:
            self.qos[qos.name] = qos
            self.next_qos = max(self.next_qos, qos.id + 1)
        for association in event.associations:
            self._drop(association.id)
            self._put(association)
        self.transactions += event.transactions
        del self.transactions[:-TRANSACTIONS]
        self.version += 1

    def changes_rules(self, event: AccountsChanged) -> bool:
        """Does it touch an association or QOS that jobs may have?"""
        return bool(
            event.qos
            or event.removed_qos
            or event.removed_associations
            or any(one.id in self.associations for one in event.associations)
        )

    def moves(self, event: AccountsChanged) -> bool:
        """Does it change where jobs count, or what their time costs?"""
        if event.removed_qos or event.removed_associations:
            return True
        for one in event.associations:
            old = self.associations.get(one.id)
            if old is not None and (old.key, old.parent) != (one.key, one.parent):
                return True
        for qos in event.qos:
            known = self.qos.get(qos.name)
            if known is None or (known.usage_factor, "UsageFactorSafe" in known.flags) != (
                qos.usage_factor,
                "UsageFactorSafe" in qos.flags,
            ):
                return True
        return False

    def _put(self, one: Association) -> None:
        self.associations[one.id] = one
        self.by_key[one.key] = one.id
        parent = one.account if one.user else one.parent
        if parent:
            self.below.setdefault(parent, {})[one.id] = None
        if one.user:
            self.of_user.setdefault(one.user, {})[one.id] = None
        self.next_association = max(self.next_association, one.id + 1)

    def _drop(self, number: int) -> None:
        one = self.associations.pop(number, None)
        if one is None:
            return
        self.by_key.pop(one.key, None)
        for index, name in ((self.below, one.account if one.user else one.parent), (self.of_user, one.user)):
            entries = index.get(name)
            if entries is not None:
                entries.pop(number, None)
                if not entries:
                    del index[name]

    # -- snapshots

    def dump(self) -> BooksDump:
        return BooksDump(
            accounts=tuple(self.accounts.values()),
            users=tuple(self.users.values()),
            associations=tuple(self.associations.values()),
            qos=tuple(self.qos.values()),
            next_association=self.next_association,
            next_qos=self.next_qos,
            transactions=tuple(self.transactions),
        )

    def load(self, dump: BooksDump) -> None:
        self.apply(
            AccountsChanged(
                time=0.0, accounts=dump.accounts, users=dump.users, associations=dump.associations, qos=dump.qos,
                transactions=dump.transactions,
            )
        )  # fmt: skip
        self.next_association = max(self.next_association, dump.next_association)
        self.next_qos = max(self.next_qos, dump.next_qos)


def founding(now: float) -> AccountsChanged:
    """What is there before anybody has added anything."""
    root = Association(id=1, account=ROOT, qos=(NORMAL,))
    return AccountsChanged(
        time=now,
        accounts=(Account(name=ROOT, description="default root account", organization=ROOT),),
        users=(User(name=ROOT, default_account=ROOT, admin_level="Administrator"),),
        associations=(root, Association(id=2, account=ROOT, user=ROOT)),
        qos=(Qos(id=1, name=NORMAL, description="Normal QOS default"),),
    )


def founded(books: Books) -> Books:
    """These books, or the ones that nobody has written into yet."""
    if books:
        return books
    new = Books()
    new.apply(founding(0.0))
    return new
