"""scontrol hold, release, requeue, suspend, resume, ping, reconfigure, completing, wait_job and write."""

from __future__ import annotations

import sys

from corral.cli.command import apart, reaching, unreachable
from corral.cli.query import NO_CONTROLLER, rows
from corral.cli.run import Exit, say
from corral.cli.scontrol_ask import slurms
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.client.connection import Connection

    Connect = Callable[[], Connection]

NO_SUCH_JOB = "Invalid job id specified"

_REQUESTS: dict[str, dict[str, Any]] = {
    "hold": {"type": "HoldJobs"},
    "holdu": {"type": "HoldJobs", "by_user": True},
    "uhold": {"type": "HoldJobs", "by_user": True},
    "release": {"type": "ReleaseJobs"},
    "requeue": {"type": "RequeueJobs"},
    "requeuehold": {"type": "RequeueJobs", "hold": True},
    "suspend": {"type": "SuspendJobs"},
    "resume": {"type": "ResumeJobs"},
}


def change(connect: Connect, keyword: str, words: list[str]) -> int:
    """Jobs by their ids (several, with commas or blanks), or by name."""
    holds = keyword in _HOLDS
    status = 0
    request = dict(_REQUESTS[keyword])
    while keyword.startswith("requeue") and words and (told := _of_requeue(words[0])):
        request[told] = True
        words = words[1:]
    for text in [part for word in words for part in apart(word)]:
        try:
            if not holds and "=" in text:
                raise Problem(NO_SUCH_JOB)
            for job in _named(connect, text):
                status |= _one(connect, request | {"ids": [job]})
        except Problem as problem:
            status = 1
            said = str(problem)
            if "_" in text:
                say(f"{text}: {said}\n")
                continue
            say(f"{said} for job {text}\n")
            if holds:
                say(f"slurm_suspend error: {said}\n")
        except Unreachable as error:
            raise unreachable(f"slurm_{'suspend' if holds else keyword} error", error) from None
    return status


def _of_requeue(word: str) -> str:
    """What of a request Incomplete and State=SpecialExit are; "" = a job."""
    name, equals, value = word.lower().partition("=")
    if not equals:
        return "incomplete" if "incomplete".startswith(name) and len(name) > 2 else ""
    if name != "state":
        return ""
    if not value or not "specialexit".startswith(value):
        raise Exit(1, f"scontrol: error: Invalid state {word[6:]}: only SpecialExit can be asked for")
    return "special_exit"


_HOLDS = ("hold", "holdu", "uhold", "release")


class Problem(Exception):
    """What the controller says of one job."""


def _one(connect: Connect, request: dict[str, Any]) -> int:
    """The exit status; of an array what became of its elements is said here."""
    try:
        reply = connect().request("POST", "/v1/requests", request)
    except Refused as error:
        raise Problem(str(error)) from None
    outcomes = reply.get("outcomes", ())
    if len(outcomes) == 1 and "_" not in outcomes[0][0]:
        raise Problem(outcomes[0][1])
    for what, problem in outcomes:
        say(f"{what}: {problem}\n")
    return int(bool(outcomes))


def _named(connect: Connect, text: str) -> list[str]:
    """An id as it is; name=NAME as the ids of the jobs called so."""
    key, equals, name = text.partition("=")
    if not equals:
        if not text[:1].isdigit():
            raise Problem(NO_SUCH_JOB)
        return [text]
    if key.lower() not in ("name", "jobname"):
        raise Problem(NO_SUCH_JOB)
    found = rows(connect(), "/v1/jobs", ["id"], names=name, states=["PENDING", "RUNNING", "SUSPENDED"])
    if not found.rows:
        raise Problem("Job has already finished")
    return [str(job) for job in found.column("id")]


def ping(connect: Connect, keyword: str, words: list[str]) -> int:
    if words:
        raise Exit(1, f"too many arguments for keyword:{keyword}")
    try:
        answer = connect().request("GET", "/v1/ping")
    except Unreachable as error:
        import os

        stars = "*" * 41
        sys.stdout.write(f"Slurmctld(primary) at {os.uname().nodename} is DOWN\n")
        sys.stdout.write(f"{stars}\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n{stars}\n")
        say(f"{error}\n")
        return 1
    sys.stdout.write(f"Slurmctld(primary) at {answer.get('host') or 'localhost'} is UP\n")
    return 0


def reconfigure(connect: Connect, keyword: str, words: list[str]) -> int:
    try:
        reply = connect().request("POST", "/v1/requests", {"type": "Reconfigure"})
    except Refused as error:
        raise Exit(1, f"slurm_reconfigure error: {slurms(str(error))}") from None
    except Unreachable as error:
        raise unreachable("slurm_reconfigure error", error) from None
    for line in reply.get("messages", ()):
        sys.stdout.write(line + "\n")
    for line in reply.get("errors", ()):
        say(line + "\n")
    return int(bool(reply.get("errors")))


def completing(connect: Connect, keyword: str, words: list[str]) -> int:
    try:
        found = rows(connect(), "/v1/jobs", ["id", "end_time", "nodes"], states="COMPLETING")
    except Unreachable as error:
        raise unreachable("slurm_load_jobs error", error) from None
    from corral.cli.times import or_unknown

    for job, ended, nodes in found.rows:
        sys.stdout.write(
            f"JobId={job} EndTime={or_unknown(ended)} CompletingTime={or_unknown(ended)} Nodes(COMPLETING)={nodes}\n"
        )
    return 0


def wait_job(connect: Connect, keyword: str, words: list[str]) -> int:
    job = words[0]
    if not job[:1].isdigit():
        raise Exit(1, f"Invalid job_id {job}")
    try:
        while True:
            found = rows(connect(), f"/v1/jobs/{job}/wait", ["state"], until="started", timeout=30)
            state = found.rows[0][0]
            if state not in ("PENDING", "CONFIGURING"):
                break
    except Refused:
        raise Exit(1, f"scontrol: Problem running job {job}") from None
    except Unreachable as error:
        raise unreachable("slurm_load_jobs error", error) from None
    if state not in ("RUNNING", "SUSPENDED"):
        raise Exit(1, f"scontrol: Job {job} no longer running")
    say(f"scontrol: Nodes are ready for job {job}\n")
    return 0


def write(connect: Connect, keyword: str, words: list[str]) -> int:
    if words[0].lower() == "config":
        raise Exit(1, "scontrol: error: write config is not supported: the configuration is corral.toml.")
    if words[0].lower() not in ("batch_script", "batch"):
        raise Exit(1, f"invalid write argument:{words[0]}")
    if len(words) < 2:
        raise Exit(1, "too few arguments for keyword:write")
    job = words[1]
    try:
        if not job[:1].isdigit():
            raise Refused(error=NO_SUCH_JOB)
        script = connect().request("GET", f"/v1/jobs/{job}/script")
    except Refused as error:
        say(f"job script retrieval failed: {slurms(str(error))}\n")
        return 0
    except Unreachable as error:
        say(f"job script retrieval failed: {NO_CONTROLLER}\n{error}\n")
        return 0
    if words[2:3] == ["-"]:
        sys.stdout.write(script if script.endswith("\n") else script + "\n")
        return 0
    path = words[2] if len(words) > 2 else f"slurm-{job}.sh"
    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(script)
    except OSError as error:
        raise Exit(1, f"scontrol: error: failed to open file `{path}`: {error.strerror}") from None
    sys.stdout.write(f"batch script for job {job} written to {path}\n")
    return 0


def top(connect: Connect, keyword: str, words: list[str]) -> int:
    """Jobs before the others of their user."""
    if len(words) > 1:
        raise Exit(1, "too many arguments for keyword:top")
    ids = apart(words[0])
    try:
        if not all(text[:1].isdigit() for text in ids):
            raise Refused(error=NO_SUCH_JOB)
        connect().request("POST", "/v1/requests", {"type": "TopJobs", "ids": ids})
    except Refused as error:
        say(f"{error} for job {words[0]}\n")
        return 1
    except Unreachable as error:
        raise unreachable("slurm_top_job error", error) from None
    return 0


def notify(connect: Connect, keyword: str, words: list[str]) -> int:
    """What Slurm says of an id that is none has no newline."""
    if len(words) < 2:
        raise Exit(1, "too few arguments for keyword:notify")
    job, message = words[0], " ".join(words[1:])
    try:
        if not job[:1].isdigit():
            say(f"Invalid job_id {job}")
            raise Refused(error="No error")
        connect().request("POST", "/v1/requests", {"type": "NotifyJob", "id": job, "message": message})
    except Refused as error:
        say(f"job notify failure: {error}\n")
        return 1
    except Unreachable as error:
        raise unreachable("job notify failure", error) from None
    return 0


def _listpids(connect: Connect, keyword: str, words: list[str]) -> int:
    from corral.cli.scontrol_pids import listpids

    return listpids(connect, keyword, words)


def _pidinfo(connect: Connect, keyword: str, words: list[str]) -> int:
    from corral.cli.scontrol_pids import pidinfo

    return reaching("slurm_get_end_time error", lambda: pidinfo(connect, keyword, words))


def _reboot(connect: Connect, keyword: str, words: list[str]) -> int:
    from corral.cli import scontrol_reboot

    return (scontrol_reboot.reboot if keyword == "reboot" else scontrol_reboot.cancel)(connect, keyword, words)


def _daemon(connect: Connect, keyword: str, words: list[str]) -> int:
    from corral.cli import scontrol_daemon

    return scontrol_daemon.ACTIONS[keyword](connect, keyword, words)


ACTIONS: dict[str, Callable[[Connect, str, list[str]], int]] = {
    **dict.fromkeys(_REQUESTS, change),
    **dict.fromkeys(("schedloglevel", "setdebug", "setdebugflags", "token"), _daemon),
    "ping": ping,
    "reboot": _reboot,
    "cancel_reboot": _reboot,
    "reconfigure": reconfigure,
    "completing": completing,
    "top": top,
    "notify": notify,
    "listpids": _listpids,
    "pidinfo": _pidinfo,
    "wait_job": wait_job,
    "write": write,
}
