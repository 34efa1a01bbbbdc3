"""sprio: of what is a waiting job's priority made?"""

from __future__ import annotations

import os
import sys

from corral.cli import clusters, columns, command, priority_columns, sorting
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.run import Program, program_text
from corral.cli.run import main as run
from corral.client.connection import Connection

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

OPTIONS = (
    ("federation", "", NO), ("help", "", NO), ("jobs", "j", OPTIONAL), ("local", "", NO), ("long", "l", NO),
    ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("noheader", "h", NO), ("norm", "n", NO), ("format", "o", REQUIRED),
    ("partition", "p", REQUIRED), ("sibling", "", NO), ("sort", "S", REQUIRED), ("usage", "", NO), ("user", "u", REQUIRED),
    ("users", "u", REQUIRED), ("verbose", "v", NO), ("version", "V", NO), ("weights", "w", NO),
)  # fmt: skip

VARIABLES = {"SPRIO_FORMAT": "format"}
SWITCHES = {"SPRIO_FEDERATION": "federation", "SPRIO_LOCAL": "local", "SPRIO_SIBLING": "sibling"}

_SAME = {"cluster": "clusters", "users": "user"}

#: Where its fields are listed.
FIELD_TABLES = {"letters": "corral.cli.priority_columns:every_letter"}

NO_FACTORS = (
    "You are not running a supported priority plugin\n(priority/basic).\nOnly 'priority/multifactor' is supported.\n"
)
NO_SUCH_JOBS = "Unable to find jobs matching user/id(s) specified"


def main() -> NoReturn:
    program = Program("sprio")
    run(program, lambda argv: Sprio(program, argv).main())


class Sprio:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, left = command.options(program, argv, OPTIONS)
        self.given: dict[str, str | None] = {}
        for variable, name in VARIABLES.items():
            if variable in os.environ:
                self.given[name] = os.environ[variable]
        for name, value in found:
            self.given[_SAME.get(name, name)] = value
        if self.given.get("jobs", "") is None and left:
            self.given["jobs"] = left.pop(0)
        if left:
            sys.stdout.write(program_text("sprio", "usage"))
            raise program.failed(f"Unrecognized option: {left[0]}", 1)
        self.ids = [self._id(word) for word in command.words(self.given.get("jobs"))]
        self.users, unknown = command.user_ids(command.words(self.given.get("user")))
        for word in unknown:
            program.error(f"Invalid user: {word}\n")

    def _id(self, word: str) -> int:
        if not (word.isascii() and word.isdigit() and int(word)):
            raise self.program.failed(f"Invalid job id: {word}", 1)
        return int(word)

    # -- the work

    def main(self) -> int:
        return command.reaching("Couldn't get priority factors from controller", self.work)

    def work(self) -> int:
        with Connection() as connection:
            named, where = clusters.asked(self.given)
            if named:
                clusters.own("sprio", connection, named, where)
            answer = connection.request("GET", "/v1/priorities")
        if answer.get("type") == "basic":
            sys.stderr.write(NO_FACTORS)
            return 1
        rows: list[dict[str, Any]] = answer["jobs"]
        if self.ids:
            rows = [row for row in rows if row["id"] in self.ids]
        if "user" in self.given:
            rows = [row for row in rows if row["user"] in self.users]
        if self.ids and not rows:
            sys.stdout.write(NO_SUCH_JOBS + "\n")
            return 0
        if self.given.get("partition"):
            wanted = command.words(self.given["partition"])
            rows = [row for row in rows if row["partition"] in wanted]
        try:
            order = sorting.parse(self.given.get("sort") or "i", priority_columns.SORT_KEYS)
        except sorting.InvalidSort as error:  # as the real one, which has begun to print by then
            sys.stdout.write(self.table([], answer["weights"]))
            raise self.program.failed(f"Invalid sort specification: {error}", 1) from None
        sorting.in_order(rows, {name: name for name in priority_columns.FIELDS}, order)
        sys.stdout.write(self.table(rows, answer["weights"]))
        return 0

    def table(self, rows: list[dict[str, Any]], weights: dict[str, Any]) -> str:
        text = self.given.get("format")
        if text is None:
            text = priority_columns.usual(weights, "norm" in self.given, "long" in self.given, "user" in self.given)
        shows_weights = "weights" in self.given
        known = priority_columns.of_weights(weights) if shows_weights else priority_columns.letters(weights)
        layout = columns.parse_letters(
            text, known, lambda letter: self.program.error(f"Invalid job format specification: {letter}"), drops=True
        )  # fmt: skip
        if shows_weights:
            rows = [{}]
        fields = layout.fields
        header, lines = layout.render(fields, [[row[field] for field in fields] for row in rows])
        shown = [] if "noheader" in self.given else [header]
        return "".join(f"{line}\n" for line in (*shown, *lines))
