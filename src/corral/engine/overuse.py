"""Which running jobs have used up the minutes of their association or QOS?

As in Slurm they end then, with TIMEOUT; with `safe` enforced none starts that could come so far.
"""

from corral.engine import charging, endings
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.model.job import Job, JobState
from corral.model.reason import Reason
from corral.scheduler.quota import Rule

#: Seconds between two looks.
INTERVAL = 30.0


def tick(ctx: Context, now: float, out: Effects) -> None:
    if not ctx.state.books or now < ctx.overuse_due or not charging.enforced(ctx, "limits"):
        return
    ctx.overuse_due = now + INTERVAL
    if ctx.waits_for_minutes:  # what was used decays: by now it may be enough
        ctx.wants_cycle = True
    for job_id in sorted(ctx.state.active):
        job = ctx.state.jobs[job_id]
        if job.state is JobState.RUNNING and job.association:
            reason = _used_up(ctx, job, now)
            if reason is not None:
                endings.terminate(ctx, job, JobState.TIMEOUT, now, out, why="time_limit", reason=reason)


def _used_up(ctx: Context, job: Job, now: float) -> Reason | None:
    rules = charging.rules_for(ctx, job, job.partition)
    if not (rules.minutes or rules.wall):
        return None
    meter = ctx.state.meter

    def beyond(rule: Rule, wall: bool) -> bool:
        used = meter.used(rule.bucket, now)
        return (used.wall_minutes if wall else used.minutes(rule.resource)) >= rule.limit

    return next(
        (
            rule.reason
            for wall, found in ((False, rules.minutes), (True, rules.wall))
            for rule in found
            if beyond(rule, wall)
        ),
        None,
    )
