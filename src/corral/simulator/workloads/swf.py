"""What does a trace in the Standard Workload Format say (Feitelson's Parallel Workloads Archive, version 2.2)?

A job is a line of 18 numbers; -1 = not known. Where the time or the processors that were asked for are missing, those that were used stand
for them: nobody overestimates then. Jobs of which the run time or the processors are not known are left out, and counted.
"""

import re
from pathlib import Path
from typing import NoReturn

from corral.errors import BadWorkload
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.simulator.workloads.lines import lines_of
from corral.simulator.workloads.work import Work, Workload

#: Columns: number, submit, wait, run time, processors, average CPU time, memory, requested processors, requested time, requested memory,
#: status, user, group, executable, queue, partition, preceding job, think time.
NUMBER, SUBMIT, RUN, USED, ASKED, TIME, USER, GROUP = 0, 1, 3, 4, 7, 8, 11, 12
COLUMNS = (17, 18)
_HEADER = re.compile(r";\s*([A-Za-z]+):\s*(.*)")
_WORD = re.compile(r"\S+")


def read(path: Path) -> Workload:
    header: dict[str, str] = {}
    jobs: list[Work] = []
    left_out: dict[str, int] = {}
    specs: dict[tuple[int, int, str], JobSpec] = {}
    for number, line in lines_of(path):
        if line.lstrip().startswith(";"):
            found = _HEADER.match(line.strip())
            if found:
                header.setdefault(found[1], found[2].strip())
            continue
        if not line.strip():
            continue
        row = _numbers(path, number, line)
        seconds, processors = row[RUN], row[ASKED] if row[ASKED] > 0 else row[USED]
        why = "no run time" if seconds < 0 else "no processors" if processors < 1 else ""
        if why:
            left_out[why] = left_out.get(why, 0) + 1
            continue
        limit = row[TIME] if row[TIME] > 0 else seconds
        # A limit of 0 would be none at all.
        asked = (int(processors), max(1, -int(-limit // 1)), _name("group", row[GROUP]))
        spec = specs.get(asked)
        if spec is None:
            spec = specs[asked] = JobSpec(ntasks=asked[0], time_limit=asked[1], account=asked[2])
        work = Work(
            number=int(row[NUMBER]), submit=row[SUBMIT], seconds=seconds, spec=spec, user=_name("user", row[USER])
        )
        jobs.append(work)
    jobs.sort(key=lambda job: job.submit)  # of one moment as they stand there
    nodes = _machine(path, header, jobs)
    return Workload(name=path.name, jobs=jobs, nodes=nodes, left_out=left_out)


def _name(what: str, number: float) -> str:
    return f"{what}{int(number)}" if number >= 0 else what


def _numbers(path: Path, number: int, line: str) -> list[float]:
    """With the last column, where it is missing."""
    cells = line.split()
    try:
        row = [float(cell) for cell in cells]
    except ValueError:
        return _refused(path, number, line)
    is_good = len(row) in COLUMNS and "_" not in line and all(-1e15 < value < 1e15 for value in row)
    if not is_good or row[NUMBER] < 0 or row[SUBMIT] < 0:
        return _refused(path, number, line)
    return row if len(row) == COLUMNS[1] else [*row, -1.0]


def _refused(path: Path, number: int, line: str) -> NoReturn:
    """Where is it wrong, and how?"""
    words = list(_WORD.finditer(line))
    if len(words) not in COLUMNS:
        problem = f"a job has {COLUMNS[1]} columns (or {COLUMNS[0]}, without the last): here are {len(words)}"
        raise BadWorkload(
            file=path,
            line=number,
            column=len(line) + 1 if len(words) < COLUMNS[0] else words[COLUMNS[1]].start() + 1,
            problem=problem,
        )
    for index, word in enumerate(words):
        try:
            value = float(word[0])
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e15 or word[0].strip("+-.0123456789eE"):
            raise BadWorkload(file=path, line=number, column=word.start() + 1, problem=f"{word[0]!r} is no number")
        if index in (NUMBER, SUBMIT) and value < 0:
            raise BadWorkload(file=path, line=number, column=word.start() + 1, problem=f"{word[0]!r} is less than 0")
    raise AssertionError(f"nothing is wrong with {line!r}")


def _machine(path: Path, header: dict[str, str], jobs: list[Work]) -> tuple[NodeInventory, ...]:
    """MaxNodes nodes with MaxProcs processors together; else as many processors as the largest job."""
    most = max((job.spec.ntasks or 1 for job in jobs), default=1)
    nodes, processors = _count(header.get("MaxNodes")), _count(header.get("MaxProcs"))
    processors = processors or nodes or most
    nodes = nodes if nodes and processors % nodes == 0 else processors
    width = len(str(nodes))
    return tuple(NodeInventory(name=f"n{i:0{width}d}", cpus=processors // nodes) for i in range(1, nodes + 1))


def _count(text: str | None) -> int:
    found = re.match(r"\d{1,9}(?!\d)", text or "")
    return int(found[0]) if found else 0
