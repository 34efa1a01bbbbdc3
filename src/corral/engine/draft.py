"""What would a change of the accounts come to: which records, and what is said of it?"""

import msgspec

from corral.engine.books import INHERITED, Books
from corral.model.account import Account, Association, User
from corral.model.qos import Qos
from corral.model.transaction import Transaction
from corral.protocol.accounting import AssociationName, Settings, Touched
from corral.protocol.events import AccountsChanged
from corral.protocol.replies import Rejected


class Refusal(Exception):
    """The change is not made."""

    def __init__(self, error: str, code: str = "invalid", detail: str = "") -> None:
        super().__init__(error)
        self.reply = Rejected(error=error, code=code, detail=detail)


class Draft:
    def __init__(self, books: Books, cluster: str, actor: str, now: float) -> None:
        self.books = books
        self.cluster = cluster
        self.actor = actor
        self.now = now
        self.accounts: dict[str, Account] = {}
        self.users: dict[str, User] = {}
        self.associations: dict[int, Association] = {}
        self.qos: dict[str, Qos] = {}
        self.removed_accounts: dict[str, None] = {}
        self.removed_users: dict[str, None] = {}
        self.removed_associations: dict[int, None] = {}
        self.removed_qos: dict[str, None] = {}
        self.transactions: list[Transaction] = []
        self._named: dict[int, AssociationName] = {}
        self._left: dict[str, None] = {}
        self._associations = books.next_association
        self._qos = books.next_qos
        self._order: list[Association] | None = None

    # -- reading

    def next_association(self) -> int:
        self._associations += 1
        return self._associations - 1

    def next_qos(self) -> int:
        self._qos += 1
        return self._qos - 1

    def in_tree_order(self) -> list[Association]:
        if self._order is None:
            numbers = self.books.numbered()
            known = self.books.associations
            self._order = [known[number] for number in sorted(numbers, key=lambda number: numbers[number][0])]
        return self._order

    def name_of(self, one: Association) -> AssociationName:
        return AssociationName(one.account, one.user, one.partition, one.parent)

    # -- writing

    def put_account(self, account: Account, new: bool = False) -> None:
        self.accounts[account.name] = account
        info = f"description='{account.description}', organization='{account.organization}'"
        self._note("Add Accounts" if new else "Modify Accounts", account.name, info)

    def put_user(self, user: User, new: bool = False) -> None:
        self.users[user.name] = user
        level = {"None": 1, "Operator": 2, "Administrator": 3}[user.admin_level]
        self._note("Add Users" if new else "Modify Users", user.name, f"admin_level={level}")

    def put_qos(self, qos: Qos, new: bool = False) -> None:
        self.qos[qos.name] = qos
        self._note("Add QOS" if new else "Modify QOS", qos.name, _told(qos))

    def put_association(
        self, one: Association, new: bool = False, as_before: Association | None = None, silent: bool = False
    ) -> None:
        """`as_before`: under which name it is told."""
        self.associations[one.id] = one
        if not silent:
            self._named[one.id] = self.name_of(as_before or one)
        self._note("Add Associations" if new else "Modify Associations", f"id_assoc={one.id}", _told(one))

    def tell_inheritors(self, account: Association, settings: Settings, below: bool = True) -> None:
        """Users' associations below the account that take over what is set there."""
        fields = [name for name in (*settings.numbers, *settings.tres) if name in INHERITED]
        fields += [name for name in ("qos",) if name in settings.lists]
        fields += [name for name in ("default_qos",) if name in settings.words]
        if not fields:
            return
        inside = {one.id for one, depth in self.books.tree(account.account) if below or depth <= 1}
        for one in self.in_tree_order():
            if one.id in inside and one.user and any(self._takes_over(one, account, field) for field in fields):
                self._named.setdefault(one.id, self.name_of(one))

    def _takes_over(self, one: Association, account: Association, field: str) -> bool:
        """Does nothing between the two set it?"""
        current: Association | None = one
        while current is not None and current.id != account.id:
            own = getattr(current, field) if field in ("qos", "default_qos") else getattr(current.limits, field)
            if own is not None and own != {}:
                return False
            current = self.books.parent_of(current)
        return True

    def remove_account(self, name: str) -> None:
        self.removed_accounts[name] = None
        self._note("Remove Accounts", f"name='{name}'")

    def remove_user(self, name: str, left: bool) -> None:
        """`left`: because its last association went."""
        self.removed_users[name] = None
        if left:
            self._left[name] = None
        for account in self.books.accounts.values():
            if name in account.coordinators:
                others = tuple(user for user in account.coordinators if user != name)
                self.accounts[account.name] = msgspec.structs.replace(account, coordinators=others)
        self._note("Remove Users", f"name='{name}'")

    def rename_user(self, user: User, name: str) -> None:
        current = self.users.pop(user.name, user)
        self.removed_users[user.name] = None
        self.users[name] = msgspec.structs.replace(current, name=name)
        for number in self.books.of_user.get(user.name, ()):
            one = self.associations.get(number, self.books.associations[number])
            self.associations[number] = msgspec.structs.replace(one, user=name)
        for account in self.books.accounts.values():
            if user.name in account.coordinators:
                names = tuple(name if one == user.name else one for one in account.coordinators)
                self.accounts[account.name] = msgspec.structs.replace(account, coordinators=names)
        self._note("Modify Users", user.name, f"name='{name}'")

    def remove_association(self, one: Association, told: bool = True) -> None:
        self.removed_associations[one.id] = None
        if told:
            self._named[one.id] = self.name_of(one)
        self._note("Remove Associations", f"id_assoc={one.id}")

    def remove_qos(self, qos: Qos) -> None:
        """And every mention of it."""
        self.removed_qos[qos.name] = None
        for one in self.books.associations.values():
            one = self.associations.get(one.id, one)
            fields: dict[str, object] = {}
            if one.qos is not None and qos.name in one.qos:
                fields["qos"] = tuple(name for name in one.qos if name != qos.name)
            if any(change[1:] == qos.name for change in one.qos_changes):
                fields["qos_changes"] = tuple(change for change in one.qos_changes if change[1:] != qos.name)
            if one.default_qos == qos.name:
                fields["default_qos"] = None
            if fields:
                self.associations[one.id] = msgspec.structs.replace(one, **fields)
        for other in self.books.qos.values():
            other = self.qos.get(other.name, other)
            if qos.name in other.preempt:
                names = tuple(name for name in other.preempt if name != qos.name)
                self.qos[other.name] = msgspec.structs.replace(other, preempt=names)
        self._note("Remove QOS", f"name='{qos.name}'")

    def check_preemption(self) -> None:
        """No QOS may preempt itself, nor one that may preempt it."""
        known = {**self.books.qos, **self.qos}
        for qos in known.values():
            seen, ahead = set(), list(qos.preempt)
            while ahead:
                name = ahead.pop()
                if name == qos.name:
                    raise Refusal("QOS Preemption loop detected")
                if name not in seen:
                    seen.add(name)
                    ahead += known[name].preempt if name in known else ()

    def _note(self, action: str, where: str, info: str = "") -> None:
        self.transactions.append(
            Transaction(time=self.now, action=action, actor=self.actor, where=where, info=info[:2000])
        )

    # -- the result

    def event(self) -> AccountsChanged | None:
        if not self.transactions:
            return None
        for name in self.removed_qos:
            self.qos.pop(name, None)
        for user in self._without_default():
            self.users[user.name] = user
        return AccountsChanged(
            time=self.now,
            accounts=tuple(self.accounts.values()),
            users=tuple(user for user in self.users.values() if user.name not in self.removed_users),
            associations=tuple(one for one in self.associations.values() if one.id not in self.removed_associations),
            qos=tuple(self.qos.values()),
            removed_accounts=tuple(self.removed_accounts),
            removed_users=tuple(self.removed_users),
            removed_associations=tuple(self.removed_associations),
            removed_qos=tuple(self.removed_qos),
            transactions=tuple(self.transactions),
        )

    def _without_default(self) -> list[User]:
        """Who loses the association in its default account has none, until it is given another."""
        known = self.books.associations
        lost: dict[str, User] = {}
        for number in self.removed_associations:
            one = known[number]
            user = self.users.get(one.user, self.books.users.get(one.user))
            if user is None or user.default_account != one.account:
                continue
            own = self.books.of_user.get(user.name, {})
            left = (known[other] for other in own if other not in self.removed_associations)
            if not any(other.account == one.account for other in left):
                lost[user.name] = msgspec.structs.replace(user, default_account="")
        return list(lost.values())

    def told(self) -> Touched:
        return Touched(
            accounts=tuple(self.removed_accounts or self.accounts),
            users=tuple(name for name in (self.removed_users or self.users) if name not in self._left),
            users_left=tuple(self._left),
            qos=tuple(self.removed_qos or self.qos),
            associations=tuple(self._named.values()),
        )


def _told(record: Association | Qos) -> str:
    """What is set, as text."""
    parts = []
    limits = record.limits
    for holder in (record, limits):
        for field in holder.__struct_fields__:
            value = getattr(holder, field)
            if value in (None, "", (), {}) or field in ("id", "added", "limits"):
                continue
            text = ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
            text = ",".join(text) if isinstance(text, tuple) else text
            parts.append(f"{field}='{text}'" if isinstance(text, str) else f"{field}={text}")
    return ", ".join(parts)
