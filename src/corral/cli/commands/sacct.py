"""sacct: what became of jobs and their steps?"""

from __future__ import annotations

import os
import sys
import time

from corral.cli import command, fields, history_columns, jobstates, query
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.run import Exit, Program
from corral.cli.run import main as run
from corral.cli.times import moment
from corral.cli.usage_columns import EXACT, Units
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from corral.cli.data_parser import document

    Row = dict[str, Any]

FORMAT = "jobid,jobname,partition,account,alloccpus,state,exitcode"
BRIEF = "jobid,state,exitcode"
LONG = (
    "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,maxrsstask,averss,maxpages,"
    "maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,alloccpus,elapsed,state,exitcode,avecpufreq,"
    "reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy,maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,"
    "maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite,reqtres,alloctres,tresusageinave,tresusageinmax,"
    "tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutmax,"
    "tresusageoutmaxnode,tresusageoutmaxtask,tresusageoutave,tresusageouttot"
)

OPTIONS = (
    ("allusers", "a", NO), ("accounts", "A", REQUIRED), ("allocations", "X", NO), ("associations", "x", REQUIRED),
    ("batch-script", "B", NO), ("brief", "b", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED),
    ("completion", "c", NO), ("constraints", "C", REQUIRED), ("delimiter", "", REQUIRED), ("duplicates", "D", NO),
    ("env-vars", "", NO), ("federation", "", NO), ("file", "f", REQUIRED), ("flags", "F", REQUIRED), ("gid", "g", REQUIRED),
    ("group", "g", REQUIRED), ("help", "h", NO), ("helpformat", "e", NO), ("jobs", "j", REQUIRED), ("json", "", OPTIONAL),
    ("timelimit-max", "K", REQUIRED), ("timelimit-min", "k", REQUIRED), ("local", "", NO), ("long", "l", NO),
    ("allclusters", "L", NO), ("nodelist", "N", REQUIRED), ("noconvert", "", NO), ("ncpus", "I", REQUIRED),
    ("nnodes", "i", REQUIRED), ("noheader", "n", NO), ("format", "o", REQUIRED), ("name", "", REQUIRED), ("parsable", "p", NO),
    ("parsable2", "P", NO), ("qos", "q", REQUIRED), ("partition", "r", REQUIRED), ("reason", "", REQUIRED),
    ("state", "s", REQUIRED), ("starttime", "S", REQUIRED), ("endtime", "E", REQUIRED), ("truncate", "T", NO),
    ("uid", "u", REQUIRED), ("user", "u", REQUIRED), ("units", "", REQUIRED), ("usage", "", NO), ("use-local-uid", "", NO),
    ("verbose", "v", NO), ("version", "V", NO), ("wckeys", "W", REQUIRED), ("whole-hetjob", "", OPTIONAL), ("yaml", "", OPTIONAL),
)  # fmt: skip

#: Where its fields are listed.
FIELD_TABLES = {"fields": "corral.cli.history_columns:FIELDS"}

VARIABLES = {"SACCT_FORMAT": "format"}
SWITCHES = {"SACCT_FEDERATION": "federation", "SACCT_LOCAL": "local"}

#: Given again, these are added to.
_LISTS = frozenset(("accounts", "clusters", "jobs", "name", "partition", "qos", "state", "user", "format"))
_SAME = {"uid": "user", "gid": "group", "cluster": "clusters"}


#: A job passes through these, and no run has ended in one.
NOT_ACCOUNTED = frozenset(
    (
        "COMPLETING", "CONFIGURING", "RESV_DEL_HOLD", "REQUEUE_FED", "REQUEUE_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT",
        "STOPPED",
    )
)  # fmt: skip


#: How a job came to run; the last is Slurm's spelling of what is true of all that have started.
STARTED_BY = ["SchedMain", "SchedBackfill", "SchedSubmit", "StartRecieved"]


def main() -> NoReturn:
    program = Program("sacct")
    run(program, lambda argv: Sacct(program, argv).main())


class Sacct:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, left = command.options(program, argv, OPTIONS, {}, try_line=False)
        if left:
            raise Exit(1, "sacct: error: Unknown arguments:", *[f"sacct: error:  {word}" for word in left])
        self.given: dict[str, str | None] = {}
        for name, value in found:
            name = _SAME.get(name, name)
            before = self.given.get(name) if name in _LISTS else None
            self.given[name] = f"{before},{value}" if before else value
        self.form: document.Form | None = None
        if "json" in self.given or "yaml" in self.given:
            from corral.cli.data_parser import document

            self.form = document.form_of(program, self.given)
        self.cluster = ""
        self.parsable = next((name for name, _ in reversed(found) if name.startswith("parsable")), "")
        self.chosen = self._fields(any(name == "format" for name, _ in found))

    def _fields(self, has_format: bool) -> list[fields.Chosen]:
        given = self.given
        if "completion" in given:
            raise Exit(1, "Slurm job completion is disabled")
        if "file" in given:
            raise Exit(1, f"{given['file']} is not a valid file")
        if given.get("whole-hetjob") not in (None, "yes", "no"):
            raise self.program.failed(
                f'Invalid --whole-hetjob value "{given["whole-hetjob"]}". Valid values: [yes|no].', 1
            )
        if has_format and "long" in given:
            raise self._fatal(
                "Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry."
            )
        text = given.get("format") or os.environ.get("SACCT_FORMAT") or FORMAT
        if not has_format:
            text = LONG if "long" in given else BRIEF if "brief" in given else text
        try:
            return history_columns.parse(text, self._units())
        except fields.UnknownField as error:
            raise Exit(1, f'sacct: error: Invalid field requested: "{error}"') from None

    def _units(self) -> Units:
        letter = (self.given.get("units") or "")[:1]
        if "units" in self.given and (not letter or letter not in "KMGTP"):
            raise Exit(
                1,
                f"sacct: error: Invalid unit type '{letter}'. Possible options are 'KMGTP'",
                "sacct: fatal: Invalid unit type",
            )
        return Units(letter, "noconvert" in self.given) if letter or "noconvert" in self.given else EXACT

    def _fatal(self, text: str) -> Exit:
        return Exit(1, f"sacct: fatal: {text}")

    # -- what is asked

    def _ids(self) -> tuple[list[str], set[str]]:
        """The jobs, and the steps of them that alone are to be shown."""
        from corral.errors import InvalidJobId
        from corral.syntax import jobid

        jobs, steps = [], set()
        for word in command.apart(self.given.get("jobs") or ""):
            try:
                reference = jobid.parse(word)
            except InvalidJobId:
                raise self._fatal(f"Bad job/step specified: {word}") from None
            whole = str(reference._replace(step=""))
            jobs.append(whole)
            if reference.step:
                steps.add(str(reference))
        return jobs, steps

    def _states(self) -> list[str]:
        words = command.words(self.given.get("state"))
        try:
            states = jobstates.parse(words)
            for word, state in zip(words, states, strict=True):
                if state in NOT_ACCOUNTED:
                    raise self._fatal(f"job state {word} is not supported / accounted")
            return states
        except jobstates.UnknownState as error:
            raise self._fatal(f"unrecognized job state value '{error}'") from None

    def _window(self, by_job: bool, by_state: bool) -> tuple[float, float]:
        """From when to when; 0 = open. Without -S it begins with today, with states now, with jobs at the beginning.

        Without -E it ends now; but with states it is the moment of -S, as in Slurm.
        """
        now = time.time()
        since, until = self._time("starttime", now), self._time("endtime", now)
        end = until
        if end is None:
            end = since if by_state and since is not None else now
        if since is None:
            if by_job:
                since = 0.0
            elif by_state:
                since = now
            else:
                since = time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))
        if since > (until or now):
            raise self.program.failed(
                f"Start time ({moment(since)}) requested is after end time ({moment(until or now)}).", 1
            )
        return since, 0.0 if by_job and not by_state else end

    def _time(self, name: str, now: float) -> float | None:
        text = self.given.get(name)
        if text is None:
            return None
        from corral.errors import InvalidTimestamp
        from corral.syntax import timestamp

        try:
            return timestamp.parse(text, now, past=True)
        except InvalidTimestamp:
            raise Exit(1, f"Invalid time specification (pos=0): {text}") from None

    def _users(self) -> list[str]:
        known, unknown = command.user_ids(command.words(self.given.get("user")))
        if unknown:
            raise self.program.failed(f"Invalid user id: {unknown[0]}", 1)
        return known

    def _groups(self) -> list[int]:
        words = command.words(self.given.get("group"))
        if not words:
            return []
        import grp

        found = []
        for text in words:
            try:
                found.append((grp.getgrgid(int(text)) if text.isdigit() else grp.getgrnam(text)).gr_gid)
            except (KeyError, OverflowError):
                raise self.program.failed(f"Invalid group id: {text}", 1) from None
        return found

    def _bounds(self, name: str, what: str) -> str:
        text = self.given.get(name)
        if text is None:
            return ""
        low, dash, high = text.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise self.program.failed(f'Invalid numeric value "{text}" for requested {what} range.', 1)
        return f"{int(low)}-{int(high) if dash else int(low)}"

    def _time_limits(self) -> str:
        """-k alone: exactly so long; -K counts only with it."""
        least, most = self._limit("timelimit-min"), self._limit("timelimit-max")
        return f"{least}-{least if most is None else most}" if least is not None else ""

    def _limit(self, name: str) -> int | None:
        text = self.given.get(name)
        if text is None:
            return None
        from corral.errors import InvalidDuration
        from corral.syntax import duration

        try:
            return duration.parse(text) // 60 * 60
        except InvalidDuration:
            raise self._fatal("Invalid time limit specification") from None

    def _associations(self) -> list[int]:
        """What is no number is no association's."""
        words = command.words(self.given.get("associations"))
        return [int(word) if word.isdigit() and len(word) < 10 else -1 for word in words]

    def _started_by(self) -> list[str]:
        found = []
        for word in command.words(self.given.get("flags")):
            known = [flag for flag in STARTED_BY if flag.lower() == word.lower()]
            if not known:
                raise self.program.failed(f"str_2_job_flags: Invalid job flag {word}", 1)
            found += STARTED_BY[:3] if known[0] == "StartRecieved" else known
        return found

    def _nothing_is_meant(self) -> bool:
        """What is asked for is of a kind that no job here has."""
        return "wckeys" in self.given

    # -- the work

    def main(self) -> int:
        if "helpformat" in self.given:
            sys.stdout.write(history_columns.help_lines())
            return 0
        jobs, steps = self._ids()
        states = self._states()
        since, until = self._window(bool(jobs), bool(states))
        if "env-vars" in self.given:
            if not jobs:
                raise self._fatal(
                    "When requesting job environment you must also request specific jobs with the '-j' option."
                )
            if "batch-script" in self.given:
                raise self._fatal("Options --batch-script and --env-vars are mutually exclusive")
            return self._texts(jobs, "environment", "Environment used for {} (must be batch to display)")
        if "batch-script" in self.given:
            if not jobs:
                raise self._fatal(
                    "When requesting job scripts you must also request specific jobs with the '-j' option."
                )
            return self._texts(jobs, "script", "Batch Script for {}")
        users = self._users()
        needed = {"jobid", "step", "cluster"}
        needed.update(need for one in self.chosen for need in one.field.needs)
        if "truncate" in self.given:
            needed |= {"start", "end", "elapsed", "suspended"}
        path = query.url(
            "/v1/history", ids=jobs, users=users, accounts=self.given.get("accounts"), partitions=self.given.get("partition"),
            names=self.given.get("name"), qos=self.given.get("qos"), nodes=self.given.get("nodelist"), gids=self._groups(),
            constraints=self.given.get("constraints"), associations=self._associations(), started_by=self._started_by(),
            reasons=self.given.get("reason"), node_counts=self._bounds("nnodes", "node"),
            cpu_counts=self._bounds("ncpus", "cpu"), time_limits=self._time_limits(),
            states=jobstates.here(states), since=since, until=until,
            all_users=not users and ("allusers" in self.given or os.geteuid() == 0 or bool(jobs)),
            duplicates="duplicates" in self.given, steps="allocations" not in self.given,
            fields=() if self.form else sorted(needed),
        )  # fmt: skip
        self.program.verbose(path)
        rows: list[Row] = []
        if (not states or jobstates.here(states)) and not self._nothing_is_meant():
            try:
                with Connection() as connection:
                    rows = query.Rows(connection.request("GET", path)).dicts()
                    if self.form is not None:
                        self.cluster = connection.request("GET", "/v1/ping")["cluster"]
            except Unreachable as error:
                raise command.unreachable("sacct: error", error) from None
            except Refused as error:
                raise self.program.failed(str(error), 1) from None
        clusters = command.words(self.given.get("clusters"))
        if clusters and "all" not in clusters:
            rows = [row for row in rows if row["cluster"] in clusters]
        if steps:
            rows = [
                row
                for row in rows
                if row["jobid"] in steps or row["jobid"].partition(".")[0] in set(jobs) - _whole(steps)
            ]
        if "truncate" in self.given:
            now = time.time()
            for row in rows:
                _truncate(row, since, until or now)
        self.write(rows)
        return 0

    def _texts(self, jobs: list[str], what: str, title: str) -> int:
        """-B, --env-vars: as long as a job is in memory both are kept."""
        with Connection() as connection:
            for job in jobs:
                try:
                    text = connection.request("GET", f"/v1/jobs/{query.quote(job)}/{what}")
                except Unreachable as error:
                    raise command.unreachable("sacct: error", error) from None
                except Refused:
                    text = "NONE\n"
                sys.stdout.write(f"{title.format(job)}\n{'-' * 80}\n{text}\n")
        return 0

    def write(self, rows: list[Row]) -> None:
        if self.form is not None:
            if self.form.is_old:
                from corral.cli import history_json

                history_json.write(self.form, rows)
            else:
                from corral.cli.data_parser import history

                history.write(self.form, rows, self.cluster or (rows[0]["cluster"] if rows else ""))
            return
        header = "noheader" not in self.given
        if self.parsable:
            mark = self.given.get("delimiter", "|")
            assert mark is not None
            lines = fields.separated_lines(self.chosen, rows, header, mark, self.parsable == "parsable")
        else:
            lines = fields.table_lines(self.chosen, rows, header)
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")


def _whole(steps: set[str]) -> set[str]:
    return {step.partition(".")[0] for step in steps}


def _truncate(row: Row, since: float, until: float) -> None:
    """-T: only what lies within the window."""
    if not row["start"]:
        return
    row["start"] = max(row["start"], since)
    row["end"] = min(row["end"] or until, until)
    row["elapsed"] = max(0.0, int(row["end"]) - int(row["start"]) - row["suspended"])
