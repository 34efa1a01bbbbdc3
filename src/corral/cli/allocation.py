"""How do srun and salloc get a job of their own, and what do they say while it waits?"""

from __future__ import annotations

import os
import time

from corral.cli.deathwatch import DeathWatch
from corral.cli.interruption import Interrupted, Interruptible
from corral.cli.launched import Step
from corral.cli.run import Exit, Program, failure
from corral.cli.submission import POLL_SECONDS, row_of, submit
from corral.client.connection import Connection, new_key
from corral.errors import CorralError, Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from corral.cli.given import Given

    T = TypeVar("T")

#: A job that starts so soon is not said to wait.
SOON_SECONDS = 0.3
#: --immediate without a number.
IMMEDIATE_SECONDS = 1.0
_FIELDS = "id,state,reason,nodes,node_names,node_count,ntasks,exit_code"
_WAITING = ("PENDING",)
_GRANTED = ("CONFIGURING", "RUNNING", "SUSPENDED")


class Allocation:
    """The job of an srun or salloc, from its submission until it holds its nodes."""

    def __init__(
        self,
        program: Program,
        job: dict[str, Any],
        given: Given,
        others: Sequence[dict[str, Any]],
        signals: Interruptible,
        is_watched: bool = False,
    ) -> None:
        """Signals are held until `wait`, when there is somebody to cancel it. Watched: it does not outlive us, however we end."""
        self._program = program
        self._given = given
        self._signals = signals
        self.connection = Connection()
        signals.hold(self.connection)
        self.job_id = submit(program, self.connection, job, given.get("uid", ""), given.get("gid", ""), others)
        self.watch = DeathWatch(f"{self.job_id}") if is_watched else None
        self.was_queued = False

    def wait(self, on_queued: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Until the job has its nodes; its row. `on_queued` says what comes before "queued and waiting"."""
        self._signals.release()
        patience = self._given.get("immediate")
        since = time.monotonic()
        limit = None if patience is None else max(float(patience), IMMEDIATE_SECONDS)
        row = self._poll(SOON_SECONDS)
        while row.get("state") in _WAITING:
            gone = time.monotonic() - since
            if limit is not None:
                if gone >= limit:
                    self.cancel()
                    reason = str(row.get("reason") or "").partition(",")[0]
                    raise TooLate(_NOT_BUSY.get(reason, "Requested nodes are busy"))
                row = self._poll(max(0.05, limit - gone))
                continue
            if not self.was_queued:
                self.was_queued = True
                self._say_queued(row, on_queued)
            row = self._poll(POLL_SECONDS)
        return row

    def _poll(self, seconds: float) -> dict[str, Any]:
        """The job's row, as soon as it has started or after so many seconds. A controller that is away is waited for."""
        path = f"/v1/jobs/{self.job_id}/wait?until=started&timeout={seconds}&fields={_FIELDS}"
        while True:
            try:
                return row_of(self.connection.request("GET", path))
            except Refused:
                return {"state": ""}
            except CorralError:
                time.sleep(0.5)

    def _say_queued(self, row: dict[str, Any], on_queued: Callable[[int], None] | None) -> None:
        say = self._program.info
        if row.get("reason") in ("PartitionConfig", "PartitionNodeLimit"):
            say("Requested partition configuration not available now")
        elif row.get("reason") in ("JobHeldUser", "JobHeldAdmin"):
            say("Job is in held state, pending scheduler release")
        if on_queued is not None:
            on_queued(self.job_id)
        say(f"job {self.job_id} queued and waiting for resources")

    def dismiss_watch(self) -> None:
        """The job is over, or somebody else's care."""
        if self.watch is not None:
            self.watch.dismiss()
            self.watch = None

    def cancel(self) -> None:
        """Give the job up."""
        request = {"type": "CancelJobs", "selection": {"ids": [str(self.job_id)]}}
        try:
            with Connection(timeout=5.0) as connection:
                connection.request("POST", "/v1/requests", request, key=new_key())
        except CorralError:
            pass


class TooLate(Exception):
    """--immediate: the resources were not there in time; the text says why."""


#: What the real one says when it is not that the nodes are busy.
_NOT_BUSY = {
    "PartitionConfig": "Requested partition configuration not available now",
    "PartitionNodeLimit": "Requested partition configuration not available now",
    "ReqNodeNotAvail": "Required node not available (down, drained or reserved)",
}


def is_granted(row: dict[str, Any]) -> bool:
    return row.get("state") in _GRANTED


def immediate_status() -> int:
    given = os.environ.get("SLURM_EXIT_IMMEDIATE", "")
    return int(given) & 0xFF if given.isdigit() else failure()


def allocate(
    program: Program, job: dict[str, Any], given: Given, others: Sequence[dict[str, Any]] = ()
) -> tuple[Allocation, dict[str, Any]]:
    """For srun: its own job (and the other components of a heterogeneous one), once it is decided, and the job's row."""
    return _held(program, job, given, others, Allocation.wait)


def allocate_and_launch(program: Program, job: dict[str, Any], given: Given) -> tuple[Step, Callable[[], None]]:
    """The job is submitted with its step, which starts as soon as the job does; what to call when it is over."""
    allocation, step = _held(program, job, given, (), lambda allocation: _step_of(allocation, allocation.wait()))
    if step is None:
        allocation.dismiss_watch()
        program.info("Job has been cancelled")
        raise program.failed("Unable to allocate resources: Job/step already completing or completed")
    if allocation.was_queued:
        program.info(f"job {allocation.job_id} has been allocated resources")
    return step, allocation.dismiss_watch


def _held(
    program: Program,
    job: dict[str, Any],
    given: Given,
    others: Sequence[dict[str, Any]],
    until: Callable[[Allocation], T],
) -> tuple[Allocation, T]:
    """A watched job, waited for; given up when a signal comes."""
    with Interruptible() as signals:
        try:
            allocation = Allocation(program, job, given, others, signals, is_watched=True)
        except Interrupted:  # there is no controller
            raise Exit(failure()) from None
        job_id = allocation.job_id
        try:
            return allocation, until(allocation)
        except Interrupted:
            allocation.cancel()
            program.info(f"Job allocation {job_id} has been revoked")
            program.info(f"Force Terminated JobId={job_id}")
            raise Exit(failure()) from None
        except TooLate as why:
            allocation.dismiss_watch()
            raise Exit(immediate_status(), f"srun: error: Unable to allocate resources: {why}") from None


def _step_of(allocation: Allocation, row: dict[str, Any]) -> Step | None:
    """Its step 0; None = the job has ended without one."""
    job_id = allocation.job_id
    while True:
        try:
            access = allocation.connection.request("GET", f"/v1/jobs/{job_id}/access/0")
            step = row_of(allocation.connection.request("GET", f"/v1/steps/{job_id}/0/wait?timeout=0"))
            return Step(job_id, 0, step["node_names"], step["ntasks"], access)
        except Refused:
            if not is_granted(row):
                return None
        except CorralError:
            pass
        # Granted, but its step is not there: a node has failed just now, or the controller is being restarted.
        time.sleep(0.1)
        row = allocation._poll(0)
