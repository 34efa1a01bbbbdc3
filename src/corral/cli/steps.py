"""How does srun get a step of a job that it runs in (or that --jobid names)?"""

from __future__ import annotations

import time

from corral.cli.deathwatch import DeathWatch
from corral.cli.interruption import Interrupted, Interruptible
from corral.cli.launched import Step
from corral.cli.run import Exit, Program, failure
from corral.client.connection import Connection, new_key
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.given import Given

BUSY = "Requested nodes are busy"
COMPLETED = "Job/step already completing or completed"
#: The controller does not say when other steps have made room: asked again so soon, then less and less often.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Inside a job a controller that is being restarted is waited for.
PATIENCE = 600.0


def create_step(
    program: Program, job_id: int, spec: dict[str, Any], variables: dict[str, str], given: Given
) -> tuple[Step, Callable[[], None]]:
    """Ask until there is room (or not longer than --immediate says); what the real one says meanwhile. And what to call when it is over."""
    try:
        with Interruptible() as signals:
            step = _created(program, job_id, spec, variables, given, signals)
            watch = DeathWatch(f"{step.job_id}.{step.step_id}")
            signals.release()
            return step, watch.dismiss
    except Interrupted as why:
        raise cancelled(program, job_id, why) from None


def cancelled(program: Program, job_id: int, why: Interrupted) -> Exit:
    """A signal before there was a step; what there is of it by now is ended by its watch."""
    program.info(f"Cancelled pending job step with signal {why.number}")
    return Exit(failure(), f"{program.name}: error: Unable to create step for job {job_id}: {COMPLETED}")


def _created(
    program: Program, job_id: int, spec: dict[str, Any], variables: dict[str, str], given: Given, signals: Interruptible
) -> Step:
    request = {"type": "CreateStep", "job": str(job_id), "spec": spec, "environment": variables}
    asked_since = time.monotonic()
    waits = False
    pause = FIRST_PAUSE
    with Connection() as connection:
        if not {"ntasks", "ntasks-per-node", "nodes"} & set(given.values) and "jobid" not in given.from_environment:
            spec["ntasks"] = _one_task_per_node(connection, job_id)
        while True:
            signals.hold(connection)
            try:
                reply = connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=PATIENCE)
            except Refused as error:
                if error.fields.get("code") == "srun_programs":
                    raise
                patience = given.get("immediate")
                gone = time.monotonic() - asked_since
                if error.fields.get("code") != "busy" or (patience is not None and gone >= patience):
                    raise refused(program, job_id, error) from None
            else:
                if waits:
                    program.info(f"Step created for job {job_id}")
                return _step_of(reply)
            signals.release()
            if not waits:
                program.info(f"Job {job_id} step creation temporarily disabled, retrying ({BUSY})")
                waits = True
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)


def _one_task_per_node(connection: Connection, job_id: int) -> int | None:
    """From outside of the job nothing is known of its tasks, so the real one starts one on each node."""
    try:
        found = connection.request("GET", f"/v1/jobs/{job_id}?fields=node_count")
    except Refused:
        return None
    return found["rows"][0][0] or None if found["rows"] else None


def refused(program: Program, job_id: int, error: Refused) -> Exit:
    """In the words of the real one, which asks after the job before it asks for the step."""
    name, text, detail = program.name, error.error, error.fields.get("detail", "")
    expired = f"{name}: Check SLURM_JOB_ID environment variable. Expired or invalid job {job_id}"
    if text in ("Invalid job id specified", "Job is pending execution", COMPLETED):
        first = f"Unable to confirm allocation for job {job_id}: {text}"
        if text.startswith("Job/step already"):
            first = f"Slurm job {job_id} has expired"
        return Exit(failure(), f"{name}: error: {first}", expired)
    lines = [f"{name}: error: {detail}"] if detail and detail != text else []
    if not detail.startswith("Only allocated"):
        lines.append(f"{name}: error: Unable to create step for job {job_id}: {text}")
    return Exit(failure(), *lines)


def _step_of(reply: dict[str, Any]) -> Step:
    made = reply["step"]
    job_id, number, *_ = made["key"]
    return Step(job_id, number, [node["share"]["node"] for node in made["nodes"]], made["ntasks"], reply["access"])
