"""scrontab: how does a text become jobs that come back again and again, and when does that end?"""

import msgspec

from corral.engine import endings
from corral.engine.admission import Admitted
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.errors import InvalidCron
from corral.model.crontab import CronEntry, Crontab
from corral.model.job import Job, JobId, JobKind, JobState, Owner
from corral.protocol.events import CrontabChanged, JobEnded
from corral.protocol.replies import Rejected
from corral.protocol.requests import NewJob
from corral.syntax import cron

#: A crontab is no longer than that.
LONGEST = 1 << 20

#: What scancel says of such a job.
NEEDS_CRON = "Cannot cancel scrontab jobs without --cron flag."


def crontab_of(ctx: Context, job: Job) -> Crontab | None:
    """The crontab that this job is a living entry of."""
    crontab = ctx.state.crontabs.get(job.owner.uid)
    return crontab if crontab is not None and crontab.entry_of(job.id) is not None else None


def timed(jobs: tuple[NewJob, ...], text: str, now: float) -> tuple[NewJob, ...] | Rejected:
    """The jobs of a crontab, each with its first time."""
    if len(text) > LONGEST:
        return Rejected(error=f"crontab: {len(text)} characters, at most {LONGEST}")
    found = []
    for index, new in enumerate(jobs):
        if new.spec.array or new.spec.kind is not JobKind.BATCH:
            return Rejected(error="Invalid job array specification", detail="a crontab has plain jobs", index=index)
        first, last = new.spec.cron_lines
        if not 0 <= first <= last < len(text.split("\n")):
            return Rejected(error=f"crontab: there are no lines {first} to {last}", index=index)
        try:
            begin = cron.next_after(new.spec.cron, now)
        except InvalidCron as error:
            return Rejected(error=str(error), index=index)
        found.append(msgspec.structs.replace(new, spec=msgspec.structs.replace(new.spec, begin_time=begin)))
    return tuple(found)


def replace(
    ctx: Context, owner: Owner, text: str, made: list[tuple[JobId, Admitted]], now: float, out: Effects
) -> None:
    """The user's crontab is this one from now on. Jobs of the old one end: those that run after this run."""
    old = ctx.state.crontabs.get(owner.uid)
    entries = tuple(CronEntry(job_id, *entry.spec.cron_lines) for job_id, entry in made)
    if old is None and not text:
        return
    crontab = Crontab(uid=owner.uid, user=owner.user, text=text, entries=entries)
    ctx.record(CrontabChanged(time=now, crontab=crontab), out)
    for entry in old.entries if old is not None else ():
        job = ctx.state.jobs.get(entry.job)
        if job is not None and job.is_pending:
            gone = endings.given_up(job, JobState.CANCELLED, now, cancelled_by=owner.uid)
            ctx.record(JobEnded(time=now, job=gone), out)


def disable(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """The job has been cancelled: its lines are comments from now on."""
    crontab = crontab_of(ctx, job)
    if crontab is None:
        return
    entry = crontab.entry_of(job.id)
    assert entry is not None
    changed = msgspec.structs.replace(
        crontab,
        entries=tuple(one for one in crontab.entries if one.job != job.id),
        disabled=(*crontab.disabled, (entry.first_line, entry.last_line)),
    )
    ctx.record(CrontabChanged(time=now, crontab=changed), out)
