"""sattach: hear the tasks of a running step, and type to them, beside the srun that started it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from corral.cli import command
from corral.cli.getopt import NO, REQUIRED
from corral.cli.options.values import BadValue, not_negative
from corral.cli.run import Program
from corral.cli.run import main as run
from corral.cli.taskoutput import TaskOutput
from corral.client.attach import NodeEnded, Output, TaskEnded
from corral.client.connection import Connection
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from corral.client.listen import Listener

OPTIONS = (
    ("error-filter", "", REQUIRED), ("help", "h", NO), ("input-filter", "", REQUIRED), ("label", "l", NO), ("layout", "", NO),
    ("output-filter", "", REQUIRED), ("pty", "", NO), ("quiet", "Q", NO), ("usage", "u", NO), ("verbose", "v", NO),
    ("version", "V", NO),
)  # fmt: skip
PROGRAM = Program("sattach")
#: A node that says nothing to a greeting for so long has no part of the step any more.
SILENCE_SECONDS = 3.0


def main() -> NoReturn:
    run(PROGRAM, sattach)


def sattach(argv: list[str]) -> int:
    given, words = command.options(PROGRAM, argv, OPTIONS)
    wishes: dict[str, Any] = {}
    for name, value in given:
        if name.endswith("-filter"):
            wishes[name] = _rank(name, value or "")
        elif name == "verbose":
            PROGRAM.verbosity += 1
        elif name == "quiet":
            PROGRAM.verbosity = -1
        else:
            wishes[name] = True
    job, number = _step(words)
    row, access = _look_up(job, number)
    if "layout" in wishes:
        return _say_layout(row)
    if "pty" in wishes and os.isatty(0):
        from corral.cli.terminal import RawTerminal

        PROGRAM.line_end = "\r\n"
        with RawTerminal(0):
            return _Session(row, access, wishes).run()
    return _Session(row, access, wishes).run()


def _rank(name: str, text: str) -> int:
    try:
        return not_negative(text, name)
    except BadValue:
        raise PROGRAM.failed(f'Invalid numeric value "{text}" for {name}.') from None


def _step(words: list[str]) -> tuple[str, str]:
    """42.0, 42_7.0"""
    usage = "Usage: sattach [options] <jobid.stepid>\n"
    problem = "too many parameters"
    if len(words) == 1:
        problem = "Failed to parse stepid from command line options"
        job, dot, step = words[0].partition(".")
        head = job.partition("_")
        if dot and (step.isdigit() or step in ("batch", "extern")) and head[0].isdigit():
            return job, step
    sys.stdout.write(usage)
    raise PROGRAM.failed(problem)


def _look_up(job: str, number: str) -> tuple[dict[str, Any], dict[str, Any]]:
    what = "Could not get job step info"

    def ask() -> tuple[dict[str, Any], dict[str, Any]]:
        fields = "job,step,node_names,nodes,ntasks,layout,nodes_over"
        try:
            found = connection.request("GET", f"/v1/steps?job={job}.{number}&fields={fields}")
            if not found["rows"]:
                raise PROGRAM.failed(f"{what}: Invalid job id specified")
            row = dict(zip(found["fields"], found["rows"][0], strict=True))
            return row, connection.request("GET", f"/v1/jobs/{row['job']}/access/{number}")
        except Refused as error:
            raise PROGRAM.failed(f"{what}: {error.error}") from None

    with Connection() as connection:
        found: list[Any] = []

        def body() -> int:
            found.append(ask())
            return 0

        command.reaching(f"sattach: error: {what}", body)
    result: tuple[dict[str, Any], dict[str, Any]] = found[0]
    return result


def _say_layout(row: dict[str, Any]) -> int:
    names = row["node_names"]
    lines = ["Job step layout:", f"\t{row['ntasks']} tasks, {len(names)} nodes ({row['nodes']})", ""]
    for index, (name, ranks) in enumerate(zip(names, row["layout"], strict=True)):
        ids = "".join(f"{rank} " for rank in ranks)
        lines.append(f"\tNode {index} ({name}), {len(ranks)} task(s): {ids}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


class _Session:
    """Until the last task of the step has ended."""

    def __init__(self, row: dict[str, Any], access: dict[str, Any], wishes: dict[str, Any]) -> None:
        from corral.client.listen import Listener

        self._names: list[str] = row["node_names"]
        self._wishes = wishes
        self._status = 0
        self._listener: Listener = Listener(
            access["url"],
            access["token"],
            access["cluster"],
            access["key"],
            nodes=len(self._names),
            ca=access.get("ca", ""),
        )
        is_labelled = bool(wishes.get("label"))
        whole_lines = row["ntasks"] > 1 and not wishes.get("pty")
        self._output = TaskOutput(lambda output: None, self._on_closed, row["ntasks"], is_labelled, whole_lines)
        self._is_closed = False
        self._reads_input = True
        self._silent_at = time.monotonic() + SILENCE_SECONDS
        for node, is_over in enumerate(row["nodes_over"]):
            if is_over:
                self._say_nothing_runs(node)

    def _on_closed(self) -> None:
        """Nobody reads any more."""
        self._is_closed = True

    def run(self) -> int:
        listener = self._listener
        while not self._is_closed and (not listener.has_ended or self._output.waits_for):
            readable: list[int] = [listener.fileno()]
            if self._reads_input and not listener.is_typing:
                readable.append(0)
            ready, _, _ = select.select(readable, self._output.waits_for, [], self._timeout())
            for event in listener.on_readable():
                self._on_event(event)
            self._output.write()
            if 0 in ready:
                self._on_input()
            self._on_silence()
        listener.close()
        if self._is_closed:  # as programs end whose reader has gone
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPIPE)
        return self._status

    def _timeout(self) -> float | None:
        waits = [self._listener.timeout(), self._silent_at - time.monotonic() if self._silent_at else None]
        return min((max(0.0, wait) for wait in waits if wait is not None), default=None)

    def _on_event(self, event: Any) -> None:
        match event:
            case Output(rank, stream, _, _):
                if self._wishes.get("output-filter" if stream == 1 else "error-filter", rank) == rank:
                    self._output.take(event)
            case TaskEnded(_, rank, status):
                self._on_task_ended(rank, status)
            case NodeEnded():
                pass

    def _on_task_ended(self, rank: int, status: int) -> None:
        PROGRAM.verbose(f"1 tasks finished (rc={status})")
        if status & 0x7F:
            PROGRAM.verbose(f"task {rank} killed by signal {status & 0x7F}")
            return
        code = (status >> 8) & 0xFF
        self._status = max(self._status, code)
        if code:
            self._output.write()
            PROGRAM.error(f"task {rank} exited with exit code {code}")

    def _on_input(self) -> None:
        from corral.protocol.streams import TYPED_MOST

        try:
            data = os.read(0, TYPED_MOST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._listener.type(data, self._wishes.get("input-filter"))
        else:
            self._reads_input = False  # the tasks' input is not at its end for that: it is another client's

    def _on_silence(self) -> None:
        """Nodes where nobody has answered: their part was over when we came."""
        if not self._silent_at or time.monotonic() < self._silent_at:
            return
        self._silent_at = 0.0
        for node, heard in enumerate(self._listener.has_heard):
            if not heard and not self._listener.over[node]:
                self._say_nothing_runs(node)

    def _say_nothing_runs(self, node: int) -> None:
        PROGRAM.info(f"Node {self._names[node]}: no tasks running")
        self._listener.over[node] = True


__all__ = ["main", "sattach"]
