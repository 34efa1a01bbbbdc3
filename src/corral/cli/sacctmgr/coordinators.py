"""Whom do add and delete coordinator mean?"""

from __future__ import annotations

from corral.cli.sacctmgr.conditions import (
    USER_WHERE,
    Words,
    parts,
)
from corral.cli.sacctmgr.session import Wrong

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Where = dict[str, Any]


def coordinators(session: Session, words: list[str], verb: str) -> Where:
    read = Words(session, words)
    for word in [word for part in parts(words) for word in part]:
        read.condition(word, USER_WHERE)
    where = read.where
    if session.exit_code:
        raise Wrong("")
    if not read.given:
        raise Wrong(
            " You need to specify conditions to to add the coordinator."
            if verb == "add"
            else " You need to specify a user list or account list here."
        )
    if verb == "add" and not where.get("names"):
        raise Wrong(" You need to specify a user list here.")
    if verb == "add" and not where.get("accounts"):
        raise Wrong(" You need to specify a account list here.")
    known = {one["name"] for one in session.books["accounts"]}
    for name in where.get("accounts", ()):
        if name not in known:
            session.problem(f" You specified a non-existent account '{name}'.")
    known = {one["name"] for one in session.books["users"]}
    for name in where.get("names", ()):
        if name not in known:
            session.problem(f" You specified a non-existent user '{name}'.")
    if session.exit_code:
        raise Wrong("")
    return where
