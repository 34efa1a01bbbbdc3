"""sacctmgr delete: what goes, and what goes with it."""

from __future__ import annotations

from corral.cli.sacctmgr.conditions import (
    ACCOUNT_WHERE,
    QOS_WHERE,
    USER_WHERE,
    Words,
    parts,
)
from corral.cli.sacctmgr.coordinators import coordinators
from corral.cli.sacctmgr.session import Wrong
from corral.cli.sacctmgr.touched import (
    carry_out,
    named,
    refuse_cluster,
    refuse_federation,
    refuse_resource,
    refused,
)
from corral.cli.sacctmgr.words import meant
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Where = dict[str, Any]


def delete(session: Session, words: list[str]) -> None:
    kind = meant(
        words[0] if words else "",
        [("Accounts", 1), ("Acct", 4), ("Clusters", 2), ("Coordinators", 2), ("Federations", 1), ("QOS", 2), ("Resource", 1), ("Users", 1)],
    )  # fmt: skip
    if not words or not kind:
        session.problem(
            "No valid entity in delete command\n"
            'Input line must include "Account", "Cluster", "Coordinator", "Federation", "QOS", "Resource", or "User"'
        )
        return
    rest = words[1:]
    match kind:
        case "Clusters":
            refuse_cluster(session, rest)
        case "Federations":
            refuse_federation(session, rest)
        case "Resource":
            refuse_resource(session, rest)
        case "Coordinators":
            delete_coordinator(session, rest)
        case "QOS":
            _delete(session, rest, "qos", QOS_WHERE)
        case "Users":
            _delete(session, rest, "user", USER_WHERE)
        case _:
            _delete(session, rest, "account", ACCOUNT_WHERE)


def _delete(session: Session, words: list[str], kind: str, table: Sequence[tuple[str, int, str]]) -> None:
    read = Words(session, words)
    for word in [word for part in parts(words) for word in part]:
        read.condition(word, table)
    if session.exit_code:
        return
    if not read.given:
        raise Wrong(" No conditions given to remove, not executing.")
    if kind == "qos" and _is_default(session, read.where):
        session.problem(" Changes Discarded")
        return
    elsewhere = read.where.get("clusters") and session.cluster not in read.where["clusters"]
    try:
        touched = {} if elsewhere else session.ask("remove", kind, read.where, {}, test=True)
    except Refused as error:
        refused(session, error)
        return
    field = {"account": "accounts", "user": "users", "qos": "qos"}[kind]
    gone, left, listed = touched.get(field, []), touched.get("users_left", []), touched.get("associations", [])
    if not gone and not left and not listed:
        session.out(" Nothing deleted")
        session.exit_code = 1
        return
    if listed:
        lines = []
        for one in listed:
            account, user, partition, _ = named(one)
            tail = f" P = {partition}" if partition else ""
            lines.append(f"  C = {session.cluster:<10} A = {account:<10} U = {user:<9}{tail}")
        session.out(" Deleting user associations...\n" + "\n".join(lines))
    what = {"account": "accounts", "user": "users", "qos": "QOS(s)"}[kind]
    if gone:
        session.out(f" Deleting {what}...\n" + "\n".join(f"  {name}" for name in gone))
    if left:
        session.out(" Deleting users (No Associations)...\n" + "\n".join(f"  {name}" for name in left))
    carry_out(session, "remove", kind, read.where, {})


def _is_default(session: Session, where: Where) -> bool:
    """Is some association's default among these QOS?"""
    chosen = [
        qos["name"]
        for qos in session.books["qos"]
        if (not where.get("names") or qos["name"] in where["names"])
        and (not where.get("ids") or qos["id"] in where["ids"])
    ]
    lines = []
    for one in session.books["associations"]:
        if one["own_default_qos"] in chosen:
            tail = f" U = {one['user']:<9}" if one["user"] else ""
            tail += f" P = {one['partition']}" if one["partition"] else ""
            lines.append(
                f"  DefQOS = {one['own_default_qos']:<10} C = {session.cluster:<10} A = {one['account']:<20}{tail}"
            )
    if lines:
        session.problem(" Associations listed below have these as their Default QOS.\n" + "\n".join(lines))
        session.problem(
            " Please either remove the qos' listed above from list and resubmit,\n"
            " or change the default qos to remove the qos."
        )
    return bool(lines)


def delete_coordinator(session: Session, words: list[str]) -> None:
    where = coordinators(session, words, "remove")
    touched = session.ask("remove", "coordinator", where, {}, test=True)
    if where.get("names"):
        session.out(" Removing Coordinators with user name\n" + "\n".join(f"  {name}" for name in where["names"]))
        if where.get("accounts"):
            session.out(" From Account(s)\n" + "\n".join(f"  {name}" for name in where["accounts"]))
        else:
            session.out(" From all accounts")
    else:
        session.out(
            " Removing all users from Accounts\n" + "\n".join(f"  {name}" for name in where.get("accounts", ()))
        )
    if not touched.get("accounts"):
        session.out(" Nothing removed")
        session.exit_code = 1
        return
    carry_out(session, "remove", "coordinator", where, {})
