"""How does srun run one step over several components of a heterogeneous job, its own or the one around it?

The controller starts all parts at once. Each is joined by a process of its own, as if it were a step by itself; the exit status is the
highest of theirs.
"""

from __future__ import annotations

import os
import sys
import time

from corral.cli import components, environment, jobspec
from corral.cli.deathwatch import DeathWatch
from corral.cli.interruption import Interrupted, Interruptible
from corral.cli.launched import Step
from corral.cli.run import Exit, Program, failure
from corral.cli.steps import BUSY, FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, cancelled, refused
from corral.client.connection import Connection, new_key
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any

    from corral.cli.given import Given

    Parts = list[tuple[Given, list[str]]]
else:
    import _signal as signal  # `signal` itself loads enum: 3 ms

#: Sent on to those who join the parts.
_PASSED_ON = (
    signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCONT,
)  # fmt: skip


class Part:
    """One command on one component."""

    __slots__ = ("given", "group", "spec", "streams")

    def __init__(self, group: int, given: Given, spec: dict[str, Any], streams: dict[str, Any]) -> None:
        self.group, self.given, self.spec, self.streams = group, given, spec, streams


def run(
    program: Program,
    parts: Parts,
    argv: list[str],
    step_of: Callable[[Given, list[str], dict[str, Any]], dict[str, Any]],
    streams_of: Callable[[Given], dict[str, Any]],
    run_prolog: Callable[[Refused], None],
) -> int:
    """From the components of the command line to the exit status."""
    if not parts[-1][1]:
        raise program.fatal("No command given to execute.")
    for number in reversed(range(len(parts) - 1)):  # who names none runs the same as the next one
        given, words = parts[number]
        parts[number] = given, words or parts[number + 1][1]
    first = parts[0][0]
    inside = first.get("jobid")
    made = _parts(program, parts, step_of, streams_of, inside is not None)
    for part in made:
        part.spec["submit_line"] = " ".join(["srun", *argv])
    made[0].spec["asks_programs"] = not ("prolog" in first and "epilog" in first)
    if inside is None:
        return _in_own_job(program, made, argv, run_prolog)
    steps, watch = create(program, inside, made, run_prolog)
    try:
        return join(program, made, steps)
    finally:
        watch.dismiss()


def _parts(
    program: Program,
    parts: Parts,
    step_of: Callable[[Given, list[str], dict[str, Any]], dict[str, Any]],
    streams_of: Callable[[Given], dict[str, Any]],
    inside: bool,
) -> list[Part]:
    made: list[Part] = []
    for number, (given, words) in enumerate(parts):
        if inside:
            components.of_component(given)
        jobspec.fit_tasks_to_nodes(given)
        asked = given.get("het-group")
        chosen = components.groups(program, asked) if asked and inside else [number]
        for group in chosen:
            streams = streams_of(given)
            if made:  # standard input goes to the first
                streams.setdefault("stdin", "none")
            made.append(Part(group, given, step_of(given, words, streams), streams))
    made.sort(key=lambda part: part.group)
    if len(made) > 1 and any(part.given.get("pty") for part in made):
        raise program.failed("--pty is not supported by Corral over several components of a heterogeneous job")
    groups = [part.group for part in made]
    if len(set(groups)) < len(groups):
        raise program.failed("a component of a heterogeneous job is named twice in --het-group")
    return made


def _in_own_job(program: Program, parts: list[Part], argv: list[str], run_prolog: Callable[[Refused], None]) -> int:
    """A job of so many components, which ends with the step."""
    from corral.cli.allocation import allocate, is_granted

    jobs = []
    for part in parts:
        spec = jobspec.job_spec(part.given, "srun")
        spec["name"] = part.given.get("job-name") or part.spec["name"]
        spec["command"] = part.spec["argv"][0]
        spec["submit_line"] = " ".join(["srun", *argv])
        jobs.append({"spec": spec})
        for field in (
            "gres",
            "gpus",
            "gpus_per_node",
            "memory_per_node_mb",
            "memory_per_cpu_mb",
            "exclude",
            "nodelist",
        ):
            part.spec.pop(field, None)
    given = parts[0].given
    if "test-only" in given:
        from corral.cli.submission import say_when

        return say_when(program, jobs[0], given.get("uid", ""), given.get("gid", ""), jobs[1:])
    allocation, row = allocate(program, jobs[0], given, jobs[1:])
    job_id = allocation.job_id
    if not is_granted(row):
        allocation.dismiss_watch()
        program.info("Job has been cancelled")
        raise program.failed("Unable to allocate resources: Job/step already completing or completed")
    if allocation.was_queued:
        program.info(f"job {job_id} has been allocated resources")
    try:
        steps, watch = create(program, job_id, parts, run_prolog)
    except BaseException:
        allocation.cancel()
        raise
    try:
        return join(program, parts, steps)
    finally:
        watch.dismiss()
        allocation.dismiss_watch()


def create(
    program: Program, job_id: int, parts: list[Part], run_prolog: Callable[[Refused], None]
) -> tuple[list[Step], DeathWatch]:
    """Ask until there is room for all of it (or not longer than --immediate says)."""
    try:
        with Interruptible() as signals:
            steps = _created(program, job_id, parts, run_prolog, signals)
            watch = DeathWatch(*(f"{step.job_id}.{step.step_id}" for step in steps))
            signals.release()
            return steps, watch
    except Interrupted as why:
        raise cancelled(program, job_id, why) from None


def _created(
    program: Program,
    job_id: int,
    parts: list[Part],
    run_prolog: Callable[[Refused], None],
    signals: Interruptible,
) -> list[Step]:
    given = parts[0].given
    request = {
        "type": "CreateHetStep", "job": str(job_id), "parts": [{"group": part.group, "spec": part.spec} for part in parts],
        "environment": environment.of_step(given),
    }  # fmt: skip
    since, pause, waits = time.monotonic(), FIRST_PAUSE, False
    with Connection() as connection:
        while True:
            signals.hold(connection)
            try:
                reply = connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=PATIENCE)
            except Refused as error:
                if error.fields.get("code") == "srun_programs":
                    signals.release()
                    run_prolog(error)
                    del parts[0].spec["asks_programs"]
                    continue
                patience = given.get("immediate")
                if error.error.startswith("Requested het-group offset"):
                    raise program.failed(error.error) from None
                if error.fields.get("code") != "busy" or (
                    patience is not None and time.monotonic() - since >= patience
                ):
                    raise refused(program, job_id, error) from None
            else:
                if waits:
                    program.info(f"Step created for job {job_id}")
                return _steps_of(reply)
            signals.release()
            if not waits:
                program.info(f"Job {job_id} step creation temporarily disabled, retrying ({BUSY})")
                waits = True
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)


def _steps_of(reply: dict[str, Any]) -> list[Step]:
    total = sum(one["step"]["ntasks"] for one in reply["steps"])
    steps: list[Step] = []
    first = 0
    for one in reply["steps"]:
        made = one["step"]
        nodes = [node["share"]["node"] for node in made["nodes"]]
        steps.append(Step(made["key"][0], made["key"][1], nodes, made["ntasks"], one["access"], first, total))
        first += made["ntasks"]
    return steps


def join(program: Program, parts: list[Part], steps: list[Step]) -> int:
    """A process for each part; this one waits for them, and hands on what it is told."""
    from corral.cli.joining import attached

    if len(parts) == 1:
        return attached(program, steps[0], parts[0].given, parts[0].streams)
    sys.stdout.flush()
    sys.stderr.flush()
    children: dict[int, int] = {}
    for number, (part, step) in enumerate(zip(parts, steps, strict=True)):
        child = os.fork()
        if not child:
            status = failure()
            try:
                status = attached(program, step, part.given, part.streams)
            except Exit as end:
                for line in end.lines:
                    os.write(2, f"{line}\n".encode())
                status = end.status
            finally:
                sys.stdout.flush()
                os._exit(status)
        children[child] = number
    for caught in _PASSED_ON:
        signal.signal(caught, lambda number, frame: _tell(children, number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells them itself
    worst = 0
    kill_others = any(part.given.get("kill-on-bad-exit") for part in parts)
    while children:
        child, status = os.wait()
        if child not in children:
            continue
        del children[child]
        code = os.waitstatus_to_exitcode(status)
        code = code if code >= 0 else 128 - code
        if code and kill_others:
            _tell(children, signal.SIGTERM)
        worst = max(worst, code)
    return worst


def _tell(children: dict[int, int], number: int) -> None:
    for child in list(children):
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass
