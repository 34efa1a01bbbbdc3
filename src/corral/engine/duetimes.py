"""When is something due for which job: its begin, its deadline, its warning, its limit?"""

import heapq

from corral.engine.state import ClusterState
from corral.model.job import UNLIMITED, Job, JobId, JobSpec, JobState
from corral.model.reason import Reason
from corral.protocol import events as ev

#: A job with a deadline that could run for less than so many seconds is given up.
LEAST_RUN = 60

_NEVER = float("inf")


def limit_ends(job: Job) -> float:
    """When the job's limit strikes, were it not suspended any more, or its grace is over; infinity without a limit."""
    ends = _NEVER
    if job.time_limit < UNLIMITED:
        ends = job.start_time + job.time_limit + job.suspended_seconds
    if job.preempted is not None and job.state is JobState.RUNNING:
        return min(ends, job.preempted.ends)
    return ends


def marks(job: Job, spec: JobSpec) -> list[tuple[int, float]]:
    """Percentages of the limit that mail is wanted for and has not been sent, and when they are reached."""
    if job.time_limit >= UNLIMITED:
        return []
    wanted = [
        percent for percent in (50, 80, 90) if f"TIME_LIMIT_{percent}" in spec.mail_types and percent > job.limit_told
    ]
    return [(percent, limit_ends(job) - job.time_limit * (100 - percent) / 100) for percent in wanted]


class DueTimes:
    """Kept up to date event by event. Entries of the heap that `known` does not confirm are over."""

    def __init__(self, state: ClusterState, grace: float) -> None:
        self.state = state
        self.grace = grace  #: seconds that a job may exceed its limit
        self.heap: list[tuple[float, JobId]] = []
        self.known: dict[JobId, float] = {}
        for job_id in (*state.timed, *state.active):
            self.look_at(state.jobs[job_id])

    def seen(self, event: ev.AnyEvent) -> None:
        match event:
            case (
                ev.JobStarted(job=job) | ev.JobChanged(job=job) | ev.JobSubmitted(job=job) | ev.JobEnded(job=job)
                | ev.JobRequeued(job=job)
            ):  # fmt: skip
                self.look_at(job)

    def look_at(self, job: Job) -> None:
        when = self._of(job)
        if when == _NEVER:
            self.known.pop(job.id, None)
        elif self.known.get(job.id) != when:
            self.known[job.id] = when
            heapq.heappush(self.heap, (when, job.id))

    def _of(self, job: Job) -> float:
        if job.state is JobState.RUNNING and job.configuring_since and job.preempted is None:
            return _NEVER
        if job.state is JobState.RUNNING:
            ends = limit_ends(job)
            spec = self.state.spec(job)
            first = ends + self.grace
            if job.preempted is not None:
                first = min(first, job.preempted.ends)
            if spec.signal is not None and not job.warned:
                first = min(ends - spec.signal[1], first)
            if spec.mail_types:
                first = min([first, *(when for _, when in marks(job, spec))])
            return first
        if job.state is JobState.SUSPENDED and job.preempted is not None and job.preempted.is_grace:
            return job.preempted.ends
        if job.state is JobState.PENDING:
            begins = job.eligible_time if job.reason is Reason.BEGIN_TIME else _NEVER
            deadline = self.state.spec(job).deadline
            return min(begins, self.last_start(job)) if deadline else begins
        return _NEVER

    def last_start(self, job: Job) -> float:
        """Later than this it makes no sense to start it: its deadline is too near."""
        spec = self.state.spec(job)
        if not spec.deadline:
            return _NEVER
        return spec.deadline - (spec.time_min or min(job.time_limit, LEAST_RUN))

    def next(self) -> float:
        heap, known = self.heap, self.known
        while heap and known.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else _NEVER

    def take(self, now: float) -> list[JobId]:
        """The jobs for which something is due, in the order of their ids. Each is to be looked at again afterwards."""
        due = []
        while self.next() <= now:
            _, job_id = heapq.heappop(self.heap)
            del self.known[job_id]
            due.append(job_id)
        return sorted(due)
