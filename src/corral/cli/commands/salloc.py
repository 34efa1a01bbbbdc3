"""salloc: get nodes, run a command (or a shell) here that may use them, and give them back."""

from __future__ import annotations

import os
import time

from corral.cli import allocated, containers, jobspec
from corral.cli.allocation import Allocation, TooLate, immediate_status, is_granted
from corral.cli.components import read_all
from corral.cli.given import Given
from corral.cli.interruption import Interrupted, Interruptible
from corral.cli.run import BAD_OPTION, Exit, Program, failure
from corral.cli.run import main as run
from corral.client.connection import Connection, new_key
from corral.errors import CorralError

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

PROGRAM = Program("salloc")

#: Waiting longer than this rings the terminal's bell when the nodes are there.
BELL_AFTER_SECONDS = 10


def main() -> NoReturn:
    run(PROGRAM, salloc)


def salloc(argv: list[str]) -> int:
    """From the command line to the exit status."""
    parts = read_all(PROGRAM, argv, anywhere=False)
    given, words = parts[0][0], parts[-1][1]
    if given.get("uid") and os.geteuid() != 0:
        raise Exit(BAD_OPTION, "salloc: error: --uid only permitted by root user")
    if given.get("gid") and os.geteuid() != 0:
        raise Exit(BAD_OPTION, "salloc: error: --gid only permitted by root user")
    if "get-user-env" in given:
        _log_in(given)
    if "x11" in given:
        from corral.cli import x11

        x11.Display(PROGRAM)  # is there one?
        os.environ["SRUN_X11"] = given.get("x11")  # each srun in the allocation brings its windows here
    if "clusters" in given:
        from corral.cli import clusters

        clusters.named("salloc", given.get("clusters"))
    jobs = [new_job(one, words, argv) for one, _ in parts]
    since = time.monotonic()
    with Interruptible() as signals:
        try:
            allocation = Allocation(PROGRAM, jobs[0], given, jobs[1:], signals)
        except Interrupted:  # there is no controller
            raise Exit(failure()) from None
        try:
            return _use(allocation, [one for one, _ in parts], words, since)
        except Interrupted:
            allocation.cancel()
            PROGRAM.info(f"Job allocation {allocation.job_id} has been revoked.")
            PROGRAM.info("Job aborted due to signal")
            raise Exit(failure()) from None


def _use(allocation: Allocation, parts: list[Given], words: list[str], since: float) -> int:
    given = parts[0]
    rows = _granted(allocation)
    if allocation.was_queued:
        PROGRAM.info(f"job {allocation.job_id} has been allocated resources")
    PROGRAM.info(f"Granted job allocation {allocation.job_id}")
    _ring(given, time.monotonic() - since)
    if "no-shell" in given:
        return 0
    return _run_command(allocation, parts, words, rows)


def _log_in(given: Given) -> None:
    """What a login of the user would have in the environment, beside what is there already."""
    if os.geteuid() != 0:
        raise PROGRAM.failed("SlurmdUser must be root to use --get-user-env")
    import pwd

    from corral.daemon.login import login_environment

    uid = int(given.get("uid") or 0)
    for name, value in login_environment(pwd.getpwuid(uid).pw_name, uid).items():
        os.environ.setdefault(name, value)


def new_job(given: Given, words: list[str], argv: list[str]) -> dict[str, Any]:
    """The job as the controller wants it."""
    spec = jobspec.job_spec(given, "salloc")
    spec["name"] = given.get("job-name") or ("no-shell" if "no-shell" in given else "interactive")
    spec["command"] = words[0] if words else ""
    spec["submit_line"] = " ".join(["salloc", *argv])
    return {"spec": spec}


def _granted(allocation: Allocation) -> list[dict[str, Any]]:
    """The job's row (one for each component), once it holds its nodes."""
    job_id = allocation.job_id
    revoked = f"Job allocation {job_id} has been revoked."
    try:
        row = allocation.wait(lambda job: PROGRAM.info(f"Pending job allocation {job}"))
    except TooLate as why:
        failed = "Unable to allocate resources" if "busy" in str(why) else "Job submit/allocate failed"
        PROGRAM.error(f"{failed}: {why}")
        PROGRAM.info(revoked)
        raise Exit(immediate_status()) from None
    if not is_granted(row):
        PROGRAM.info("Job has been cancelled")
        PROGRAM.info(revoked)
        raise PROGRAM.failed("Job submit/allocate failed: Job/step already completing or completed")
    fields = ",".join(allocated.FIELDS)
    reply = allocation.connection.request("GET", f"/v1/jobs/{job_id}?fields={fields}")
    return [dict(zip(reply["fields"], row, strict=True)) for row in reply["rows"]]


def _ring(given: Given, waited: float) -> None:
    is_wanted = "bell" in given or ("no-bell" not in given and waited > BELL_AFTER_SECONDS)
    if is_wanted and os.isatty(1):
        os.write(1, b"\a")


def _run_command(allocation: Allocation, parts: list[Given], words: list[str], rows: list[dict[str, Any]]) -> int:
    from corral.cli.foreground import Foreground

    job_id = allocation.job_id
    cluster = str(allocation.connection.request("GET", "/v1/ping").get("cluster", ""))
    given = parts[0]
    if len(parts) > 1:
        environment = dict(os.environ) | allocated.of_components(rows, parts, cluster)
    else:
        environment = dict(os.environ) | allocated.variables(rows[0], given, cluster) | containers.exported(given)
    if given.get("chdir"):
        try:
            os.chdir(given.get("chdir"))
        except OSError as error:
            PROGRAM.error(f"chdir({given.get('chdir')}): {error.strerror}")
    words = words or [_shell()]
    program = _find(words[0])
    if program is None:
        PROGRAM.error(f'_fork_command: Unable to find command "{words[0]}"')
        _give_back(job_id, 0)
        return failure()
    command = Foreground(program, words, environment, job_id, given.get("kill-command"))
    revoked = f"Job allocation {job_id} has been revoked."
    status = command.run(lambda: PROGRAM.info(revoked))
    if not command.was_revoked:
        _give_back(job_id, status, revoked if command.was_terminated else "")
    if command.hung_up:
        return 1
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 0


def _give_back(job_id: int, status: int, instead: str = "") -> None:
    PROGRAM.info(instead or f"Relinquishing job allocation {job_id}")
    request = {"type": "CompleteJob", "job": job_id, "status": status}
    try:
        with Connection() as connection:
            connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=60)
    except CorralError:
        pass


def _shell() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    except KeyError:
        return os.environ.get("SHELL") or "/bin/sh"


def _find(name: str) -> str | None:
    """The program, on PATH where it has no slash."""
    places = [""] if "/" in name else [f"{place or '.'}/" for place in os.environ.get("PATH", os.defpath).split(":")]
    for place in places:
        path = place + name
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None
