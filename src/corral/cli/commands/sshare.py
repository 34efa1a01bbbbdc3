"""sshare: what has each account and user used, beside its share?"""

from __future__ import annotations

import sys

from corral.cli import clusters, command, query
from corral.cli.getopt import NO, REQUIRED
from corral.cli.run import Program
from corral.cli.run import main as run
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Row = dict[str, Any]

OPTIONS = (
    ("all", "a", NO), ("accounts", "A", REQUIRED), ("helpformat", "e", NO), ("long", "l", NO), ("partition", "m", NO),
    ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("noheader", "n", NO), ("noheader", "h", NO), ("format", "o", REQUIRED),
    ("parsable", "p", NO), ("parsable2", "P", NO), ("users", "u", REQUIRED), ("Users", "U", NO), ("verbose", "v", NO),
    ("version", "V", NO), ("help", "", NO), ("usage", "", NO),
)  # fmt: skip

_SAME = {"cluster": "clusters"}

#: Where its fields are listed.
FIELD_TABLES = {"format": "corral.cli.commands.sshare:field_names"}

DEFAULT = "Account,User,RawShares,NormShares,RawUsage,EffectvUsage,FairShare"
LONG = "Account,User,RawShares,NormShares,RawUsage,NormUsage,EffectvUsage,FairShare,LevelFS,GrpTRESMins,TRESRunMins"

PARENT = 0x7FFFFFFF


def _fraction(field: str) -> Callable[[Row], str]:
    return lambda row: f"{row[field]:.6f}"


def _share(row: Row) -> str:
    if not row["parent_id"]:
        return ""
    return "parent" if row["shares"] == PARENT else str(row["shares"])


def _level(row: Row) -> str:
    if (not row["parent_id"] and row["fair_tree"]) or row["shares"] == PARENT:
        return ""
    return "inf" if row["level"] is None else f"{row['level']:.6f}"


def _factor(row: Row) -> str:
    """The fair tree ranks users only."""
    return f"{row['factor']:.6f}" if row["user"] or not row["fair_tree"] else ""


def _amounts(field: str) -> Callable[[Row], str]:
    return lambda row: ",".join(f"{name}={amount}" for name, amount in row[field].items())


#: name, width (negative: to the left), and its text
FIELDS: tuple[tuple[str, int, Callable[[Row], str]], ...] = (
    ("Account", -20, lambda row: " " * row["indent"] + str(row["account"])),
    ("Cluster", 10, lambda row: str(row["cluster"])),
    ("EffectvUsage", 13, _fraction("effective")),
    ("FairShare", 10, _factor),
    ("GrpTRESMins", 30, _amounts("grp_tres_mins")),
    ("GrpTRESRaw", 30, _amounts("used_mins")),
    ("ID", 6, lambda row: str(row["id"])),
    ("LevelFS", 10, _level),
    ("NormShares", 11, _fraction("norm_shares")),
    ("NormUsage", 11, lambda row: f"{row['norm_usage']:.6f}" if row["parent_id"] else ""),
    ("Partition", 12, lambda row: str(row["partition"])),
    ("RawShares", 10, _share),
    ("RawUsage", 11, lambda row: str(int(row["usage"]))),
    ("TRESRunMins", 30, _amounts("run_mins")),
    ("User", 10, lambda row: str(row["user"])),
)  # fmt: skip


def main() -> NoReturn:
    program = Program("sshare")
    run(program, lambda argv: Sshare(program, argv).main())


class Sshare:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, left = command.options(program, argv, OPTIONS)
        del left  # as the real one, which does not mind
        self.given = {_SAME.get(name, name): value for name, value in found}
        self.parsable = next((name for name, _ in reversed(found) if name.startswith("parsable")), "")

    def main(self) -> int:
        if "helpformat" in self.given:
            _write_names()
            return 0
        self._columns(is_tree=True)  # for what is wrong with them
        users, accounts = self._users(), [word.lower() for word in command.words(self.given.get("accounts"))]
        if "verbose" in self.given:
            for what, words in (("Users", users), ("Accounts", accounts)):
                sys.stderr.write(f"{what} requested:\n" + "".join(f"\t: {word}\n" for word in words or ["all"]))
        try:
            with Connection() as connection:
                named, where = clusters.asked(self.given)
                if named:
                    clusters.own("sshare", connection, named, where)
                answer = connection.request("GET", query.url("/v1/shares", users=users))
        except Unreachable as error:
            raise command.unreachable("sshare: error", error) from None
        except Refused as error:
            raise self.program.failed(str(error), 1) from None
        self._write(self._columns(answer.get("fair_tree", True)), self._chosen(answer, users, accounts))
        return 0

    def _users(self) -> list[str]:
        """Whose rows; () = everybody's."""
        if "all" in self.given and "users" not in self.given:
            return []
        named = command.words(self.given.get("users"))
        return named or [command.own_name()]

    def _columns(self, is_tree: bool) -> list[tuple[str, int, Callable[[Row], str]]]:
        text = self.given.get("format") or (LONG if "long" in self.given else DEFAULT)
        if not is_tree and "format" not in self.given:
            text = text.replace("LevelFS,", "")
        if "partition" in self.given and "format" not in self.given:
            text = text.replace("User,", "User,Partition,", 1)
        found = []
        for word in command.words(text):
            name, mark, digits = word.partition("%")
            field = next((one for one in FIELDS if one[0].lower().startswith(name.lower())), None)
            if field is None:
                raise self.program.failed(f'Invalid field requested: "{name}"', 1)
            width = int(digits) if mark and digits.lstrip("-").isdigit() and len(digits) < 6 else field[1]
            found.append((field[0], width or field[1], field[2]))
        return found

    def _chosen(self, answer: Row, users: list[str], accounts: list[str]) -> list[Row]:
        """Accounts, and of the users those that are asked for; each below the nearest above that is there too."""
        only_users = "Users" in self.given
        depths: dict[int, int] = {}
        found = []
        for row in answer["rows"]:
            if (accounts and row["account"] not in accounts) or (users and row["user"] and row["user"] not in users):
                continue
            depth = depths.get(row["parent_id"], -1) + 1
            depths[row["id"]] = depth
            if row["user"] or not only_users:
                indent = 0 if only_users else depth
                is_tree = answer.get("fair_tree", True)
                found.append(row | {"indent": indent, "cluster": answer["cluster"], "fair_tree": is_tree})
        return found

    def _write(self, columns: list[tuple[str, int, Callable[[Row], str]]], rows: list[Row]) -> None:
        lines = []
        if self.parsable:
            end = "|" if self.parsable == "parsable" else ""
            if "noheader" not in self.given:
                lines.append("|".join(name for name, _, _ in columns) + end)
            lines += ["|".join([get(row) for _, _, get in columns]) + end for row in rows]
        else:
            if "noheader" not in self.given:
                lines.append(" ".join(_cell(name[: abs(width)], width) for name, width, _ in columns) + " ")
                lines.append(" ".join("-" * abs(width) for _, width, _ in columns) + " ")
            lines += [" ".join([_cell(get(row), width) for _, width, get in columns]) + " " for row in rows]
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")


def _cell(text: str, width: int) -> str:
    size = abs(width)
    if len(text) > size:
        return text[: size - 1] + "+"
    return text.ljust(size) if width < 0 else text.rjust(size)


def field_names() -> dict[str, int]:
    """With their widths."""
    return {name: width for name, width, _ in FIELDS}


def _write_names() -> None:
    """Four in a line."""
    names = [name for name, _, _ in FIELDS]
    for at in range(0, len(names), 4):
        line = " ".join(f"{name:<17}" for name in names[at : at + 4])
        sys.stdout.write(line + "\n")
