"""Who gets which mail?"""

import asyncio

import pytest

from corral.controller.mail import Mail, subject_of, summary_of, wanted
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


CHANGED = [
    ("never", {}, "INVALID_DEPEND", "Slurm Job_id=42 Name=train Invalid dependency"),
    ("limit reached", {"limit_told": 80}, "TIME_LIMIT_80", "Slurm Job_id=42 Name=train Reached 80% of time limit, Run time 00:04:00"),
    ("completing", {"end_state": JobState.TIMEOUT}, "TIME_LIMIT", "Slurm Job_id=42 Name=train Reached time limit, Run time 00:04:00"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fields", "kind", "subject"), CHANGED)
def test_subjects_of_what_happens_in_between(what, fields, kind, subject):
    assert subject_of(ev.JobChanged(time=400.0, job=job(**fields), what=what), SPEC) == (kind, subject)


def element(task, state=JobState.COMPLETED, code=0, signal=0) -> Job:
    status = ExitStatus(code, signal)
    return job(id=42 + task, array_job_id=42, array_task_id=task, state=state, end_time=400.0, exit_status=status)


ENDS = [
    ([element(1), element(2)], "END", "Ended, COMPLETED, ExitCode [0-0]"),
    ([element(1, JobState.FAILED, 5), element(2, JobState.FAILED, 5)], "FAIL", "Failed, FAILED, ExitCode [5-5]"),
    ([element(1), element(2, JobState.FAILED, 1)], "FAIL", "Failed, Mixed, ExitCode [0-1]"),
    ([element(2, JobState.FAILED, 1)], "FAIL", "Failed, Mixed, ExitCode [0-1]"),  # the other one is forgotten already
    ([element(1, JobState.CANCELLED), element(2)], "END", "Ended, Mixed, MaxSignal [9]"),
]


@pytest.mark.parametrize(("members", "kind", "text"), ENDS)
def test_an_array_ends_as_a_whole(members, kind, text):
    event = ev.JobEnded(time=400.0, job=members[-1])
    spec = JobSpec(name="train", array="1-2", mail_types=("ALL",))
    assert summary_of(event, spec, members) == (kind, f"Slurm Array Summary Job_id=42_* (42) Name=train {text}")
    assert summary_of(event, spec, [*members, element(3, JobState.RUNNING)]) is None


def test_and_begins_with_its_first_element():
    spec = JobSpec(name="train", array="1-3", mail_types=("ALL",))
    rest = job(array_job_id=42, array_waiting=((2, 3, 1),))
    first = ev.JobStarted(time=1.0, job=element(1, JobState.RUNNING), array_rest=rest)
    assert summary_of(first, spec, []) == ("BEGIN", "Slurm Array Summary Job_id=42_* (42) Name=train Began")
    rest = job(array_job_id=42, array_waiting=((3, 3, 1),))
    assert summary_of(ev.JobStarted(time=1.0, job=element(2), array_rest=rest), spec, []) is None


def test_types():
    assert wanted("END", ("END",), False)
    assert wanted("END", ("all",), False)
    assert not wanted("BEGIN", ("END", "FAIL"), False)
    assert not wanted("END", ("NONE", "END"), False)
    assert not wanted("END", ("END",), array_task=True)
    assert wanted("END", ("END", "ARRAY_TASKS"), array_task=True)
    assert not wanted("TIME_LIMIT_50", ("ALL",), False)


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
