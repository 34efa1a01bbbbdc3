"""Who gets which mail?"""

import asyncio

import pytest

from corral.controller.mail import Mail, subject_of, wanted
from corral.daemon.logs import Log
from corral.model.job import ExitStatus, Job, JobSpec, JobState, Owner
from corral.protocol import events as ev

ANN = Owner(uid=1, gid=1, user="ann", group="ann")
SPEC = JobSpec(name="train", mail_types=("END", "FAIL"), mail_user="ann@example.org")


def job(**fields) -> Job:
    return Job(**{"id": 42, "spec_id": 42, "owner": ANN, "submit_time": 100.0, "start_time": 160.0, **fields})


def ended(state=JobState.COMPLETED, code=0) -> ev.JobEnded:
    return ev.JobEnded(time=400.0, job=job(state=state, end_time=400.0, exit_status=ExitStatus(code)))


@pytest.mark.parametrize(
    ("event", "kind", "subject"),
    [
        (ev.JobStarted(time=160.0, job=job()), "BEGIN", "Slurm Job_id=42 Name=train Began, Queued time 00:01:00"),
        (ended(), "END", "Slurm Job_id=42 Name=train Ended, Run time 00:04:00, COMPLETED, ExitCode 0"),
        (ended(JobState.FAILED, 3), "FAIL", "Slurm Job_id=42 Name=train Failed, Run time 00:04:00, FAILED, ExitCode 3"),
        (ended(JobState.TIMEOUT), "FAIL", "Slurm Job_id=42 Name=train Failed, Run time 00:04:00, TIMEOUT"),
    ],
)
def test_subjects(event, kind, subject):
    assert subject_of(event, SPEC) == (kind, subject)


def test_types():
    assert wanted("END", ("END",), False)
    assert wanted("END", ("all",), False)
    assert not wanted("BEGIN", ("END", "FAIL"), False)
    assert not wanted("END", ("NONE", "END"), False)
    assert not wanted("END", ("END",), array_task=True)
    assert wanted("END", ("END", "ARRAY_TASKS"), array_task=True)


def test_the_program_gets_the_message(tmp_path):
    program = tmp_path / "sendmail"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/args.new\ncat > {tmp_path}/mail\nmv {tmp_path}/args.new {tmp_path}/args\n'
    )
    program.chmod(0o755)

    async def send():
        mail = Mail(str(program), lambda: {42: SPEC}, Log(tmp_path / "log"))
        mail.consider([ended(), ev.JobStarted(time=160.0, job=job())])
        [message] = mail.waiting
        await mail.send(message)

    asyncio.run(send())
    assert (tmp_path / "args").read_text() == "-t -i\n"
    text = (tmp_path / "mail").read_text()
    assert "To: ann@example.org" in text
    assert "Subject: Slurm Job_id=42 Name=train Ended" in text
