"""sacctmgr add: what is new, and the question before it is done."""

from __future__ import annotations

from corral.cli.sacctmgr import settings as st
from corral.cli.sacctmgr import values
from corral.cli.sacctmgr.conditions import (
    USE_WHERE,
    Words,
    parts,
)
from corral.cli.sacctmgr.coordinators import coordinators
from corral.cli.sacctmgr.session import Wrong
from corral.cli.sacctmgr.settings import ASSOCIATION, OF_QOS
from corral.cli.sacctmgr.touched import (
    carry_out,
    has_uid,
    refuse_cluster,
    refuse_federation,
    refuse_resource,
    right_cluster,
)
from corral.cli.sacctmgr.words import is_short_for, meant, names, split, unquoted

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Where = dict[str, Any]


def add(session: Session, words: list[str]) -> None:
    """add ENTITY ..."""
    kind = meant(
        words[0] if words else "",
        [
            ("Account", 1),
            ("Acct", 4),
            ("Cluster", 2),
            ("Coordinator", 2),
            ("Federation", 1),
            ("QOS", 1),
            ("Resource", 1),
            ("User", 1),
        ],
    )
    actions: dict[str, Callable[[Session, list[str]], None]] = {
        "Account": add_account, "Acct": add_account, "User": add_user, "QOS": add_qos, "Coordinator": add_coordinator,
        "Cluster": refuse_cluster, "Federation": refuse_federation, "Resource": refuse_resource,
    }  # fmt: skip
    if not words or kind not in actions:
        session.problem(
            "No valid entity in add command\n"
            'Input line must include "Account", "Cluster", "Coordinator", "Federation", "QOS", "Resource", or "User"'
        )
        return
    actions[kind](session, words[1:])


def add_account(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words, starts_with_where=False)
    accounts: list[str] = []
    clusters: list[str] = []
    for word in (*where, *rest):
        key, _, value = split(word)
        name = meant(
            key, [("Names", 1), ("Account", 1), ("Acct", 4), ("Clusters", 1), ("Description", 3), ("Organization", 1), ("Parent", 2)]
        )  # fmt: skip
        if value is None:
            accounts += names(word)
        elif name in ("Names", "Account", "Acct"):
            accounts += names(value)
        elif name == "Clusters":
            clusters += names(value)
        elif name in ("Description", "Organization", "Parent"):
            read.own.words[name.lower()] = unquoted(value).lower()
        elif not read.setting(word, ASSOCIATION, USE_WHERE):
            read.unknown(word, USE_WHERE)
    if session.exit_code:
        return
    if not accounts:
        raise Wrong(" Need name of account to add.")
    if not right_cluster(session, clusters):
        return
    parent = read.own.words.get("parent", "root")
    known = {one["account"] for one in session.books["associations"] if not one["user"]}
    if parent not in known:
        session.problem(
            f" Parent account '{parent}' doesn't exist on cluster {session.cluster}\n        Contact your admin to add this account."
        )
        raise Wrong(" No associations created.")
    accounts = list(dict.fromkeys(accounts))
    new = [name for name in accounts if name not in {one["name"] for one in session.books["accounts"]}]
    tied = [name for name in accounts if name not in known]
    if not new and not tied:
        session.out(" Nothing new added.")
        session.exit_code = 1
        return
    if new:
        session.out(" Adding Account(s)\n" + "\n".join(f"  {name}" for name in new))
        session.out(" Settings")
        session.out(f"  Description     = {read.own.words.get('description', 'Account Name')}")
        session.out(f"  Organization    = {read.own.words.get('organization', 'Parent/Account Name')}")
    if tied:
        session.out(
            " Associations\n" + "\n".join(f"  A = {name[:10]:<10} C = {session.cluster[:10]:<10}" for name in tied)
        )
    if read.found.limits_set or read.own.words:
        session.out(" Settings")
        session.out("\n".join(st.shown(read.found, parent)))
    request = read.found.request()
    request["words"] = {**request["words"], **read.own.words}
    carry_out(session, "add", "account", {"names": accounts}, request)


def add_user(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words, starts_with_where=False)
    known_keys = [
        ("Names", 1), ("Users", 1), ("Accounts", 2), ("Acct", 4), ("AdminLevel", 2), ("Clusters", 1), ("DefaultAccount", 8),
        ("DefaultWCKey", 8), ("Partitions", 3), ("WCKeys", 1),
    ]  # fmt: skip
    users: list[str] = []
    accounts: list[str] = []
    clusters: list[str] = []
    partitions: list[str] = []
    for word in (*where, *rest):
        key, _, value = split(word)
        name = meant(key, known_keys)
        if value is None:
            users += names(word)
        elif name in ("Names", "Users"):
            users += names(value)
        elif name in ("Accounts", "Acct"):
            accounts += names(value)
        elif name == "Clusters":
            clusters += names(value)
        elif name == "Partitions":
            partitions += names(value, lower=False)
        elif name == "DefaultAccount":
            if "default_account" in read.own.words:
                session.problem(f" Already listed DefaultAccount {read.own.words['default_account']}")
                continue
            read.own.words["default_account"] = unquoted(value).lower()
            accounts += names(value)
        elif name == "AdminLevel":
            read.own.words["admin_level"] = values.level(value)
        elif name in ("DefaultWCKey", "WCKeys"):
            session.problem(" There are no wckeys here.")
        elif not read.setting(word, ASSOCIATION, "", twice=True):
            read.unknown(word, "")
    if session.exit_code:
        return
    if not users:
        raise Wrong(" Need name of user to add.")
    if not right_cluster(session, clusters):
        return
    if not accounts:
        raise Wrong(" Need name of account to add user to.")
    _add_users(session, read, list(dict.fromkeys(users)), list(dict.fromkeys(accounts)), partitions)


def _add_users(session: Session, read: Words, users: list[str], accounts: list[str], partitions: list[str]) -> None:
    books = session.books
    known_accounts = {one["name"] for one in books["accounts"]}
    tied = {one["account"] for one in books["associations"] if not one["user"]}
    there = {(one["account"], one["user"], one["partition"]) for one in books["associations"]}
    default = read.own.words.get("default_account") or accounts[0]
    known_users = {one["name"] for one in books["users"]}
    new_users = [name for name in users if name not in known_users]
    for name in new_users:
        if not has_uid(name) and not session.agrees(
            f"There is no uid for user '{name}'\nAre you sure you want to continue?"
        ):
            session.exit_code = 1
            return
    usable = []
    for account in accounts:
        if account not in known_accounts:
            session.problem(
                f" This account '{account}' doesn't exist.\n        Contact your admin to add this account."
            )
        elif account not in tied:
            session.problem(
                f" This account '{account}' doesn't exist on cluster {session.cluster}\n"
                "        Contact your admin to add this account."
            )
        else:
            usable.append(account)
    if new_users and (default not in known_accounts or not usable):
        new_users = []
        if not usable:
            raise Wrong(" No associations or wckeys created.")
    new = [
        (account, name, partition)
        for name in users
        for account in usable
        for partition in (partitions or [""])
        if (account, name, partition) not in there and (name in known_users or name in new_users)
    ]
    if not new and not new_users:
        if usable:
            session.out(" Nothing new added.")
            session.exit_code = 1
            return
        raise Wrong(" No associations or wckeys created.")
    if new_users:
        session.out(" Adding User(s)\n" + "\n".join(f"  {name}" for name in new_users))
        lines = []
        if "default_account" in read.own.words:
            lines.append(f"  Default Account = {default}")
        if read.own.words.get("admin_level"):
            lines.append(f"  Admin Level     = {read.own.words['admin_level']}")
        if lines:
            session.out(" Settings =\n" + "\n".join(lines))
    if new:
        lines = []
        for account, name, partition in new:
            line = f"  U = {name[:9]:<9} A = {account[:10]:<10} C = {session.cluster[:10]:<10}"
            lines.append(line + (f" P = {partition[:10]:<10}" if partition else ""))
        session.out(" Associations =\n" + "\n".join(lines))
    session.out(" Non Default Settings")
    shown = st.shown(read.found)
    if shown:
        session.out("\n".join(shown))
    request = read.found.request()
    request["words"] = {**request["words"], **read.own.words}
    carry_out(session, "add", "user", {"names": users, "accounts": usable, "partitions": partitions}, request)


def add_qos(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words, starts_with_where=False)
    found: list[str] = []
    for word in (*where, *rest):
        key, _, value = split(word)
        if value is None or is_short_for(key, "Names", 1):
            found += names(word if value is None else value)
        elif not read.setting(word, OF_QOS, USE_WHERE, to_output=True):
            session.out(f" Unknown option: {word}\n{USE_WHERE}")
            session.exit_code = 1
    if session.exit_code:
        return
    if not found:
        raise Wrong(" Need name of qos to add.")
    known = {qos["name"] for qos in session.books["qos"]}
    new = [name for name in dict.fromkeys(found) if name not in known]
    if not new:
        session.out(" Nothing new added.")
        session.exit_code = 1
        return
    session.out(" Adding QOS(s)\n" + "\n".join(f"  {name}" for name in new))
    session.out(" Settings")
    session.out(f"  Description    = {read.found.words.get('description') or new[0]}")
    shown = st.shown_of_qos(read.found)
    if shown:
        session.out("\n".join(shown))
    carry_out(session, "add", "qos", {"names": new}, read.found.request())


def add_coordinator(session: Session, words: list[str]) -> None:
    where = coordinators(session, words, "add")
    session.out(" Adding Coordinator User(s)\n" + "\n".join(f"  {name}" for name in where["names"]))
    session.out(" To Account(s) and all sub-accounts\n" + "\n".join(f"  {name}" for name in where.get("accounts", ())))
    carry_out(session, "add", "coordinator", where, {})
