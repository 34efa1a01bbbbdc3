"""What does each report of sreport say? Its rows, out of what was used by whom."""

from __future__ import annotations

import itertools

from corral.cli import report_columns as columns
from corral.cli.report_columns import Time
from corral.syntax.tres import parse as parse_tres

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Row = dict[str, Any]

ROOT = "root"


class Usage:
    """What GET /v1/reports/utilization answered, and which resources the report is about."""

    def __init__(self, answer: Row, tres: list[str]) -> None:
        self.cluster: str = answer["cluster"]
        self.tres = tres
        self.of_cluster: dict[str, dict[str, float]] = answer["tres"]
        #: (account, user, wckey) -> resource -> seconds. What is charged to no account is the root's.
        self.used: dict[tuple[str, str, str], dict[str, float]] = {}
        for account, user, wckey, name, seconds in answer["usage"]:
            of = self.used.setdefault((account or ROOT, user, wckey), {})
            of[name] = of.get(name, 0.0) + seconds

    def time(self, name: str, seconds: float) -> Time:
        return Time(seconds, self.of_cluster.get(name, {}).get("total", 0.0))

    def cut(self, tres: str, what: str) -> Time:
        return self.time(tres, self.of_cluster.get(tres, {}).get(what, 0.0))

    def grouped(self, key: Callable[[str, str, str], Any]) -> dict[Any, dict[str, float]]:
        found: dict[Any, dict[str, float]] = {}
        for who, amounts in self.used.items():
            group = key(*who)
            if group is not None:
                _add(found.setdefault(group, {}), amounts)
        return found

    def rows(self, amounts: dict[str, float], **named: str) -> list[Row]:
        """A row for each resource."""
        return [
            {"Cluster": self.cluster, "Proper": proper_name(named.get("Login", "")), **named, "TresName": name}
            | {
                "Used": self.time(name, amounts.get(name, 0.0)),
                "Energy": self.time("energy", amounts.get("energy", 0.0)),
            }
            for name in self.tres
        ]


def _add(total: dict[str, float], more: dict[str, float]) -> None:
    for name, seconds in more.items():
        total[name] = total.get(name, 0.0) + seconds


_proper: dict[str, str] = {}


def proper_name(user: str) -> str:
    if not user:
        return ""
    if user not in _proper:
        import pwd

        try:
            _proper[user] = pwd.getpwnam(user).pw_gecos.split(",")[0]
        except KeyError:
            _proper[user] = ""
    return _proper[user]


def utilization(usage: Usage) -> list[Row]:
    rows = []
    for name in usage.tres:
        if name not in usage.of_cluster and name != "energy":
            continue
        cut = usage.cut
        rows.append(
            {
                "Cluster": usage.cluster, "TresCount": int(usage.of_cluster.get(name, {}).get("count", 0)), "TresName": name,
                "Allocated": cut(name, "allocated"), "Down": cut(name, "down"), "PlannedDown": cut(name, "planned_down"),
                "Idle": cut(name, "idle"), "Planned": cut(name, "planned"), "Reserved": cut(name, "planned"),
                "Reported": cut(name, "total"), "OverCommitted": cut(name, "over"),
            }
        )  # fmt: skip
    return rows


def users_by(usage: Usage, what: str, users: set[str], only: set[str]) -> list[Row]:
    """Users in the order of their use, a line for each account (or wckey)."""
    is_account = what == "Account"

    def key(account: str, user: str, wckey: str) -> tuple[str, str] | None:
        name = account if is_account else wckey
        if not user or (users and user not in users) or (only and name not in only) or not (is_account or name):
            return None
        return user, name

    first = usage.tres[0]
    found = sorted(usage.grouped(key).items(), key=lambda pair: (-pair[1].get(first, 0.0), pair[0]))
    return [row for (user, name), amounts in found for row in usage.rows(amounts, Login=user, **{what: name})]


def top(usage: Usage, count: int, group: bool, users: set[str], accounts: set[str]) -> list[Row]:
    if not group:
        return users_by(usage, "Account", users, accounts)[: count * len(usage.tres)]
    totals: dict[str, dict[str, float]] = {}
    names: dict[str, set[str]] = {}
    for (account, user, _), amounts in usage.used.items():
        if (not users or user in users) and (not accounts or account in accounts):
            _add(totals.setdefault(user, {}), amounts)
            names.setdefault(user, set()).add(account)
    first = usage.tres[0]
    found = sorted(totals.items(), key=lambda pair: (-pair[1].get(first, 0.0), pair[0]))[:count]
    return [
        row
        for user, amounts in found
        for row in usage.rows(amounts, Login=user, Account=", ".join(sorted(names[user])))
    ]


def wckeys_by_user(usage: Usage, users: set[str], wckeys: set[str]) -> list[Row]:
    rows: list[Row] = []
    found = usage.grouped(
        lambda account, user, wckey: (wckey, user) if wckey and (not wckeys or wckey in wckeys) else None
    )
    for name, group in itertools.groupby(sorted(found.items()), key=lambda pair: pair[0][0]):
        of_users = [(user, amounts) for (_, user), amounts in group]
        total: dict[str, float] = {}
        for _, amounts in of_users:
            _add(total, amounts)
        rows += usage.rows(total, WCKey=name, Login="")
        for user, amounts in of_users:
            if not users or user in users:
                rows += usage.rows(amounts, WCKey=name, Login=user)
    return rows


class Tree:
    """The accounts, each under its parent."""

    def __init__(self, associations: Iterable[Row]) -> None:
        self.children: dict[str, list[str]] = {}
        self.known = {ROOT}
        for one in associations:
            if not one["user"] and one["account"] != ROOT:
                self.children.setdefault(one["parent"] or ROOT, []).append(one["account"])
                self.known.add(one["account"])

    def below(self, account: str) -> list[tuple[str, int]]:
        """The account and all under it, with their depth."""
        found = [(account, 0)]
        for child in sorted(self.children.get(account, ())):
            found += [(name, depth + 1) for name, depth in self.below(child)]
        return found

    def top_of(self, accounts: set[str]) -> list[str]:
        """Those that lie under no other of them."""
        under = {name for account in accounts for name, depth in self.below(account) if depth}
        return sorted(accounts - under)


def accounts_by_user(usage: Usage, tree: Tree, is_tree: bool, accounts: set[str], users: set[str]) -> list[Row]:
    by_account: dict[str, dict[str, float]] = {}
    by_user: dict[str, dict[str, dict[str, float]]] = {}
    for (account, user, _), amounts in usage.used.items():
        known = account if account in tree.known else ROOT
        _add(by_account.setdefault(known, {}), amounts)
        _add(by_user.setdefault(known, {}).setdefault(user, {}), amounts)
    rows: list[Row] = []
    for top_account in tree.top_of(accounts & tree.known) if accounts else [ROOT]:
        for account, depth in tree.below(top_account):
            total: dict[str, float] = {}
            for name, _ in tree.below(account):
                _add(total, by_account.get(name, {}))
            if not total:
                continue
            if not users:
                rows += usage.rows(total, Account=" " * depth * is_tree + account, Login="")
            for user, amounts in sorted(by_user.get(account, {}).items()):
                if not users or user in users:
                    rows += usage.rows(amounts, Account=" " * (depth + 1) * is_tree + account, Login=user)
    return rows


# -- sizes of jobs


class Sizes:
    """Runs as GET /v1/reports/sizes answers them, in groups of size."""

    def __init__(self, rows: list[Row], cluster: str, tres: str, grouping: str, count_jobs: bool) -> None:
        self.cluster, self.tres, self.count_jobs = cluster, tres, count_jobs
        self.rows: list[tuple[Row, int, float]] = []
        for row in rows:
            held = parse_tres(row["tres"]) if row["tres"] else {}
            cpus = held.get("cpu", 0)
            self.rows.append((row, cpus, row["jobs"] if count_jobs else row["seconds"] * held.get(tres, 0)))
        unit = "CPUs" if tres == "cpu" else "TRES"
        if grouping.lower().startswith("ind"):
            present = sorted({cpus for _, cpus, _ in self.rows})
            self.bounds = [(size, size, f"{size} {unit}") for size in present]
        else:
            limits = [0, *sorted({int(word) for word in grouping.split(",") if word.strip().isdigit()})]
            self.bounds = [(a, b - 1, f"{a}-{b - 1} {unit}") for a, b in itertools.pairwise(limits) if b > a]
            self.bounds.append((limits[-1], 1 << 62, f">= {limits[-1]} {unit}"))

    def columns(self, form: str) -> list[columns.Column]:
        width = 20 if form.endswith("Per") else 13
        return [*(columns.Column(f"size{at}", head, width) for at, (_, _, head) in enumerate(self.bounds)),
                columns.Column("share", "% of cluster", 12)]  # fmt: skip

    def table(self, name: str, key: Callable[[Row], str | None]) -> list[Row]:
        groups: dict[str, list[float]] = {}
        everything = sum(amount for _, _, amount in self.rows)
        for row, cpus, amount in self.rows:
            group = key(row)
            if group is None:
                continue
            cells = groups.setdefault(group, [0.0] * len(self.bounds))
            for at, (low, high, _) in enumerate(self.bounds):
                if low <= cpus <= high:
                    cells[at] += amount
        return [
            {
                "Cluster": self.cluster,
                name: group,
                "share": f"{sum(cells) / everything * 100 if everything else 0:.2f}%",
            }
            | {f"size{at}": self._cell(amount, sum(cells)) for at, amount in enumerate(cells)}
            for group, cells in sorted(groups.items())
        ]

    def _cell(self, amount: float, whole: float) -> Any:
        return f"{amount:.0f}" if self.count_jobs else Time(amount, whole)
