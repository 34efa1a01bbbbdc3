"""sstat: what do running steps use now?"""

from __future__ import annotations

import sys

from corral.cli import command, fields, query, sstat_columns
from corral.cli.getopt import NO, REQUIRED
from corral.cli.run import Exit, Program
from corral.cli.run import main as run
from corral.cli.usage_columns import EXACT, Units
from corral.client.connection import Connection
from corral.errors import InvalidJobId, Refused, Unreachable
from corral.syntax import jobid

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    Row = dict[str, Any]

FORMAT = (
    "jobid,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,maxrsstask,averss,maxpages,maxpagesnode,maxpagestask,"
    "avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,consumedenergy,"
    "maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite,"
    "tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,tresusageinminnode,tresusageinmintask,"
    "tresusageintot,tresusageoutave,tresusageoutmax,tresusageoutmaxnode,tresusageoutmaxtask,tresusageoutmin,tresusageoutminnode,"
    "tresusageoutmintask,tresusageouttot"
)
PIDS = "jobid,nodelist,pids"

OPTIONS = (
    ("allsteps", "a", NO), ("helpformat", "e", NO), ("help", "h", NO), ("pidformat", "i", NO), ("jobs", "j", REQUIRED),
    ("noheader", "n", NO), ("fields", "o", REQUIRED), ("format", "o", REQUIRED), ("noconvert", "", NO), ("parsable", "p", NO),
    ("parsable2", "P", NO), ("usage", "", NO), ("verbose", "v", NO), ("version", "V", NO),
)  # fmt: skip

_SAME = {"fields": "format"}


def main() -> NoReturn:
    program = Program("sstat")
    run(program, lambda argv: Sstat(program, argv).main())


class Sstat:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, left = command.options(program, argv, OPTIONS, try_line=False)
        self.given = {_SAME.get(name, name): value for name, value in found}
        self.parsable = next((name for name, _ in reversed(found) if name.startswith("parsable")), "")
        self.words = [word for name, value in found if name == "jobs" for word in command.apart(value or "")]
        self.words += [word for text in left for word in command.apart(text)]

    def main(self) -> int:
        if "helpformat" in self.given:
            sys.stdout.write(fields.help_lines(sstat_columns.FIELDS))
            return 0
        units = Units(as_they_are=True) if "noconvert" in self.given else EXACT
        text = PIDS if "pidformat" in self.given else self.given.get("format") or FORMAT
        try:
            chosen = fields.parse(sstat_columns.FIELDS, text, units)
        except fields.UnknownField as error:
            raise Exit(1, f'sstat: error: Invalid field requested: "{error}"') from None
        refs = [self._ref(word) for word in self.words]
        if not refs:
            raise Exit(1, "sstat: error: You didn't give me any jobs to stat.")
        self._write(fields_lines(chosen, (), self.parsable, "noheader" not in self.given))
        try:
            with Connection() as connection:
                for ref in refs:
                    rows = list(self._rows(connection, ref))
                    self._write(fields_lines(chosen, rows, self.parsable, False))
        except Unreachable as error:
            raise command.unreachable("sstat: error", error) from None
        except Refused as error:
            raise self.program.failed(str(error), 1) from None
        return 0

    def _write(self, lines: list[str]) -> None:
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()  # what goes wrong with the next one is said behind it

    def _ref(self, word: str) -> jobid.JobRef:
        try:
            return jobid.parse(word)
        except InvalidJobId:
            number, dot, _ = word.partition(".")
            if dot and number.isdigit():
                raise Exit(1, f"sstat: fatal: Bad step specified: {number}") from None
            raise Exit(1, f"sstat: fatal: Bad job/step specified: {word}") from None

    # -- which steps

    def _rows(self, connection: Connection, ref: jobid.JobRef) -> Iterator[Row]:
        steps = self._steps(connection, ref)
        if not steps:
            return
        names = [f"{step['job']}.{step['text'].partition('.')[2]}" for step in steps]
        for row in query.rows(connection, "/v1/usage", steps=names).dicts():
            for node in row["missing"]:
                self._complain(
                    f"slurm_job_step_stat: there was an error with the request to {node} rc = Communication connection failure"
                )
            if row["pids"]:
                yield from self._by_node(row) if "pidformat" in self.given else [row | {"all_pids": _flat(row["pids"])}]

    def _by_node(self, row: Row) -> Iterator[Row]:
        for node, pids in sorted(row["pids"].items()):
            yield row | {"nodes": node, "all_pids": pids}

    def _steps(self, connection: Connection, ref: jobid.JobRef) -> list[Row]:
        whole = str(ref._replace(step=""))
        found = query.rows(connection, "/v1/steps", ("job", "step", "text"), job=whole).dicts()
        found.sort(key=lambda step: (step["job"], step["step"]))
        if ref.step:
            named = [step for step in found if step["text"].partition(".")[2] == ref.step]
            if not named:
                self._complain(f"StepId={whole}.{ref.step} not found running.")
            return named
        if not found:
            known = query.rows(connection, "/v1/jobs", ("id",), ids=whole).rows
            self._complain(f"No steps running for job {whole}" if known else f"couldn't get steps for job {whole}")
        if "allsteps" in self.given:
            return found
        return [step for step in found if step["step"] >= 0][:1]

    def _complain(self, text: str) -> None:
        sys.stderr.write(f"sstat: error: {text}\n")


def _flat(pids: dict[str, list[int]]) -> list[int]:
    return [pid for _, some in sorted(pids.items()) for pid in some]


def fields_lines(chosen: list[fields.Chosen], rows: Any, parsable: str, header: bool) -> list[str]:
    if parsable:
        return fields.separated_lines(chosen, rows, header, "|", parsable == "parsable")
    return fields.table_lines(chosen, rows, header)
