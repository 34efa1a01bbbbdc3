"""Whose jobs does a caller see? Its own, as coordinator those of its accounts; all of them as operator, or where `private_data` does not
name jobs."""

from collections.abc import Iterable

from corral.controller.api.service import Service
from corral.engine.outcomes import coordinates
from corral.model.job import Job
from corral.protocol import events as ev
from corral.protocol.requests import Caller


def sees_all(service: Service, caller: Caller) -> bool:
    return caller.is_operator or "jobs" not in service.config.private_data


def visible(service: Service, caller: Caller, jobs: Iterable[Job]) -> Iterable[Job]:
    """Those of them that the caller may see."""
    if sees_all(service, caller):
        return jobs
    state = service.state
    return [job for job in jobs if job.owner.uid == caller.uid or (job.association and coordinates(state, caller, job))]


def may_see_event(service: Service, caller: Caller, event: ev.AnyEvent) -> bool:
    """Nodes and partitions are everybody's; a job's events its owner's; crontabs and triggers nobody else's at all."""
    if isinstance(event, ev.CrontabChanged):
        return caller.is_operator or event.crontab.uid == caller.uid
    if isinstance(event, ev.TriggerChanged | ev.TriggerFired):
        return caller.is_operator or event.trigger.uid == caller.uid
    if sees_all(service, caller):
        return True
    match event:
        case ev.JobSubmitted() | ev.JobStarted() | ev.JobChanged() | ev.JobRequeued() | ev.JobEnded():
            return event.job.owner.uid == caller.uid
        case ev.StepCreated() | ev.StepChanged() | ev.StepEnded():
            job = service.state.jobs.get(event.step.key.job)
            return job is not None and job.owner.uid == caller.uid
        case _:
            return True
