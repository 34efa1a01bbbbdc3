"""sinfo: which partitions and nodes are there, and in which state?"""

from __future__ import annotations

import os
import sys

from corral.cli import clusters, columns, command, nodegroups, query, sorting
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.job_order import by_first_node
from corral.cli.node_columns import ALL, EXACT, LETTERS, RANGES, names
from corral.cli.run import Exit, Program
from corral.cli.run import main as run
from corral.cli.times import date_line
from corral.client.connection import Connection

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

FORMAT = "%#P %.5a %.10l %.6D %.6t %N"
LONG = "%#P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N"
SUMMARY = "%#P %.5a %.10l %.16F %N"
NODES = "%#N %.6D %.#P %6t"
LONG_NODES = "%#N %.6D %.#P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E"
REASONS = "%20E %9u %19H %N"
LONG_REASONS = "%20E %12U %19H %6t %N"

OPTIONS = (
    ("all", "a", NO), ("dead", "d", NO), ("exact", "e", NO), ("federation", "", NO), ("help", "", NO), ("hide", "", NO),
    ("iterate", "i", REQUIRED), ("local", "", NO), ("long", "l", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED),
    ("nodes", "n", REQUIRED), ("noconvert", "", NO), ("noheader", "h", NO), ("Node", "N", NO), ("format", "o", REQUIRED),
    ("Format", "O", REQUIRED), ("partition", "p", REQUIRED), ("responding", "r", NO), ("list-reasons", "R", NO),
    ("summarize", "s", NO), ("sort", "S", REQUIRED), ("states", "t", REQUIRED), ("reservation", "T", NO), ("usage", "", NO),
    ("verbose", "v", NO), ("version", "V", NO), ("json", "", OPTIONAL), ("yaml", "", OPTIONAL),
)  # fmt: skip

VARIABLES = {"SINFO_FORMAT": "format", "SINFO_PARTITION": "partition", "SINFO_SORT": "sort"}
SWITCHES = {"SINFO_ALL": "all", "SINFO_FEDERATION": "federation", "SINFO_LOCAL": "local"}

#: The words of -t, in the order of Slurm's message. The beginning of a word is enough.
STATES = (
    "unknown,down,idle,allocated,?,mixed,future,drain,drained,draining,no_respond,reserved,perfctrs,cloud,completing,"
    "powering_down,powered_down,power_down,powering_up,fail,maint,reboot,reboot^,unknown"
)  # fmt: skip

#: Spellings of one option.
_SAME = {"cluster": "clusters"}

#: Taken by Slurm too, and not in its message.
_MORE_STATES = ("resv", "planned")

#: With these SINFO_FORMAT does not count.
_OWN_LAYOUT = ("Node", "summarize", "list-reasons")

SORT_KEYS: dict[str, sorting.Key] = {
    "a": ("available", None), "A": ("nodes_alloc_idle", None), "c": ("cpus", None), "C": ("cpus_by_state", None),
    "d": ("tmp_disk_mb", None), "D": ("count", None), "e": ("free_memory_mb", None), "E": ("reason", None),
    "f": ("features", None), "F": ("nodes_by_state", None), "g": ("allow_groups", None), "G": ("gres", None),
    "h": ("oversubscribe", None), "H": ("reason_time", None), "l": ("max_time", None), "m": ("memory_mb", None),
    "n": ("hostname", None), "N": ("nodes", by_first_node), "o": ("address", None), "O": ("load", None), "p": ("priority_tier", None),
    "P": ("partition", None), "#P": ("partition_place", None), "r": ("root_only", None), "R": ("partition", None),
    "s": ("min_nodes", None), "t": ("state_number", None), "T": ("state_number", None), "u": ("reason_by", None),
    "U": ("reason_by", None), "v": ("version", None), "w": ("weight", None), "X": ("sockets", None),
    "Y": ("cores_per_socket", None), "z": ("sockets", None), "Z": ("threads_per_core", None),
    "#N": ("place", None),
}  # fmt: skip

#: Where its fields are listed.
FIELD_TABLES = {"letters": "corral.cli.node_columns:LETTERS", "names": "corral.cli.node_columns:names"}

#: What every line is counted and sorted by.
_NODE_FIELDS = (
    "name",
    "state",
    "flags",
    "cpus",
    "cpus_alloc",
    "state_text",
    "state_long",
    "reason",
    "reason_by",
    "reason_time",
)


def main() -> NoReturn:
    program = Program("sinfo")
    run(program, lambda argv: Sinfo(program, argv).main())


class Sinfo:
    """One call of the command: what it was asked, read once; shown once, or again and again (-i)."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, _ = command.options(program, argv, OPTIONS)
        self.given: dict[str, str | None] = {}
        for variable, name in VARIABLES.items():
            if variable in os.environ:
                self.given[name] = os.environ[variable]
        for variable, name in SWITCHES.items():
            if variable in os.environ:
                self.given[name] = None
        formats = [name for name, _ in found if name in ("format", "Format")]
        if formats or any(name in _OWN_LAYOUT for name, _ in found):
            self.given.pop("format", None)
        self.given.update((_SAME.get(name, name), value) for name, value in found)
        program.verbosity = sum(name == "verbose" for name, _ in found)
        if formats and "long" in self.given:
            raise program.fatal(
                "Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry."
            )
        self.states = self._states()
        self.nodes = self._nodes()
        text = self.given.get("iterate")
        if text is not None and (not text.isdigit() or not int(text)):
            raise program.failed(f"Error: invalid entry for --iterate={text}", 1)
        self.every = int(text or 0)

    def _states(self) -> list[list[str]] | None:
        """Alternatives of words that must all hold; None = all."""
        text = self.given.get("states")
        if text is None or text.lower() == "all":
            return None
        known = STATES.split(",")
        found = []
        for alternative in command.words(text):
            meant = []
            for word in alternative.split("&"):
                full = word.lower() if word.lower() in known else ""
                full = full or next((name for name in known if word and name.startswith(word.lower())), "")
                full = full or (word.lower() if word.lower() in _MORE_STATES else "")
                if not full:
                    raise Exit(1, f'sinfo: error: Bad state string: "{word}"', f"sinfo: error: valid states: {STATES}")
                meant.append(full)
            found.append(meant)
        return found

    def _nodes(self) -> set[str] | None:
        text = self.given.get("nodes")
        if text is None:
            return None
        from corral.errors import InvalidHostlist
        from corral.syntax import hostlist

        try:
            return set(hostlist.expand(text))
        except InvalidHostlist:
            return set()

    def layout(self) -> columns.Layout:
        given = self.given
        if given.get("Format") == "all":
            return columns.parse_letters(ALL, LETTERS, lambda letter: None)
        if given.get("Format") is not None:
            return columns.parse_names(
                given["Format"] or "", names(),
                lambda name: self.program.error(f"Invalid job format specification: {name}"),
            )  # fmt: skip
        text = given.get("format")
        if text is not None:
            return columns.parse_letters(
                text,
                LETTERS,
                lambda letter: print(f"Invalid node format specification: {letter}", file=sys.stderr),
                every=ALL,
            )
        long = "long" in given
        if "summarize" in given:
            text = SUMMARY
        elif "Node" in given:
            text = LONG_NODES if long else NODES
        elif "list-reasons" in given:
            text = LONG_REASONS if long else REASONS
        else:
            text = LONG if long else FORMAT
        return columns.parse_letters(text, LETTERS, lambda letter: None, growing=True)

    def _order(self) -> list[tuple[sorting.Key, bool]]:
        order = self.given.get("sort")
        if order is None:
            order = "N" if "Node" in self.given else "-t" if "list-reasons" in self.given else "#P,-t"
        return sorting.parse(order, SORT_KEYS, strict=False)

    # -- the work

    def main(self) -> int:
        if "reservation" in self.given:
            return command.show_every(self.every, self.show_reservations, "slurm_load_reservations")
        return command.show_every(self.every, self.show, "slurm_load_partitions")

    def show(self, connection: Connection) -> None:
        named, where = clusters.asked(self.given)
        name = clusters.own("sinfo", connection, named, where) if named else ""
        if "json" in self.given or "yaml" in self.given:
            self._write(connection)
            return
        layout = self.layout()
        order = self._order()
        needed = layout.fields + sorting.fields(order)
        nodes = self._shown(connection, _fields(needed))
        lines = nodegroups.lines(
            self._partitions(connection), nodes, needed,
            per_node="Node" in self.given, exact="exact" in self.given,
            keep_empty="Node" not in self.given and ("list-reasons" not in self.given or "summarize" in self.given),
        )  # fmt: skip
        sorting.in_order(lines, {name: name for name in needed}, order)
        fields = layout.fields
        header, texts = layout.render(fields, [[line[field] for field in fields] for line in lines])
        out = [f"CLUSTER: {name}"] if name and "noheader" not in self.given else []
        if "noheader" not in self.given:
            if "long" in self.given or self.every:
                out.append(date_line())
            out.append(header)
        out += texts
        if out:
            sys.stdout.write("\n".join(out) + "\n")

    def _write(self, connection: Connection) -> None:
        """For programs."""
        from corral.cli.data_parser import document

        form = document.form_of(self.program, self.given)
        assert form is not None
        shown = self._shown(connection, [])
        if form.is_old:
            from corral.cli import node_json

            node_json.write(form, shown)
            return
        from corral.cli.data_parser import nodes

        lines = nodegroups.lines(
            self._partitions(connection), shown, nodes.GROUP_FIELDS, per_node="Node" in self.given, exact=True, keep_empty=False
        )  # fmt: skip
        nodes.write_groups(form, lines, connection)

    def show_reservations(self, connection: Connection) -> None:
        """-T"""
        from corral.cli.times import moment, padded

        rows = query.rows(connection, "/v1/reservations").dicts()
        if not rows:
            sys.stdout.write("No reservations in the system\n")
            return
        if "noheader" not in self.given:
            sys.stdout.write(
                f"{'RESV_NAME':<10} {'STATE':>8} {'START_TIME':>20} {'END_TIME':>20} {'DURATION':>12}  NODELIST\n"
            )
        for row in rows:
            length = padded(int(row["end_time"] - row["start_time"]))
            sys.stdout.write(
                f"{row['name']:<10} {row['state']:>8} {moment(row['start_time']):>20} {moment(row['end_time']):>20} "
                f"{length:>12}  {row['nodes']}\n"
            )

    def _partitions(self, connection: Connection) -> list[dict[str, Any]]:
        found = query.rows(connection, "/v1/partitions", all="all" in self.given).dicts()
        for place, partition in enumerate(found):
            partition["partition_place"] = place
        wanted = self.given.get("partition")
        return found if wanted is None else [one for one in found if one["name"] in wanted.split(",")]

    def _shown(self, connection: Connection, fields: list[str]) -> list[dict[str, Any]]:
        """The nodes that the options choose."""
        found = query.rows(connection, "/v1/nodes", fields).dicts()
        for node in found:
            node["state_number"] = nodegroups.state_number(node)
            node["state_complete"] = nodegroups.state_complete(node)
        if self.nodes is not None:
            found = [node for node in found if node["name"] in self.nodes]
        if "dead" in self.given:
            found = [node for node in found if "NOT_RESPONDING" in node["flags"]]
        if "responding" in self.given:
            found = [node for node in found if "NOT_RESPONDING" not in node["flags"]]
        if "list-reasons" in self.given:
            found = [node for node in found if node["reason"]]
        if self.states is not None:
            found = [node for node in found if any(all(is_in(node, word) for word in words) for words in self.states)]
        return found


def is_in(node: dict[str, Any], word: str) -> bool:
    """Whether -t WORD chooses the node."""
    state, flags = node["state"], node["flags"]
    busy = state in ("ALLOCATED", "MIXED") or "COMPLETING" in flags
    match word:
        case "drain":
            return "DRAIN" in flags
        case "drained":
            return "DRAIN" in flags and not busy
        case "draining":
            return "DRAIN" in flags and busy
        case "completing":
            return "COMPLETING" in flags
        case "no_respond":
            return "NOT_RESPONDING" in flags
        case "reserved" | "resv" | "maint":
            return ("MAINTENANCE" if word == "maint" else "RESERVED") in flags
        case "allocated":
            return state in ("ALLOCATED", "MIXED")
        case "mixed":
            return state == "MIXED" and "DRAIN" not in flags
        case "fail":
            return "FAIL" in flags
        case "reboot" | "reboot^":
            return ("REBOOT_ISSUED" if word == "reboot^" else "REBOOT_REQUESTED") in flags
        case "idle" | "down" | "unknown":
            return bool(state.lower() == word)
    return False


def _fields(needed: list[str]) -> list[str]:
    """Of the API, for what the lines need of nodes."""
    of_nodes = (EXACT | set(RANGES)) - {"state_complete"}
    return list(dict.fromkeys([*_NODE_FIELDS, *[field for field in needed if field in of_nodes]]))
