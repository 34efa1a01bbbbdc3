"""scancel: end jobs, or send them a signal."""

from __future__ import annotations

import os
import sys

from corral.cli import clusters, command, job_columns, jobstates, query, signals
from corral.cli.getopt import NO, REQUIRED
from corral.cli.run import Exit, Program, say
from corral.cli.run import main as run
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

OPTIONS = (
    ("account", "A", REQUIRED), ("batch", "b", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("cron", "", NO),
    ("ctld", "", NO),
    ("full", "f", NO), ("help", "", NO), ("hurry", "H", NO), ("interactive", "i", NO), ("jobname", "n", REQUIRED), ("me", "", NO),
    ("name", "n", REQUIRED), ("nodelist", "w", REQUIRED), ("partition", "p", REQUIRED), ("qos", "q", REQUIRED),
    ("quiet", "Q", NO), ("reservation", "R", REQUIRED), ("sibling", "", REQUIRED), ("signal", "s", REQUIRED),
    ("state", "t", REQUIRED), ("usage", "", NO), ("user", "u", REQUIRED), ("verbose", "v", NO), ("version", "V", NO),
    ("wckey", "", REQUIRED),
)  # fmt: skip

REFUSED = {
    "hurry": "there are no burst buffers whose stage-out could be left out",
    "sibling": "there are no federations here",
}

VARIABLES = {
    "SCANCEL_ACCOUNT": "account", "SCANCEL_NAME": "name", "SCANCEL_PARTITION": "partition", "SCANCEL_QOS": "qos",
    "SCANCEL_STATE": "state", "SCANCEL_USER": "user", "SCANCEL_WCKEY": "wckey",
}  # fmt: skip
SWITCHES = {"SCANCEL_BATCH": "batch", "SCANCEL_FULL": "full", "SCANCEL_INTERACTIVE": "interactive"}

FILTERS = ("account", "name", "partition", "qos", "reservation", "state", "user", "nodelist", "wckey")

#: Spellings of one option.
_SAME = {"jobname": "name", "cluster": "clusters"}

SIGKILL = 9

#: Slurm's error number of a refusal, as far as an exit status can hold it.
DENIED = 210
#: And where there is no such step.
NO_STEP = 225
#: A signal for a job that has not begun.
TRANSITION = 228
ONE_COMPONENT = 60  #: of a heterogeneous job that waits

#: Of a job named by its id, these are no news: it is not there any more.
_OVER = ("Invalid job id specified", "Job/step already completing or completed")


def main() -> NoReturn:
    program = Program("scancel")
    run(program, lambda argv: Scancel(program, argv).main())


class Scancel:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, words = command.options(program, argv, OPTIONS, REFUSED)
        given: dict[str, str | None] = {name: os.environ[key] for key, name in VARIABLES.items() if key in os.environ}
        given |= {name: None for key, name in SWITCHES.items() if os.environ.get(key)}
        for name, value in found:
            if name == "verbose":
                program.verbosity += 1
            elif name == "quiet":
                program.verbosity = -1
            elif name == "me":
                given["user"] = command.own_name()
            else:
                given[_SAME.get(name, name)] = value
        self.given = given
        self.signal = self._signal()
        self.ids = [self._id(text) for word in words for text in command.apart(word)]
        self.filters = [name for name in FILTERS if given.get(name) is not None]
        if not self.ids and not self.filters:
            raise program.failed("No job identification provided", 1)
        self.selection = self._selection()

    def _signal(self) -> int:
        """0 = end the job."""
        text = self.given.get("signal")
        if text is None:
            return 0
        number = signals.number(text)
        if not number:
            raise Exit(1, f"Unknown job signal: {text}")
        return number

    def _id(self, text: str) -> str:
        from corral.errors import InvalidJobId
        from corral.syntax import jobid

        try:
            reference = jobid.parse(text)
        except InvalidJobId:
            raise self.program.failed(f"Invalid job id {text}", 1) from None
        if not reference.job:
            raise self.program.failed(f"Invalid job id {text}", 1)
        return str(reference)

    def _selection(self) -> dict[str, Any] | None:
        """As the controller takes it; None = nothing can be meant."""
        given = self.given
        selection: dict[str, Any] = {"ids": self.ids}
        for name, field in (
            ("account", "accounts"),
            ("name", "names"),
            ("partition", "partitions"),
            ("qos", "qos"),
            ("wckey", "wckeys"),
        ):
            if given.get(name):
                selection[field] = command.words(given[name])
        if given.get("user") is not None:
            known, unknown = command.user_ids([given["user"] or ""])
            if unknown:
                raise self.program.failed(f"Invalid user name: {unknown[0]}", 1)
            selection["users"] = known
        if given.get("state") is not None:
            try:
                states = jobstates.here(jobstates.parse(command.words(given["state"])))
            except jobstates.UnknownState as error:
                raise Exit(
                    1, f"Invalid job state specified: {error}", "Valid job states are PENDING, RUNNING, and SUSPENDED"
                ) from None
            if not states:
                return None
            selection["states"] = states
        if given.get("nodelist"):
            from corral.errors import InvalidHostlist
            from corral.syntax import hostlist

            try:
                selection["nodes"] = hostlist.expand(given["nodelist"] or "")
            except InvalidHostlist as error:
                raise self.program.failed(str(error), 1) from None
        if given.get("reservation"):
            selection["reservations"] = [given["reservation"]]
        return {key: value for key, value in selection.items() if value}

    # -- the work

    def main(self) -> int:
        if self.selection is None:
            return 0
        try:
            with Connection() as connection:
                named, where = clusters.asked(self.given)
                if named:
                    clusters.own("scancel", connection, named, where)
                if "interactive" in self.given:
                    chosen = self._confirmed(connection)
                    if not chosen:
                        return 0
                    self.selection = {"ids": chosen}
                return self._cancel(connection)
        except Unreachable as error:
            what = f"scancel: error: Kill job error on job id {self.ids[0]}" if self.ids else "slurm_load_jobs error"
            raise command.unreachable(what, error) from None
        except Refused as error:
            raise self.program.failed(str(error), 1) from None

    def _confirmed(self, connection: Connection) -> list[str]:
        """The ids to whose question the answer was yes."""
        selection = self.selection or {}
        rows = query.rows(
            connection, "/v1/jobs", ["id", "array_job_id", "array_task_id", "name", "partition"],
            **{"states": jobstates.LIVE, **selection},
        )  # fmt: skip
        if self.ids and not rows.rows:
            raise self.program.failed(f"Kill job error on job id {self.ids[0]}: {_OVER[0]}", 1)
        chosen = []
        for job, array, task, name, partition in rows.rows:
            text = str(job) if array is None else f"{array}_{task}" if task is not None else str(array)
            shown = text if array is None else f"{text} ({job})"
            sys.stdout.write(f"Cancel job_id={shown} name={name} partition={partition} [y/n]? ")
            sys.stdout.flush()
            if sys.stdin.readline().strip().lower().startswith("y"):
                chosen.append(text)
        return chosen

    def _cancel(self, connection: Connection) -> int:
        if self.program.verbosity > 0:
            self._announce(connection)
        batch, signal = "batch" in self.given, self.signal
        request = {
            "type": "CancelJobs", "selection": self.selection, "signal": signal or (SIGKILL if batch else 0), "batch": batch,
            "full": "full" in self.given, "cron": "cron" in self.given,
        }  # fmt: skip
        reply = connection.request("POST", "/v1/requests", request)
        status = 0
        for problem in reply.get("errors", ()):
            status = max(status, self._told(problem))
        return status

    def _announce(self, connection: Connection) -> None:
        """-v: which jobs are meant; and that there is none which meets all conditions."""
        texts = self.ids
        if self.filters:
            shown = ["id", "array_job_id", "array_task_id", "array_waiting", "array_throttle"]
            conditions = {"states": jobstates.LIVE, **(self.selection or {})}
            rows = query.rows(connection, "/v1/jobs", shown, **conditions)
            texts = [job_columns.job_id(*row) for row in rows.rows]
            if not texts:
                keys = {"name": "job_name"}
                given = "".join(f"{keys.get(name, name)}={self.given[name]} " for name in self.filters)
                self.program.error(f"No active jobs match ALL job filters, including: {given}")
        for text in texts:
            what = "step" if "." in text else "job"
            ends = self.signal in (0, SIGKILL)
            self.program.verbose(f"Terminating {what} {text}" if ends else f"Signal {self.signal} to {what} {text}")

    @property
    def _is_plain(self) -> bool:
        """Jobs that are named are to end, and no more is said: then those that are over already are no news."""
        filters = self.filters or {"batch", "signal"} & set(self.given)
        return not filters and not any("." in text for text in self.ids)

    def _told(self, problem: str) -> int:
        """The exit status for one job that could not be cancelled."""
        what, _, why = problem.rpartition(": ")
        no_such_step = " job step id " in what
        step = "." in what.rpartition(" ")[2]
        if why in _OVER and not self._is_plain:
            why = _OVER[0]
        problem = f"{what.replace('on job id', 'on job step id') if step else what}: {why}"
        if why in _OVER and self._is_plain:
            if self.program.verbosity > 0:
                say(f"scancel: error: {problem}\n")
            return 0
        if self.program.verbosity >= 0:
            say(f"scancel: error: {problem}\n")
        if "individual component" in why:
            return ONE_COMPONENT
        if "can not be altered" in why:
            return TRANSITION
        return DENIED if "denied" in why else NO_STEP if no_such_step else 1
