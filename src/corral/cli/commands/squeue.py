"""squeue: which jobs are there, in which state, and why do they wait?"""

from __future__ import annotations

import gc
import os
import sys

from corral.cli import array_lines, clusters, columns, command, job_columns, jobstates, query, sorting
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.job_order import SORT_KEYS, STEP_SORT_KEYS, natural
from corral.cli.run import Exit, Program, program_text
from corral.cli.run import main as run
from corral.cli.times import date_line
from corral.client.connection import Connection

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
STEPS = "%.15i %.8j %.9P %.8u %.9M %N"
START = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"

OPTIONS = (
    ("account", "A", REQUIRED), ("accounts", "A", REQUIRED), ("all", "a", NO), ("array", "r", NO), ("array-unique", "", NO),
    ("Format", "O", REQUIRED), ("format", "o", REQUIRED), ("federation", "", NO), ("help", "", NO), ("hide", "", NO),
    ("iterate", "i", REQUIRED), ("job", "j", OPTIONAL), ("jobs", "j", OPTIONAL), ("json", "", OPTIONAL), ("licenses", "L", REQUIRED),
    ("local", "", NO), ("long", "l", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("me", "", NO),
    ("name", "n", REQUIRED), ("noconvert", "", NO), ("node", "w", REQUIRED), ("nodes", "w", REQUIRED),
    ("nodelist", "w", REQUIRED), ("noheader", "h", NO), ("partition", "p", REQUIRED), ("partitions", "p", REQUIRED),
    ("priority", "P", NO), ("qos", "q", REQUIRED), ("reservation", "R", REQUIRED), ("sibling", "", NO), ("sort", "S", REQUIRED),
    ("start", "", NO), ("state", "t", REQUIRED), ("states", "t", REQUIRED), ("step", "s", OPTIONAL), ("steps", "s", OPTIONAL),
    ("usage", "", NO), ("user", "u", REQUIRED), ("users", "u", REQUIRED), ("verbose", "v", NO), ("version", "V", NO),
    ("yaml", "", OPTIONAL),
)  # fmt: skip

#: Spellings of one option.
_SAME = {
    "account": "accounts", "job": "jobs", "cluster": "clusters", "node": "nodelist", "nodes": "nodelist",
    "partition": "partitions", "state": "states", "step": "steps", "user": "users",
}  # fmt: skip

#: Without a federation there is no more to show of one, as in Slurm: --federation, --sibling, --local.

VARIABLES = {
    "SQUEUE_ACCOUNT": "accounts", "SQUEUE_FORMAT": "format", "SQUEUE_FORMAT2": "Format", "SQUEUE_LICENSES": "licenses",
    "SQUEUE_NAMES": "name", "SQUEUE_PARTITION": "partitions", "SQUEUE_QOS": "qos", "SQUEUE_SORT": "sort",
    "SQUEUE_STATES": "states", "SQUEUE_USERS": "users",
}  # fmt: skip
SWITCHES = {
    "SQUEUE_ALL": "all", "SQUEUE_ARRAY": "array", "SQUEUE_ARRAY_UNIQUE": "array-unique", "SQUEUE_PRIORITY": "priority",
    "SQUEUE_FEDERATION": "federation", "SQUEUE_LOCAL": "local", "SQUEUE_SIBLING": "sibling",
}  # fmt: skip

#: Where its fields are listed.
FIELD_TABLES = {
    "letters": "corral.cli.job_columns:LETTERS", "names": "corral.cli.job_columns:names",
    "step letters": "corral.cli.step_columns:LETTERS", "step names": "corral.cli.step_columns:names",
}  # fmt: skip

#: Conditions that an empty list never meets.
_LISTS = ("partitions", "name", "accounts", "qos", "nodelist", "licenses", "reservation", "steps")

_FORMATS = {"format": "-o (--format)", "Format": "-O (--Format)"}


def main() -> NoReturn:
    gc.disable()  # rows by the ten thousand are no garbage, and looking through them takes as long as printing them
    program = Program("squeue")
    run(program, lambda argv: Squeue(program, argv).main())


class Squeue:
    """One call of the command: what it was asked, read once; shown once, or again and again (-i)."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, left = command.options(program, argv, OPTIONS)
        self.given: dict[str, str | None] = {}
        for variable, name in VARIABLES.items():
            if variable in os.environ:
                self.given[name] = os.environ[variable]
        for variable, name in SWITCHES.items():
            if variable in os.environ:
                self.given[name] = None
        formats = list(dict.fromkeys(name for name, _ in found if name in ("format", "Format")))
        if len(formats) > 1:
            last, first = _FORMATS[formats[1]], _FORMATS[formats[0]]
            raise program.failed(f"{last} is incompatible with {first}", 1)
        if formats:
            self.given.pop("format", None)
            self.given.pop("Format", None)
        elif any(name == "long" for name, _ in found):
            self.given.pop("format", None)
        elif "format" in self.given:
            self.given.pop("Format", None)
        for name, value in found:
            name = _SAME.get(name, name)
            if name == "me":
                name, value = "users", command.own_name()
            elif name == "verbose":
                program.verbosity += 1
            self.given[name] = value
        for name in ("jobs", "steps"):  # "-j 42": an option whose value may be missing leaves it behind
            if name in self.given and self.given[name] is None and left:
                self.given[name] = left.pop(0)
        if left:
            sys.stdout.write(program_text("squeue", "usage"))
            raise program.failed(f"Unrecognized option: {left[0]}", 1)
        if "format" in formats and "long" in self.given:
            raise program.fatal(
                "Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry."
            )
        self.by_steps = "steps" in self.given
        self.users = self._users()
        self.states = self._states()
        self.ids = self._ids("jobs")
        self.every = self._seconds()

    def _users(self) -> list[str] | None:
        """None = all."""
        wanted = command.words(self.given.get("users"))
        if not wanted and not self.given.get("users"):
            return [] if self.given.get("users") == "" else None
        known, unknown = command.user_ids(wanted)
        for word in unknown:
            self.program.error(f"Invalid user: {word}\n")
        return known

    def _states(self) -> list[str] | None:
        """None = all. () = none that can be here."""
        text = self.given.get("states")
        if text is None:
            return ["PENDING"] if "start" in self.given else list(jobstates.LIVE)
        if text.lower() == "all":
            return None
        try:
            return jobstates.here(jobstates.parse(command.words(text)))
        except jobstates.UnknownState as error:
            raise Exit(
                1, f"squeue: error: Invalid job state specified: {error}",
                f"squeue: error: Valid job states include: {jobstates.NAMES}\n",
            ) from None  # fmt: skip

    def _ids(self, name: str) -> list[str] | None:
        """None = all."""
        text = self.given.get(name)
        if not text:
            return None if text is None else []
        from corral.errors import InvalidJobId
        from corral.syntax import jobid

        found = []
        for word in command.apart(text):
            digits = word.partition("_")[0].partition(".")[0].partition("+")[0]
            if not digits.isdigit() or not 0 < int(digits) < 1 << 31:
                raise self.program.failed(f"Invalid job id: {word}", 1)
            try:
                found.append(str(jobid.parse(word.partition(".")[0])))
            except InvalidJobId:
                pass  # 42_x: an element that no array has
        return found

    def _seconds(self) -> int:
        text = self.given.get("iterate")
        if text is None:
            return 0
        if not text.isdigit() or not int(text):
            raise self.program.failed(f"--iterate={text}\n", 1)
        return int(text)

    # -- how it shall look

    def layout(self) -> columns.Layout:
        long_text, text = self.given.get("Format"), self.given.get("format")
        what = "job step" if self.by_steps else "job"

        def unknown(name: str) -> None:
            self.program.error(f"Invalid {what} format specification: {name}")

        if long_text is not None:
            if self.by_steps:
                from corral.cli import step_columns

                return columns.parse_names(long_text, step_columns.names(), unknown)
            return columns.parse_names(long_text, job_columns.names(), unknown)
        if text is None:
            text = (
                STEPS if self.by_steps else START if "start" in self.given else LONG if "long" in self.given else FORMAT
            )
        if self.by_steps:
            from corral.cli import step_columns

            return columns.parse_letters(text, step_columns.LETTERS, unknown, every=step_columns.ALL)
        known = job_columns.LETTERS
        if "noconvert" in self.given:
            known = known | {"m": job_columns.PLAIN_MEMORY}
        return columns.parse_letters(text, known, unknown, every=job_columns.ALL)

    # -- the work

    def main(self) -> int:
        return command.show_every(self.every, self.show, "slurm_load_jobs error")

    def show(self, connection: Connection) -> None:
        named, where = clusters.asked(self.given)
        name = clusters.own("squeue", connection, named, where) if named else ""
        if "json" in self.given or "yaml" in self.given:
            self._write(connection)
            return
        layout = self.layout()
        keys = STEP_SORT_KEYS if self.by_steps else SORT_KEYS
        problem: Exit | None = None
        order: list[tuple[sorting.Key, bool]] = []
        try:
            order = sorting.parse(self._order(), keys, strict=not self.by_steps)
        except sorting.InvalidSort as error:  # Slurm finds out after it has printed the header
            problem = self.program.failed(f"Invalid sort specification: {error}", 1)
        needed = dict.fromkeys([*layout.fields, *sorting.fields(order)])
        lines: Iterable[str]
        if self.by_steps:
            rows = self._steps(connection, needed)
            sorting.in_order(rows.rows, {name: at for at, name in enumerate(rows.fields)}, order)
            header, lines = layout.render(rows.fields, rows.rows)
        else:
            rows = self._jobs(connection, dict.fromkeys([*array_lines.FIELDS, *needed]))
            header, lines = self._lines(layout, rows, order)
        out = [f"CLUSTER: {name}"] if name and "noheader" not in self.given else []
        if "noheader" not in self.given:
            if "long" in self.given or self.every:
                out.append(date_line())
            out.append(header)
        if problem is None:
            out += lines
        if out:
            sys.stdout.write("\n".join(out) + "\n")
        if problem is not None:
            raise problem

    def _lines(
        self, layout: columns.Layout, rows: query.Rows, order: list[tuple[sorting.Key, bool]]
    ) -> tuple[str, Iterable[str]]:
        """The header and the lines, in order; arrays as they were asked for."""
        each = "array" in self.given
        waiting = rows.fields.index("array_waiting")
        if any(row[waiting] for row in rows.rows):
            if not each and "array-unique" not in self.given:
                rows.rows = array_lines.merge(rows.fields, rows.rows)
            rows.rows = array_lines.apart(rows.fields, rows.rows)
        rows.rows.sort(key=natural(rows.fields))
        sorting.in_order(rows.rows, {name: at for at, name in enumerate(rows.fields)}, order)
        return array_lines.lines(layout, rows.fields, rows.rows) if each else layout.render(rows.fields, rows.rows)

    def _write(self, connection: Connection) -> None:
        """For programs."""
        from corral.cli.data_parser import document

        form = document.form_of(self.program, self.given)
        assert form is not None
        found = self._jobs(connection, [])
        found.rows.sort(key=natural(found.fields))
        if "array" in self.given:
            found.rows = list(array_lines.one_by_one(found.fields, found.rows))
        rows = found.dicts()
        if form.is_old:
            from corral.cli import job_json

            job_json.write(form, rows, connection)
            return
        from corral.cli.data_parser import jobs

        jobs.write(form, rows, connection)

    def _order(self) -> str:
        given = self.given.get("sort")
        if given is not None:
            return given
        return "P,i" if self.by_steps else "S" if "start" in self.given else "P,t,-p"

    def _nothing_can_match(self) -> bool:
        """No step here has licences or a reservation; and an empty list chooses none."""
        return (
            bool(self.by_steps and (self.given.get("reservation") or self.given.get("licenses")))
            or self.users == [] or self.states == [] or self.ids == []
            or any(self.given.get(name) == "" for name in _LISTS)
        )  # fmt: skip

    def _jobs(self, connection: Connection, needed: Iterable[str]) -> query.Rows:
        fields = list(needed)
        asked = [field for field in fields if field != "cluster"]
        self._check_nodes(connection)
        if self._nothing_can_match():
            return query.Rows({"fields": fields, "rows": []})
        path = query.url(
            "/v1/jobs", fields=asked, ids=self.ids or (), users=self.users or (), states=self.states or (),
            partitions=self.given.get("partitions"), names=self.given.get("name"), accounts=self.given.get("accounts"),
            qos=self.given.get("qos"), nodes=self.given.get("nodelist"), licenses=self.given.get("licenses"),
            reservations=self.given.get("reservation"), all="all" in self.given,
        )  # fmt: skip
        self.program.verbose(path)
        rows = query.Rows(connection.request("GET", path))
        if not rows.rows and self.ids and len(self.ids) == 1 and self.ids[0].isdigit():
            query.rows(connection, f"/v1/jobs/{self.ids[0]}", ["id"])  # Refused when there is no such job
        return _with_cluster(rows, connection) if "cluster" in fields else rows

    def _check_nodes(self, connection: Connection) -> None:
        text = self.given.get("nodelist")
        if not text:
            return
        from corral.errors import InvalidHostlist
        from corral.syntax import hostlist

        try:
            wanted = hostlist.expand(text)
        except InvalidHostlist:
            raise self.program.failed(f"Invalid node name {text}", 1) from None
        there = set(query.rows(connection, "/v1/nodes", ["name"], names=text).column("name"))
        for name in wanted:
            if name not in there:
                raise self.program.failed(f"Invalid node name {name}", 1)

    def _steps(self, connection: Connection, needed: Iterable[str]) -> query.Rows:
        steps = self._step_ids()
        fields = list(dict.fromkeys(["job", "step", "text", "user", "partition", "node_names", *needed]))
        if self._nothing_can_match():
            return query.Rows({"fields": fields, "rows": []})
        rows = query.rows(connection, "/v1/steps", [one for one in fields if one != "cluster"], job=self.ids or ())
        at = {name: place for place, name in enumerate(rows.fields)}

        def wanted(row: list[Any]) -> bool:
            return (
                (self.users is None or row[at["user"]] in self.users)
                and (
                    not self.given.get("partitions") or row[at["partition"]] in command.words(self.given["partitions"])
                )
                and (not steps or row[at["text"]] in steps or f"{row[at['job']]}.{row[at['step']]}" in steps)
            )

        rows.rows = [row for row in rows.rows if wanted(row)]
        if self.given.get("nodelist"):
            self._check_nodes(connection)
            from corral.syntax import hostlist

            nodes = set(hostlist.expand(self.given["nodelist"] or ""))
            rows.rows = [row for row in rows.rows if not nodes.isdisjoint(row[at["node_names"]])]
        return _with_cluster(rows, connection) if "cluster" in fields else rows

    def _step_ids(self) -> list[str]:
        found = []
        for word in command.words(self.given.get("steps")):
            job, dot, step = word.partition(".")
            if not job.partition("_")[0].isdigit() or not dot:
                raise self.program.failed(f"Invalid job_step id: {job}.{step or '??'}", 1)
            found.append(word)
        return found


def _with_cluster(rows: query.Rows, connection: Connection) -> query.Rows:
    """The name of the cluster, which is no job's own, behind the other values."""
    name = connection.request("GET", "/v1/ping")["cluster"]
    return query.Rows({"fields": [*rows.fields, "cluster"], "rows": [[*row, name] for row in rows.rows]})
