"""How is a job handed in, and what does the user read when the controller says no?"""

from __future__ import annotations

from corral.cli.given import REFUSED_AS
from corral.cli.run import Exit, Program, failure
from corral.client.connection import Connection, new_key

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corral.errors import Refused

#: Said without the usual beginning: the real commands find it out themselves.
_SAID_ALONE = ("Invalid generic resource (gres) specification",)

#: One long poll lasts so many seconds.
POLL_SECONDS = 60


def submit(
    program: Program,
    connection: Connection,
    job: dict[str, Any],
    user: str = "",
    group: str = "",
    others: Sequence[dict[str, Any]] = (),
) -> int:
    """The job's id. `others`: the further components of a heterogeneous job."""
    request: dict[str, Any] = {"type": "SubmitJobs", "jobs": [job, *others]}
    if others:
        request["het"] = True
    if user:
        request["user"] = user
    if group:
        request["group"] = group
    try:
        reply = connection.request("POST", "/v1/requests", request, key=new_key())
    except Exception as error:
        from corral.errors import Refused

        if not isinstance(error, Refused) or error.fields.get("code") == "srun_programs":
            raise
        raise refusal(program, error, REFUSED_AS[program.name]) from None
    for message in reply.get("messages", ()):
        program.info(message)
    job_id: int = reply["ids"][0]
    return job_id


def refusal(program: Program, error: Refused, beginning: str) -> Exit:
    """What a refused request looks like: a first line with the particulars where there is one, and Slurm's text."""
    lines = []
    detail = error.fields.get("detail", "")
    if detail and detail != error.error:
        lines.append(f"{program.name}: error: {detail}")
    lines.append(f"{program.name}: error: {'' if error.error in _SAID_ALONE else beginning}{error.error}")
    return Exit(failure(), *lines)


def say_when(
    program: Program, job: dict[str, Any], user: str = "", group: str = "", others: Sequence[dict[str, Any]] = ()
) -> int:
    """--test-only: when and where would it start?"""
    import time

    from corral.errors import Refused

    request: dict[str, Any] = {"type": "SubmitJobs", "jobs": [job, *others], "test_only": True}
    if others:
        request["het"] = True
    if user:
        request["user"] = user
    if group:
        request["group"] = group
    try:
        with Connection() as connection:
            reply = connection.request("POST", "/v1/requests", request)
    except Refused as error:
        detail = error.fields.get("detail", "")
        first = [f"{program.name}: error: {detail}"] if detail and detail != error.error else []
        raise Exit(failure(), *first, f"allocation failure: {error.error}") from None
    if "start" not in reply:  # a controller that knows no --test-only
        with Connection() as connection:
            ids = [str(job_id) for job_id in reply.get("ids", ())]
            connection.request("POST", "/v1/requests", {"type": "CancelJobs", "selection": {"ids": ids}}, key=new_key())
        raise program.failed("--test-only is not supported by this controller")
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(reply["start"]))
    where = f"{reply['nodes']}" if others else f"nodes {reply['nodes']} in partition {reply['partition']}"
    program.info(f"Job {reply['job']} to start at {start} using {reply['cpus']} processors on {where}")
    if reply.get("preempts"):
        program.info(f"  Preempts: {','.join(map(str, reply['preempts']))}")
    return 0


def row_of(reply: dict[str, Any]) -> dict[str, Any]:
    """The first row of an answer, by the names of its fields; {} = there is none."""
    rows = reply.get("rows") or [[]]
    return dict(zip(reply.get("fields", ()), rows[0], strict=False))


def exit_status_when_ended(connection: Connection, job_id: int) -> int:
    """sbatch --wait: the highest of the job's (or its elements') exit codes; 1 where there is none."""
    from corral.cli.exitcode import of_job

    while True:
        reply = connection.request("GET", f"/v1/jobs/{job_id}/wait?until=ended&timeout={POLL_SECONDS}")
        rows = [dict(zip(reply["fields"], row, strict=False)) for row in reply["rows"]]
        if rows and all(row["state"] not in _LIVE for row in rows):
            return max(of_job(row) for row in rows)


_LIVE = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING")
