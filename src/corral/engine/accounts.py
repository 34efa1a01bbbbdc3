"""How are accounts, users, associations and QOS added, changed and removed?

A change is first written down as a Draft, against the books as they are; then it is recorded as one event, or, in a test, only
told. Who may do what is in `rights.py`.
"""

from collections.abc import Callable

import msgspec

from corral.engine import rights
from corral.engine.books import Books, founded, founding
from corral.engine.context import Context
from corral.engine.draft import Draft, Refusal
from corral.engine.effects import Effects
from corral.engine.settings import applied
from corral.model.account import ROOT, Account, Association, User
from corral.model.qos import Qos
from corral.protocol.accounting import Condition, Settings
from corral.protocol.events import UsageReset
from corral.protocol.replies import AccountsChanged as Told
from corral.protocol.requests import Caller, ChangeAccounts

#: Accounts below each other.
DEEPEST = 100
#: Characters of a name.
LONGEST = 255
_ADMIN_LEVELS = ("None", "Operator", "Administrator")


def on_change(ctx: Context, request: ChangeAccounts, caller: Caller, now: float, out: Effects) -> None:
    """sacctmgr add, modify and delete."""
    books = founded(ctx.state.books)
    draft = Draft(books, ctx.config.cluster, caller.user, now)
    try:
        if request.kind == "coordinator":
            _coordinators(draft, request, caller)
        elif request.verb == "reset":
            _reset(ctx, draft, request, caller, now, out)
            return
        elif request.verb == "add":
            _ADD[request.kind](draft, request.where, request.settings, caller)
        elif request.verb == "modify":
            _MODIFY[request.kind](draft, request.where, request.settings, caller)
        else:
            _REMOVE[request.kind](draft, request.where, caller)
        if request.verb == "remove":
            _check_no_jobs(ctx, draft)
    except Refusal as refusal:
        out.reply = refusal.reply
        return
    told = draft.told()
    event = draft.event()
    if not request.test and event is not None:
        if not ctx.state.books:
            ctx.record(founding(now), out)
        ctx.wants_cycle |= books.changes_rules(event)
        ctx.record(event, out)
    out.reply = Told(touched=told)


def _check_no_jobs(ctx: Context, draft: Draft) -> None:
    gone = draft.removed_associations
    if not gone:
        return
    live = [job for job in ctx.state.jobs.values() if job.association in gone and not job.has_ended]
    if live:
        lines = []
        for job in sorted(live, key=lambda job: job.id):
            one = draft.books.associations[job.association]
            partition = f" P = {one.partition}" if one.partition else ""
            lines.append(
                f"  JobID = {job.id:<10} C = {draft.cluster:<10} A = {one.account:<10} U = {one.user:<9}{partition}"
            )
        raise Refusal("Job(s) active, cancel job(s) before remove", detail="\n".join(lines))


# -- accounts


def _add_accounts(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    books = draft.books
    parent = settings.words.get("parent", "").lower() or ROOT
    if books.account_of(parent) is None:
        raise Refusal(f"Parent account '{parent}' doesn't exist on cluster {draft.cluster}", "not_found")
    rights.check_account(books, caller, parent)
    _check_depth(draft, parent)
    for name in _names(where.names, "account"):
        if name not in books.accounts:
            draft.put_account(
                Account(
                    name=name,
                    description=settings.words.get("description", name).lower(),
                    organization=settings.words.get("organization", name if parent == ROOT else parent).lower(),
                ),
                new=True,
            )
        if books.account_of(name) is None:
            new = Association(id=draft.next_association(), account=name, parent=parent, added=draft.now)
            draft.put_association(_set(books, new, settings), new=True)


def _modify_accounts(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    books = draft.books
    words = settings.words
    chosen = [one for one in draft.in_tree_order() if not one.user and _is_account(books, one, where)]
    for one in chosen:
        rights.check_account(books, caller, one.account)
    texts = {key: words[key].lower() for key in ("description", "organization") if key in words}
    if texts:
        for one in sorted(chosen, key=lambda one: one.account):
            account = books.accounts.get(one.account)
            if account is not None:
                draft.put_account(msgspec.structs.replace(account, **texts))
    rest = _without(settings, "description", "organization")
    if rest == Settings():
        return
    parent = words.get("parent", "").lower()
    if parent and books.account_of(parent) is None:
        raise Refusal(f"Parent account '{parent}' doesn't exist on cluster {draft.cluster}", "not_found")
    for one in chosen:
        changed = _set(books, one, rest)
        if parent:
            if one.account == parent or one.account == ROOT:
                raise Refusal("Account can not be a child of itself")
            _check_depth(draft, parent, one)
            _move_away(draft, parent, one)
            changed = msgspec.structs.replace(changed, parent=parent)
        draft.put_association(changed, as_before=one)
        draft.tell_inheritors(one, rest)


def _check_depth(draft: Draft, parent: str, moved: Association | None = None) -> None:
    """How deep accounts may hang below each other."""
    books = draft.books
    above = books.account_of(parent)
    below = max((depth for _, depth in books.tree(moved.account)), default=0) if moved is not None else 0
    if above is not None and len(books.chain(above.id)) + below >= DEEPEST:
        raise Refusal(f"Accounts cannot be more than {DEEPEST} deep")


def _move_away(draft: Draft, parent: str, one: Association) -> None:
    """Should the new parent lie below, it first takes this one's place."""
    above = draft.books.account_of(parent)
    while above is not None and above.parent != one.account:
        above = draft.books.parent_of(above)
    if above is not None:
        target = draft.books.account_of(parent)
        assert target is not None
        draft.put_association(msgspec.structs.replace(target, parent=one.parent), silent=True)


def _remove_accounts(draft: Draft, where: Condition, caller: Caller) -> None:
    """With an account go the associations of all below it; the accounts below stay known by name, as in Slurm."""
    books = draft.books
    names = [name for name in sorted(books.accounts) if _account_matches(books, name, where)]
    if ROOT in names:
        raise Refusal("You are not allowed to remove the root account.", "denied", "Use remove cluster instead.")
    for name in names:
        rights.check_account(books, caller, name, above=True)
        draft.remove_account(name)
        top = books.account_of(name)
        for one, _ in books.tree(name) if top is not None else ():
            draft.remove_association(one, told=False)


# -- users


def _add_users(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    books = draft.books
    words = settings.words
    default = words.get("default_account", "").lower()
    accounts = [name.lower() for name in where.accounts]
    if default and default not in accounts:
        accounts.append(default)
    for account in accounts:
        if books.account_of(account) is None:
            raise Refusal(f"This account '{account}' doesn't exist.", "not_found")
        rights.check_account(books, caller, account)
    for name in _names(where.names, "user"):
        known = books.users.get(name)
        if known is None:
            if not accounts:
                raise Refusal("Need name of account to add user to.")
            level = _level(words.get("admin_level", "None"), caller, books)
            draft.put_user(User(name=name, default_account=default or min(accounts), admin_level=level), new=True)
        for account in accounts:
            for partition in where.partitions or ("",):
                if (account, name, partition) not in books.by_key:
                    new = Association(
                        id=draft.next_association(), account=account, user=name, partition=partition, added=draft.now
                    )
                    draft.put_association(_set(books, new, settings), new=True)
        if known is not None and not known.default_account and accounts:
            draft.put_user(msgspec.structs.replace(known, default_account=default or min(accounts)))


def _modify_users(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    books = draft.books
    words = settings.words
    own = _without(settings, "default_account", "admin_level", "name")
    chosen = [one for one in draft.in_tree_order() if one.user and _is_users(books, one, where)]
    users = [books.users[name] for name in sorted({one.user for one in chosen} & set(books.users))]
    for key in ("default_account", "admin_level"):
        if key not in words:
            continue
        for user in users:
            draft.put_user(_user_set(draft, user, key, words[key], caller))
    if own != Settings():
        for one in chosen:
            rights.check_account(books, caller, one.account)
            draft.put_association(_set(books, one, own), as_before=one)
    if "name" in words:
        _rename(draft, users, words["name"], caller)


def _rename(draft: Draft, users: list[User], name: str, caller: Caller) -> None:
    """The same user under another name: with its associations, what it has used, and the accounts it coordinates."""
    rights.check_level(draft.books, caller, 1)
    if not users:
        return
    if len(users) != 1 or not name or len(name) > 256 or "," in name or any(letter.isspace() for letter in name):
        raise Refusal("There was a problem with your 'where' options.", detail="One user gets one new name.")
    if name in draft.books.users:
        raise Refusal("Nothing modified", detail=f"There is a user {name} already.")
    draft.rename_user(users[0], name)


def _user_set(draft: Draft, user: User, key: str, word: str, caller: Caller) -> User:
    books = draft.books
    current = draft.users.get(user.name, user)
    if key == "admin_level":
        return msgspec.structs.replace(current, admin_level=_level(word, caller, books))
    account = word.lower()
    if not any(books.associations[number].account == account for number in books.of_user.get(user.name, ())):
        raise Refusal(
            f"Can't modify because these users aren't associated with new default account '{account}'...",
            detail=f"  U = {user.name} C = {draft.cluster}",
        )
    if caller.user != user.name:
        rights.check_account(books, caller, account)
    return msgspec.structs.replace(current, default_account=account)


def _level(word: str, caller: Caller, books: Books) -> str:
    level = next((known for known in _ADMIN_LEVELS if known.lower().startswith(word.lower()) and word), "")
    if word.lower() in ("super", "super_user"):
        level = "Administrator"
    if not level:
        raise Refusal(f"{word!r} is no admin level: it is one of {', '.join(_ADMIN_LEVELS)}")
    if level != "None" and rights.level_of(books, caller) < _ADMIN_LEVELS.index(level):
        raise Refusal(rights.DENIED, "denied")
    return level


def _remove_users(draft: Draft, where: Condition, caller: Caller) -> None:
    """With conditions only the associations that meet them; who then has none left goes too."""
    books = draft.books
    partial = bool(where.accounts or where.partitions or where.parents)
    chosen = [one for one in draft.in_tree_order() if one.user and _is_users(books, one, where)]
    for one in chosen:
        rights.check_account(books, caller, one.account)
        draft.remove_association(one, told=partial)
    gone = draft.removed_associations
    for name in sorted(books.users):
        if not _user_matches(books.users[name], where):
            continue
        own = books.of_user.get(name, {})
        if not partial or (own and all(number in gone for number in own)):
            if not own:
                rights.check_level(books, caller, 1)
            draft.remove_user(name, left=partial)


# -- coordinators


def _coordinators(draft: Draft, request: ChangeAccounts, caller: Caller) -> None:
    books = draft.books
    users = [name.lower() for name in (*request.where.names, *request.where.users)]
    accounts = [name.lower() for name in request.where.accounts]
    for account in accounts:
        if account not in books.accounts:
            raise Refusal(f"You specified a non-existent account '{account}'.", "not_found")
        rights.check_account(books, caller, account)
    for user in users:
        if user not in books.users:
            raise Refusal(f"You specified a non-existent user '{user}'.", "not_found")
    if request.verb == "add":
        for account in accounts:
            record = books.accounts[account]
            new = tuple(user for user in users if user not in record.coordinators)
            if new:
                draft.put_account(msgspec.structs.replace(record, coordinators=(*record.coordinators, *new)))
        return
    for account in accounts or sorted(books.accounts):
        record = books.accounts[account]
        left = tuple(user for user in record.coordinators if users and user not in users)
        if left != record.coordinators:
            draft.put_account(msgspec.structs.replace(record, coordinators=left))


# -- QOS


def _add_qos(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    rights.check_level(draft.books, caller, 2)
    for name in _names(where.names, "qos"):
        if name not in draft.books.qos:
            new = Qos(id=draft.next_qos(), name=name, description=name)
            draft.put_qos(applied(draft.books, new, settings), new=True)


def _modify_qos(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    rights.check_level(draft.books, caller, 2)
    for qos in sorted(draft.books.qos.values(), key=lambda qos: qos.id):
        if _qos_matches(qos, where):
            draft.put_qos(applied(draft.books, qos, settings))
    draft.check_preemption()


def _remove_qos(draft: Draft, where: Condition, caller: Caller) -> None:
    rights.check_level(draft.books, caller, 2)
    for qos in sorted(draft.books.qos.values(), key=lambda qos: qos.id):
        if _qos_matches(qos, where):
            draft.remove_qos(qos)


# -- the cluster: what its root association says


def _modify_cluster(draft: Draft, where: Condition, settings: Settings, caller: Caller) -> None:
    rights.check_level(draft.books, caller, 2)
    names = where.names or where.clusters
    root = draft.books.account_of(ROOT)
    if (names and draft.cluster not in names) or root is None:
        return
    draft.put_association(_set(draft.books, root, settings), as_before=root)
    draft.tell_inheritors(root, settings, below=False)


def _reset(
    ctx: Context, draft: Draft, request: ChangeAccounts, caller: Caller, now: float, out: Effects
) -> None:  # RawUsage=0
    books, where = draft.books, request.where
    rights.check_level(books, caller, 2)
    if request.kind == "qos":
        event = UsageReset(time=now, qos=tuple(name for name in where.names if name in books.qos))
    else:
        accounts = where.accounts if request.kind == "user" else (where.names or where.accounts)
        users = where.names if request.kind == "user" else ("",)
        found = [books.by_key.get((account, user, "")) for account in accounts for user in users]
        event = UsageReset(time=now, associations=tuple(number for number in found if number is not None))
    if not request.test and ctx.state.books and (event.associations or event.qos):
        ctx.record(event, out)
        ctx.wants_cycle = True
    names = tuple(draft.name_of(books.associations[number]) for number in event.associations)
    out.reply = Told(touched=msgspec.structs.replace(draft.told(), associations=names, qos=event.qos))


# -- what is meant


def _names(names: tuple[str, ...], what: str) -> list[str]:
    if not names:
        raise Refusal(f"Need name of {what} to add.")
    found = list(dict.fromkeys(name.lower() for name in names))
    for name in found:
        if len(name) > LONGEST or not all(letter.isprintable() and letter not in " ,|'\"`=\\" for letter in name):
            raise Refusal(f"{name[:40]!r} is no name of a {what}: no blanks, commas, quotes, = or |")
    return found


def _set(books: Books, one: Association, settings: Settings) -> Association:
    rest = _without(settings, "description", "organization", "parent", "default_account", "admin_level", "name")
    return applied(books, one, rest)


def _without(settings: Settings, *words: str) -> Settings:
    kept = {key: word for key, word in settings.words.items() if key not in words}
    return msgspec.structs.replace(settings, words=kept)


def _is_account(books: Books, one: Association, where: Condition) -> bool:
    return _account_matches(books, one.account, where)


def _account_matches(books: Books, name: str, where: Condition) -> bool:
    account, one = books.accounts.get(name), books.account_of(name)
    return (
        (not where.names or name in where.names)
        and (not where.accounts or name in where.accounts)
        and (not where.parents or (one is not None and one.parent in where.parents))
        and (not where.descriptions or (account is not None and account.description in where.descriptions))
        and (not where.organizations or (account is not None and account.organization in where.organizations))
        and (not where.qos or (one is not None and bool(set(where.qos) & set(books.effective(one.id).qos))))
        and (not where.default_qos or (one is not None and books.effective(one.id).default_qos in where.default_qos))
    )


def _user_matches(user: User, where: Condition) -> bool:
    return (
        (not where.names or user.name in where.names)
        and (not where.users or user.name in where.users)
        and (not where.default_accounts or user.default_account in where.default_accounts)
        and (not where.admin_level or user.admin_level.lower().startswith(where.admin_level.lower()))
    )


def _is_users(books: Books, one: Association, where: Condition) -> bool:
    user = books.users.get(one.user)
    return (
        user is not None
        and _user_matches(user, where)
        and (not where.accounts or one.account in where.accounts)
        and (not where.partitions or one.partition in where.partitions)
        and (not where.qos or bool(set(where.qos) & set(books.effective(one.id).qos)))
        and (not where.default_qos or books.effective(one.id).default_qos in where.default_qos)
    )


def _qos_matches(qos: Qos, where: Condition) -> bool:
    return (
        (not where.names or qos.name in where.names)
        and (not where.ids or qos.id in where.ids)
        and (not where.descriptions or qos.description in where.descriptions)
    )


def _refuse_cluster(draft: Draft, *_: object) -> None:
    raise Refusal(
        "Clusters cannot be added or removed", "denied", f"There is one, {draft.cluster}: each keeps its own accounts."
    )


Add = Callable[[Draft, Condition, Settings, Caller], None]
Remove = Callable[[Draft, Condition, Caller], None]
_ADD: dict[str, Add] = {"account": _add_accounts, "user": _add_users, "qos": _add_qos, "cluster": _refuse_cluster}
_MODIFY: dict[str, Add] = {
    "account": _modify_accounts,
    "user": _modify_users,
    "qos": _modify_qos,
    "cluster": _modify_cluster,
}
_REMOVE: dict[str, Remove] = {
    "account": _remove_accounts,
    "user": _remove_users,
    "qos": _remove_qos,
    "cluster": _refuse_cluster,
}
