"""What must be done so that as many Pods of a Job succeed as it says?

Each Pod is counted once: it has a finalizer until what became of it is in the Job's status, and both change in one event. So a Pod that is
removed right after its end, or that is seen twice, changes nothing.
"""

import math

import msgspec

from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import Container, EnvVar, Pod
from corral.model.kube.workload import Job
from corral.services import indexes, podset
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.conditions import creating, find, with_condition
from corral.services.view import View
from corral.services.waits import over_at

TRACKED = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
_FIRST, _LONGEST = 10.0, 360.0  #: seconds between tries


def reconcile(one: Job, view: View, now: float) -> list[Change]:
    if has_finished(one):
        return _afterwards(one, now)
    pods = view.pods_of(one.metadata.uid)
    look = _Look(one, pods, view, now)
    look.count()
    look.judge()
    changes = look.changes()
    look.set(conditions=creating(look.status.conditions, view.refusal(one.key), now))
    if look.status != one.status:
        changes.append(Put(msgspec.structs.replace(one, status=look.status)))
    if look.due < math.inf:
        changes.append(Wake(look.due))
    return changes


def has_finished(one: Job) -> bool:
    return any(said.type in ("Complete", "Failed") and said.status == "True" for said in one.status.conditions)


def finished_at(one: Job) -> float:
    return max(
        (said.last_transition_time for said in one.status.conditions if said.type in ("Complete", "Failed")),
        default=0.0,
    )


def _afterwards(one: Job, now: float) -> list[Change]:
    if one.spec.ttl_seconds_after_finished is None:
        return []
    due = finished_at(one) + one.spec.ttl_seconds_after_finished
    return [Remove(one.key) if due <= now else Wake(due)]


def index_of(pod: Pod) -> int:
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isascii() and text.isdigit() else -1


class _Look:
    def __init__(self, one: Job, pods: list[Pod], view: View, now: float) -> None:
        self.one, self.view, self.now = one, view, now
        self.pods = pods
        self.uncounted = [pod for pod in pods if TRACKED in pod.metadata.finalizers]
        self.active = [pod for pod in self.uncounted if podset.is_active(pod)]
        self.status = one.status
        self.is_indexed = one.spec.completion_mode == "Indexed"
        self.done = indexes.parse(one.status.completed_indexes)
        self.counted: list[Pod] = []
        self.ended: list[Pod] = []  #: by us: they count neither way
        self.made: list[Pod] = []
        self.due = math.inf

    def set(self, **fields: object) -> None:
        self.status = msgspec.structs.replace(self.status, **fields)

    def say(self, kind: str, status: str, reason: str, message: str) -> None:
        said = with_condition(self.status.conditions, kind, status, reason, message, self.now)  # type: ignore[arg-type]
        self.set(conditions=said)

    def count(self) -> None:
        """What has become of Pods since the last look."""
        succeeded, failed = self.status.succeeded, self.status.failed
        for pod in self.uncounted:
            if podset.is_active(pod):
                continue
            self.counted.append(pod)
            if pod.status.phase == "Succeeded":
                if self.is_indexed:
                    self.done.add(index_of(pod))
                else:
                    succeeded += 1
            else:
                failed += 1
        if self.is_indexed:
            self.done = {index for index in self.done if 0 <= index < (self.one.spec.completions or 0)}
            succeeded = len(self.done)
            self.set(completed_indexes=indexes.written(self.done))
        self.set(succeeded=succeeded, failed=failed)

    def judge(self) -> None:
        """Over, suspended, or to go on."""
        spec, status = self.one.spec, self.status
        if status.failed > spec.backoff_limit or self._restarted_too_often():
            self._fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif spec.active_deadline_seconds is not None and status.start_time and not spec.suspend and (
            self.now >= status.start_time + spec.active_deadline_seconds
        ):  # fmt: skip
            self._fail("DeadlineExceeded", "Job was active longer than specified deadline")
        elif self._is_complete():
            self._end(self.active)
            self.say("Complete", "True", "CompletionsReached", "Reached expected number of succeeded pods")
            self.set(completion_time=self.now)
        elif spec.suspend:
            self._end(self.active)
            self.say("Suspended", "True", "JobSuspended", "Job suspended")
            self.set(start_time=0.0)
        else:
            self._go_on()
        staying = [pod for pod in self.active if pod not in self.ended]
        self.set(active=len(staying), ready=sum(pod.is_ready for pod in staying))

    def _is_complete(self) -> bool:
        if self.one.spec.completions is None:
            return self.status.succeeded > 0 and not self.active
        return self.status.succeeded >= self.one.spec.completions

    def _restarted_too_often(self) -> bool:
        """With restartPolicy OnFailure what fails is started anew in its Pod: that counts as well."""
        if self.one.spec.template.spec.restart_policy != "OnFailure":
            return False
        count = sum(
            container.restart_count
            for pod in self.active
            for container in (*pod.status.container_statuses, *pod.status.init_container_statuses)
        )
        return count >= max(self.one.spec.backoff_limit, 1)

    def _fail(self, reason: str, message: str) -> None:
        self._end(self.active)
        self.say("Failed", "True", reason, message)

    def _end(self, pods: list[Pod]) -> None:
        self.ended += pods

    def _go_on(self) -> None:
        spec = self.one.spec
        if (said := find(self.status.conditions, "Suspended")) is not None and said.status == "True":
            self.say("Suspended", "False", "JobResumed", "Job resumed")
        if not self.status.start_time:
            self.set(start_time=self.now)
        if spec.active_deadline_seconds is not None:
            self.due = min(self.due, self.status.start_time + spec.active_deadline_seconds)
        wanted = self._wanted()
        if len(self.active) > wanted:
            self._end(podset.first_to_go(self.active, self.now)[: len(self.active) - wanted])
        elif len(self.active) < wanted and not podset.is_refused(self.active):
            wait = self._may_create_at()
            if wait > self.now:
                self.due = min(self.due, wait)
            else:
                self._make(min(wanted - len(self.active), podset.AT_ONCE))

    def _wanted(self) -> int:
        """So many Pods at once."""
        spec = self.one.spec
        if spec.completions is None:
            return len(self.active) if self.status.succeeded else spec.parallelism
        return min(spec.parallelism, spec.completions - self.status.succeeded)

    def _may_create_at(self) -> float:
        """After failures later and later, until one succeeds."""
        ends = sorted((podset.ended_at(pod), pod.status.phase == "Succeeded") for pod in self.pods if pod.has_ended)
        last = max((at for at, succeeded in ends if succeeded), default=0.0)
        failures = [at for at, succeeded in ends if not succeeded and at > last]
        if not failures:
            return 0.0
        return over_at(failures[-1], min(_FIRST * 2.0 ** min(len(failures) - 1, 10), _LONGEST), self.now)

    def _make(self, count: int) -> None:
        if self.is_indexed:
            busy = {index_of(pod) for pod in self.active} | self.done
            free = (index for index in range(self.one.spec.completions or 0) if index not in busy)
            self.made = [self._pod(index) for index, _ in zip(free, range(count), strict=False)]
        else:
            self.made = [self._pod(number, indexed=False) for number in range(count)]

    def _pod(self, number: int, *, indexed: bool = True) -> Pod:
        job = self.one
        head = f"{job.metadata.name}-{number}" if indexed else job.metadata.name
        labels = {
            CONTROLLER_UID: job.metadata.uid, "controller-uid": job.metadata.uid,
            "batch.kubernetes.io/job-name": job.metadata.name, "job-name": job.metadata.name,
        }  # fmt: skip
        if indexed:
            labels[INDEX] = str(number)
        pod = podset.made_from(
            job.spec.template, job, self._name(head, number), labels, {INDEX: str(number)} if indexed else {}
        )
        spec = pod.spec
        if indexed:
            spec = msgspec.structs.replace(
                spec,
                hostname=f"{job.metadata.name}-{number}",
                containers=tuple(_told(one, number) for one in spec.containers),
                init_containers=tuple(_told(one, number) for one in spec.init_containers),
            )
        meta = msgspec.structs.replace(pod.metadata, finalizers=(TRACKED,))
        return msgspec.structs.replace(pod, metadata=meta, spec=spec)

    def _name(self, head: str, number: int) -> str:
        salt = 0
        while True:
            name = f"{head}-{podset.letters(f'{self.one.metadata.uid} {self.now} {number} {salt}', 5)}"
            if self.view.get(ObjectKey("Pod", self.one.metadata.namespace, name)) is None:
                return name
            salt += 1

    def changes(self) -> list[Change]:
        found: list[Change] = [Put(_untracked(pod)) for pod in (*self.counted, *self.ended)]
        found += [Put(pod) for pod in self.made]
        return found + [Remove(pod.key) for pod in self.ended]


def _told(container: Container, number: int) -> Container:
    """It reads its index in its environment."""
    if any(one.name == "JOB_COMPLETION_INDEX" for one in container.env):
        return container
    return msgspec.structs.replace(
        container, env=(*container.env, EnvVar(name="JOB_COMPLETION_INDEX", value=str(number)))
    )


def _untracked(pod: Pod) -> Pod:
    left = tuple(name for name in pod.metadata.finalizers if name != TRACKED)
    return msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, finalizers=left))
