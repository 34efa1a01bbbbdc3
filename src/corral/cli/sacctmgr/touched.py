"""How is what a change touches written, and how is it asked for and carried out?"""

from __future__ import annotations

from corral.cli.sacctmgr.session import Wrong
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Where = dict[str, Any]


def carry_out(session: Session, verb: str, kind: str, where: Where, settings: dict[str, Any]) -> None:
    try:
        session.ask(verb, kind, where, settings, test=True)
        session.commit(verb, kind, where, settings)
    except Refused as error:
        what = {"account": "accounts", "user": "users", "qos": "QOS", "coordinator": "coordinator"}[kind]
        refused(session, error, what if verb == "add" else "")


def refused(session: Session, error: Refused, adding: str = "") -> None:
    """Say so. `adding`: what was to be added."""
    text = str(error)
    detail = str(error.fields.get("detail", ""))
    if text.startswith("Can't modify because"):
        session.out(f" {text}\n{detail}")
        session.exit_code = 1
    elif text.startswith("You are not allowed"):
        session.problem(f" {text}\n {detail}")
    elif text.startswith("Job(s) active"):
        session.problem(f" Error with request: {text}\n{detail}")
    elif error.fields.get("code") == "denied" and text.startswith("Access"):
        if adding:
            session.problem(f" Problem adding {adding}: {text}")
        else:
            session.error("Your user doesn't have privilege to perform this action")
            session.problem(f" Error with request: {text}")
    else:
        session.problem(f" {text}" + (f"\n{detail}" if detail else ""))


def right_cluster(session: Session, clusters: list[str]) -> bool:
    for name in clusters:
        if name != session.cluster:
            session.problem(
                f" This cluster '{name}' doesn't exist.\n        Contact your admin to add it to accounting."
            )
    return not clusters or session.cluster in clusters


def has_uid(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def named(one: list[str]) -> tuple[str, str, str, str]:
    account, user, partition, parent = (*one, "", "", "")[:4]
    return account, user, partition, parent


def association_text(cluster: str, one: list[str]) -> str:
    account, user, partition, parent = named(one)
    if user:
        tail = f" P = {partition}" if partition else ""
        return f"  C = {cluster:<10} A = {account:<20} U = {user:<9}{tail}"
    return f"  C = {cluster:<10} A = {account}" + (f" of {parent}" if parent else "")


def refuse_cluster(session: Session, words: list[str]) -> None:
    raise Wrong(
        f" There is one cluster, {session.cluster}: each has accounts of its own, and none can be added or removed."
    )


def refuse_federation(session: Session, words: list[str]) -> None:
    raise Wrong(" There are no federations here.")


def refuse_resource(session: Session, words: list[str]) -> None:
    raise Wrong(" There are no resources shared by clusters: licences belong to the cluster's configuration.")
