"""sacctmgr list: accounts, users, associations, QOS and what else there is to see."""

from __future__ import annotations

from corral.cli.sacctmgr import fields, values
from corral.cli.sacctmgr.asked import Asked
from corral.cli.sacctmgr.conditions import ACCOUNT_WHERE, QOS_WHERE, USER_WHERE
from corral.cli.sacctmgr.getters import ACCOUNT, ASSOCIATION, CLUSTER, QOS, USER
from corral.cli.sacctmgr.rarer import (
    configuration,
    events,
    federations,
    problems,
    reservations,
    resources,
    runaway,
    statistics,
    transactions,
    tres,
    wckeys,
)
from corral.cli.sacctmgr.words import is_short_for

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Row = dict[str, Any]

OF_ASSOCIATION = (
    "Cluster,Account,User,Partition,Share,Priority,GrpJobs,GrpTRES,GrpSubmit,GrpWall,GrpTRESMins,MaxJobs,MaxTRES,MaxTRESPerNode,"
    "MaxSubmit,MaxWall,MaxTRESMins,QOS,DefaultQOS,GrpTRESRunMins"
)
OF_ACCOUNT = (
    ",Cluster,ParentName,User,Share,Priority,GrpJobs,GrpNodes,GrpCPUs,GrpMem,GrpSubmit,GrpWall,GrpCPUMins,MaxJobs,MaxNodes,"
    "MaxCPUs,MaxSubmit,MaxWall,MaxCPUMins,QOS,DefaultQOS"
)
OF_USER = (
    ",Cluster,Account,Partition,Share,Priority,MaxJobs,MaxNodes,MaxCPUs,MaxSubmit,MaxWall,MaxCPUMins,QOS,DefaultQOS"
)
OF_QOS = (
    "Name,Priority,GraceTime,Preempt,PreemptExemptTime,PreemptMode,Flags%40,UsageThreshold,UsageFactor,GrpTRES,GrpTRESMins,"
    "GrpTRESRunMins,GrpJobs,GrpSubmit,GrpWall,MaxTRES,MaxTRESPerNode,MaxTRESMins,MaxWall,MaxTRESPU,MaxJobsPU,MaxSubmitPU,"
    "MaxTRESPA,MaxJobsPA,MaxSubmitPA,MinTRES"
)
OF_CLUSTER = "Cluster,ControlHost,ControlPort,RPC,Share,GrpJobs,GrpTRES,GrpSubmit,MaxJobs,MaxTRES,MaxSubmit,MaxWall,QOS,DefaultQOS"

_ASSOCIATION_WHERE = (
    ("Ids", 1, "ids"), ("Associations", 2, "ids"), ("Accounts", 2, "accounts"), ("Acct", 4, "accounts"), ("Clusters", 1, "clusters"),
    ("DefaultQOS", 8, "default_qos"), ("Format", 1, "format"), ("Partitions", 4, "partitions"), ("Parent", 4, "parents"),
    ("QosLevel", 1, "qos"), ("Users", 1, "users"),
)  # fmt: skip
_ONLY_WITH_ASSOCIATIONS = (
    "You requested options that are only valid when querying with the withassoc option.\n"
    "Are you sure you want to continue?"
)


_FLAGS = (
    ("WithAssoc", 5), ("WithCoordinators", 5), ("WithDeleted", 5), ("WithRawQOSLevel", 5), ("WOPLimits", 4),
)  # fmt: skip


def show(session: Session, words: list[str]) -> None:
    entities: tuple[tuple[str, int, Callable[[Session, list[str]], None]], ...] = (
        ("Accounts", 2, accounts), ("Acct", 4, accounts), ("Associations", 2, associations), ("Clusters", 2, clusters),
        ("Configuration", 2, configuration), ("Events", 1, events), ("Federations", 1, federations), ("Problems", 1, problems),
        ("QOS", 1, qos), ("Resources", 4, resources), ("Reservations", 4, reservations), ("Resv", 4, reservations),
        ("RunAwayJobs", 2, runaway), ("Stats", 1, statistics), ("Transactions", 1, transactions), ("Txn", 1, transactions),
        ("Users", 1, users), ("WCKeys", 1, wckeys), ("tres", 2, tres),
    )  # fmt: skip
    first = words[0] if words else ""
    for name, least, action in entities:
        if is_short_for(first, name, least):
            action(session, words[1:])
            return
    session.problem(
        "No valid entity in list command\n"
        'Input line must include "Account", "Association", "Cluster", "Configuration",\n'
        '"Event", "Federation", "Problem", "QOS", "Resource", "Reservation",\n'
        '"RunAwayJobs", "Stats", "Transaction", "TRES", "User", or "WCKey"'
    )


def accounts(session: Session, words: list[str]) -> None:
    asked = Asked(
        session,
        words,
        (
            ("Format", 1, "format"),
            *ACCOUNT_WHERE,
            ("Users", 1, "users"),
            ("Partitions", 4, "partitions"),
            ("Ids", 1, "ids"),
        ),
        flags=_FLAGS,
    )
    if session.exit_code:
        return
    with_associations = session.with_associations or "WithAssoc" in asked.flags
    only = any(asked.where.get(key) for key in ("clusters", "parents", "users", "partitions", "ids", "qos"))
    if not with_associations and only and not session.agrees(_ONLY_WITH_ASSOCIATIONS):
        session.out("Aborted")
        return
    text = asked.format or "Account,Descr,Org" + (OF_ACCOUNT if with_associations else "")
    if not asked.format and "WithCoordinators" in asked.flags:
        text += ",Coordinators"
    columns = fields.chosen(text)
    rows = []
    for account in session.books["accounts"]:
        if not (
            asked.takes("names", account["name"])
            and asked.takes("descriptions", account["description"])
            and asked.takes("organizations", account["organization"])
        ):
            continue
        own = [one for one in _by_left(session) if one["account"] == account["name"] and _fits(asked, one)]
        if with_associations and own:
            rows += [_with(session, one, asked, record=account) for one in own]
        else:
            rows.append({"record": account, "cluster": ""})
    fields.write(session, columns, rows, {**ASSOCIATION, **ACCOUNT} if with_associations else ACCOUNT)


def users(session: Session, words: list[str]) -> None:
    table = (
        ("Format", 1, "format"),
        *USER_WHERE[:4],
        *USER_WHERE[5:],
        ("AdminLevel", 2, "levels"),
        ("Parent", 4, "parents"),
        ("DefaultWCKey", 8, "wckeys"),
        ("Ids", 1, "ids"),
    )
    asked = Asked(session, words, table, flags=_FLAGS)
    if session.exit_code:
        return
    with_associations = session.with_associations or "WithAssoc" in asked.flags
    only = any(asked.where.get(key) for key in ("accounts", "clusters", "partitions", "qos", "default_qos", "ids"))
    if not with_associations and only and not session.agrees(_ONLY_WITH_ASSOCIATIONS):
        session.out("Aborted")
        return
    text = asked.format or "User,DefaultAccount,Admin" + (OF_USER if with_associations else "")
    if not asked.format and "WithCoordinators" in asked.flags:
        text += ",Coordinators"
    columns = fields.chosen(text)
    levels = [values.level(word) for word in asked.where.get("levels", ())]
    coordinated: dict[str, list[str]] = {}
    for account in session.books["accounts"]:
        for name in account["coordinators"]:
            coordinated.setdefault(name, []).append(account["name"])
    rows = []
    for user in session.books["users"]:
        if not (
            asked.takes("names", user["name"])
            and asked.takes("default_accounts", user.get("default_account", ""))
            and (not levels or user.get("admin_level", "None") in levels)
        ):
            continue
        user = {**user, "coordinated": coordinated.get(user["name"], [])}
        own = [one for one in _of_user(session, user["name"]) if _fits(asked, one)]
        if only and not own:
            continue
        if with_associations and own:
            rows += [_with(session, one, asked, record=user) for one in own]
        else:
            rows.append({"record": user, "cluster": ""})
    fields.write(session, columns, rows, {**ASSOCIATION, **USER} if with_associations else USER)


def _by_left(session: Session) -> list[Row]:
    return sorted(session.books["associations"], key=lambda one: one["left"])


def _of_user(session: Session, name: str) -> list[Row]:
    return [one for one in _by_left(session) if one["user"] == name]


def _fits(asked: Asked, one: Row) -> bool:
    return (
        asked.takes("accounts", one["account"])
        and asked.takes("users", one["user"])
        and asked.takes("partitions", one["partition"])
        and asked.takes("parents", one["parent"])
        and asked.takes("ids", one["id"])
        and (not asked.where.get("qos") or any(name in one["qos"] for name in asked.where["qos"]))
        and asked.takes("default_qos", one["default_qos"])
    )


def _with(session: Session, one: Row, asked: Asked, record: Row | None = None, indent: int = 0) -> Row:
    """The row of an association; with its own limits alone when so asked."""
    own = bool(asked.flags & {"WOPLimits", "WOPInfo"})
    return {
        "one": one, "record": record or {}, "cluster": session.cluster, "limits": one["own_limits" if own else "limits"],
        "qos_ids": [qos["id"] for qos in session.books["qos"] if qos["name"] in one["qos"]], "indent": indent,
    }  # fmt: skip


def associations(session: Session, words: list[str]) -> None:
    flags = (
        ("Tree", 4),
        ("WithDeleted", 5),
        ("WithRawQOSLevel", 5),
        ("WithSubAccounts", 5),
        ("WOPInfo", 4),
        ("WOPLimits", 4),
        ("WOLimits", 3),
        ("OnlyDefaults", 2),
    )
    asked = Asked(session, words, _ASSOCIATION_WHERE, bare="ids", flags=flags, hint="")
    if session.exit_code:
        return
    tree = "Tree" in asked.flags
    text = asked.format or ("Cluster,Account,User,Partition" if "WOLimits" in asked.flags else OF_ASSOCIATION)
    columns = fields.chosen(text, tree)
    below = _below(session, asked) if "WithSubAccounts" in asked.flags else set()
    rows = []
    for one in _in_order(session, asked, below):
        if asked.where.get("clusters") and session.cluster not in asked.where["clusters"]:
            break
        rows.append(_with(session, one, asked, indent=one["depth"] if tree else 0))
    fields.write(session, columns, rows, ASSOCIATION)


def _in_order(session: Session, asked: Asked, below: set[str]) -> list[Row]:
    """Those asked for: in the tree's order below one that is there too, else as they are numbered."""
    chosen = [
        one
        for one in session.books["associations"]
        if (_fits(asked, one) or one["account"] in below) and ("OnlyDefaults" not in asked.flags or one["is_default"])
    ]
    if "WOPInfo" in asked.flags:
        return sorted(chosen, key=lambda one: one["left"])
    there = {one["id"] for one in chosen}
    tops = [at for at, one in enumerate(chosen) if one["parent_id"] not in there]
    parts = [chosen[start:end] for start, end in zip(tops, [*tops, len(chosen)][1:], strict=True)]
    return [one for part in sorted(parts, key=lambda part: part[0]["left"]) for one in part]


def _below(session: Session, asked: Asked) -> set[str]:
    """The accounts asked for, and all below them."""
    found = set(asked.where.get("accounts", ()))
    for one in session.books["associations"]:  # in the order of the tree
        if not one["user"] and one["parent"] in found:
            found.add(one["account"])
    return found


def qos(session: Session, words: list[str]) -> None:
    table = (("Format", 1, "format"), *QOS_WHERE)
    asked = Asked(
        session, words, table, flags=(("WithDeleted", 5),), hint=" Use keyword 'set' to modify SLURM_PRINT_VALUE"
    )
    if session.exit_code:
        return
    columns = fields.chosen(asked.format or OF_QOS)
    rows = [
        one
        for one in session.books["qos"]
        if asked.takes("names", one["name"])
        and asked.takes("ids", one["id"])
        and asked.takes("descriptions", one["description"])
    ]
    fields.write(session, columns, rows, QOS)


def clusters(session: Session, words: list[str]) -> None:
    table = (
        ("Format", 1, "format"),
        ("Names", 1, "names"),
        ("Clusters", 3, "names"),
        ("RPC", 1, "rpc"),
        ("Classification", 3, "class"),
        ("Flags", 2, "flags"),
        ("Federations", 3, "federation"),
    )
    asked = Asked(session, words, table, flags=(("WithDeleted", 5), ("WOLimits", 3), ("WithFed", 5)))
    if session.exit_code:
        return
    short = "Cluster,ControlHost,ControlPort,RPC"
    columns = fields.chosen(asked.format or (short if "WOLimits" in asked.flags else OF_CLUSTER))
    rows = []
    if asked.takes("names", session.cluster.lower()):
        root = next(one for one in session.books["associations"] if one["depth"] == 0)
        ping = session.connection().request("GET", "/v1/ping")
        config = session.connection().request("GET", "/v1/config")
        nodes = session.connection().request("GET", "/v1/nodes?fields=name,cpus,memory_mb,gpus_total")["rows"]
        from corral.syntax import hostlist

        rows = [
            _with(session, root, asked)
            | {
                "ping": ping,
                "config": config,
                "nodes": hostlist.fold([node[0] for node in nodes]),
                "count": len(nodes),
                "cpus": sum(node[1] for node in nodes),
                "memory": sum(node[2] for node in nodes),
                "gpus": sum(node[3] for node in nodes),
            }
        ]
    fields.write(session, columns, rows, {**ASSOCIATION, **CLUSTER})
