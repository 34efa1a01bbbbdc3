"""Who is told by mail that a job has begun or ended? Whoever asked with --mail-type; never at the expense of the loop."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from typing import Any

from corral.daemon.logs import Log
from corral.model import ranges
from corral.model.job import ENDED, Job, JobSpec, JobState
from corral.model.reason import Reason
from corral.protocol import events as ev
from corral.syntax import arrayspec

#: More than this waiting to be sent are dropped, oldest first.
MOST_WAITING = 10_000
TIMEOUT = 30.0

_POLICY = policy.default.clone(max_line_length=998)

_TITLES = {
    JobState.COMPLETED: "Ended", JobState.FAILED: "Failed", JobState.TIMEOUT: "Failed", JobState.CANCELLED: "Ended",
    JobState.NODE_FAIL: "Failed", JobState.OUT_OF_MEMORY: "Failed", JobState.BOOT_FAIL: "Failed",
    JobState.DEADLINE: "Failed", JobState.PREEMPTED: "Ended",
}  # fmt: skip
_FAILURES = frozenset(
    {
        JobState.FAILED,
        JobState.TIMEOUT,
        JobState.NODE_FAIL,
        JobState.OUT_OF_MEMORY,
        JobState.BOOT_FAIL,
        JobState.DEADLINE,
    }
)


_JobEvent = ev.JobStarted | ev.JobEnded | ev.JobRequeued | ev.JobChanged


def _wants_elements(types: tuple[str, ...]) -> bool:
    return any(one.strip().upper() == "ARRAY_TASKS" for one in types)


def wanted(kind: str, types: tuple[str, ...], array_task: bool) -> bool:
    """Does --mail-type ask for this? ALL means BEGIN, END, FAIL, INVALID_DEPEND, REQUEUE and STAGE_OUT."""
    given = {one.strip().upper() for one in types}
    if not given or "NONE" in given:
        return False
    if array_task and "ARRAY_TASKS" not in given:
        return False
    return kind in given or ("ALL" in given and not kind.startswith("TIME_LIMIT"))


def clock_text(seconds: float) -> str:
    days, rest = divmod(int(max(0.0, seconds)), 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def subject_of(event: ev.AnyEvent, spec: JobSpec) -> tuple[str, str] | None:
    """(mail type, subject) of an event that is worth a mail."""
    match event:
        case ev.JobStarted(job=job):
            waited = clock_text(job.start_time - job.submit_time)
            return "BEGIN", f"{_name(job, spec)} Began, Queued time {waited}"
        case ev.JobEnded(job=job):
            kind = "FAIL" if job.state in _FAILURES else "END"
            title = _TITLES.get(job.state, "Ended")
            return (
                kind,
                f"{_name(job, spec)} {title}, Run time {_ran(job, job.end_time)}, {job.state.value}{_code(job)}",
            )
        case ev.JobRequeued(job=job, ended=ended):
            return "REQUEUE", f"{_name(job, spec)} Requeued, Run time {_ran(ended, event.time)}"
        case ev.JobChanged(job=job, what="never"):
            return "INVALID_DEPEND", f"{_name(job, spec)} Invalid dependency"
        case ev.JobChanged(job=job, what="limit reached"):
            ran = _ran(job, event.time)
            kind = f"TIME_LIMIT_{job.limit_told}"
            return kind, f"{_name(job, spec)} Reached {job.limit_told}% of time limit, Run time {ran}"
        case ev.JobChanged(job=job, what="GPUs idle"):
            return "FAIL", f"{_name(job, spec)} GPUs idle, Run time {_ran(job, event.time)}"
        case ev.JobChanged(job=job, what="completing") if (
            job.end_state is JobState.TIMEOUT and job.reason is not Reason.INACTIVE_LIMIT
        ):
            return "TIME_LIMIT", f"{_name(job, spec)} Reached time limit, Run time {_ran(job, event.time)}"
        case _:
            return None


def _ran(job: Job, until: float) -> str:
    return clock_text(until - job.start_time if job.start_time else 0.0)


def _code(job: Job) -> str:
    """Of those that a signal or their limit has ended, nothing; or why, where that is another one."""
    if job.reason is Reason.INACTIVE_LIMIT:
        return f", {job.reason_text}"
    is_cut = job.exit_status.signal or job.state is JobState.TIMEOUT
    return "" if is_cut else f", ExitCode {job.exit_status.code}"


def _name(job: Job, spec: JobSpec) -> str:
    if job.array_task_id is not None:
        return f"Slurm Array Task Job_id={job.array_job_id}_{job.array_task_id} ({job.id}) Name={spec.name}"
    return f"Slurm Job_id={job.id} Name={spec.name}"


def is_first(started: ev.JobStarted, spec: JobSpec) -> bool:
    """Does an array begin with this element?"""
    waiting = ranges.count(started.array_rest.array_waiting) if started.array_rest is not None else 0
    return waiting + 1 == len(arrayspec.parse(spec.array, 1 << 30).indices)


def summary_of(event: ev.JobStarted | ev.JobEnded, spec: JobSpec, members: list[Job]) -> tuple[str, str] | None:
    """Of an array as a whole: when its first element begins and its last one ends. `members`: what is known of it."""
    array = event.job.array_job_id
    name = f"Slurm Array Summary Job_id={array}_* ({array}) Name={spec.name}"
    if isinstance(event, ev.JobStarted):
        return ("BEGIN", f"{name} Began") if is_first(event, spec) else None
    if any(job.state not in ENDED for job in members):
        return None
    codes = [job.exit_status.code for job in members]
    states = {job.state for job in members}
    if len(members) < len(arrayspec.parse(spec.array, 1 << 30).indices):  # completed ones are forgotten first
        codes.append(0)
        if not event.job.array_waiting:
            states.add(JobState.COMPLETED)
    failed = bool(states & _FAILURES)
    signals = [
        job.exit_status.signal or 9 for job in members if job.exit_status.signal or job.state is JobState.CANCELLED
    ]
    text = "Mixed" if len(states) > 1 or signals else next(iter(states)).value
    code = f"MaxSignal [{max(signals)}]" if signals else f"ExitCode [{min(codes)}-{max(codes)}]"
    return "FAIL" if failed else "END", f"{name} {'Failed' if failed else 'Ended'}, {text}, {code}"


class Mail:
    """Sends through the configured sendmail program, one at a time."""

    def __init__(
        self, program: str, specs: Callable[[], Any], log: Log, array: Callable[[int], list[Job]] = lambda number: []
    ) -> None:
        self._program = program
        self._specs = specs
        self._log = log
        self._array = array  #: the records of an array
        self.waiting: deque[EmailMessage] = deque(maxlen=MOST_WAITING)
        self._wake = asyncio.Event()

    def consider(self, records: list[ev.AnyEvent]) -> None:
        if not self._program:
            return
        specs = self._specs()
        for event in records:
            if not isinstance(event, ev.JobStarted | ev.JobEnded | ev.JobRequeued | ev.JobChanged):
                continue
            spec = specs.get(event.job.spec_id)
            if spec is not None and spec.mail_types:
                self._consider(event, spec)

    def _consider(self, event: _JobEvent, spec: JobSpec) -> None:
        to = spec.mail_user or event.job.owner.user
        found = subject_of(event, spec)
        whole = event.job.array_job_id is not None and not _wants_elements(spec.mail_types)
        if whole and isinstance(event, ev.JobStarted | ev.JobEnded):
            found = summary_of(event, spec, self._array(event.job.array_job_id or 0))
        if found is not None and wanted(found[0], spec.mail_types, event.job.array_task_id is not None and not whole):
            self._add(to, found[1])
        invalid = isinstance(event, ev.JobEnded) and event.job.reason is Reason.DEPENDENCY_NEVER_SATISFIED
        if invalid and wanted("INVALID_DEPEND", spec.mail_types, False):
            self._add(to, f"{_name(event.job, spec)} Invalid dependency")

    def _add(self, to: str, subject: str) -> None:
        message = EmailMessage(_POLICY)
        try:
            message["To"] = to
            message["Subject"] = subject
        except ValueError:  # a line break in a job's name is no header
            return
        message.set_content("")
        self.waiting.append(message)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.waiting:
                await self.send(self.waiting.popleft())

    async def send(self, message: EmailMessage) -> None:
        if not os.access(self._program, os.X_OK):
            self._log.warning("no mail sent: there is no such program", program=self._program)
            return
        try:
            process = await asyncio.create_subprocess_exec(
                self._program, "-t", "-i",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                await asyncio.wait_for(process.communicate(message.as_bytes()), TIMEOUT)
            except TimeoutError:
                process.kill()
                await process.wait()
            if process.returncode:
                self._log.warning("mail not sent", to=str(message["To"]), status=process.returncode)
        except OSError as error:
            self._log.warning("mail not sent", to=str(message["To"]), error=str(error))
