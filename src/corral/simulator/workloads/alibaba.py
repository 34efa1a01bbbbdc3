"""What do the lists of nodes and pods of Alibaba's GPU cluster say (cluster-trace-gpu-v2023)?

Two CSV files with a line of names at the top. A node has CPUs, memory and GPUs of one model; a pod asks for CPUs (in thousandths),
memory, and either whole GPUs or a fraction of one (`gpu_milli` below 1000).
"""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from corral.errors import BadWorkload, UsageError
from corral.model.gres import WHOLE, GresDevice, GresRequest
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.simulator.workloads.lines import lines_of
from corral.syntax import hostlist

#: CPUs are counted in tenths: with whole ones a pod of 3.152 CPUs would have 4. What is asked for is rounded up, so nothing is won.
TENTHS = 100
MOST = 1 << 40

T = TypeVar("T")

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec")


class Pod(msgspec.Struct, frozen=True):
    """A task: what a job would ask for, and how many thousandths of GPUs that are."""

    name: str
    spec: JobSpec
    milli: int


class _Line:
    """One line, its fields by name, and where each begins."""

    def __init__(self, path: Path, number: int, text: str, names: Mapping[str, int]) -> None:
        self.path, self.number, self.text, self.names = path, number, text, names
        self.fields = _split(path, number, text)
        if len(self.fields) != len(names):
            raise BadWorkload(
                file=path, line=number, column=len(text) + 1, problem=f"{len(self.fields)} fields, not {len(names)}"
            )

    def wrong(self, name: str, problem: str) -> BadWorkload:
        before = self.fields[: self.names[name]]
        return BadWorkload(
            file=self.path,
            line=self.number,
            column=1 + sum(len(one) + 1 for one in before),
            problem=f"{name}: {problem}",
        )

    def word(self, name: str) -> str:
        return self.fields[self.names[name]].strip()

    def number_of(self, name: str, least: int = 0, most: int = MOST) -> int:
        text = self.word(name)
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise self.wrong(name, f"not a number: {text!r}")
        if not least <= int(text) <= most:
            raise self.wrong(name, f"{text} is not between {least} and {most}")
        return int(text)


def nodes(path: Path) -> list[NodeInventory]:
    seen: set[str] = set()

    def node(line: _Line) -> NodeInventory:
        name, model = line.word("sn"), line.word("model")
        try:
            is_name = hostlist.expand(name) == [name]
        except UsageError:
            is_name = False
        if not is_name or name in seen:
            raise line.wrong("sn", f"{name!r} is there twice" if name in seen else f"not the name of a node: {name!r}")
        seen.add(name)
        cpus = line.number_of("cpu_milli", 1000, 4096 * 1000) // TENTHS
        gpus = line.number_of("gpu", 0, 64)
        return NodeInventory(
            name=name,
            cpus=cpus,
            cores_per_socket=cpus,
            memory_mb=line.number_of("memory_mib", 1),
            gres=(GresDevice(name="gpu", type=model, count=gpus),) if gpus else (),
            features=(model,) if model else (),
        )

    return _read(path, NODE_COLUMNS, node)


def pods(path: Path) -> list[Pod]:
    specs: dict[tuple[int, int, int, int, str], JobSpec] = {}

    def pod(line: _Line) -> Pod:
        gpus, milli = line.number_of("num_gpu", 0, 64), line.number_of("gpu_milli", 0, WHOLE)
        if gpus and not milli:
            raise line.wrong("gpu_milli", "a pod with GPUs asks for more than nothing of them")
        if gpus > 1 and milli < WHOLE:
            raise line.wrong("gpu_milli", f"{gpus} GPUs are asked for whole, so it is {WHOLE}")
        cpus = max(1, -(-line.number_of("cpu_milli", 0, 4096 * 1000) // TENTHS))
        asked = cpus, line.number_of("memory_mib"), gpus, milli, line.word("gpu_spec")
        spec = specs.get(asked)
        if spec is None:
            spec = specs[asked] = JobSpec(
                nodes_min=1,
                nodes_max=1,
                ntasks=1,
                cpus_per_task=cpus,
                memory_per_node_mb=asked[1] or 1,
                gres=_gres(gpus, milli),
                constraint=asked[4],
            )
        return Pod(line.word("name"), spec, gpus * milli)

    return _read(path, POD_COLUMNS, pod)


def _gres(gpus: int, milli: int) -> tuple[GresRequest, ...]:
    if not gpus:
        return ()
    return (GresRequest("gpu", "", gpus) if milli == WHOLE else GresRequest("gpu", "", 1, milli),)


def _split(path: Path, number: int, text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise BadWorkload(file=path, line=number, column=1, problem=f"not a line of CSV: {error}") from None


def _read(path: Path, columns: tuple[str, ...], made: Callable[[_Line], T]) -> list[T]:
    names: dict[str, int] | None = None
    found: list[T] = []
    for number, text in lines_of(path):
        if names is None:
            names = {name.strip(): at for at, name in enumerate(_split(path, number, text))}
            lacking = [name for name in columns if name not in names]
            if lacking:
                raise BadWorkload(
                    file=path, line=number, column=1, problem=f"the columns {', '.join(lacking)} are missing"
                )
        elif text.strip():
            found.append(made(_Line(path, number, text, names)))
    if not found:
        raise BadWorkload(file=path, line=1, column=1, problem="nothing is listed")
    return found
