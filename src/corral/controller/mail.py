"""Who is told by mail that a job has begun or ended? Whoever asked with --mail-type; never at the expense of the loop."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from typing import Any

from corral.daemon.logs import Log
from corral.model.job import Job, JobSpec, JobState
from corral.protocol import events as ev

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


def wanted(kind: str, types: tuple[str, ...], array_task: bool) -> bool:
    """Does --mail-type ask for this? ALL means BEGIN, END, FAIL, INVALID_DEPEND, REQUEUE and STAGE_OUT."""
    given = {one.strip().upper() for one in types}
    if not given or "NONE" in given:
        return False
    if array_task and "ARRAY_TASKS" not in given:
        return False
    return kind in given or "ALL" in given


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
            ran = clock_text(job.end_time - job.start_time if job.start_time else 0.0)
            kind = "FAIL" if job.state in _FAILURES else "END"
            code = f", ExitCode {job.exit_status.code}" if job.state in (JobState.COMPLETED, JobState.FAILED) else ""
            return (
                kind,
                f"{_name(job, spec)} {_TITLES.get(job.state, 'Ended')}, Run time {ran}, {job.state.value}{code}",
            )
        case ev.JobRequeued(job=job, ended=ended):
            ran = clock_text(event.time - ended.start_time if ended.start_time else 0.0)
            return "REQUEUE", f"{_name(job, spec)} Requeued, Run time {ran}"
        case _:
            return None


def _name(job: Job, spec: JobSpec) -> str:
    if job.array_task_id is not None:
        return f"Slurm Array Task Job_id={job.array_job_id}_{job.array_task_id} ({job.id}) Name={spec.name}"
    return f"Slurm Job_id={job.id} Name={spec.name}"


class Mail:
    """Sends through the configured sendmail program, one at a time."""

    def __init__(self, program: str, specs: Callable[[], Any], log: Log) -> None:
        self._program = program
        self._specs = specs
        self._log = log
        self.waiting: deque[EmailMessage] = deque(maxlen=MOST_WAITING)
        self._wake = asyncio.Event()

    def consider(self, records: list[ev.AnyEvent]) -> None:
        if not self._program:
            return
        specs = self._specs()
        for event in records:
            if not isinstance(event, ev.JobStarted | ev.JobEnded | ev.JobRequeued):
                continue
            spec = specs.get(event.job.spec_id)
            if spec is None or not spec.mail_types:
                continue
            found = subject_of(event, spec)
            if found is not None and wanted(found[0], spec.mail_types, event.job.array_task_id is not None):
                self._add(spec.mail_user or event.job.owner.user, found[1])

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
