"""Who waits for whom? An index, so that the end of a job costs as much as there are jobs that wait for it."""

from corral.engine.state import ClusterState
from corral.model.job import Job, JobId
from corral.model.reason import Reason
from corral.protocol import events as ev
from corral.syntax import dependency

#: A pending job with one of these stands in the index.
REASONS = frozenset({Reason.DEPENDENCY, Reason.DEPENDENCY_NEVER_SATISFIED})

Name = tuple[int, str]  #: (uid, job name), for `singleton`


class Waits:
    """Kept up to date event by event; `to_check` are the jobs for which something may have changed."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.waiting_for: dict[JobId | Name, set[JobId]] = {}
        self.keys: dict[JobId, list[JobId | Name]] = {}  #: what each waiting job stands under
        self.delayed: set[JobId] = set()  #: wait for some minutes after a start
        self.to_check: set[JobId] = set()
        for job_id in (*state.timed, *state.held):
            self._look_at(state.jobs[job_id])

    def seen(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.JobSubmitted(job=job):
                self._look_at(job)
            case ev.JobStarted(job=job) | ev.JobEnded(job=job):
                self._leave(job.id)
                self._changed(job)
            case ev.JobRequeued(job=job):
                self._look_at(job)
                self._changed(job)
            case ev.JobChanged(job=job):
                self._look_at(job)
                if event.array_rest is not None:
                    self._changed(job)
                if event.spec is not None:  # perhaps its name
                    self.to_check.update(self.keys)
            case ev.JobsPurged(ids=ids):
                for job_id in ids:
                    self.to_check |= self.waiting_for.get(job_id, set())

    def tick(self) -> None:
        self.to_check |= self.delayed

    def _changed(self, job: Job) -> None:
        if not self.waiting_for:
            return
        names: list[JobId | Name] = [job.id, (job.owner.uid, self.state.spec(job).name)]
        if job.array_job_id is not None:
            names.append(job.array_job_id)
        for name in names:
            self.to_check |= self.waiting_for.get(name, set())

    def _look_at(self, job: Job) -> None:
        if job.id in self.keys:
            self._leave(job.id)
        if not job.is_pending or job.independent or not (job.reason in REASONS or job.held_by):
            return
        spec = self.state.spec(job)
        if not job.held_by:
            self.to_check.add(job.id)
        keys = self.keys[job.id] = []
        for condition in dependency.parse(spec.dependency).conditions:
            key: JobId | Name = JobId(condition.job) if condition.job else (job.owner.uid, spec.name)
            keys.append(key)
            self.waiting_for.setdefault(key, set()).add(job.id)
            if condition.delay:
                self.delayed.add(job.id)

    def _leave(self, job_id: JobId) -> None:
        self.delayed.discard(job_id)
        for key in self.keys.pop(job_id, ()):
            waiting = self.waiting_for.get(key)
            if waiting is not None:
                waiting.discard(job_id)
                if not waiting:
                    del self.waiting_for[key]
