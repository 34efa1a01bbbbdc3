"""Which field of a job does a key of `scontrol update JobId=` mean, how is its text read, who may change it, and when?"""

from collections.abc import Callable

import msgspec

from corral.model.gres import GresRequest
from corral.model.job import JobSpec
from corral.syntax import duration, size, timestamp, tres

#: The message where Slurm has one for it, and the key's text makes no sense.
NOT_SUPPORTED = "Requested operation not supported on this system"


class Unacceptable(Exception):
    """What Slurm says of this value."""


class Field(msgspec.Struct, frozen=True):
    """A key that changes the spec."""

    field: str  #: of JobSpec
    read: Callable[[str, float], object]
    running: bool = False  #: also of a job that is no longer pending
    operator: bool = False  #: not by its owner


class NodeRange(msgspec.Struct, frozen=True):
    """-N."""

    low: int
    high: int


def _text(value: str, now: float) -> str:
    return value


def node_range(value: str, now: float) -> NodeRange:
    low, dash, high = value.partition("-")
    found = NodeRange(int(low), int(high if dash else low))
    if not 1 <= found.low <= found.high:
        raise Unacceptable("Node count specification invalid")
    return found


def _gres(value: str, now: float) -> tuple[GresRequest, ...]:
    return tuple(GresRequest(*entry) for entry in tres.parse_gres(value)) if value else ()


def _yes(value: str, now: float) -> bool:
    if value.lower() not in ("yes", "no") and not value.isdigit():
        raise ValueError("yes or no")
    return value.lower() == "yes" or (value.isdigit() and int(value) > 0)


def _memory(value: str, now: float) -> int:
    return size.parse(value)


def _count(value: str, now: float) -> int:
    if int(value) < 1:
        raise ValueError("a number from 1 on")
    return int(value)


def _or_none(value: str, now: float) -> int | None:
    """0 = as if it had not been said."""
    return int(value) or None


def _tasks(value: str, now: float) -> int:
    if int(value) < 1:
        raise Unacceptable("Task count specification invalid")
    return int(value)


def _cpus(value: str, now: float) -> int:
    return _count(value.partition("-")[0], now)


def _deadline(value: str, now: float) -> float:
    when = timestamp.parse(value, now)
    if when <= now:
        raise Unacceptable("Invalid time specified")
    return when


def _time_min(value: str, now: float) -> int:
    return duration.parse(value)


def _mail(value: str, now: float) -> tuple[str, ...]:
    words = tuple(word for word in (part.strip().upper() for part in value.split(",")) if word)
    return () if "NONE" in words else words


class Switches(msgspec.Struct, frozen=True):
    """--switches=1@60."""

    count: int | None
    wait: int | None


def _switches(value: str, now: float) -> Switches:
    count, at, wait = value.partition("@")
    return Switches(int(count) or None, duration.parse(wait) if at else None)


#: scontrol's key in lower case. Some fields are there only where the rest of Corral knows them.
SPEC_KEYS: dict[str, Field] = {
    "account": Field("account", _text),
    "batchfeatures": Field("batch_features", _text),
    "comment": Field("comment", _text, running=True),
    "contiguous": Field("contiguous", _yes, operator=True),
    "cpuspertask": Field("cpus_per_task", _or_none),
    "deadline": Field("deadline", _deadline, running=True, operator=True),
    "dependency": Field("dependency", _text),
    "excnodelist": Field("exclude", _text),
    "extra": Field("extra", _text, running=True),
    "features": Field("constraint", _text),
    "gres": Field("gres", _gres),
    "jobname": Field("name", _text, running=True),
    "licenses": Field("licenses", _text, running=True),
    "mailtype": Field("mail_types", _mail, running=True),
    "mailuser": Field("mail_user", _text, running=True),
    "mincpusnode": Field("mincpus", _or_none),
    "minmemorycpu": Field("memory_per_cpu_mb", _memory),
    "minmemorynode": Field("memory_per_node_mb", _memory),
    "mintmpdisknode": Field("tmp_disk_mb", _memory),
    "name": Field("name", _text, running=True),
    "nodelist": Field("nodelist", _text),
    "numcpus": Field("ntasks", _cpus),
    "numnodes": Field("nodes_min", node_range),
    "numtasks": Field("ntasks", _tasks),
    "oversubscribe": Field("oversubscribe", _yes, operator=True),
    "partition": Field("partition", _text),
    "prefer": Field("prefer", _text),
    "qos": Field("qos", _text, running=True),
    "reqcores": Field("cores_per_socket", _or_none),
    "reqnodelist": Field("nodelist", _text),
    "reqsockets": Field("sockets_per_node", _or_none),
    "reqthreads": Field("threads_per_core", _or_none),
    "requeue": Field("requeue", _yes, running=True),
    "reservationname": Field("reservation", _text, running=True),
    "stdout": Field("stdio", _text),
    "switches": Field("switches", _switches, running=True),
    "taskspernode": Field("ntasks_per_node", _or_none),
    "timemin": Field("time_min", _time_min, running=True),
    "wait-for-switch": Field("switches_wait", _or_none, running=True),
    "wckey": Field("wckey", _text),
    "workdir": Field("work_dir", _text),
}

#: Known to Slurm; there is nothing here that they could change, and why.
REFUSED = {
    "burstbuffer": "there are no burst buffers", "clusters": "there is no federation", "clusterfeatures": "there is no federation",
    "corespec": "no CPUs are set aside for the system", "threadspec": "no CPUs are set aside for the system",
    "delayboot": "nodes are not booted for jobs", "reboot": "nodes are not booted for jobs",
    "power": "power is not managed",
}  # fmt: skip


def changed_spec(spec: JobSpec, found: dict[str, object]) -> JobSpec | None:
    """The spec with what was read from its keys; None = nothing of it changes."""
    fields: dict[str, object] = {}
    for key, value in found.items():
        name = SPEC_KEYS[key].field
        if isinstance(value, NodeRange):
            fields |= {"nodes_min": value.low, "nodes_max": value.high}
        elif isinstance(value, Switches):
            fields |= {"switches": value.count} | ({"switches_wait": value.wait} if value.wait is not None else {})
        elif key == "stdout":
            fields["stdio"] = msgspec.structs.replace(spec.stdio, stdout=value)
        else:
            fields[name] = value
        if key == "minmemorycpu":
            fields |= {"memory_per_node_mb": None, "memory_per_gpu_mb": None, "memory_by_default": False}
        elif key == "minmemorynode":
            fields |= {"memory_per_cpu_mb": None, "memory_per_gpu_mb": None, "memory_by_default": False}
    return msgspec.structs.replace(spec, **fields) if fields else None
