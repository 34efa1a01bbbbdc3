"""Which Pods did not run while the cluster was down, though their jobs are RUNNING all the time?

`corral down` ends what runs. A Pod stays what it is, with its node and its job, and its containers are started again when the cluster is
up. Nobody is charged for the time between: it counts as a suspension, from the last event or heartbeat that the former controller has
kept to the first word of the node. A Pod that has run on meanwhile (only the controller was away) is known to its agent.
"""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.state import ABSENT
from corral.model.job import Job, JobState
from corral.protocol.events import StepChanged
from corral.protocol.reports import AgentRegistered

#: As long as a restart of the controller may take, nobody cares.
_SHORT_SECONDS = 5.0


def registered(ctx: Context, report: AgentRegistered, now: float, out: Effects) -> None:
    """An agent speaks to this controller for the first time. To be called before it is told what it should run."""
    running = {one.key.job for one in report.steps if not one.finished}
    for node in report.nodes:
        known = ctx.state.nodes.get(node.name)
        since = max(ctx.state_as_of, known.last_heard if known is not None else 0.0)
        if not since or now - since < _SHORT_SECONDS:
            continue
        for number in sorted(ctx.state.jobs_by_node.get(node.name, ())):
            job = ctx.state.jobs[number]
            is_pod = job.state is JobState.RUNNING and ctx.state.spec(job).pod is not None
            if is_pod and number not in running and job.start_time <= since:
                _was_absent(ctx, job, now - since, now, out)


def _was_absent(ctx: Context, job: Job, absent: float, now: float, out: Effects) -> None:
    seconds = job.suspended_seconds + absent
    job = ctx.change_job(job, now, out, ABSENT, suspended_seconds=seconds)
    for step in ctx.state.live_steps_of(job.id):
        again = msgspec.structs.replace(step, start_time=now, suspended_before=seconds)
        ctx.record(StepChanged(time=now, step=again), out)
