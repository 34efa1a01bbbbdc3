"""What does a step's standard error say when something happens to the step? The words are slurmstepd's."""

import os
import time

from corral.model.step import BATCH, StepKey, step_text

_DUE_TO = {
    "time_limit": " DUE TO TIME LIMIT",
    "preempted": " DUE TO PREEMPTION",
    "idle_gpus": " DUE TO IDLE GPUS",
    "node_fail": " DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS",
    "requeue": " DUE TO JOB REQUEUE",
    "requeued": " DUE TO JOB REQUEUE",
}


def error(text: str) -> str:
    return f"slurmstepd: error: {text}\n"


def ended_by_order(key: StepKey, shown_job: str, node: str, reason: str, at: float) -> str:
    """*** JOB 130 ON dgx0185 CANCELLED AT 2026-11-24T00:48:54 DUE TO TIME LIMIT ***"""
    what = f"JOB {shown_job}" if key.step == BATCH else f"STEP {step_text(key.job, key.step)}"
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at))
    return error(f"*** {what} ON {node} CANCELLED AT {when}{_DUE_TO.get(reason, '')} ***")


def out_of_memory(key: StepKey, times: int) -> str:
    return error(
        f"Detected {times} oom-kill event(s) in StepId={step_text(key.job, key.step)}. "
        "Some of your processes may have been killed by the cgroup out-of-memory handler."
    )


def no_such_directory(path: str, number: int) -> str:
    return error(f"couldn't chdir to `{path}': {os.strerror(number)}: going to /tmp instead")


def cannot_execute(program: str, number: int) -> str:
    return error(f"execve(): {program}: {os.strerror(number)}")


def bad_interpreter(interpreter: str, number: int) -> str:
    return error(f"execve(): bad interpreter({interpreter}): {os.strerror(number)}")


def cannot_open(stream: str, path: str, number: int) -> str:
    return f"Could not open {stream} file {path}: {os.strerror(number)}"
