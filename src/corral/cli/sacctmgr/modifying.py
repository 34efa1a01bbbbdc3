"""sacctmgr modify: what is set, and on which ones."""

from __future__ import annotations

from corral.cli.sacctmgr import amending, values
from corral.cli.sacctmgr import settings as st
from corral.cli.sacctmgr.conditions import (
    ACCOUNT_WHERE,
    CLUSTER_WHERE,
    QOS_WHERE,
    USE_WHERE,
    USER_WHERE,
    Words,
    parts,
)
from corral.cli.sacctmgr.session import Wrong
from corral.cli.sacctmgr.settings import ASSOCIATION, OF_QOS
from corral.cli.sacctmgr.touched import (
    association_text,
    named,
    refuse_federation,
    refuse_resource,
    refused,
)
from corral.cli.sacctmgr.words import is_short_for, meant, split, unquoted
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Where = dict[str, Any]


def modify(session: Session, words: list[str]) -> None:
    kind = meant(
        words[0] if words else "",
        [("Accounts", 1), ("Acct", 4), ("Clusters", 5), ("Federations", 1), ("Job", 1), ("QOSs", 1), ("Resource", 1), ("Users", 1)],
    )  # fmt: skip
    actions: dict[str, Callable[[Session, list[str]], None]] = {
        "Accounts": modify_account, "Acct": modify_account, "Users": modify_user, "QOSs": modify_qos, "Clusters": modify_cluster,
        "Federations": refuse_federation, "Resource": refuse_resource, "Job": amending.modify_job,
    }  # fmt: skip
    if not words or kind not in actions:
        session.problem(
            "No valid entity in modify command\n"
            'Input line must include "Account", "Cluster", "Federation", "Job", "QOS", "Resource" or "User"'
        )
        return
    actions[kind](session, words[1:])


def modify_account(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words)
    for word in where:
        read.condition(word, ACCOUNT_WHERE)
    for word in rest:
        key, _, value = split(word)
        name = meant(
            key,
            [("Account", 2), ("Acct", 4), ("Names", 1), ("Clusters", 1), ("Description", 1), ("Organization", 1), ("Parent", 2),
             ("RawUsage", 7)],
        )  # fmt: skip
        if st.find(key, ASSOCIATION) is not None and name == "Description":
            name = ""
        if value is None or name in ("Account", "Acct", "Names"):
            session.problem(" Can't modify the name of an account")
        elif name == "Clusters":
            session.problem(" Can't modify the cluster of an account")
        elif name == "Parent":
            parent = unquoted(value).lower()
            if parent not in {one["account"] for one in session.books["associations"] if not one["user"]}:
                session.problem(f" Parent Account {parent} doesn't exist.")
            read.own.words["parent"] = parent
        elif name in ("Description", "Organization"):
            read.own.words[name.lower()] = unquoted(value).lower()
        elif name == "RawUsage":
            _reset(session, read, "account", value)
            return
        elif not read.setting(word, ASSOCIATION, USE_WHERE):
            read.unknown(word, USE_WHERE)
    if not _settable(session, read):
        return
    settings = read.found.request()
    settings["words"] = {**settings["words"], **read.own.words}
    _modified(session, "account", read, settings)


def modify_user(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words)
    for word in where:
        read.condition(word, USER_WHERE)
    for word in rest:
        key, _, value = split(word)
        name = meant(
            key, [("AdminLevel", 2), ("DefaultAccount", 8), ("DefaultWCKey", 8), ("NewName", 1), ("RawUsage", 7)]
        )
        if value is None:
            session.problem(f" Bad format on {word}: End your option with an '=' sign")
        elif name == "AdminLevel":
            level = values.level(value)
            if not level:
                session.out(" Nothing modified")
                session.error(f"Bad AdminLevel: {unquoted(value)}. It is None, Operator or Administrator")
                return
            read.own.words["admin_level"] = level
        elif name == "DefaultAccount":
            read.own.words["default_account"] = unquoted(value).lower()
        elif name == "NewName":
            read.own.words["name"] = unquoted(value).lower()
        elif name == "DefaultWCKey":
            session.problem(" There are no wckeys here.")
        elif name == "RawUsage":
            _reset(session, read, "user", value)
            return
        elif not read.setting(word, ASSOCIATION, USE_WHERE):
            read.unknown(word, USE_WHERE)
    if not _settable(session, read):
        return
    settings = read.found.request()
    settings["words"] = {**settings["words"], **read.own.words}
    _modified(session, "user", read, settings)


def _settable(session: Session, read: Words) -> bool:
    if session.exit_code and (read.found or read.own):
        return False
    if not read.found and not read.own:
        if not session.exit_code:
            raise Wrong(" You didn't give me anything to set")
        return False
    if not read.given and not session.agrees(
        "You didn't set any conditions with 'WHERE'.\nAre you sure you want to continue?"
    ):
        session.out("Aborted")
        return False
    return True


def _modified(session: Session, kind: str, read: Words, settings: dict[str, Any]) -> None:
    if read.where.get("clusters") and session.cluster not in read.where["clusters"]:
        touched: dict[str, Any] = {}
    else:
        try:
            touched = session.ask("modify", kind, read.where, settings, test=True)
        except Refused as error:
            refused(session, error)
            return
    records = touched.get("accounts" if kind == "account" else "users", [])
    listed = touched.get("associations", [])
    if not records and not listed:
        session.out(" Nothing modified")
        session.exit_code = 1
        return
    bad = _without_default_qos(session, read, listed)
    if bad:
        session.problem(
            " These associations don't have access to their default qos.\n"
            " Please give them access before they the default can be set to this.\n" + "\n".join(bad)
        )
        session.exit_code = 0
        return
    if records:
        session.out(f" Modified {kind}s...\n" + "\n".join(f"  {name}" for name in records))
    if listed:
        session.out(
            f" Modified {kind} associations...\n" + "\n".join(association_text(session.cluster, one) for one in listed)
        )
    session.commit("modify", kind, read.where, settings)


def _without_default_qos(session: Session, read: Words, listed: list[list[str]]) -> list[str]:
    """Lines of those that would not have the default they are given."""
    default = read.found.words.get("default_qos")
    if not default or default == "-1" or "qos" in read.found.lists:
        return []
    has = {
        (one["account"], one["user"], one["partition"]): default in one["qos"] for one in session.books["associations"]
    }
    lines = []
    for one in listed:
        account, user, partition, _ = named(one)
        if not has.get((account, user, partition), True):
            tail = f" U = {user:<9}" if user else ""
            lines.append(f"  DefQOS = {default:<10} C = {session.cluster:<10} A = {account:<20}{tail}")
    return lines


def _reset(session: Session, read: Words, kind: str, value: str) -> None:
    """RawUsage=0."""
    if values.count(value, "RawUsage") != 0:
        session.error("Raw usage can only be set to 0 (zero)")
        return
    if kind == "user" and not read.where.get("accounts"):
        session.error("An account must be specified")
        return
    if not read.where.get("clusters"):
        session.out(f"No cluster specified, resetting on local cluster {session.cluster}")
    if not session.agrees("Would you like to reset usage?"):
        session.out(" Changes Discarded")
        return
    touched = session.ask("reset", kind, read.where, {})
    if kind == "qos":
        missing = [name for name in read.where.get("names", ()) if name not in touched.get("qos", ())]
        if missing:
            session.error(f"Failed to find QOS {missing[0]}")
    elif not touched.get("associations"):
        accounts = read.where.get("accounts") or read.where.get("names") or ["?"]
        users = f" user {read.where['names'][0]}" if kind == "user" and read.where.get("names") else ""
        session.error(f"Failed to find cluster {session.cluster} account {accounts[0]}{users} association in database")


def modify_qos(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words)
    for word in where:
        read.condition(word, QOS_WHERE, " Use keyword 'set' to modify SLURM_PRINT_VALUE")
    for word in rest:
        key, _, value = split(word)
        if value is not None and is_short_for(key, "RawUsage", 7):
            _reset(session, read, "qos", value)
            return
        if not read.setting(word, OF_QOS, USE_WHERE, to_output=True):
            session.out(f" Unknown option: {word}\n{USE_WHERE}")
            session.exit_code = 1
    if session.exit_code and not read.found:
        if rest and not any("Preempt Mode" in word for word in rest) and st.find(split(rest[0])[0], OF_QOS) is not None:
            keyword = st.find(split(rest[0])[0], OF_QOS)
            if keyword is not None and keyword.kind in (st.COUNT, st.FRACTION):
                session.problem(" You didn't give me anything to set")
        return
    if not _settable(session, read):
        return
    settings = read.found.request()
    try:
        touched = session.ask("modify", "qos", read.where, settings, test=True)
    except Refused as error:
        session.error(str(error))
        session.problem(f" Error with request: {error}")
        return
    if not touched.get("qos"):
        session.out(" Nothing modified")
        session.exit_code = 1
        return
    session.out(" Modified qos...\n" + "\n".join(f"  {name}" for name in touched["qos"]))
    session.commit("modify", "qos", read.where, settings)


def modify_cluster(session: Session, words: list[str]) -> None:
    read = Words(session, words)
    where, rest = parts(words)
    for word in where:
        read.condition(word, CLUSTER_WHERE)
    for word in rest:
        if not read.setting(word, ASSOCIATION, USE_WHERE):
            read.unknown(word, USE_WHERE)
    if not _settable(session, read):
        return
    settings = read.found.request()
    touched = session.ask("modify", "cluster", read.where, settings, test=True)
    if not touched.get("associations"):
        session.out(" Nothing modified")
        session.exit_code = 1
        return
    session.out(" Setting\n  Default Limits:\n" + "\n".join(st.shown(read.found)))
    lines = [association_text(session.cluster, one) for one in touched["associations"]]
    session.out(" Modified cluster defaults for associations...\n" + "\n".join(lines))
    session.commit("modify", "cluster", read.where, settings)
