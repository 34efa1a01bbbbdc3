"""Which Job of a CronJob begins now, and which go? When is the next due?"""

import math
from datetime import UTC, datetime

import msgspec

from corral.errors import InvalidCron
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.workload import CronJob, Job
from corral.services import batchjob
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.conditions import find
from corral.services.selectors import owner_reference
from corral.services.view import View
from corral.syntax import cron

_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def reconcile(one: CronJob, view: View, now: float) -> list[Change]:
    jobs = [found for found in view.owned(one.metadata.uid) if isinstance(found, Job)]
    jobs = [found for found in jobs if not found.metadata.deletion_timestamp]
    running = [found for found in jobs if not batchjob.has_finished(found)]
    changes = _history(one, jobs)
    began = one.status.last_schedule_time
    if not one.spec.suspend and _is_known(one, now):
        due = _due(one, now)
        key = ObjectKey("Job", one.metadata.namespace, f"{one.metadata.name}-{int(due // 60)}")
        if due and (one.spec.concurrency_policy != "Forbid" or not running):
            began = due
            if view.get(key) is None:
                if one.spec.concurrency_policy == "Replace":
                    changes += [Remove(found.key) for found in running]
                    running = []
                made = _made(one, key.name, due)
                changes.append(Put(made))
                running.append(made)
        changes.append(Wake(cron.next_in(one.spec.schedule, one.spec.time_zone, now)))
    succeeded = [found.status.completion_time for found in jobs if _has_succeeded(found)]
    status = msgspec.structs.replace(
        one.status,
        active=tuple(sorted(found.metadata.name for found in running)),
        last_schedule_time=began,
        last_successful_time=max([one.status.last_successful_time, *succeeded]),
    )
    if status != one.status:
        changes.append(Put(msgspec.structs.replace(one, status=status)))
    return [change for change in changes if not (isinstance(change, Wake) and change.at == math.inf)]


def _has_succeeded(one: Job) -> bool:
    return (said := find(one.status.conditions, "Complete")) is not None and said.status == "True"


def _is_known(one: CronJob, now: float) -> bool:
    """What is no schedule is refused when it comes; a zone can go away later."""
    try:
        cron.next_in(one.spec.schedule, one.spec.time_zone, now)
    except InvalidCron:
        return False
    return True


def _due(one: CronJob, now: float) -> float:
    """The last time that it should have begun and has not; 0.0 = none, or it is too late for it."""
    since = max(one.status.last_schedule_time, one.metadata.creation_timestamp)
    last = cron.last_in(one.spec.schedule, one.spec.time_zone, now)
    if last <= since:
        return 0.0
    deadline = one.spec.starting_deadline_seconds
    return 0.0 if deadline is not None and last + deadline < now else last


def _made(one: CronJob, name: str, due: float) -> Job:
    template = one.spec.job_template
    return Job(
        metadata=ObjectMeta(
            name=name,
            namespace=one.metadata.namespace,
            labels=template.metadata.labels,
            annotations={
                **template.metadata.annotations,
                _SCHEDULED: datetime.fromtimestamp(due, UTC).isoformat().replace("+00:00", "Z"),
            },
            owner_references=(owner_reference(one),),
        ),
        creator=one.creator,
        spec=template.spec,
    )


def _history(one: CronJob, jobs: list[Job]) -> list[Change]:
    """Of those that are over the newest are kept."""
    changes: list[Change] = []
    for wanted, limit in ((True, one.spec.successful_jobs_history_limit), (False, one.spec.failed_jobs_history_limit)):
        over = [found for found in jobs if batchjob.has_finished(found) and _has_succeeded(found) is wanted]
        over.sort(key=lambda found: (found.status.start_time, found.metadata.creation_timestamp, found.metadata.name))
        changes += [Remove(found.key) for found in over[: max(len(over) - limit, 0)]]
    return changes
