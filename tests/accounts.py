"""Short ways to add accounts, users and QOS in tests of engine and scheduler."""

from typing import Any

from tests.builders import ROOT, Cluster

from corral.protocol import requests as rq
from corral.protocol.accounting import Condition, Settings
from corral.protocol.replies import AccountsChanged, AnyReply

#: ("grp_jobs", 3): a number; ("grp_tres", {"cpu": 3}): amounts; ("default_qos", "high"): a word; ("qos", ("+high",)): a list
Fields = Any


def settings(**fields: Fields) -> Settings:
    numbers = {name: value for name, value in fields.items() if isinstance(value, int | float)}
    tres = {name: value for name, value in fields.items() if isinstance(value, dict)}
    words = {name: value for name, value in fields.items() if isinstance(value, str)}
    lists = {name: value for name, value in fields.items() if isinstance(value, tuple)}
    return Settings(numbers=numbers, tres=tres, words=words, lists=lists)


def change(c: Cluster, verb: Any, kind: Any, where: dict[str, Any], by: rq.Caller = ROOT, **fields: Fields) -> AnyReply:
    condition = Condition(**where)
    return c.ask(rq.ChangeAccounts(verb=verb, kind=kind, where=condition, settings=settings(**fields)), by)


def done(reply: AnyReply) -> None:
    assert isinstance(reply, AccountsChanged), reply


def account(c: Cluster, *names: str, parent: str = "root", **fields: Fields) -> None:
    done(change(c, "add", "account", {"names": names}, parent=parent, **fields))


def user(c: Cluster, name: str, *accounts: str, **fields: Fields) -> None:
    where = {"names": (name,), "accounts": accounts, "partitions": fields.pop("partitions", ())}
    done(change(c, "add", "user", where, **fields))


def qos(c: Cluster, *names: str, **fields: Fields) -> None:
    done(change(c, "add", "qos", {"names": names}, **fields))


def limit(c: Cluster, kind: Any, name: str, **fields: Fields) -> None:
    """Change an account, user or QOS."""
    done(change(c, "modify", kind, {"names": (name,)}, **fields))
