"""Which numbers and texts can be meant at all?

Options come through the commands, which read them like the real ones; but anybody may speak to the API. What passes here can
neither upset the sums of the ledger nor be refused by the kernel on the node.
"""

from typing import Any

import msgspec

from corral.errors import InvalidContainer, UsageError
from corral.model.container import Container
from corral.model.gres import WHOLE
from corral.model.job import UNLIMITED, FileTransfer, JobSpec, StdioSpec, StepSpec
from corral.protocol.replies import Rejected
from corral.syntax import container, cpubind, distribution, gpubind

_MOST = (1 << 31) - 1
#: Slurm's MaxTasksPerNode.
MAX_TASKS_PER_NODE = 512
_LONGEST_PATH, _MOST_MOUNTS = 4096, 200
_TOO_LONG = "Pathname of a file, directory or other parameter too long"

#: Field -> option, least, most.
_NUMBERS: dict[str, tuple[str, int, int]] = {
    "nodes_min": ("nodes", 0, _MOST),
    "nodes_max": ("nodes", 0, _MOST),
    "ntasks": ("ntasks", 1, _MOST),
    "cpus_per_task": ("cpus-per-task", 1, _MOST),
    "ntasks_per_node": ("ntasks-per-node", 0, _MOST),
    "ntasks_per_socket": ("ntasks-per-socket", 1, _MOST),
    "ntasks_per_core": ("ntasks-per-core", 1, _MOST),
    "ntasks_per_gpu": ("ntasks-per-gpu", 1, _MOST),
    "threads_per_core": ("threads-per-core", 1, _MOST),
    "sockets_per_node": ("sockets-per-node", 1, _MOST),
    "cores_per_socket": ("cores-per-socket", 1, _MOST),
    "mincpus": ("mincpus", 1, _MOST),
    "tmp_disk_mb": ("tmp", 0, 1 << 50),
    "switches": ("switches", 1, _MOST),
    "switches_wait": ("switches", 0, UNLIMITED),
    "memory_per_node_mb": ("mem", 0, 1 << 50),
    "memory_per_cpu_mb": ("mem-per-cpu", 0, 1 << 50),
    "memory_per_gpu_mb": ("mem-per-gpu", 0, 1 << 50),
    "cpus_per_gpu": ("cpus-per-gpu", 0, _MOST),
    "time_limit": ("time", 0, UNLIMITED),
    "time_min": ("time-min", 0, UNLIMITED),
    "begin_time": ("begin", 0, 1 << 40),
    "deadline": ("deadline", 0, 1 << 40),
    "acctg_freq": ("acctg-freq", 0, _MOST),
    "priority": ("priority", 0, 1 << 40),
    "umask": ("umask", 0, 0o777),
    "relative": ("relative", 0, _MOST),
    "resv_ports": ("resv-port", 0, 1 << 16),
    "ports": ("ports", 0, 1 << 16),
    "wait_seconds": ("wait", 0, _MOST),
    "client_pid": ("client_pid", 0, 1 << 32),
    "submit_sid": ("submit_sid", 0, 1 << 32),
}
#: Field -> option, longest.
_TEXTS: dict[str, tuple[str, int]] = {
    "name": ("job-name", 1024),
    "account": ("account", 1024),
    "qos": ("qos", 1024),
    "partition": ("partition", 1024),
    "comment": ("comment", 1 << 16),
    "admin_comment": ("admin-comment", 1 << 16),
    "extra": ("extra", 1 << 16),
    "wckey": ("wckey", 1024),
    "work_dir": ("chdir", 4096),
    "command": ("command", 1 << 20),
    "export_mode": ("export", 1 << 20),
    "submit_host": ("submit_host", 1024),
    "submit_line": ("submit_line", 1 << 20),
    "distribution": ("distribution", 1024),
    "nodelist": ("nodelist", 1 << 20),
    "exclude": ("exclude", 1 << 20),
    "constraint": ("constraint", 1024),
    "prefer": ("prefer", 1024),
    "batch_features": ("batch", 1024),
    "hint": ("hint", 64),
    "gres_flags": ("gres-flags", 64),
    "gpu_bind": ("gpu-bind", 1 << 14),
    "cpu_bind": ("cpu-bind", 1 << 16),
    "mem_bind": ("mem-bind", 1024),
    "array": ("array", 1 << 20),
    "cron": ("cron", 1024),
    "dependency": ("dependency", 1 << 17),
    "licenses": ("licenses", 1024),
    "reservation": ("reservation", 1024),
    "mail_user": ("mail-user", 1024),
    "stdin": ("input", 4096),
    "stdout": ("output", 4096),
    "stderr": ("error", 4096),
    "client_host": ("client_host", 1024),
    "task_prolog": ("task-prolog", 4096),
    "task_epilog": ("task-epilog", 4096),
    "dest": ("dest", 4096),
}
_GRES = (
    ("gres", "gres"), ("gpus", "gpus"), ("gpus_per_node", "gpus-per-node"), ("gpus_per_task", "gpus-per-task"),
    ("gpus_per_socket", "gpus-per-socket"),
)  # fmt: skip
_MPI_TYPES = ("", "none", "pmi2", "pmix")
_LIMITS = frozenset(
    {
        "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
        "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
    }
)  # fmt: skip


class _Bounds:
    """The fields of one class that have a bound."""

    def __init__(self, kind: type[Any]) -> None:
        names = msgspec.structs.fields(kind)
        self.numbers = [(f.name, *_NUMBERS[f.name]) for f in names if f.name in _NUMBERS]
        self.texts = [(f.name, *_TEXTS[f.name]) for f in names if f.name in _TEXTS]

    def refusal(self, spec: Any) -> Rejected | None:
        for name, option, least, most in self.numbers:
            value = getattr(spec, name)
            if value is not None and not least <= value <= most:
                return Rejected(error=f'Invalid numeric value "{value}" for --{option}.')
        for name, option, longest in self.texts:
            text = getattr(spec, name)
            if text:
                if len(text) > longest:
                    return Rejected(error=_TOO_LONG, detail=f"--{option}: {len(text)} characters, at most {longest}")
                if "\0" in text:
                    return Rejected(error=f"Invalid --{option} specification", detail="It has a null character.")
        return None


_JOB, _STEP, _STDIO, _TRANSFER = _Bounds(JobSpec), _Bounds(StepSpec), _Bounds(StdioSpec), _Bounds(FileTransfer)


def of_job(spec: JobSpec) -> Rejected | None:
    """What is out of all bounds in a job; None = nothing."""
    refused = _JOB.refusal(spec) or _STDIO.refusal(spec.stdio) or _more(spec)
    if refused is None and spec.signal is not None:
        number, seconds, _ = spec.signal
        if not (1 <= number <= 64 and 0 <= seconds <= 65535):
            return Rejected(error="Invalid --signal specification", detail=f"{number}@{seconds}")
    if refused is None and spec.step is not None:
        refused = of_step(spec.step)
    return refused


def of_step(spec: StepSpec) -> Rejected | None:
    is_made = spec.container is not None and spec.container.how != "exec"
    if spec.relay and (not spec.overlap or spec.pty or spec.transfer is not None or is_made):
        return Rejected(error="Invalid job or job step specification", detail="a relay overlaps, and is nothing else")
    if spec.transfer is not None and (refused := _of_transfer(spec.transfer, spec)) is not None:
        return refused
    if spec.mpi not in _MPI_TYPES:
        return Rejected(error=f"Invalid MPI type '{spec.mpi[:100]}', --mpi=list for acceptable types")
    return _STEP.refusal(spec) or _STDIO.refusal(spec.stdio) or _more(spec) or _ranks(spec)


def _of_transfer(transfer: FileTransfer, spec: StepSpec) -> Rejected | None:
    if not transfer.dest.startswith("/") or not 0 <= transfer.mode <= 0o7777:
        return Rejected(error="Invalid --dest specification", detail=transfer.dest[:100])
    if not spec.overlap or spec.pty or any(not 0 <= time < 1 << 40 for time in transfer.times or ()):
        return Rejected(error="Invalid --bcast specification", detail="It takes no resources, and has no terminal.")
    return _TRANSFER.refusal(transfer)


def _of_container(asked: Container) -> Rejected | None:
    """Through the API may come what no command would send."""
    try:
        if not asked.image and not asked.name:
            raise InvalidContainer(text="--container-image is missing: there is no container to set up")
        if asked.image and not container.is_file(asked.image):
            container.reference(asked.image)
        if asked.name:
            container.name(f"{asked.name}:{asked.how}")
        if asked.environment:
            container.variables(",".join(asked.environment))
        for one in asked.mounts:
            container.mounts(":".join((one.source, one.target, "+".join(one.flags))))
    except InvalidContainer as error:
        return Rejected(error=f"pyxis: {error}"[:300])
    mounted = (text for one in asked.mounts for text in (one.source, one.target))
    for text in (asked.image, asked.work_dir, asked.save, *mounted):
        if "\0" in text or len(text) > _LONGEST_PATH:
            return Rejected(error=_TOO_LONG, detail=text[:100].replace("\0", "?"))
    if len(asked.mounts) > _MOST_MOUNTS:
        return Rejected(error=f"pyxis: more than {_MOST_MOUNTS} mounts")
    return None


def _ranks(spec: StepSpec) -> Rejected | None:
    for text, _ in spec.multi_prog:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            is_number = first.isascii() and first.isdigit() and len(first) < 10
            if text != "*" and not (is_number and (not dash or (last.isascii() and last.isdigit() and len(last) < 10))):
                return Rejected(error=f"Invalid task range specification ({text[:100]})")
    return None


def _more(spec: JobSpec | StepSpec) -> Rejected | None:
    if spec.container is not None and (refused := _of_container(spec.container)) is not None:
        return refused
    if spec.nodes_max is not None and spec.nodes_max < (spec.nodes_min or 1):
        detail = f"Maximum node count {spec.nodes_max} is less than minimum node count {spec.nodes_min}"
        return Rejected(error="Node count specification invalid", detail=detail if spec.nodes_min else "")
    for name, option in _GRES:
        for request in getattr(spec, name, None) or ():
            is_wrong = request.milli and (request.name != "gpu" or request.count != 1 or not 0 < request.milli < WHOLE)
            if not 0 <= request.count <= _MOST or is_wrong:
                return Rejected(
                    error="Invalid generic resource (gres) specification",
                    detail=f"--{option}: {request.name} cannot be counted {request.count} times",
                )
    for option, text, parse in (
        ("distribution", spec.distribution, distribution.parse),
        ("gpu-bind", spec.gpu_bind, gpubind.parse),
        ("cpu-bind", getattr(spec, "cpu_bind", ""), cpubind.parse),
    ):
        try:
            if text:
                parse(text)
        except UsageError:
            return Rejected(error=f"Invalid --{option} specification", detail=text[:100])
    for argument in spec.argv:
        if "\0" in argument:
            return Rejected(error="Invalid argument", detail="An argument has a null character.")
    for name, (soft, hard) in spec.rlimits.items():
        is_less = soft <= hard if soft >= 0 and hard >= 0 else hard < 0
        if name not in _LIMITS or not is_less or not (-1 <= soft < 1 << 63 and -1 <= hard < 1 << 63):
            return Rejected(error=f"Invalid resource limit {name!r}: {soft}, {hard}")
    return None
