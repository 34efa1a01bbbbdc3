"""Which columns can sinfo show of a group of nodes? Each with its -o letter, its -O names, and how its text is made.

A field here is one of the group's (`nodegroups`), not of the API.
"""

from __future__ import annotations

from corral.cli.columns import STARRED, WHOLE_HEADER, Column
from corral.cli.times import moment
from corral.syntax.duration import format_seconds

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Range = tuple[float, float]


def infinite(seconds: float) -> str:
    return format_seconds(seconds, "infinite")


def default_time(seconds: float | None, most: float) -> str:
    return "n/a" if seconds is None else format_seconds(seconds, "infinite")


def job_size(least: int, most: int | None) -> str:
    low = max(1, least)
    if most is None:
        return f"{low}-infinite"
    return str(low) if low == most else f"{low}-{most}"


def starred(name: str, default: bool) -> str:
    return f"{name}*" if default else name


def at_least(bounds: Range) -> str:
    """16, or 16+ where some have more."""
    low, high = bounds
    return f"{low}" if low == high else f"{low}+"


def between(bounds: Range) -> str:
    low, high = bounds
    return f"{low}" if low == high else f"{low}-{high}"


def loads(bounds: Range) -> str:
    low, high = bounds
    return f"{low:.2f}" if low == high else f"{low:.2f}-{high:.2f}"


def sockets_cores_threads(sockets: Range, cores: Range, threads: Range) -> str:
    return f"{at_least(sockets)}:{at_least(cores)}:{at_least(threads)}"


def slashed(numbers: tuple[int, ...]) -> str:
    return "/".join(map(str, numbers))


def all_of(names: list[str]) -> str:
    return ",".join(names) or "all"


def yes(flag: bool) -> str:
    return "yes" if flag else "no"


def or_null(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value or "(null)")


def features(names: list[str]) -> str:
    return ",".join(names) or "(null)"


def most(number: int | None) -> str:
    return "UNLIMITED" if number is None else str(number)


def when(time: float) -> str:
    return moment(time, "Unknown")


def who(name: str) -> str:
    return name or "Unknown"


def who_and_number(name: str) -> str:
    """root(0)"""
    if not name:
        return "Unknown"
    import pwd

    try:
        return f"{name}({pwd.getpwnam(name).pw_uid})"
    except KeyError:
        return name


LETTERS: dict[str, Column] = {
    "a": Column("AVAIL", "available"),
    "A": Column("NODES(A/I)", "nodes_alloc_idle", slashed),
    "b": Column("ACTIVE_FEATURES", "features", features),
    "B": Column("MAX_CPUS_PER_NODE", "max_cpus_per_node", most),
    "c": Column("CPUS", "cpus", at_least),
    "C": Column("CPUS(A/I/O/T)", "cpus_by_state", slashed),
    "d": Column("TMP_DISK", "tmp_disk_mb", at_least),
    "D": Column("NODES", "count"),
    "e": Column("FREE_MEM", "free_memory_mb", between),
    "E": Column("REASON", "reason", lambda reason: reason or "none"),
    "f": Column("AVAIL_FEATURES", "features", features),
    "F": Column("NODES(A/I/O/T)", "nodes_by_state", slashed),
    "g": Column("GROUPS", "allow_groups", all_of),
    "G": Column("GRES", "gres", or_null),
    "h": Column("OVERSUBSCRIBE", "oversubscribe"),
    "H": Column("TIMESTAMP", "reason_time", when),
    "I": Column("PRIO_JOB_FACTOR", "priority_job_factor"),
    "l": Column("TIMELIMIT", "max_time", infinite),
    "L": Column("DEFAULTTIME", "default_time max_time", default_time),
    "m": Column("MEMORY", "memory_mb", at_least),
    "M": Column("PREEMPT_MODE", "preempt_mode"),
    "n": Column("HOSTNAMES", "hostname", None, WHOLE_HEADER),
    "N": Column("NODELIST", "nodes", None, WHOLE_HEADER),
    "o": Column("NODE_ADDR", "address", None, WHOLE_HEADER),
    "O": Column("CPU_LOAD", "load", loads),
    "p": Column("PRIO_TIER", "priority_tier"),
    "P": Column("PARTITION", "partition default", starred, STARRED),
    "r": Column("ROOT", "root_only", yes),
    "R": Column("PARTITION", "partition"),
    "s": Column("JOB_SIZE", "min_nodes max_nodes", job_size),
    "S": Column("ALLOCNODES", "", "all"),
    "t": Column("STATE", "state_text"),
    "T": Column("STATE", "state_long"),
    "u": Column("USER", "reason_by", who),
    "U": Column("USER", "reason_by", who_and_number),
    "v": Column("VERSION", "version"),
    "V": Column("CLUSTER", "", "N/A"),
    "w": Column("WEIGHT", "weight", at_least),
    "X": Column("SOCKETS", "sockets", at_least),
    "Y": Column("CORES", "cores_per_socket", at_least),
    "z": Column("S:C:T", "sockets cores_per_socket threads_per_core", sockets_cores_threads),
    "Z": Column("THREADS", "threads_per_core", at_least),
}

#: What `%all` stands for.
ALL = (
    "".join(f"%{letter}|" for letter in "abcdefghlmnoprstuvwz")
    + "".join(f"%{letter} |" for letter in "ABCDEFGHILMNOPRSTUVXYZ")[:-1]
)

#: -O names that a letter has too.
_SAME = {
    "a": "available", "A": "nodeai", "b": "features_act", "B": "maxcpuspernode", "c": "cpus", "C": "cpusstate", "d": "disk",
    "D": "nodes", "e": "freemem", "E": "reason", "f": "features", "F": "nodeaiot", "g": "groups", "G": "gres",
    "h": "oversubscribe share", "H": "timestamp", "I": "priorityjobfactor", "l": "time", "L": "defaulttime", "m": "memory",
    "M": "preemptmode", "n": "nodehost", "N": "nodelist", "o": "nodeaddr", "O": "cpusload", "p": "prioritytier",
    "P": "partition", "r": "root", "R": "partitionname", "s": "size", "S": "allocnodes", "t": "statecompact", "T": "statelong",
    "u": "user", "U": "userlong", "v": "version", "V": "cluster", "w": "weight", "X": "sockets", "Y": "cores",
    "z": "socketcorethread", "Z": "threads",
}  # fmt: skip


def names() -> dict[str, Column]:
    """Every name -O knows. Made only when -O is used."""
    found = {name: LETTERS[letter] for letter, words in _SAME.items() for name in words.split()}
    return found | {
        "allocmem": Column("ALLOCMEM", "memory_alloc_mb"),
        "comment": Column("COMMENT", "comment", or_null),
        "extra": Column("EXTRA", "", "(null)"),
        "gresfence": Column("GRES_FENCE", "gpu_fence", or_null),  # what keeps the jobs on a GPU apart: Corral's own
        "gresused": Column("GRES_USED", "gres_used", or_null),
        "port": Column("PORT", "", "0"),
        "statecomplete": Column("STATECOMPLETE", "state_complete"),
    }


#: Fields of which nodes of one line must all have the same value; other fields show a range.
EXACT = frozenset(
    {
        "gpu_fence",
        "features", "gres", "gres_used", "reason", "reason_by", "reason_time", "hostname", "address", "state_text", "state_long",
        "state_complete", "version", "comment", "memory_alloc_mb",
    }
)  # fmt: skip

#: Fields that are ranges over the nodes of a line.
RANGES = (
    "cpus", "memory_mb", "tmp_disk_mb", "free_memory_mb", "load", "weight", "sockets", "cores_per_socket", "threads_per_core",
)  # fmt: skip

#: Fields of the partition.
PARTITION = frozenset(
    {
        "partition", "default", "available", "max_time", "default_time", "min_nodes", "max_nodes", "max_cpus_per_node",
        "allow_groups", "oversubscribe", "priority_job_factor", "priority_tier", "preempt_mode", "root_only",
    }
)  # fmt: skip
