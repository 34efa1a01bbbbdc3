"""Which state may follow which?"""

from corral.model.job import ENDED, JobState

_ENDINGS = ENDED

#: Normative: docs/reference/job-states.md is checked against this table.
JOB_CHANGES: dict[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset(
        {JobState.CONFIGURING, JobState.RUNNING, JobState.CANCELLED, JobState.DEADLINE, JobState.FAILED}
    ),
    JobState.CONFIGURING: frozenset({JobState.RUNNING, JobState.COMPLETING, JobState.PENDING}) | _ENDINGS,
    JobState.RUNNING: frozenset({JobState.SUSPENDED, JobState.COMPLETING, JobState.PENDING}) | _ENDINGS,
    JobState.SUSPENDED: frozenset({JobState.RUNNING, JobState.COMPLETING, JobState.PENDING}) | _ENDINGS,
    JobState.COMPLETING: frozenset({JobState.PENDING}) | _ENDINGS,
    **{state: frozenset({JobState.PENDING}) for state in _ENDINGS},
}


def may_change(old: JobState, new: JobState) -> bool:
    """May a job go from `old` to `new`? (A requeue takes an ended job back to PENDING.)"""
    return old is new or new in JOB_CHANGES[old]
