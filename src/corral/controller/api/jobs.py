"""Jobs and their steps: submit, change, look at, wait for."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from corral.controller.api import query
from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.job_rows import JOBS, JobContext, is_configuring, reservation_of
from corral.controller.api.privacy import sees_all, visible
from corral.controller.api.service import Service
from corral.controller.api.step_rows import STEPS, StepContext
from corral.controller.submission import AnySent, SentJob, SentJobs, SentStep, SentStepSpec, decode
from corral.daemon import clock
from corral.engine import dependencies, preemption
from corral.engine.partitions import partition_rows
from corral.engine.state import ClusterState
from corral.model import ranges
from corral.model.job import ENDED, Job, JobId, JobKind, JobState
from corral.model.step import STEP_NAMES, TRANSFERS, Step
from corral.protocol.replies import JobRows
from corral.protocol.requests import Caller, CancelJobs, JobSelection, Reconfigure
from corral.syntax import licenses
from corral.syntax.jobid import JobRef

#: SPECIAL_EXIT is no state of its own: such a job is pending.
_STATES: dict[str, JobState | None] = {state.value: state for state in JobState} | {"SPECIAL_EXIT": None}
_STEP_NUMBERS = {name: number for number, name in STEP_NAMES.items()}
_WAITING = frozenset({JobState.PENDING, JobState.CONFIGURING})

NO_SUCH_JOB = "Invalid job id specified"


class JobsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/jobs: as SubmitJobs, without its tag."""

    jobs: tuple[SentJob, ...]
    user: str = ""
    group: str = ""
    crontab: str | None = None
    test_only: bool = False


class StepBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/jobs/{id}/steps: as CreateStep, without its tag and job."""

    spec: SentStepSpec
    environment: dict[str, str] = {}


_jobs_body = msgspec.json.Decoder(JobsBody)
_step_body = msgspec.json.Decoder(StepBody)


# -- changes


async def post_request(service: Service, request: Request) -> Any:
    """The one door for every change."""
    return await _ask(service, request, decode(await body_of(request)))


async def post_jobs(service: Service, request: Request) -> Any:
    body = _jobs_body.decode(await body_of(request))
    return await _ask(
        service,
        request,
        SentJobs(jobs=body.jobs, user=body.user, group=body.group, crontab=body.crontab, test_only=body.test_only),
    )


async def delete_job(service: Service, request: Request) -> Any:
    query.refs(request.path_params["id"])
    selection = JobSelection(ids=(request.path_params["id"],))
    return await _ask(service, request, CancelJobs(selection=selection))


async def post_step(service: Service, request: Request) -> Any:
    body = _step_body.decode(await body_of(request))
    message = SentStep(job=request.path_params["id"], spec=body.spec, environment=body.environment)
    return await _ask(service, request, message)


async def _ask(service: Service, request: Request, message: AnySent) -> Any:
    caller = caller_of(service, request)
    request.scope["corral.message"] = message.__struct_config__.tag
    if isinstance(message, Reconfigure) and service.reconfigure is not None:
        return await service.reconfigure(caller)
    key = request.headers.get("idempotency-key", "")
    if len(key) > 128:
        raise Refusal("Idempotency-Key: longer than 128 characters")
    return await service.ask(message, caller, key)


# -- jobs


async def get_jobs(service: Service, request: Request) -> JobRows:
    caller = caller_of(service, request)
    fields = JOBS.check(query.words(request, "fields"))
    jobs: Iterable[Job] = service.state.jobs.values()
    refs = query.job_refs(request)
    if refs:
        jobs = unique(job for ref in refs for job in named(service, ref))
    jobs = visible(service, caller, _Filter(service, request).of(jobs))
    return JOBS.rows(jobs, fields, context(service))


class _Filter:
    """All given conditions must hold."""

    def __init__(self, service: Service, request: Request) -> None:
        self.specs = service.state.specs
        self.users = frozenset(query.words(request, "users"))
        self.names = frozenset(query.words(request, "names"))
        self.accounts = frozenset(query.words(request, "accounts"))
        self.partitions = frozenset(query.words(request, "partitions"))
        self.qos = frozenset(query.words(request, "qos"))
        states = query.choice(request, "states", _STATES)
        self.states = frozenset(state for state in states if state is not None)
        self.special_exit = None in states
        self.configuring = JobState.CONFIGURING in self.states and JobState.RUNNING not in self.states
        self.nodes = query.nodes(request)
        self.licenses = frozenset(query.words(request, "licenses"))
        self.reservations = frozenset(query.words(request, "reservations"))
        hidden = {name for name, partition in service.state.partitions.items() if partition.hidden}
        self.hidden = frozenset() if query.flag(request, "all") else frozenset(hidden - self.partitions)

    def of(self, jobs: Iterable[Job]) -> Iterable[Job]:
        specs = self.specs
        if self.special_exit:
            jobs = [job for job in jobs if job.state in self.states or (job.special_exit and job.is_pending)]
        elif self.states:
            jobs = [job for job in jobs if job.state in self.states or (self.configuring and is_configuring(job))]
        if self.users:
            jobs = [job for job in jobs if job.owner.user in self.users or str(job.owner.uid) in self.users]
        if self.partitions:
            jobs = [
                job
                for job in jobs
                if not self.partitions.isdisjoint((job.partition or specs[job.spec_id].partition).split(","))
            ]
        if self.hidden:
            jobs = [job for job in jobs if (job.partition or specs[job.spec_id].partition) not in self.hidden]
        if self.names:
            jobs = [job for job in jobs if specs[job.spec_id].name in self.names]
        if self.accounts:
            jobs = [job for job in jobs if specs[job.spec_id].account in self.accounts]
        if self.qos:
            jobs = [job for job in jobs if (specs[job.spec_id].qos or "normal") in self.qos]
        if self.reservations:
            jobs = [job for job in jobs if reservation_of(job, specs[job.spec_id]) in self.reservations]
        if self.licenses:
            jobs = [job for job in jobs if self._has_license(specs[job.spec_id].licenses)]
        if self.nodes:
            jobs = [job for job in jobs if job.allocation and not self.nodes.isdisjoint(job.allocation.node_names)]
        return jobs

    def _has_license(self, text: str) -> bool:
        return bool(text) and any(name in self.licenses for name, _ in licenses.parse(text))


def unique(jobs: Iterable[Job]) -> Iterator[Job]:
    seen = set()
    for job in jobs:
        key = (job.id, job.array_task_id)
        if key not in seen:
            seen.add(key)
            yield job


def context(service: Service) -> JobContext:
    config = service.config
    made = JobContext(service.state.specs, clock.now(), config.requeue, switch_wait=config.scheduling.max_switch_wait)
    made.gpu_fence = config.gpu_sharing.fence
    made.largest = cache(lambda partition: largest_node(service.state, partition))
    partitions = service.state.partitions
    made.preemptable = lambda job: preemption.shown_eligible(service, job)
    made.is_forced = lambda name: name in partitions and partitions[name].oversubscribe.startswith("FORCE")
    made.dependency_left = lambda job: dependencies.left(service.state, job, made.now)
    return made


def largest_node(state: ClusterState, name: str) -> tuple[int, int]:
    """The most CPUs, and the most GPUs, that a node of this partition has."""
    table, partition = state.ledger, state.partitions.get(name)
    if partition is None or not (rows := partition_rows(state, partition, table)).any():
        return 0, 0
    gpus = np.zeros(len(table), np.int64)
    for (kind, _), column in table.total_gres.items():
        if kind == "gpu":
            gpus = gpus + column
    return int(table.cpus[rows].max()), int(gpus[rows].max())


def named(service: Service, ref: JobRef) -> list[Job]:
    """The records an id means: a job, an element, or all of an array."""
    state = service.state
    job_id = JobId(ref.job)
    members = state.array_members.get(job_id)
    first = state.jobs.get(job_id)
    if ref.het is not None:
        return [job for job in state.het_members(first) if job.het_offset == ref.het] if first is not None else []
    if first is not None and first.id == first.het_job_id:
        return list(state.het_members(first))
    if not ref.tasks:
        if members:
            return [state.jobs[member] for member in sorted(members)]
        job = state.jobs.get(job_id)
        return [job] if job is not None else []
    wanted = frozenset(ref.tasks)
    found = []
    for member in sorted(members or ()):
        job = state.jobs[member]
        if job.array_task_id is not None:
            if job.array_task_id in wanted:
                found.append(job)
        else:
            # An element that waits still shares the array's record; it is shown as a job of its own.
            found += [
                msgspec.structs.replace(job, array_task_id=task, array_waiting=())
                for task in sorted(wanted)
                if ranges.contains(job.array_waiting, task)
            ]
    return found


def jobs_of(service: Service, caller: Caller, text: str) -> list[Job]:
    """What another may not see is not there."""
    found = list(visible(service, caller, [job for ref in query.refs(text) for job in named(service, ref)]))
    if not found:
        raise Refusal(NO_SUCH_JOB, "not_found")
    return found


async def get_job(service: Service, request: Request) -> JobRows:
    jobs = jobs_of(service, caller_of(service, request), request.path_params["id"])
    return JOBS.rows(jobs, JOBS.check(query.words(request, "fields")), context(service))


async def wait_for_job(service: Service, request: Request) -> JobRows:
    """Answers as soon as all of the job has started, is being cleared away, or has ended; or when the time is over.

    With `told` (a time) also when its user has been told since that its GPUs do nothing.
    """
    caller = caller_of(service, request)
    until = request.query_params.get("until", "ended")
    if until not in ("started", "completing", "ended"):
        raise Refusal(f"until: started, completing or ended, not {until!r}")
    text = request.path_params["id"]
    told = query.number(request, "told", 1e18)
    fields = JOBS.check(query.words(request, "fields"))
    ends = clock.monotonic() + query.timeout(request)
    jobs = jobs_of(service, caller, text)
    watched = query.refs(text)[0].job
    specs = {job.spec_id: service.state.specs[job.spec_id] for job in jobs}
    while not all(_is_there(job, until) for job in jobs) and not any(job.idle_told > told for job in jobs):
        left = ends - clock.monotonic()
        if left <= 0 or not await service.watchers.change_of(watched, left):
            break
        try:
            jobs = jobs_of(service, caller, text)
        except Refusal:  # it has been forgotten meanwhile: what was last known
            break
        specs.update((job.spec_id, service.state.specs[job.spec_id]) for job in jobs)
    made = context(service)
    made.specs = specs
    return JOBS.rows(jobs, fields, made)


def _is_there(job: Job, until: str) -> bool:
    if until == "started":
        return job.state not in _WAITING and not is_configuring(job)
    return job.state in ENDED or (until == "completing" and job.state is JobState.COMPLETING)


async def get_script(service: Service, request: Request) -> Response:
    jobs = jobs_of(service, caller_of(service, request), request.path_params["id"])
    _only_own(service, request, jobs[0], "the script of job")
    spec = service.state.specs[jobs[0].spec_id]
    script = service.performer.blobs.get(spec.script_digest) if spec.script_digest else None
    if script is None:
        raise Refusal("the job has no script", "not_found")
    return PlainTextResponse(script)


async def get_environment(service: Service, request: Request) -> Response:
    jobs = jobs_of(service, caller_of(service, request), request.path_params["id"])
    _only_own(service, request, jobs[0], "the environment of job")
    spec = service.state.specs[jobs[0].spec_id]
    if spec.kind is not JobKind.BATCH:
        raise Refusal("the job has no script", "not_found")
    data = service.performer.blobs.get(spec.environment_digest) if spec.environment_digest else None
    found = msgspec.msgpack.decode(data, type=dict[str, str]) if data is not None else {}
    return PlainTextResponse("".join(f"{name}={value}\n" for name, value in found.items()))


async def get_access(service: Service, request: Request) -> Any:
    """The way to the streams of a step, for srun and sattach."""
    step = _step_of(service, request)
    _only_own(service, request, service.state.jobs[step.key.job], "the streams of job")
    return service.performer.access(step.key)


def _only_own(service: Service, request: Request, job: Job, what: str) -> None:
    caller = caller_of(service, request)
    if caller.uid != job.owner.uid and not caller.is_operator:
        raise Refusal(
            "Access/permission denied", "denied", f"You may not see {what} {job.id}: it is {job.owner.user}'s."
        )


# -- steps


async def get_steps(service: Service, request: Request) -> JobRows:
    """Of jobs that hold resources; with all=1 also those that have ended."""
    caller = caller_of(service, request)
    fields = STEPS.check(query.words(request, "fields"))
    state = service.state
    refs = query.job_refs(request, "job")
    ids = unique_ids(job.id for ref in refs for job in named(service, ref)) if refs else list(state.steps)
    everything = query.flag(request, "all")
    steps = [
        step
        for job_id in ids
        for step in state.steps.get(job_id, {}).values()
        if job_id in state.jobs and (everything or step.state not in ENDED) and step.key.step > TRANSFERS
    ]
    if not sees_all(service, caller):
        steps = [step for step in steps if state.jobs[step.key.job].owner.uid == caller.uid]
    wanted = {step_number(ref.step) for ref in refs if ref.step != ""}
    if wanted:
        steps = [step for step in steps if step.key.step in wanted]
    return STEPS.rows(steps, fields, StepContext(state.jobs, state.specs, clock.now()))


def unique_ids(ids: Iterable[JobId]) -> list[JobId]:
    return list(dict.fromkeys(ids))


def step_number(text: str | int) -> int:
    text = str(text)
    if text in _STEP_NUMBERS:
        return _STEP_NUMBERS[text]
    if not text.isdigit():
        raise Refusal("Invalid job id specified", "not_found", f"{text!r} is not a step.")
    return int(text)


#: Whoever has made one may wait for it.
_HIDDEN = re.compile(r"-[0-9]{4,9}")


def _step_of(service: Service, request: Request) -> Step:
    text = request.path_params["step"]
    number = int(text) if _HIDDEN.fullmatch(text) else step_number(text)
    for job in jobs_of(service, caller_of(service, request), request.path_params["id"]):
        step: Step | None = service.state.steps.get(job.id, {}).get(number)
        if step is not None:
            return step
    raise Refusal(NO_SUCH_JOB, "not_found", "There is no such step.")


async def wait_for_step(service: Service, request: Request) -> JobRows:
    """Answers as soon as the step has ended, or when the time is over."""
    ends = clock.monotonic() + query.timeout(request)
    step = _step_of(service, request)
    job = service.state.jobs[step.key.job]
    spec = service.state.specs[job.spec_id]
    while step.state not in ENDED:
        left = ends - clock.monotonic()
        if left <= 0 or not await service.watchers.change_of(step.key.job, left):
            break
        now_there = service.state.steps.get(step.key.job, {}).get(step.key.step)
        if now_there is None:  # requeued or forgotten
            break
        step = now_there
    return STEPS.rows([step], (), StepContext({job.id: job}, {job.spec_id: spec}, clock.now()))


ROUTES = (
    ("POST", "/v1/requests", post_request),
    ("POST", "/v1/jobs", post_jobs),
    ("GET", "/v1/jobs", get_jobs),
    ("GET", "/v1/jobs/{id}", get_job),
    ("DELETE", "/v1/jobs/{id}", delete_job),
    ("POST", "/v1/jobs/{id}/steps", post_step),
    ("GET", "/v1/jobs/{id}/wait", wait_for_job),
    ("GET", "/v1/jobs/{id}/script", get_script),
    ("GET", "/v1/jobs/{id}/environment", get_environment),
    ("GET", "/v1/jobs/{id}/access/{step}", get_access),
    ("GET", "/v1/steps", get_steps),
    ("GET", "/v1/steps/{id}/{step}/wait", wait_for_step),
)
