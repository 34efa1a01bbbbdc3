"""sacctmgr list of what is asked for less often: TRES, transactions, problems, events, and what there is none of."""

from __future__ import annotations

from corral.cli.sacctmgr import fields
from corral.cli.sacctmgr.asked import Asked
from corral.cli.sacctmgr.getters import PROBLEM, TRANSACTION, TRES
from corral.cli.sacctmgr.touched import has_uid
from corral.cli.sacctmgr.words import meant, split

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Row = dict[str, Any]


def tres(session: Session, words: list[str]) -> None:
    table = (("Format", 1, "format"), ("Type", 1, "types"), ("Names", 1, "names"), ("Ids", 1, "ids"))
    asked = Asked(session, words, table, bare="types", flags=(("WithDeleted", 5),))
    if session.exit_code:
        return
    columns = fields.chosen(asked.format or "Type,Name%15,ID")
    rows = [
        {"type": kind, "name": name, "id": number}
        for kind, name, number in session.books["tres"]
        if asked.takes("types", kind) and asked.takes("names", name) and asked.takes("ids", number)
    ]
    fields.write(session, columns, rows, TRES)


def transactions(session: Session, words: list[str]) -> None:
    table = (
        ("Format", 1, "format"), ("Accounts", 3, "accounts"), ("Acct", 4, "accounts"), ("Action", 4, "actions"),
        ("Actors", 4, "actors"), ("Clusters", 3, "clusters"), ("End", 1, "end"), ("Ids", 1, "ids"), ("Start", 1, "start"),
        ("User", 1, "users"),
    )  # fmt: skip
    times = [word for word in words if meant(split(word)[0], (("End", 1), ("Start", 1))) and split(word)[2] is not None]
    asked = Asked(session, [word for word in words if word not in times], table, bare="ids", flags=(("WithAssoc", 5),))
    if session.exit_code:
        return
    from corral.cli import query

    given = {
        {"Start": "since", "End": "until"}[meant(split(word)[0], (("End", 1), ("Start", 1)))]: _moment(
            split(word)[2] or ""
        )
        for word in times
    }
    columns = fields.chosen(asked.format or "TimeStamp,Action,Actor,Where,Info")
    rows = session.connection().request("GET", query.url("/v1/accounts/transactions", **given))
    wanted = [word for key in ("accounts", "users") for word in asked.where.get(key, ())]
    rows = [
        row
        for row in rows
        if asked.takes("actors", row.get("actor", "").lower())
        and (not asked.where.get("actions") or row["action"].lower() in asked.where["actions"])
        and (not wanted or any(word in row["where"] or word in row.get("info", "") for word in wanted))
    ]
    fields.write(session, columns, rows, TRANSACTION)


def _moment(text: str) -> float:
    import time

    from corral.cli.run import Exit
    from corral.errors import InvalidTimestamp
    from corral.syntax import timestamp

    try:
        return timestamp.parse(text, time.time(), past=True)
    except InvalidTimestamp:
        raise Exit(1, f"Invalid time specification (pos=0): {text}") from None


def problems(session: Session, words: list[str]) -> None:
    table = (
        ("Format", 1, "format"),
        ("Accounts", 2, "accounts"),
        ("Acct", 4, "accounts"),
        ("Users", 1, "users"),
        ("Clusters", 1, "clusters"),
    )
    asked = Asked(session, words, table, bare="accounts")
    if session.exit_code:
        return
    columns = fields.chosen(asked.format or "Cluster,Account,User,Problem")
    books = session.books
    tied = {one["account"] for one in books["associations"] if not one["user"]}
    with_users = {one["account"] for one in books["associations"] if one["user"]}
    parents = {one["parent"] for one in books["associations"] if not one["user"]}
    rows: list[Row] = []
    for account in books["accounts"]:
        name = account["name"]
        if name not in tied:
            rows.append({"cluster": "", "account": name, "user": "", "problem": "Account has no Associations"})
        elif name not in with_users and name not in parents:
            rows.append({"cluster": session.cluster, "account": name, "user": "", "problem": "Account has no users"})
    have = {one["user"] for one in books["associations"]}
    for user in books["users"]:
        if user["name"] not in have:
            rows.append({"cluster": "", "account": "", "user": user["name"], "problem": "User has no Associations"})
        elif not has_uid(user["name"]):
            rows.append({"cluster": "", "account": "", "user": user["name"], "problem": "User does not have a uid"})
    rows = [row for row in rows if asked.takes("accounts", row["account"]) and asked.takes("users", row["user"])]
    fields.write(session, columns, rows, PROBLEM)


def events(session: Session, words: list[str]) -> None:
    """What the nodes are in now: when it began, and why."""
    asked = Asked(
        session,
        words,
        (
            ("Format", 1, "format"),
            ("Nodes", 1, "nodes"),
            ("Clusters", 1, "clusters"),
            ("Events", 1, "kinds"),
            ("States", 5, "states"),
            ("Start", 3, "start"),
            ("End", 3, "end"),
            ("Reason", 1, "reasons"),
            ("Users", 1, "users"),
            ("CondFlags", 2, "cond"),
        ),
        bare="kinds",
        flags=(("All_Clusters", 5), ("All_Time", 5)),
    )
    if session.exit_code:
        return
    columns = fields.chosen(asked.format or "Cluster,NodeName,TimeStart,TimeEnd,State,Reason,User")
    answer = session.connection().request(
        "GET", "/v1/nodes?fields=name,state_long,reason,reason_by,reason_time,cpus,gres"
    )
    rows = []
    for name, state, reason, by, since, cpus, _ in answer["rows"]:
        if reason and (not asked.where.get("nodes") or name in asked.where["nodes"]):
            rows.append(
                {
                    "cluster": session.cluster,
                    "node": name,
                    "state": state,
                    "reason": reason,
                    "user": by,
                    "since": since,
                    "tres": f"cpu={cpus}",
                }
            )
    from corral.cli.sacctmgr.getters import EVENT

    fields.write(session, columns, rows, EVENT)


def wckeys(session: Session, words: list[str]) -> None:
    """There are none."""
    asked = Asked(
        session,
        words,
        (
            ("Format", 1, "format"),
            ("Names", 1, "names"),
            ("Users", 1, "users"),
            ("Clusters", 1, "clusters"),
            ("Ids", 1, "ids"),
        ),
        flags=(("WithDeleted", 5),),
    )
    columns = fields.chosen(asked.format or "Name,Cluster,User")
    for column in columns:
        if column.header == "Name":
            column.header = "WCKey"
    fields.write(session, columns, [], {})


def federations(session: Session, words: list[str]) -> None:
    """There are none."""
    asked = Asked(session, words, (("Format", 1, "format"), ("Names", 1, "names")), flags=(("Tree", 4),))
    columns = fields.chosen(asked.format or "Federation,Cluster,ID%2,Features,FedState")
    fields.write(session, columns, [], {})


def resources(session: Session, words: list[str]) -> None:
    """There are none that clusters share."""
    asked = Asked(session, words, (("Format", 1, "format"), ("Names", 1, "names")), flags=(("WithClusters", 5),))
    columns = fields.chosen(asked.format or "Name,Server,Type,Count,Allocated,ServerType")
    fields.write(session, columns, [], {})


def reservations(session: Session, words: list[str]) -> None:
    asked = Asked(
        session,
        words,
        (
            ("Format", 1, "format"),
            ("Names", 1, "names"),
            ("Clusters", 1, "clusters"),
            ("Start", 5, "start"),
            ("End", 5, "end"),
            ("Nodes", 4, "nodes"),
            ("Ids", 1, "ids"),
        ),
    )
    if session.exit_code:
        return
    from corral.cli.sacctmgr.getters import RESERVATION

    columns = fields.chosen(asked.format or "Cluster,Name%15,TRES%30,TimeStart,TimeEnd,UnusedWall")
    wanted = "name,start_time,end_time,nodes,node_names,cpu_count,flags"
    answer = session.connection().request("GET", f"/v1/reservations?fields={wanted}")
    rows = [{"cluster": session.cluster, **dict(zip(answer["fields"], row, strict=True))} for row in answer["rows"]]
    nodes = set(asked.where.get("nodes", ()))
    rows = [
        row
        for row in rows
        if asked.takes("names", row["name"].lower()) and (not nodes or nodes & set(row["node_names"]))
    ]
    fields.write(session, columns, rows, RESERVATION)


def runaway(session: Session, words: list[str]) -> None:
    """The history is written with the event that ends a job: none can be left over."""
    session.out(f"Runaway Jobs: No runaway jobs found on cluster {session.cluster}")


def statistics(session: Session, words: list[str]) -> None:
    import time

    from corral.cli.times import date_line

    status = session.connection().request("GET", "/v1/status")
    line = "*" * 67
    session.out(f"{line}\nsacctmgr show stats output at {date_line()} ({int(time.time())})\n{line}\n")
    session.out(f"Messages handled by the controller: {status['messages']}")
    session.out(f"Orders sent to nodes: {status['orders']}")
    cycles = status["cycles"]
    session.out(f"Scheduling cycles: {cycles['count']}, {cycles['seconds']:.3f} seconds in all")


def configuration(session: Session, words: list[str]) -> None:
    from corral.cli.times import moment

    config = session.connection().request("GET", "/v1/config")
    import time

    session.out(f"Configuration data as of {moment(time.time())}")
    for key in sorted(key for key in config if key.startswith(("Accounting", "Private", "SLURM_", "Slurm", "TrackWC"))):
        session.out(f"{key:<22} = {config[key]}")
