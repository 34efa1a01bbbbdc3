"""scontrol create, update, delete and show reservation: what may be said of one, and how it is written."""

from __future__ import annotations

import sys
import time

from corral.cli.run import Exit, say
from corral.cli.scontrol_job import written
from corral.cli.times import or_unknown, padded
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.client.connection import Connection

    Connect = Callable[[], Connection]
    Fields = dict[str, Any]
    Row = dict[str, Any]

#: Key -> how many of its letters are enough.
KEYS = {
    "ReservationName": 1, "StartTime": 2, "EndTime": 1, "Duration": 1, "NodeCnt": 5, "CoreCnt": 5, "Nodes": 5, "Features": 2,
    "Licenses": 2, "PartitionName": 1, "Users": 1, "Groups": 1, "Accounts": 1, "Flags": 2, "TRES": 1, "MaxStartDelay": 1,
    "BurstBuffer": 2, "Watts": 1,
}  # fmt: skip
REFUSED = {
    "MaxStartDelay": "other jobs never run into a reservation",
    "BurstBuffer": "there are no burst buffers",
    "Watts": "power is not managed",
}
#: Flag as it is written, its least letters, and what it is called.
FLAGS = (
    ("maintenance", 3, "MAINT"), ("overlap", 1, "OVERLAP"), ("flex", 1, "FLEX"), ("ignore_jobs", 1, "IGNORE_JOBS"),
    ("hourly", 1, "HOURLY"), ("daily", 1, "DAILY"), ("weekday", 1, "WEEKDAY"), ("weekend", 1, "WEEKEND"), ("weekly", 1, "WEEKLY"),
    ("any_nodes", 1, "ANY_NODES"), ("license_only", 1, "ANY_NODES"), ("static_alloc", 1, "STATIC"), ("part_nodes", 2, "PART_NODES"),
    ("purge_comp", 2, "PURGE_COMP"), ("first_cores", 1, "FIRST_CORES"), ("time_float", 1, "TIME_FLOAT"), ("replace", 1, "REPLACE"),
    ("replace_down", 8, "REPLACE_DOWN"), ("no_hold_jobs_after_end", 1, "NO_HOLD_JOBS_AFTER_END"), ("magnetic", 3, "MAGNETIC"),
)  # fmt: skip
#: Not to be taken away again.
FIXED_FLAGS = ("OVERLAP", "FIRST_CORES", "REPLACE", "REPLACE_DOWN", "NO_HOLD_JOBS_AFTER_END")
PURGE_SECONDS = 300


class Words:
    """The words of one command as the controller takes them."""

    def __init__(self, words: list[str], result: str, is_new: bool) -> None:
        self.result = result  #: "created" or "update"
        self.is_new = is_new
        self.name = ""
        self.skip = False
        self.fields: Fields = {}
        for word in words:
            key, equals, value = word.partition("=")
            sign = key[-1:] if key[-1:] in ("+", "-") and key[-1:] else ""
            key = key[:-1] if sign else key
            if not equals and key.lower() == "skip" and not is_new:
                self.skip = True
                continue
            if not equals:
                raise self.wrong(f"Misformatted parameter '{word}', most options have a parameter after '='.")
            full = _full(key)
            if full is None:
                raise self.wrong(f"Unknown parameter {word}.")
            if full in REFUSED:
                raise Exit(1, f"scontrol: error: {full} is not supported by Corral: {REFUSED[full]}.")
            self.take(full, sign, value, word)

    def wrong(self, text: str) -> Exit:
        lines = [f"scontrol: error: {text}  No reservation {self.result}."]
        return Exit(1, *lines, *([] if self.is_new else ["slurm_update error: No error"]))

    def take(self, key: str, sign: str, value: str, word: str) -> None:
        fields = self.fields
        if key == "ReservationName":
            self.name = value
        elif key in ("StartTime", "EndTime"):
            fields["start_time" if key == "StartTime" else "end_time"] = self.moment(key, value, word)
        elif key == "Duration":
            fields["duration"], fields["duration_sign"] = self.length(value, word), sign
        elif key == "NodeCnt":
            fields["node_counts"] = _counts(value, f"Invalid node count {value}")
        elif key == "CoreCnt":
            fields["core_counts"] = _counts(value, f"Invalid core count {value}")
        elif key == "Nodes":
            if sign:
                raise self.wrong("The +=/-= notation is not supported when updating nodes.")
            fields["nodes"] = value
        elif key == "TRES":
            _take_tres(fields, value)
        elif key == "Flags":
            self.take_flags(sign, value)
        elif key in ("Users", "Groups", "Accounts"):
            if sign == "+" and self.is_new:
                raise Exit(1, "Error creating the reservation: Invalid user id")
            fields[key.lower()] = {"names": [name for name in value.split(",") if name], "sign": sign}
        else:
            fields["partition" if key == "PartitionName" else key.lower()] = value

    def moment(self, key: str, value: str, word: str) -> float:
        from corral.errors import InvalidTimestamp
        from corral.syntax import timestamp

        try:
            return timestamp.parse(value, int(time.time()))
        except InvalidTimestamp:
            say(f"Invalid time specification (pos=0): {value}\n")
            raise self.wrong(f"Invalid {'start' if key == 'StartTime' else 'end'} time {word}.") from None

    def length(self, value: str, word: str) -> int:
        from corral.errors import InvalidDuration
        from corral.syntax import duration

        try:
            return duration.parse(value)
        except InvalidDuration:
            raise self.wrong(f"Invalid duration {word}.") from None

    def take_flags(self, sign: str, value: str) -> None:
        names = []
        if not sign and value[:1] in ("+", "-") and value:
            sign, value = value[0], value[1:]
        for part in value.split(",") if value else ():
            text, equals, span = part.partition("=")
            name = _flag(text)
            fixed = (sign == "-" and name in FIXED_FLAGS) or (not self.is_new and name == "TIME_FLOAT")
            if name is None or fixed or (equals and name != "PURGE_COMP"):
                raise self.wrong(f"Error parsing flags {sign}{value}.")
            if name == "PURGE_COMP":
                self.fields["purge_seconds"] = self.length(span, f"flags={part}") if equals else PURGE_SECONDS
                if sign == "-":
                    self.fields["purge_seconds"] = 0
            names.append(name)
        self.fields["flags"] = {"names": names, "sign": sign}

    def check_new(self) -> None:
        """What must be said of a new one."""
        fields = self.fields
        flags = fields.get("flags", {}).get("names", ())
        start, end = fields.get("start_time"), fields.get("end_time")
        if start is None:
            raise self.wrong("A start time must be given.")
        if end is None and "duration" not in fields:
            raise self.wrong("An end time or duration must be given.")
        if end is not None and "duration" not in fields and end < start:
            raise self.wrong("Start time cannot be after end time.")
        if "PART_NODES" in flags and not (fields.get("partition") and fields.get("nodes", "").upper() == "ALL"):
            raise self.wrong("PART_NODES flag requires specifying a Partition and ALL nodes.")
        if not fields.get("nodes"):
            fields.pop("nodes", None)
        counts = sum(fields.get("node_counts", ())) + sum(fields.get("core_counts", ()))
        if not (fields.get("nodes") or fields.get("licenses") or fields.get("partition") or counts):
            raise self.wrong("CoreCnt, Nodes, NodeCnt, BurstBuffer, Licenses or Watts must be specified.")
        people = [key for key in ("users", "groups", "accounts") if fields.get(key, {}).get("names")]
        if not people:
            raise self.wrong("Either Users/Groups and/or Accounts must be specified.")
        if "users" in people and "groups" in people:
            raise self.wrong("Users and Groups are mutually exclusive.  You can have one or the other, but not both.")


def _full(key: str) -> str | None:
    low = key.lower()
    return next((name for name, least in KEYS.items() if len(low) >= least and name.lower().startswith(low)), None)


def _flag(text: str) -> str | None:
    low = text.lower()
    if low == "maint":
        return "MAINT"
    return next((name for word, least, name in FLAGS if len(low) >= least and word.startswith(low)), None)


def _counts(value: str, problem: str) -> list[int]:
    found = []
    for part in value.split(","):
        digits = part[:-1] if part[-1:] in ("k", "K") else part
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise Exit(1, f"scontrol: error: {problem}")
        found.append(int(digits) * (1024 if digits != part else 1))
    return found


def _take_tres(fields: Fields, value: str) -> None:
    """cpu=4,node=2,license/a=1: other words for CoreCnt, NodeCnt and Licenses."""
    for part in value.split(","):
        name, equals, count = part.partition("=")
        if name not in ("cpu", "node") and not name.startswith("license/"):
            raise Exit(1, f"scontrol: error: couldn't identify configured TRES '{name}'")
        if not equals or not count.isdigit():
            raise Exit(1, f"scontrol: error: invalid TRES '{part}'")
        if name == "cpu":
            fields["core_counts"] = [int(count)]
        elif name == "node":
            fields["node_counts"] = [int(count)]
        else:
            more = f"{name.removeprefix('license/')}:{count}"
            fields["licenses"] = ",".join(filter(None, (fields.get("licenses", ""), more)))


# -- the commands


def create(connect: Connect, words: list[str]) -> int:
    found = Words(words, "created", is_new=True)
    found.check_new()
    request = {"type": "CreateReservation", "name": found.name, "fields": found.fields}
    try:
        reply = connect().request("POST", "/v1/requests", request)
    except Refused as error:
        _say_notes(error)
        raise Exit(1, f"Error creating the reservation: {error}") from None
    sys.stdout.write(f"Reservation created: {reply['messages'][0]}\n")
    return 0


def _say_notes(error: Refused) -> None:
    """To standard output, as the real one does."""
    if error.detail:
        sys.stdout.write(f"{error.detail}\n")


def update(connect: Connect, words: list[str]) -> int:
    found = Words(words, "update", is_new=False)
    request = {"type": "UpdateReservation", "name": found.name, "fields": found.fields, "skip": found.skip}
    try:
        connect().request("POST", "/v1/requests", request)
    except Refused as error:
        _say_notes(error)
        raise Exit(1, f"Error updating the reservation: {error}", f"slurm_update error: {error}") from None
    sys.stdout.write("Reservation updated.\n")
    return 0


def delete(connect: Connect, words: list[str]) -> int:
    key, equals, name = words[0].partition("=")
    shown = words[0]
    if not equals and len(words) == 2:
        equals, name = "=", words[1]
    low = key.lower()
    if equals and low and "partitionname".startswith(low):
        from corral.cli import scontrol_partition

        return scontrol_partition.delete(connect, shown if "=" in shown else f"{key}={name}", name)
    if equals and low and "nodename".startswith(low):
        return _delete_nodes(connect, shown if "=" in shown else f"{key}={name}", name)
    if not equals:
        raise Exit(1, "scontrol: error: Proper format is 'delete <ENTITY>=<ID>' or 'delete <ENTITY> <ID>'")
    if not low or not ("reservationname".startswith(low) or low == "reservation"):
        raise Exit(1, f"Invalid deletion entity: {shown}")
    try:
        connect().request("POST", "/v1/requests", {"type": "DeleteReservation", "name": name})
    except Refused as error:
        raise Exit(1, f"delete_reservation {shown}: {error}") from None
    return 0


def _delete_nodes(connect: Connect, shown: str, names: str) -> int:
    try:
        connect().request("POST", "/v1/requests", {"type": "DeleteNodes", "nodes": names})
    except Refused as error:
        raise Exit(
            1, *([f"scontrol: error: failed to delete nodes {names}"] if names else []), f"delete_node {shown}: {error}",
            *([str(error.fields["detail"])] if error.fields.get("detail") and error.fields.get("code") == "busy" else []),
        ) from None  # fmt: skip
    return 0


# -- show


def text(row: Row, one_line: bool) -> str:
    shown = [
        f"ReservationName={row['name']} StartTime={or_unknown(row['start_time'])} EndTime={or_unknown(row['end_time'])} "
        f"Duration={padded(int(row['end_time'] - row['start_time']))}",
        f"Nodes={row['nodes'] or '(null)'} NodeCnt={row['node_count']} CoreCnt={row['core_count']} "
        f"Features={row['features'] or '(null)'} PartitionName={row['partition'] or '(null)'} Flags={flags(row)}",
        f"TRES={'cpu=' + str(row['cpu_count']) if row['cpu_count'] else '(null)'}",
        f"Users={_people(row['users'], row['users_denied'])} Groups={_people(row['groups'], False)} "
        f"Accounts={_people(row['accounts'], row['accounts_denied'])} Licenses={row['licenses'] or '(null)'} "
        f"State={row['state']} BurstBuffer=(null) Watts=n/a",
        "MaxStartDelay=(null)",
    ]
    return written(shown, one_line)


def flags(row: Row) -> str:
    return ",".join(
        f"PURGE_COMP={padded(row['purge_seconds'])}" if flag == "PURGE_COMP" else flag for flag in row["flags"]
    )


def _people(names: list[str], denied: bool) -> str:
    return ",".join(f"-{name}" if denied else name for name in names) or "(null)"
