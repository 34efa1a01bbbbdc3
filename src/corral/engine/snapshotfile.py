"""What is the cluster, as a file that a simulator and people can read (`corral snapshot`)?

All that engine and scheduler decide by, in the model's own types: the configuration as far as it is about scheduling, with the partitions
as they are now, nodes, reservations, accounts and what has been used, the jobs that wait and hold resources, and of those that
have ended the ones others wait for. What users run and how, and what is secret, is left out: scripts, arguments, environments,
directories, addresses, keys, the text of crontabs and triggers.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from corral.engine import bounds
from corral.engine.books import BooksDump
from corral.engine.meter import MeterDump
from corral.engine.state import ClusterState
from corral.errors import InvalidSnapshot, UsageError
from corral.model import ranges
from corral.model.cluster import ClusterConfig
from corral.model.job import Job, JobId, JobSpec, StdioSpec, StepSpec
from corral.model.node import Node
from corral.model.reservation import Reservation
from corral.scheduler.nodetable import Overcommitted
from corral.syntax import dependency, hostlist

FORMAT = "corral snapshot"
VERSION = 1

#: Sections and keys of the configuration that no decision depends on.
LEFT_OUT = frozenset({
    "state_dir", "nats", "api", "roles", "programs", "store", "log_level", "enforce", "private_data", "mpi_default", "step_ports",
    "address", "pod_ports", "pod_network", "gateway", "autoscaling", "proxy", "storage_class", "kubernetes",
    "propagate_limits", "propagate_limits_except", "containers", "isolation", "gpus",
})  # fmt: skip
#: What of a job is nobody else's business.
_PRIVATE: dict[str, Any] = dict.fromkeys(
    ("comment", "admin_comment", "extra", "command", "script_digest", "environment_digest", "submit_host", "submit_line", "mail_user"),
    "",
) | {
    "work_dir": "/", "argv": (), "rlimits": {}, "stdio": StdioSpec(), "submit_sid": 0, "mail_types": (), "cron": "",
    "cron_lines": (0, 0), "container": None, "pod": None,
}  # fmt: skip
_PRIVATE_STEP: dict[str, Any] = {
    "argv": (), "multi_prog": (), "work_dir": "/", "rlimits": {}, "environment_digest": "", "stdio": StdioSpec(), "transfer": None,
    "task_prolog": "", "task_epilog": "", "client_host": "", "client_pid": 0, "window": (0, 0), "pty": False,
    "submit_line": "", "container": None, "pod_container": "",
}  # fmt: skip

#: More CPUs, or units of a kind, than a node can have.
MOST_UNITS = 1 << 16
MOST_ELEMENTS = 1_000_001
_PLACE = re.compile(r" - at `\$([^`]*)`$")
_BYTE = re.compile(r"^(.*?) \(byte (\d+)\)$")


class SnapshotFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are seconds since the epoch."""

    format: str = FORMAT
    version: int = VERSION
    corral: str = ""  #: which Corral wrote it
    time: float  #: when the cluster was so
    configuration: ClusterConfig  #: its partitions are those of that moment
    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...]
    specs: tuple[tuple[JobId, JobSpec], ...]  #: what was asked for, by a job's `spec_id`
    reservations: tuple[Reservation, ...] = ()
    accounts: BooksDump = BooksDump()
    usage: MeterDump = MeterDump()
    next_job_id: int = 1
    last_reservation: int = 0

    def state(self) -> ClusterState:
        """The tables. An Engine made of them and `configuration` is the cluster of that time as soon as its `start` is called."""
        state = ClusterState()
        state.specs = {JobId(number): spec for number, spec in self.specs}
        state.nodes = {node.name: node for node in self.nodes}
        state.books.load(self.accounts)
        state.meter.load(self.usage)
        state.meter.set_constant(
            frozenset(("qos", qos.name) for qos in state.books.qos.values() if "NoDecay" in qos.flags)
        )
        state.ledger.set_nodes([(node.offered, node.is_usable, node.weight) for node in self.nodes])
        state.ledger.set_licenses(self.configuration.licenses)
        state.partitions = {partition.name: partition for partition in self.configuration.partition}
        for job in sorted(self.jobs, key=lambda job: (job.end_time, job.id)):
            state._put_job(job)
        state.reservations = {reservation.name: reservation for reservation in self.reservations}
        state.last_reservation = self.last_reservation
        state.next_job_id = max(state.next_job_id, self.next_job_id)
        return state


# -- out


def taken(state: ClusterState, config: ClusterConfig, now: float, corral: str = "") -> SnapshotFile:
    """The cluster as it is; cheap, as records are shared. `written` leaves out what is private."""
    return SnapshotFile(
        corral=corral,
        time=now,
        configuration=msgspec.structs.replace(config, partition=tuple(state.partitions.values())),
        nodes=tuple(state.nodes[name] for name in state.ledger.names if name in state.nodes),
        jobs=tuple(state.jobs.values()),
        specs=tuple(state.specs.items()),
        reservations=tuple(state.reservations.values()),
        accounts=msgspec.structs.replace(state.books.dump(), transactions=()),
        usage=state.meter.dump(),
        next_job_id=state.next_job_id,
        last_reservation=state.last_reservation,
    )


def written(file: SnapshotFile) -> Iterator[bytes]:
    """As JSON, a line for each record, in pieces: another thread gets its turn between them."""
    specs = dict(file.specs)
    jobs = _kept(file.jobs, specs)
    used = sorted({job.spec_id for job in jobs})
    configuration = msgspec.to_builtins(file.configuration)
    head = {
        "format": file.format, "version": file.version, "corral": file.corral, "time": file.time,
        "configuration": {name: value for name, value in configuration.items() if name not in LEFT_OUT},
        "accounts": file.accounts, "usage": file.usage, "next_job_id": file.next_job_id,
        "last_reservation": file.last_reservation,
    }  # fmt: skip
    lists: dict[str, Iterator[Any]] = {
        "reservations": iter(file.reservations),
        "nodes": iter(file.nodes),
        "specs": ((number, _public(specs[number])) for number in used),
        "jobs": (msgspec.structs.replace(job, admin_comment="") if job.admin_comment else job for job in jobs),
    }
    encode = msgspec.json.Encoder().encode
    separator = b"{\n"
    for name, value in head.items():
        yield separator + encode(name) + b": " + encode(value)
        separator = b",\n"
    for name, records in lists.items():
        yield b",\n" + encode(name) + b": ["
        separator = b"\n"
        for record in records:
            yield separator + encode(record)
            separator = b",\n"
        yield b"]"
    yield b"\n}\n"


def _kept(jobs: tuple[Job, ...], specs: dict[JobId, JobSpec]) -> list[Job]:
    """Those that have not ended, and those that are waited for."""
    live = [job for job in jobs if not job.has_ended]
    wanted: set[int] = set()
    for job in live:
        text = specs[job.spec_id].dependency if job.is_pending else ""
        if text:
            wanted.update(condition.job for condition in dependency.parse(text).conditions)
    ended = [
        job for job in jobs if job.has_ended and wanted and (job.id in wanted or (job.array_job_id or 0) in wanted)
    ]
    return sorted(live + ended, key=lambda job: job.id)


def _public(spec: JobSpec) -> JobSpec:
    step = msgspec.structs.replace(spec.step, **_PRIVATE_STEP) if isinstance(spec.step, StepSpec) else None
    return msgspec.structs.replace(spec, step=step, **_PRIVATE)


# -- and in


class _Head(msgspec.Struct):
    format: str = ""
    version: int = 0


def load(data: bytes, name: str = "snapshot") -> SnapshotFile:
    """Raises InvalidSnapshot, which says where: the line of what is no JSON, the path of what is no snapshot."""
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format != FORMAT:
            raise InvalidSnapshot(file=name, problem=f"it is not written by `corral snapshot` (no format: {FORMAT!r})")
        if head.version != VERSION:
            problem = f"version {head.version} of the format, of which this Corral knows {VERSION}"
            raise InvalidSnapshot(file=name, problem=problem)
        file = msgspec.json.decode(data, type=SnapshotFile)
        problem = _problem(file)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        said = str(error)[: place.start()] if place else str(error)
        raise InvalidSnapshot(
            file=name, problem=f"{place[1].lstrip('.') or 'the whole'}: {said}" if place else said
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidSnapshot(file=name, problem=_located(data, error)) from None
    if problem:
        raise InvalidSnapshot(file=name, problem=problem)
    return file


def _located(data: bytes, error: Exception) -> str:
    found = _BYTE.match(str(error))
    at = min(int(found[2]), len(data)) if found else error.start if isinstance(error, UnicodeDecodeError) else len(data)
    line, column = data.count(b"\n", 0, at) + 1, at - (data.rfind(b"\n", 0, at) + 1) + 1
    said = found[1].removeprefix("JSON is malformed: ") if found else str(error)
    return f"line {line}, column {column}: not JSON: {said}"


def _is_array(elements: ranges.Ranges) -> bool:
    return all(0 <= first <= last <= MOST_ELEMENTS and step > 0 for first, last, step in elements) and (
        ranges.count(elements) <= MOST_ELEMENTS
    )


def _problem(file: SnapshotFile) -> str:
    """What can't be so, though every value by itself may; "" = nothing."""
    seen: set[object] = set()
    for number, node in enumerate(file.nodes):
        own = node.inventory
        units = [own.cpus, own.sockets, own.cores_per_socket, own.threads_per_core, *(one.count for one in own.gres)]
        if not own.name or own.name in seen:
            return f"nodes[{number}]: {own.name!r} is there twice" if own.name else f"nodes[{number}]: it has no name"
        if not all(0 <= one <= MOST_UNITS for one in units) or own.cpus < 1 or own.memory_mb < 0:
            return f"nodes[{number}]: {own.name} can't have so many CPUs, so much memory or so many units"
        seen.add(own.name)
    specs: set[int] = set()
    for number, (spec_id, spec) in enumerate(file.specs):
        refused = bounds.of_job(spec)
        if refused is not None:
            return f"specs[{number}]: {refused.error}"
        try:
            hostlist.expand(spec.nodelist)
            hostlist.expand(spec.exclude)
            dependency.parse(spec.dependency)
        except UsageError as error:
            return f"specs[{number}]: {error}"
        specs.add(spec_id)
    seen.clear()
    for number, job in enumerate(file.jobs):
        if job.spec_id not in specs:
            return f"jobs[{number}]: job {job.id} is of spec {job.spec_id}, which is not there"
        if job.id in seen or not 0 < job.id < 1 << 32:
            return (
                f"jobs[{number}]: job {job.id} is there twice" if job.id in seen else f"jobs[{number}]: no id: {job.id}"
            )
        if job.array_waiting and not _is_array(job.array_waiting):
            return f"jobs[{number}]: job {job.id} has elements that no array has"
        seen.add(job.id)
    if not file.configuration.partition:
        return "configuration.partition: there must be a partition"
    try:
        file.state()
    except (Overcommitted, UsageError) as error:
        return f"jobs: {error}"
    return ""
