"""sreport: who has used how much, and what became of all that there was?"""

from __future__ import annotations

import shlex
import sys
import time

from corral.cli import command, query, report_columns, reports
from corral.cli.getopt import NO, REQUIRED
from corral.cli.report_columns import Chosen, Column
from corral.cli.run import VERSION, Exit, Program, program_text
from corral.cli.run import main as run
from corral.cli.times import moment
from corral.client.connection import Connection
from corral.errors import InvalidTimestamp, Refused, Unreachable
from corral.syntax import timestamp

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Row = dict[str, Any]

OPTIONS = (
    ("all_clusters", "a", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("federation", "", NO), ("help", "h", NO),
    ("immediate", "i", NO), ("local", "", NO), ("noheader", "n", NO), ("parsable", "p", NO), ("parsable2", "P", NO),
    ("quiet", "Q", NO), ("time", "t", REQUIRED), ("tres", "T", REQUIRED), ("usage", "", NO), ("verbose", "v", NO), ("version", "V", NO),
)  # fmt: skip
_SAME = {"cluster": "clusters"}

#: Report -> how much of its name must be there.
_REPORTS = {
    "cluster": {
        "accountutilizationbyuser": 1, "userutilizationbyaccount": 18, "userutilizationbywckey": 18, "utilization": 2,
        "wckeyutilizationbyuser": 1,
    },
    "job": {"sizesbyaccount": 1, "sizesbyaccountandwckey": 15, "sizesbywckey": 8},
    "user": {"topusage": 1},
    "reservation": {"utilization": 1},
}  # fmt: skip
_VALID = {
    "cluster": '"AccountUtilizationByUser", "UserUtilizationByAccount", "UserUtilizationByWckey", "Utilization", '
    'and "WCKeyUtilizationByUser"',
    "job": '"SizesByAccount, SizesByAccountAndWcKey, and  SizesByWckey"', "user": '"Top"', "reservation": '"Utilization"',
}  # fmt: skip
#: Options with a value, those without, and how little of a name is enough.
_CONDITIONS = (
    "accounts", "clusters", "end", "format", "gid", "grouping", "jobs", "nodes", "partitions", "start", "topcount", "users",
    "wckeys", "names",
)  # fmt: skip
_FLAGS = ("all_clusters", "acctasparent", "flatview", "group", "printjobcount", "tree")
_HOUR = 3600


def main() -> NoReturn:
    program = Program("sreport")
    run(program, lambda argv: Sreport(program, argv).main())


class Failed(Exception):
    """The command failed; what there was to say has been said."""


class Sreport:
    """One call, or one session."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, self.words = command.options(program, argv, OPTIONS, try_line=False)
        self.given = {_SAME.get(name, name): value for name, value in found}
        self.parsable = next((name for name, _ in reversed(found) if name.startswith("parsable")), "")
        self.form = "Minutes"
        if "time" in self.given:
            self._set_time(self.given["time"] or "")

    def _set_time(self, word: str) -> None:
        form = report_columns.time_format(word)
        if form is None:
            sys.stderr.write(f"unknown time format {word}")
            sys.stderr.flush()  # a line without an end waits for one
        else:
            self.form = form

    def main(self) -> int:
        if self.words:
            try:
                self.obey(self.words)
            except Failed:
                return 1
            return 0
        status, last = 0, ""
        while True:
            sys.stdout.write("sreport: ")
            sys.stdout.flush()
            line = sys.stdin.readline()
            if not line:
                sys.stdout.write("\n")
                return status
            line = last if line.strip() == "!!" else line
            last = line
            try:
                words = shlex.split(line)
                if words and words[0].lower() in ("exit", "quit"):
                    return status
                if words:
                    self.obey(words)
            except (Failed, ValueError):
                status = 1

    # -- words

    def obey(self, words: list[str]) -> None:
        keyword = words[0].lower()
        simple: dict[str, Callable[[], object]] = {
            "help": lambda: sys.stdout.write(program_text("sreport", "help")), "version": lambda: sys.stdout.write(VERSION + "\n"),
            "verbose": lambda: None, "quiet": lambda: None, "noheader": lambda: self.given.update(noheader=None),
            "parsable": lambda: setattr(self, "parsable", "parsable"), "parsable2": lambda: setattr(self, "parsable", "parsable2"),
            "nonparsable": lambda: setattr(self, "parsable", ""),
        }  # fmt: skip
        if keyword == "time" and len(words) > 1:
            self._set_time(words[1])
        elif keyword in simple:
            simple[keyword]()
        else:
            kind = next((name for name in _REPORTS if name.startswith(keyword)), None)
            if kind is None:
                self._fail(f"invalid keyword: {words[0]}")
            elif len(words) < 2:
                self._fail(f"too few arguments for keyword:{kind}")
            else:
                self._report(kind, words[1], words[2:])

    def _fail(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        raise Failed

    def _report(self, kind: str, word: str, rest: list[str]) -> None:
        low = word.lower()
        least = _REPORTS[kind]
        name = next((n for n, enough in least.items() if n.startswith(low) and len(low) >= enough), None)
        if name is None:
            self._fail(f"Not valid report {word}\nValid {kind} reports are, {_VALID[kind]}")
            return
        if kind == "reservation":
            raise Exit(1, "sreport: error: what reservations held and used is not recorded.")
        report = Report(self, kind, name, rest)
        try:
            with Connection() as connection:
                report.show(connection)
        except Unreachable as error:
            raise command.unreachable("sreport: error", error) from None
        except Refused as error:
            raise self.program.failed(str(error), 1) from None
        if report.is_bad:
            raise Failed


class Report:
    """One report: what was asked for, and how it is printed."""

    def __init__(self, sreport: Sreport, kind: str, name: str, words: list[str]) -> None:
        self.sreport, self.kind, self.name = sreport, kind, name
        self.form = sreport.form
        self.is_bad = False
        self.conditions: dict[str, str] = {}
        self.flags: set[str] = set()
        for word in words:
            self._take(word)
        self.since, self.until = self._window()

    def _take(self, word: str) -> None:
        name, equals, value = word.partition("=")
        low = name.lower()
        known = _CONDITIONS if equals else _FLAGS
        found = next((one for one in known if low and one.startswith(low)), None)
        if found is None:
            sys.stderr.write(f" Unknown condition: {word}\nUse keyword set to modify value\n")
            self.is_bad = True
        elif equals:
            self.conditions[found] = value.strip("\"'")
        else:
            self.flags.add(found)

    def words(self, name: str) -> set[str]:
        return set(command.words(self.conditions.get(name)))

    def _window(self) -> tuple[int, int]:
        """Whole hours; without a word of it, yesterday. Nothing in the future."""
        now = time.time()
        midnight = (*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1)
        yesterday = (*midnight[:2], midnight[2] - 1, *midnight[3:])
        since = self._time("start", now, int(time.mktime(yesterday)))
        until = self._time("end", now, int(time.mktime(midnight)))
        until = min(until, int(now)) // _HOUR * _HOUR
        since = since // _HOUR * _HOUR
        return since, until if until > since else since + _HOUR

    def _time(self, name: str, now: float, otherwise: int) -> int:
        text = self.conditions.get(name)
        if text is None:
            return otherwise
        try:
            return int(timestamp.parse(text, now, past=True))
        except InvalidTimestamp:
            sys.stderr.write(f"Invalid time specification (pos=0): {text}\n")
            return otherwise

    # -- the work

    def show(self, connection: Connection) -> None:
        about = connection.request("GET", "/v1/accounts")
        tres = self._tres(about)
        clusters = self.words("clusters") | set(command.words(self.sreport.given.get("clusters")))
        is_here = not clusters or about["cluster"] in clusters
        if self.kind == "job":
            self._sizes(connection, about, tres, is_here)
            return
        answer = connection.request("GET", query.url("/v1/reports/utilization", since=self.since, until=self.until))
        usage = reports.Usage(answer, tres)
        known, chosen = self._columns()
        picked = self._picked(known, chosen)
        rows = self._rows(usage, about) if is_here else []
        if picked is None:
            self._print([], [], self._head())
            sys.stdout.write("\n\n\n")
            return
        report_columns.fit(picked, rows, self.form)
        self._print(picked, rows, self._head())

    def _tres(self, about: Row) -> list[str]:
        """The resources by their names, in the order of their numbers."""
        known = [f"{kind}/{name}" if name else kind for kind, name, _ in sorted(about["tres"], key=lambda one: one[2])]
        text = self.sreport.given.get("tres")
        if text is None:
            return ["cpu"]
        counted = [name for name in known if name not in ("fs/disk", "vmem", "pages")]
        is_cluster = self.kind == "cluster" and self.name == "utilization"
        if text.upper() == "ALL":
            return counted
        asked = [word.lower() for word in command.words(text)]
        if is_cluster and asked == ["node"]:
            raise Exit(
                1,
                "sreport: fatal: TRES node usage is no longer reported in the Cluster Utilization report.  Please use TRES CPU instead.",
            )
        found = [name for name in known if name in asked]
        if not found:
            raise Exit(1, "sreport: fatal: No valid TRES given")
        if self.kind == "job" and len(found) > 1:
            sys.stderr.write(
                " Job report only supports a single --tres type.\n Generate a separate report for each TRES type.\n"
            )
            raise Failed
        return found

    def _columns(self) -> tuple[tuple[Column, ...], list[Column]]:
        """All, and those that are shown unless format= says otherwise."""
        c = report_columns
        with_tres = "tres" in self.sreport.given
        use = [c.TRES, c.USED] if with_tres else [c.USED, c.ENERGY]
        if self.name == "utilization":
            by_name = {column.name: column for column in c.UTILIZATION}
            names = ["Allocated", "Down", "PlannedDown", "Idle", "Planned", "Reported"]
            return c.UTILIZATION, [c.CLUSTER, *([c.TRES] if with_tres else []), *(by_name[name] for name in names)]
        account = c.TREE if "tree" in self.flags else c.ACCOUNT
        shown = {
            "accountutilizationbyuser": [c.CLUSTER, account, c.LOGIN, c.PROPER, *use],
            "userutilizationbyaccount": [c.CLUSTER, c.LOGIN, c.PROPER, c.ACCOUNT, *use],
            "topusage": [c.CLUSTER, c.LOGIN, c.PROPER, c.ACCOUNT, *use],
            "userutilizationbywckey": [c.CLUSTER, c.LOGIN, c.PROPER, c.WCKEY, *use[: 2 if with_tres else 1]],
            "wckeyutilizationbyuser": [c.CLUSTER, c.WCKEY, c.LOGIN, c.PROPER, *use[: 2 if with_tres else 1]],
        }[self.name]  # fmt: skip
        named = c.WCKEY if "wckey" in self.name else account
        return (named, c.CLUSTER, c.LOGIN, c.PROPER, c.USED, c.ENERGY, c.TRES), shown

    def _picked(self, known: tuple[Column, ...], chosen: list[Column]) -> list[Chosen] | None:
        text = self.conditions.get("format")
        if text is None:
            return [Chosen(column) for column in chosen]
        try:
            return report_columns.parse(known, text)
        except report_columns.UnknownField as error:
            sys.stderr.write(f" Unknown field '{error}'\n")
            self.is_bad = True
            return None

    def _rows(self, usage: reports.Usage, about: Row) -> list[Row]:
        users, accounts, wckeys = self.words("users"), self.words("accounts"), self.words("wckeys")
        match self.name:
            case "utilization":
                return reports.utilization(usage)
            case "accountutilizationbyuser":
                tree = reports.Tree(about["associations"])
                return reports.accounts_by_user(usage, tree, "tree" in self.flags, accounts, users)
            case "userutilizationbyaccount":
                return reports.users_by(usage, "Account", users, accounts)
            case "userutilizationbywckey":
                return reports.users_by(usage, "WCKey", users, wckeys)
            case "wckeyutilizationbyuser":
                return reports.wckeys_by_user(usage, users, wckeys)
        return reports.top(usage, self._top_count(), "group" in self.flags, users, accounts)

    def _top_count(self) -> int:
        text = self.conditions.get("topcount", "10")
        digits = text.lstrip("+-")[:1]
        if text and not digits.isdigit():
            raise self.sreport.program.failed(f"Invalid value for TopCount ({text})", 1)
        return int(text) if text.isdigit() and int(text) else 10

    def _sizes(self, connection: Connection, about: Row, tres: list[str], is_here: bool) -> None:
        tree = reports.Tree(about["associations"])
        path = query.url(
            "/v1/reports/sizes", since=self.since, until=self.until, users=sorted(self.words("users")),
            partitions=self.conditions.get("partitions"), nodes=self.conditions.get("nodes"), gids=self.conditions.get("gid"),
        )  # fmt: skip
        rows = query.Rows(connection.request("GET", path)).dicts() if is_here else []
        grouping = self.conditions.get("grouping") or "50,250,500,1000"
        by_wckey = self.name == "sizesbywckey"
        with_wckey = self.name == "sizesbyaccountandwckey"
        groups = self._account_groups(tree)
        if not by_wckey:
            rows = [row for row in rows if (row["account"] or reports.ROOT) in groups]
        if by_wckey or with_wckey:
            wckeys = self.words("wckeys")
            rows = [row for row in rows if row["wckey"] and (not wckeys or row["wckey"] in wckeys)]
        sizes = reports.Sizes(rows, about["cluster"], tres[0], grouping, "printjobcount" in self.flags)
        if by_wckey:
            name = Column("WCKey", "Wckey", 9)
            table = sizes.table("WCKey", lambda row: str(row["wckey"]))
        elif with_wckey:
            name = Column("Account", "Account", 20, left=True)
            table = sizes.table("Account", lambda row: f"{groups[row['account'] or reports.ROOT]}:{row['wckey']}")
        else:
            name = Column("Account", "Account", 9)
            table = sizes.table("Account", lambda row: groups[row["account"] or reports.ROOT])
        picked = self._picked((name, report_columns.CLUSTER), [report_columns.CLUSTER, name]) or []
        picked += [Chosen(column) for column in sizes.columns(self.form)]
        self._print(picked, table, self._sizes_head(tres[0], by_wckey))

    def _account_groups(self, tree: reports.Tree) -> dict[str, str]:
        """Account -> under which one it is counted."""
        accounts = self.words("accounts")
        if "flatview" in self.flags:
            return {name: name for name in tree.known if not accounts or name in accounts}
        tops = tree.top_of(accounts & tree.known) if accounts else [reports.ROOT]
        if "acctasparent" in self.flags:
            tops = [child for one in tops for child in sorted(tree.children.get(one, ()))]
        return {name: one for one in tops for name, _ in tree.below(one)}

    # -- the head, and all of it

    def _span(self, with_seconds: bool) -> str:
        text = f"{moment(self.since)} - {moment(self.until - 1)}"
        return f"{text} ({self.until - self.since} secs)" if with_seconds else text

    def _head(self) -> list[str]:
        title = {
            "utilization": "Cluster Utilization", "accountutilizationbyuser": "Cluster/Account/User Utilization",
            "userutilizationbyaccount": "Cluster/User/Account Utilization", "userutilizationbywckey": "Cluster/User/WCKey Utilization",
            "wckeyutilizationbyuser": "Cluster/WCKey/User Utilization", "topusage": f"Top {self._top_count()} Users",
        }[self.name]  # fmt: skip
        words = report_columns.FORMATS[self.form][0]
        unit = "" if self.form == "Percent" else "TRES " if "tres" in self.sreport.given else "CPU "
        return [f"{title} {self._span(self.name != 'utilization')}", f"Usage reported in {unit}{words}"]

    def _sizes_head(self, tres: str, by_wckey: bool) -> list[str]:
        head = [f"Job Sizes{' by Wckey' if by_wckey else ''} {self._span(True)}"]
        if "tres" in self.sreport.given:
            head.append(f"TRES type is {tres}")
        if "printjobcount" in self.flags:
            return [*head, "Units are in number of jobs ran"]
        return [*head, f"Time reported in {report_columns.FORMATS[self.form][0]}"]

    def _print(self, chosen: list[Chosen], rows: list[Row], head: list[str]) -> None:
        header = "noheader" not in self.sreport.given
        text = ["-" * 80, *head, "-" * 80] if header else []
        if chosen:
            text += report_columns.lines(chosen, rows, self.form, self.sreport.parsable, header)
        if text:
            sys.stdout.write("\n".join(text) + "\n")
