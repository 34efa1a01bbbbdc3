"""Why does a job wait, why is a node idle? What is needed is taken from the engine at once; the answer is worked out in a thread."""

import asyncio
from typing import Any

from starlette.requests import Request

from corral.controller.api import query
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.jobs import NO_SUCH_JOB
from corral.controller.api.privacy import sees_all
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.engine.explaining import inquiry
from corral.engine.explanation import explanation, settled
from corral.engine.idle_nodes import explained, node_inquiry
from corral.engine.outcomes import coordinates
from corral.engine.rivals import Sees, everybody, label
from corral.engine.selection import Unknown, targets_of, too_many
from corral.engine.standstill import standstill
from corral.errors import UsageError
from corral.model import ranges
from corral.model.job import Job
from corral.protocol.explanations import Explained, Why
from corral.protocol.requests import Caller

#: So many jobs, and nodes, in one request.
MOST_JOBS, MOST_NODES = 20, 100
#: A cycle that is due is waited for so many seconds: what it has not looked at yet can't be explained as well.
CYCLE_SECONDS = 1.0


async def get_why(service: Service, request: Request) -> Explained:
    """`jobs` and `nodes`; without both the queue as a whole."""
    caller = caller_of(service, request)
    jobs, nodes = request.query_params.get("jobs", ""), query.nodes(request)
    if len(nodes) > MOST_NODES:
        raise Refusal(f"{len(nodes)} nodes are too many for one request (at most {MOST_NODES})")
    async with service.explaining:
        await _cycle_over(service)
        sees = _sees(service, caller)
        if not jobs and not nodes:
            return Explained(queue=standstill(_view(service), clock.now(), sees))
        targets = _targets(service, jobs, sees) if jobs else []
        whys = [await _why(service, job, element, sees) for job, element in targets]
        idle = []
        for name in sorted(nodes):
            if name not in service.state.nodes:
                raise Refusal(f"Node {name} not found", "not_found")
            found = node_inquiry(_view(service), name, clock.now(), sees)
            idle.append(await asyncio.to_thread(explained, found))
    return Explained(jobs=tuple(whys), nodes=tuple(idle))


def _view(service: Service) -> Any:
    return service.loop.engine.pending  # type: ignore[attr-defined]


async def _cycle_over(service: Service) -> None:
    ends = clock.monotonic() + CYCLE_SECONDS
    while service.loop.is_scheduling and clock.monotonic() < ends:  # noqa: ASYNC110 - nothing tells when a cycle is over
        await asyncio.sleep(0.01)


def _sees(service: Service, caller: Caller) -> Sees:
    if sees_all(service, caller):
        return everybody
    state = service.state
    return lambda job: job.owner.uid == caller.uid or bool(job.association and coordinates(state, caller, job))


async def _why(service: Service, job: Job, element: int | None, sees: Sees) -> Why:
    shown = label(job) if element is None else f"{job.array_job_id}_{element}"
    if not job.is_pending:
        return settled(job, service.state.specs[job.spec_id], shown, clock.now())
    found = inquiry(_view(service), job, element, clock.now(), sees)
    return await asyncio.to_thread(explanation, found)


def _targets(service: Service, text: str, sees: Sees) -> list[tuple[Job, int | None]]:
    """The records that are meant, each with the one element that was named, if one was."""
    state = service.state
    if (refused := too_many([text])) is not None:
        raise Refusal(refused.error)
    found: list[tuple[Job, int | None]] = []
    for ref in query.refs(text):
        if ref.step:
            raise Refusal(NO_SUCH_JOB, "not_found", f"{ref} is a step: name its job.")
        try:
            targets = targets_of(state, str(ref))
        except UsageError:
            targets = Unknown(str(ref))
        own = [] if isinstance(targets, Unknown) else [target for target in targets if sees(state.jobs[target.job])]
        if not own:
            raise Refusal(NO_SUCH_JOB, "not_found", str(ref))
        for target in own:
            job = state.jobs[target.job]
            elements = target.elements or ()
            if len(elements) == 1 and job.array_waiting and ranges.contains(job.array_waiting, elements[0]):
                found.append((job, elements[0]))
            else:
                found.append((job, None))
    # Of an array what waits comes first; what runs or has ended says little.
    unique = list({(job.id, element): (job, element) for job, element in found}.values())
    unique.sort(key=lambda one: not one[0].is_pending)
    if len(unique) > MOST_JOBS:
        waiting = [one for one in unique if one[0].is_pending]
        if len(waiting) > MOST_JOBS:
            raise Refusal(f"{len(waiting)} waiting jobs are too many for one request (at most {MOST_JOBS})")
        unique = waiting or unique[:MOST_JOBS]
    return unique


ROUTES = (("GET", "/v1/why", get_why),)
