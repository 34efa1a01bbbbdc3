"""strigger: have the controller run a program when something happens to a job, a node or the controller."""

from __future__ import annotations

import os
import sys

from corral.cli import command
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.run import Exit, Program
from corral.cli.run import main as run
from corral.client.connection import Connection, new_key
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

_CONTROLLER = (
    ("primary_slurmctld_failure", "a"), ("primary_slurmctld_resumed_operation", "A"), ("primary_slurmctld_resumed_control", "b"),
    ("backup_slurmctld_failure", "B"), ("backup_slurmctld_resumed_operation", "c"), ("backup_slurmctld_assumed_control", "C"),
    ("primary_slurmctld_acct_buffer_full", "e"), ("primary_slurmdbd_failure", "g"), ("primary_slurmdbd_resumed_operation", "G"),
    ("primary_database_failure", "h"), ("primary_database_resumed_operation", "H"),
)  # fmt: skip
OPTIONS = (
    *((name, letter, NO) for name, letter in _CONTROLLER),
    ("burst_buffer", "", NO), ("clear", "", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("down", "d", NO),
    ("drained", "D", NO), ("fail", "F", NO), ("fini", "f", NO), ("flags", "", REQUIRED), ("front_end", "", NO), ("get", "", NO),
    ("help", "", NO), ("id", "i", REQUIRED), ("idle", "I", NO), ("jobid", "j", REQUIRED), ("node", "n", OPTIONAL),
    ("noheader", "N", NO), ("offset", "o", REQUIRED), ("program", "p", REQUIRED), ("quiet", "Q", NO), ("reconfig", "r", NO),
    ("set", "", NO), ("time", "t", NO), ("up", "u", NO), ("usage", "", NO), ("user", "", REQUIRED), ("verbose", "v", NO),
    ("version", "V", NO),
)  # fmt: skip

_ONE_CONTROLLER = "another controller takes over by itself, and tells of it with --primary_slurmctld_resumed_operation"
_ONE_CLUSTER = "there are no federations or other clusters here; CORRAL_ENDPOINT says which cluster is asked"
_NO_DATABASE = "the accounting is the controller's own; there is no daemon in between"
REFUSED = {
    "burst_buffer": "there are no burst buffers", "front_end": "there are no front end nodes",
    "cluster": _ONE_CLUSTER, "clusters": _ONE_CLUSTER,
    **{name: _ONE_CONTROLLER for name, _ in _CONTROLLER if name.startswith("backup") or name.endswith("_control")},
    **{name: _NO_DATABASE for name, _ in _CONTROLLER if "dbd" in name or "database" in name or "buffer" in name},
}  # fmt: skip

#: event -> what it happens to, where no job is named
_EVENTS = {
    "down": "node", "up": "node", "drained": "node", "fail": "node", "idle": "node", "reconfig": "node", "time": "job", "fini": "job",
    "primary_slurmctld_failure": "slurmctld", "primary_slurmctld_resumed_operation": "slurmctld",
}  # fmt: skip

_ONE_OF_THREE = "You must use exactly one of the following options: --set, --get or --clear"
_NO_TRIGGER = (
    "You must specify a trigger (--down, --up, --reconfig, --time, --fini, --burst_buffer,\n--primary_slurmctld_failure,\n"
    "--primary_slurmctld_resumed_operation,\n--primary_slurmctld_resumed_control,\n--primary_slurmctld_acct_buffer_full,\n"
    "--backup_slurmctld_failure,\n--backup_slurmctld_resumed_operation,\n--backup_slurmctld_as_ctrl,\n"
    "--primary_slurmdbd_failure,\n--primary_slurmdbd_resumed_operation,\n--primary_database_failure, or \n"
    "--primary_database_resumed_operation)"
)
_HEADER = f"{'TRIG_ID':>7} {'RES_TYPE':<9} {'RES_ID':>7} {'TYPE':<35} {'OFFSET':>6} {'USER':<8} {'FLAGS':<5} PROGRAM\n"


def main() -> NoReturn:
    program = Program("strigger")
    run(program, lambda argv: Strigger(program, argv).main())


class Strigger:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, _ = command.options(program, argv, OPTIONS, REFUSED)
        self.given = dict(found)
        program.verbosity = sum(name == "verbose" for name, _ in found) - ("quiet" in self.given)
        self.events = [name for name in _EVENTS if name in self.given]
        self.mode = [name for name in ("set", "get", "clear") if name in self.given]
        if len(self.mode) != 1:
            raise program.failed(_ONE_OF_THREE)
        self.job = self._job()
        self.id = self._number("id")
        self.offset = self._number("offset") or 0
        self.user = self._user()
        self.permanent = self._permanent()

    def _job(self) -> str:
        text = self.given.get("jobid")
        if text is None:
            return ""
        from corral.errors import InvalidJobId
        from corral.syntax import jobid

        try:
            return str(jobid.parse(text))
        except InvalidJobId:
            raise self.program.failed(f"Invalid jobid {text}") from None

    def _number(self, name: str) -> int | None:
        text = self.given.get(name)
        if text is None:
            return None
        digits = text.lstrip("+-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise self.program.failed(f"Invalid {name} {text}")
        return -int(digits) if text.startswith("-") else int(digits)

    def _user(self) -> str:
        text = self.given.get("user")
        if text is None:
            return ""
        known, unknown = command.user_ids([text])
        if unknown:
            raise self.program.failed(f"Invalid user {text}")
        return known[0]

    def _permanent(self) -> bool:
        words = [word for word in (self.given.get("flags") or "").split(",") if word]
        if any(not "PERM".startswith(word.upper()) for word in words):
            raise self.program.failed(f"Invalid flags {self.given['flags']}")
        return bool(words)

    def main(self) -> int:
        if self.mode == ["set"]:
            self._check()
        if self.mode == ["clear"] and self.id is None and not self.job and not self.user:
            raise self.program.failed("You must specify a --id, --jobid, or --user to clear")
        try:
            with Connection() as connection:
                return {"set": self._set, "get": self._get, "clear": self._clear}[self.mode[0]](connection)
        except Unreachable as error:
            raise command.unreachable(f"slurm_{self.mode[0]}_trigger", error) from None
        except Refused as error:
            if "quiet" in self.given and self.mode == ["clear"]:
                return 0
            detail = error.fields.get("detail", "")
            raise Exit(1, f"slurm_{self.mode[0]}_trigger: {error}", *([detail] if detail else [])) from None

    def _check(self) -> None:
        if not self.events:
            raise self.program.failed(_NO_TRIGGER)
        path = self.given.get("program")
        if path is None:
            raise self.program.failed("You must specify a --program value")
        if any(_EVENTS[event] == "job" for event in self.events) and not self.job:
            raise self.program.failed("You must specify a --jobid value")
        if not path.startswith("/"):
            raise self.program.failed('The --program value must start with "/"')
        if not os.path.exists(path.split(" ")[0]):
            raise self.program.failed("Invalid --program value, file not found")
        if self.job and "node" in self.given:
            raise self.program.failed("--jobid and --node options are mutually exclusive")

    def _set(self, connection: Connection) -> int:
        for event in self.events:
            resource = "job" if self.job and event != "reconfig" else _EVENTS[event]
            target = self.job if resource == "job" else (self.given.get("node") or "") if resource == "node" else ""
            request: dict[str, Any] = {
                "type": "SetTrigger", "resource": resource, "event": event, "target": target, "offset": self.offset,
                "program": self.given["program"], "permanent": self.permanent,
            }  # fmt: skip
            connection.request("POST", "/v1/requests", request, key=new_key())
        return 0

    def _clear(self, connection: Connection) -> int:
        request = {"type": "ClearTriggers", "id": self.id, "job": self.job, "user": self.user}
        connection.request("POST", "/v1/requests", request, key=new_key())
        return 0

    def _get(self, connection: Connection) -> int:
        reply = connection.request("GET", "/v1/triggers")
        rows = [dict(zip(reply["fields"], row, strict=True)) for row in reply["rows"]]
        self.program.verbose(f"Read {len(rows)} trigger records")
        shown = [row for row in rows if self._is_meant(row)]
        if shown and "noheader" not in self.given:
            sys.stdout.write(_HEADER)
        for row in shown:
            flags = "PERM" if row["permanent"] else ""
            sys.stdout.write(
                f"{row['id']:>7} {row['resource']:<9} {row['target'] or '*':>7} {row['event']:<35} {row['offset']:>6} "
                f"{row['user']:<8} {flags:<5} {row['program']}\n"
            )
        return 0

    def _is_meant(self, row: dict[str, Any]) -> bool:
        if self.id is not None and row["id"] != self.id:
            return False
        if self.job and (row["resource"], row["target"]) != ("job", self.job):
            return False
        if self.user and row["user"] != self.user:
            return False
        if "node" in self.given and not self._of_node(row):
            return False
        return not self.events or row["event"] in self.events

    def _of_node(self, row: dict[str, Any]) -> bool:
        wanted = self.given["node"]
        if row["resource"] != "node" or not wanted or not row["target"]:
            return bool(row["resource"] == "node")
        from corral.syntax import hostlist

        return not set(hostlist.expand(wanted)).isdisjoint(hostlist.expand(row["target"]))
