"""Accounts, users and QOS: who may change what, and what follows."""

from typing import Any

import pytest
from tests.accounts import account, change, done, limit, qos, user
from tests.builders import ANN, BOB, OPERATOR, ROOT, Cluster, cluster, job, nodes

from corral.engine.rules import bucket_of
from corral.model.cluster import Accounting
from corral.protocol import requests as rq
from corral.protocol.accounting import Condition
from corral.protocol.replies import AccountsChanged, Rejected


def tree() -> Cluster:
    """physics over chem over sub, and bio; ann coordinates chem."""
    c = cluster(nodes("n1"))
    account(c, "physics", "bio")
    account(c, "chem", parent="physics")
    account(c, "sub", parent="chem")
    user(c, "ann", "chem")
    user(c, "bob", "sub", "bio")
    done(change(c, "add", "coordinator", {"names": ("ann",), "accounts": ("chem",)}))
    return c


CHANGES: list[tuple[str, str, dict[str, Any], dict[str, Any], bool]] = [
    ("add", "account", {"names": ("new",)}, {"parent": "chem"}, True),
    ("add", "account", {"names": ("new",)}, {}, False),
    ("add", "user", {"names": ("carl",), "accounts": ("sub",)}, {}, True),
    ("add", "user", {"names": ("carl",), "accounts": ("bio",)}, {}, False),
    ("modify", "account", {"names": ("sub",)}, {"grp_jobs": 3}, True),
    ("modify", "account", {"names": ("physics",)}, {"grp_jobs": 3}, False),
    ("modify", "user", {"names": ("bob",), "accounts": ("sub",)}, {"max_jobs": 3}, True),
    ("modify", "user", {"names": ("bob",)}, {"max_jobs": 3}, False),
    ("modify", "user", {"names": ("ann",)}, {"admin_level": "Administrator"}, False),
    ("remove", "user", {"names": ("bob",), "accounts": ("bio",)}, {}, False),
    ("remove", "account", {"names": ("sub",)}, {}, True),
    ("remove", "account", {"names": ("chem",)}, {}, False),
    ("add", "coordinator", {"names": ("bob",), "accounts": ("sub",)}, {}, True),
    ("add", "coordinator", {"names": ("ann",), "accounts": ("bio",)}, {}, False),
    ("add", "qos", {"names": ("high",)}, {}, False),
    ("modify", "qos", {"names": ("normal",)}, {"priority": 9}, False),
    ("remove", "qos", {"names": ("normal",)}, {}, False),
    ("modify", "cluster", {}, {"max_jobs": 9}, False),
    ("reset", "account", {"names": ("chem",)}, {}, False),
]


@pytest.mark.parametrize(("verb", "kind", "where", "fields", "may"), CHANGES)
def test_a_coordinator_manages_what_is_below_its_account(
    verb: str, kind: str, where: dict[str, Any], fields: dict[str, Any], may: bool
) -> None:
    c = tree()
    before = c.state.dump()
    reply = change(c, verb, kind, where, ANN, **fields)
    assert isinstance(reply, AccountsChanged) is may, reply
    assert may or c.state.dump() == before
    c.check()


@pytest.mark.parametrize(("verb", "kind", "where", "fields", "may"), CHANGES)
def test_an_ordinary_user_changes_nothing(
    verb: str, kind: str, where: dict[str, Any], fields: dict[str, Any], may: bool
) -> None:
    c = tree()
    reply = change(c, verb, kind, where, BOB, **fields)
    assert isinstance(reply, Rejected)
    assert reply.code == "denied"


def test_a_user_may_choose_the_default_among_its_accounts() -> None:
    c = tree()
    done(change(c, "modify", "user", {"names": ("bob",)}, BOB, default_account="sub"))
    assert c.state.books.users["bob"].default_account == "sub"
    assert isinstance(change(c, "modify", "user", {"names": ("bob",)}, BOB, default_account="chem"), Rejected)
    assert isinstance(change(c, "modify", "user", {"names": ("ann",)}, BOB, default_account="chem"), Rejected)


def test_an_operator_manages_accounts_but_not_qos_and_gives_no_higher_level() -> None:
    c = tree()
    done(change(c, "add", "account", {"names": ("new",)}, OPERATOR))
    done(change(c, "modify", "user", {"names": ("bob",)}, OPERATOR, admin_level="Operator"))
    assert isinstance(change(c, "add", "qos", {"names": ("high",)}, OPERATOR), Rejected)
    assert isinstance(change(c, "modify", "user", {"names": ("bob",)}, OPERATOR, admin_level="Administrator"), Rejected)


def test_a_coordinator_manages_the_jobs_of_its_accounts() -> None:
    c = tree()
    subs, bios = c.add(job(account="sub"), BOB), c.add(job(account="bio"), BOB)
    for one, may in ((subs, True), (bios, False)):
        held = c.ask(rq.HoldJobs(ids=(str(one),)), ANN)
        assert (bool(c.job(one).held_by), getattr(held, "errors", ()) == ()) == (may, may)
    c.cancel(subs, bios, by=ANN)
    assert c.states(subs, bios) == ["CANCELLED", "PENDING"]


def test_a_test_changes_nothing_and_tells_what_it_would() -> None:
    c = tree()
    before = c.state.dump()
    request = rq.ChangeAccounts(verb="remove", kind="account", where=Condition(names=("sub",)), test=True)
    reply = c.ask(request, ROOT)
    assert isinstance(reply, AccountsChanged)
    assert reply.touched.accounts == ("sub",)
    assert c.state.dump() == before


def test_limits_of_users_are_taken_over_from_above() -> None:
    c = tree()
    limit(c, "account", "physics", max_jobs=7, max_tres={"cpu": 8, "node": 2})
    limit(c, "account", "sub", max_tres={"cpu": 4})
    bob = c.state.books.find("sub", "bob")
    assert bob is not None
    limits = c.state.books.effective(bob.id).limits
    assert (limits.max_jobs, limits.max_tres) == (7, {"cpu": 4, "node": 2})


def test_qos_are_taken_over_from_above_with_what_is_added_and_taken_away() -> None:
    c = tree()
    qos(c, "high", "low")
    limit(c, "account", "physics", qos=("=normal", "=low"))
    limit(c, "user", "bob", qos=("+high", "-low"))
    bob = c.state.books.find("sub", "bob")
    assert bob is not None
    assert c.state.books.effective(bob.id).qos == ("normal", "high")
    done(change(c, "remove", "qos", {"names": ("high",)}))
    assert c.state.books.effective(bob.id).qos == ("normal",)


def test_an_account_may_move_even_below_its_own_child() -> None:
    c = tree()
    limit(c, "account", "chem", parent="sub")
    assert [(one.account, depth) for one, depth in c.state.books.tree() if not one.user] == [
        ("root", 0), ("bio", 1), ("physics", 1), ("sub", 2), ("chem", 3),
    ]  # fmt: skip


def test_who_loses_its_default_account_has_none() -> None:
    c = tree()
    done(change(c, "modify", "user", {"names": ("bob",)}, default_account="bio"))
    done(change(c, "remove", "account", {"names": ("bio",)}))
    assert c.state.books.users["bob"].default_account == ""
    c.check()


def test_what_has_jobs_is_not_removed() -> None:
    c = tree()
    running = c.run(job())
    for kind, name in (("user", "ann"), ("account", "chem"), ("account", "physics")):
        reply = change(c, "remove", kind, {"names": (name,)})
        assert isinstance(reply, Rejected)
        assert f"JobID = {running}" in reply.detail
    c.finish(running)
    done(change(c, "remove", "user", {"names": ("ann",)}))


@pytest.mark.parametrize(
    ("kind", "where", "fields"),
    [
        ("account", {"names": ("a,b",)}, {}),
        ("account", {"names": ("x" * 300,)}, {}),
        ("account", {"names": ("a",)}, {"parent": "nosuch"}),
        ("account", {"names": ("a",)}, {"grp_jobs": -7}),
        ("account", {"names": ("a",)}, {"grp_jobs": 1 << 60}),
        ("account", {"names": ("a",)}, {"nosuch": 1}),
        ("account", {"names": ("a",)}, {"grp_tres": {"cpu": -5}}),
        ("account", {"names": ("a",)}, {"max_jobs": {"cpu": 1}}),
        ("account", {"names": ("a",)}, {"qos": ("=nosuch",)}),
        ("account", {"names": ("a",)}, {"qos": ("normal",)}),
        ("account", {"names": ("a",)}, {"default_qos": "nosuch"}),
        ("user", {"names": ("u",)}, {}),
        ("user", {"names": ("u",), "accounts": ("nosuch",)}, {}),
        ("qos", {"names": ("q",)}, {"flags": ("=Bogus",)}),
        ("qos", {"names": ("q",)}, {"preempt_mode": "maybe"}),
        ("qos", {"names": ("q",)}, {"usage_factor": float("nan")}),
        ("cluster", {"names": ("other",)}, {}),
    ],
)
def test_what_means_nothing_is_refused(kind: str, where: dict[str, Any], fields: dict[str, Any]) -> None:
    c = tree()
    before = c.state.dump()
    assert isinstance(change(c, "add", kind, where, **fields), Rejected)
    assert c.state.dump() == before


def test_accounts_cannot_hang_below_each_other_without_end() -> None:
    c = cluster(nodes("n1"))
    parent = "root"
    for number in range(200):
        reply = change(c, "add", "account", {"names": (f"a{number}",)}, parent=parent)
        if isinstance(reply, Rejected):
            assert "deep" in reply.error
            break
        parent = f"a{number}"
    assert number == 99
    account(c, "x")
    account(c, "y", parent="x")
    assert isinstance(change(c, "modify", "account", {"names": ("x",)}, parent="a97"), Rejected)
    c.check()


def test_a_log_written_before_there_were_accounts_still_loads() -> None:
    from corral.engine.state import ClusterState

    state = ClusterState()
    assert not ClusterState.load(state.dump()).books


def test_a_user_may_get_another_name() -> None:
    """With what it has, what it has used, and what it coordinates."""
    c = cluster(nodes("n1"), accounting=Accounting(enforce=("limits",)))
    account(c, "chem", "bio")
    user(c, "ann", "chem", "bio", default_account="chem")
    done(change(c, "add", "coordinator", {"names": ("ann",), "accounts": ("chem",)}))
    limit(c, "user", "ann", max_jobs=3)
    c.run(job(1, time=1000))
    c.at(60)
    done(change(c, "modify", "user", {"names": ("ann",)}, name="anna"))
    books = c.state.books
    assert sorted(books.users) == ["anna", "root"]
    assert [books.associations[number].account for number in books.of_user["anna"]] == ["chem", "bio"]
    own = books.find("chem", "anna")
    assert own is not None
    assert own.limits.max_jobs == 3
    assert books.accounts["chem"].coordinators == ("anna",)
    assert c.state.meter.used(bucket_of(own.id), c.now).seconds["cpu"] == pytest.approx(60, abs=0.01)
    assert c.state.meter.tallies[bucket_of(own.id)].jobs == 1
    c.check()


@pytest.mark.parametrize(
    ("names", "new"),
    [(("ann",), "bob"), (("ann", "bob"), "carl"), (("ann",), ""), (("ann",), "a,b"), (("ann",), "a b")],
)
def test_a_name_is_for_one_user(names: tuple[str, ...], new: str) -> None:
    c = cluster(nodes("n1"))
    account(c, "chem")
    user(c, "ann", "chem")
    user(c, "bob", "chem")
    assert isinstance(change(c, "modify", "user", {"names": names}, name=new), Rejected)
    assert sorted(c.state.books.users) == ["ann", "bob", "root"]
