"""What does a dump of the accounting say: `sacct -a -P -o ALL`, or fewer fields, of Corral or of Slurm?

The first line names the fields. Steps are passed over, and jobs that never ran are left out, and counted. A job asks for what it asked for:
nodes, CPUs, GPUs, memory, the limit; and runs for as long as it did.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from corral.errors import BadWorkload, UsageError
from corral.model.gres import GresRequest
from corral.model.job import UNLIMITED, JobSpec
from corral.simulator.workloads.lines import lines_of
from corral.simulator.workloads.work import Work, Workload
from corral.syntax import duration, size, tres

#: Of each of these one must be there.
NEEDED: tuple[tuple[str, ...], ...] = (
    ("jobidraw", "jobid"),
    ("submit",),
    ("elapsedraw", "elapsed"),
    ("reqcpus", "ncpus", "alloccpus", "reqtres", "alloctres"),
)
#: Fields in which users write what they like, also the character between fields.
FREE = ("submitline", "jobname", "comment", "admincomment", "systemcomment", "workdir", "wckey", "constraints")
UNKNOWN = ("", "Unknown", "None", "INVALID")


class _Wrong(Exception):
    """What is wrong with the text of this field."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field, self.problem = field, problem


def read(path: Path) -> Workload:
    lines = lines_of(path)
    head = next(lines, None)
    if head is None:
        raise BadWorkload(file=path, line=1, column=1, problem="the file is empty: its first line names the fields")
    fields = [name.strip().lower() for name in head[1].split("|")]
    for names in NEEDED:
        if not any(name in fields for name in names):
            problem = f"there is no field {names[0]}: take the output of sacct -a -P -o ALL"
            raise BadWorkload(file=path, line=1, column=len(head[1]) + 1, problem=problem)
    jobs: list[Work] = []
    left_out: dict[str, int] = {}
    for number, line in lines:
        if not line.strip():
            continue
        found = _job(path, number, line, fields)
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
        elif found is not None:
            jobs.append(found)
    jobs.sort(key=lambda job: (job.submit, job.number))
    left_out.pop("", None)
    return Workload(name=path.name, jobs=jobs, left_out=left_out)


def _job(path: Path, number: int, line: str, fields: list[str]) -> Work | str | None:
    """The job, or why there is none: "" for steps."""
    cells = line.split("|")
    extra = len(cells) - len(fields)
    if extra < 0:
        problem = f"a line has {len(fields)} fields, as the first: here are {len(cells)}"
        raise BadWorkload(file=path, line=number, column=len(line) + 1, problem=problem)
    if not extra:
        candidates = [cells]
    else:  # somebody has written the separator: in which field?
        places = [fields.index(name) for name in FREE if name in fields]
        candidates = [[*cells[:at], "|".join(cells[at : at + extra + 1]), *cells[at + extra + 1 :]] for at in places]
    wrong: tuple[list[str], _Wrong] | None = None
    for row in candidates:
        try:
            return _read(dict(zip(fields, row, strict=True)))
        except _Wrong as error:
            wrong = wrong or (row, error)
    if wrong is None:
        problem = f"a line has {len(fields)} fields, as the first: here are {len(cells)}"
        raise BadWorkload(
            file=path, line=number, column=sum(map(len, cells[: len(fields)])) + len(fields), problem=problem
        )
    row, why = wrong
    column = sum(len(cell) + 1 for cell in row[: fields.index(why.field)]) + 1
    raise BadWorkload(file=path, line=number, column=column, problem=f"{why.field}: {why.problem}")


def _read(row: dict[str, str]) -> Work | str:
    name = "jobidraw" if row.get("jobidraw") else "jobid"
    if "." in row[name] or "." in row.get("jobid", ""):
        return ""
    number = row[name].partition("_")[0].partition("+")[0]
    if not (number.isascii() and number.isdigit()):
        raise _Wrong(name, f"{row[name]!r} is no job id")
    seconds = _elapsed(row)
    if seconds == 0 and row.get("start", "x") in UNKNOWN:
        return "never ran"
    submit = _time(row, "submit")
    nodes = max(1, _count(row, ("reqnodes", "nnodes", "allocnodes")))
    asked = _tres(row)
    cpus = asked.get("cpu", 0) or _count(row, ("reqcpus", "ncpus", "alloccpus"))
    if cpus < 1:
        return "no CPUs"
    gpus = asked.get("gres/gpu") or sum(count for kind, count in asked.items() if kind.startswith("gres/gpu:"))
    spec = JobSpec(
        nodes_min=nodes, nodes_max=nodes, ntasks=max(cpus, nodes), time_limit=_limit(row), account=_word(row, "account"),
        partition=_word(row, "partition"), memory_per_node_mb=_memory(row, asked, cpus, nodes) or None,
        gpus_per_node=(GresRequest("gpu", "", -(-gpus // nodes)),) if gpus else (),
    )  # fmt: skip
    return Work(number=int(number), submit=submit, seconds=seconds, spec=spec, user=_word(row, "user") or "user")


def _word(row: dict[str, str], field: str) -> str:
    text = row.get(field, "").strip()
    return "" if text in UNKNOWN else text


def _count(row: dict[str, str], fields: Sequence[str]) -> int:
    for field in fields:
        text = _word(row, field)
        if text:
            try:
                return int(float(text[:-1]) * 1024) if text.endswith("K") else int(text)
            except ValueError:
                raise _Wrong(field, f"{text!r} is no number") from None
    return 0


def _elapsed(row: dict[str, str]) -> int:
    if _word(row, "elapsedraw"):
        return _count(row, ("elapsedraw",))
    text = _word(row, "elapsed")
    return _duration("elapsed", text) if text else 0


def _duration(field: str, text: str) -> int:
    try:
        return duration.parse(text.partition(".")[0])
    except UsageError:
        raise _Wrong(field, f"{text!r} is no time") from None


def _limit(row: dict[str, str]) -> int:
    text = _word(row, "timelimitraw")
    if text.isdigit():
        return int(text) * 60
    text = _word(row, "timelimit")
    if not text or text in ("UNLIMITED", "Partition_Limit"):
        return UNLIMITED
    return _duration("timelimit", text)


def _time(row: dict[str, str], field: str) -> float:
    text = _word(row, field)
    if text.isascii() and text.isdigit():  # SLURM_TIME_FORMAT=%s
        return float(text)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _Wrong(field, f"{text!r} is no time: 2030-01-31T16:00:00 is one") from None


def _tres(row: dict[str, str]) -> dict[str, int]:
    """What it asked for; without that, what it had."""
    for field in ("reqtres", "alloctres"):
        text = _word(row, field)
        if text:
            try:
                return tres.parse(",".join(part for part in text.split(",") if not part.startswith("billing=")))
            except UsageError as error:
                raise _Wrong(field, str(error)) from None
    return {}


def _memory(row: dict[str, str], asked: dict[str, int], cpus: int, nodes: int) -> int:
    """MiB of each node; 0 = not counted."""
    if asked.get("mem"):
        return -(-asked["mem"] // nodes)
    text = _word(row, "reqmem")
    if not text or text == "0":
        return 0
    per = text[-1] if text[-1] in "cn" else ""  # as before 21.08: per CPU, per node
    try:
        mib = size.parse_printed(text.rstrip("cn"))
    except UsageError:
        raise _Wrong("reqmem", f"{text!r} is no size") from None
    return -(-mib * cpus // nodes) if per == "c" else mib if per == "n" else -(-mib // nodes)
