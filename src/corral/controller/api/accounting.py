"""The history that sacct reads: what has ended from the store, what lives from memory, as one.

However long the history is, the controller holds only so many rows of it at once: first the keys of all runs that are meant are
found and sorted, then their records are read, shown and sent, some at a time, in a thread, so that others are served meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from corral.controller import runs
from corral.controller.api import query
from corral.controller.api.history_rows import HISTORY, HistoryContext, Line
from corral.controller.api.http import caller_of, encode
from corral.controller.api.privacy import sees_all
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.errors import StoreUnavailable
from corral.model import ranges
from corral.model.job import JobId, JobState, StartedBy
from corral.model.step import TRANSFERS
from corral.store.rows import HistoryQuery, Run, RunKey, StepRun, key_of
from corral.syntax.jobid import JobRef

_STARTED_BY = {word.value.upper(): word for word in StartedBy}
_STATES = {state.value: state for state in JobState}
#: Runs that are read and shown at once.
_AT_ONCE = 1000


class Live:
    """What has not ended, of the runs that are meant."""

    def __init__(self) -> None:
        self.runs: dict[RunKey, Run] = {}
        self.steps: dict[tuple[int, int], list[StepRun]] = {}


async def get_history(service: Service, request: Request) -> Response:
    caller = caller_of(service, request)
    fields = HISTORY.check(query.words(request, "fields"))
    refs = query.job_refs(request)
    users = query.words(request, "users")
    if not users and not refs and not query.flag(request, "all_users"):
        users = (caller.user,)
    wanted = HistoryQuery(
        ids=tuple([each async for each in _ids(service, refs)]),
        users=users,
        accounts=query.words(request, "accounts"),
        partitions=query.words(request, "partitions"),
        names=query.words(request, "names"),
        qos=query.words(request, "qos"),
        gids=tuple(map(int, query.numbers(request, "gids"))),
        nodes=query.nodes(request),
        constraints=query.words(request, "constraints"),
        associations=frozenset(map(int, query.numbers(request, "associations"))),
        started_by=query.choice(request, "started_by", _STARTED_BY),
        reasons=query.words(request, "reasons"),
        node_counts=query.bounds(request, "node_counts"),
        cpu_counts=query.bounds(request, "cpu_counts"),
        time_limits=query.bounds(request, "time_limits"),
        states=query.choice(request, "states", _STATES),
        since=query.number(request, "since"),
        until=query.number(request, "until"),
        also_held=bool(refs),
        limit=max(0, int(query.number(request, "limit"))),
    )
    all_runs = query.flag(request, "duplicates")
    owner = None if sees_all(service, caller) else caller.uid
    live = live_runs(service, wanted)
    # Looked for only now, and when the rows of what has just ended are there: what ends meanwhile is found twice, and never missed.
    await service.loop.recorded()
    keys = merged(await asyncio.to_thread(service.store.run_keys, wanted), live, all_runs)
    if wanted.limit:
        keys = keys[-wanted.limit :]

    def is_meant(run: Run) -> bool:
        is_shown = all_runs or run.state is not JobState.REQUEUED
        return is_shown and (owner is None or run.uid == owner) and wanted.takes(run)

    qos_ids = {name: one.id for name, one in service.state.books.qos.items()}
    now, cluster, with_steps = clock.now(), service.config.cluster, query.flag(request, "steps")

    def page(some: list[RunKey]) -> bytes:
        """Rows as JSON, without the brackets round them."""
        ended = {key_of(run): run for run in service.store.runs_at([key for key in some if key not in live.runs])}
        chosen = [run for key in some if (run := live.runs.get(key) or ended.get(key)) is not None and is_meant(run)]
        steps = _steps_of(service, chosen, live) if with_steps else []
        rows = HISTORY.rows(lines(chosen, steps), fields, HistoryContext(cluster, now, steps, qos_ids)).rows
        return bytes(encode(rows)[1:-1])

    # The first page before the first byte: what fails then is answered as what it is.
    first = await asyncio.to_thread(page, keys[:_AT_ONCE])
    head = b'{"type":"JobRows","fields":' + encode(fields) + b',"rows":['
    if len(keys) <= _AT_ONCE:
        return Response(head + first + b"]}", media_type="application/json")
    return StreamingResponse(_pages(service, head, first, keys, page), media_type="application/json")


async def _ids(service: Service, refs: list[JobRef]) -> AsyncIterator[tuple[int, int | None]]:
    """(job, element). The first component of a heterogeneous job stands for all of it."""
    for ref in refs:
        if ref.tasks:
            for task in ref.tasks:
                yield ref.job, task
        elif ref.het is not None:
            yield ref.job + ref.het, None
        else:
            for number in range(max(1, await _components(service, ref.job))):
                yield ref.job + number, None


async def _components(service: Service, job: int) -> int:
    known = service.state.jobs.get(JobId(job))
    if known is not None:
        return int(known.het_size) if known.het_job_id == job else 0
    keys = await asyncio.to_thread(service.store.run_keys, HistoryQuery(ids=((job, None),)))
    found = await asyncio.to_thread(service.store.runs_at, [key for key in keys if key.job == job][-1:])
    return next((run.het_size for run in found if run.het_job == job), 0)


async def _pages(
    service: Service, head: bytes, first: bytes, keys: list[RunKey], page: Callable[[list[RunKey]], bytes]
) -> AsyncIterator[bytes]:
    yield head + first
    is_empty = not first
    try:
        for start in range(_AT_ONCE, len(keys), _AT_ONCE):
            rows = await asyncio.to_thread(page, keys[start : start + _AT_ONCE])
            if rows:
                yield rows if is_empty else b"," + rows
                is_empty = False
    except StoreUnavailable as error:
        service.log.error("the history could not be read to its end", error)
        raise  # the connection breaks: half an answer must not look like a whole one
    yield b"]}"


def merged(stored: list[RunKey], live: Live, duplicates: bool) -> list[RunKey]:
    """In order; without `duplicates` only the last run of each job."""
    keys = sorted({*stored, *live.runs}) if live.runs else stored
    if duplicates:
        return keys
    last: dict[int, int] = {}
    for key in keys:
        last[key.job] = max(last.get(key.job, 0), key.restart)
    return [key for key in keys if last[key.job] == key.restart]


def _steps_of(service: Service, chosen: list[Run], live: Live) -> list[StepRun]:
    known: dict[tuple[int, int, int], StepRun] = {}
    for step in service.store.steps_at([key_of(run) for run in chosen]):
        known[step.job, step.restart, step.step] = step
    for run in chosen:
        for step in live.steps.get((run.job, run.restart), ()):
            known[step.job, step.restart, step.step] = step
    return list(known.values())


def live_runs(service: Service, wanted: HistoryQuery) -> Live:
    """Jobs in memory that have not ended. (What has just ended is in the store as soon as its event is.)"""
    state = service.state
    live = Live()
    for job in state.jobs.values():
        if job.has_ended:
            continue
        run = runs.run_of(job, state.specs[job.spec_id])
        if not wanted.takes(run):
            continue
        live.runs[key_of(run)] = run
        steps = state.steps.get(JobId(job.id), {}).values()
        live.steps[run.job, run.restart] = [
            runs.step_run_of(step, job.allocation) for step in steps if step.key.step > TRANSFERS
        ]
    return live


def lines(found: list[Run], steps: list[StepRun]) -> list[Line]:
    """Each run, followed by its steps: batch and the other named ones first, then by number."""
    by_run: dict[tuple[int, int], list[StepRun]] = {}
    for step in steps:
        by_run.setdefault((step.job, step.restart), []).append(step)
    ordered = []
    for run in found:
        if run.array_waiting and run.job != run.array_job and run.state is JobState.PENDING:
            # Elements that were changed together: one record here, and in Slurm a record, and so a line, for each.
            ordered += [
                Line(msgspec.structs.replace(run, array_task=element, array_waiting=()))
                for element in ranges.members(run.array_waiting)
            ]
            continue
        ordered.append(Line(run))
        ordered += [Line(run, step) for step in sorted(by_run.get((run.job, run.restart), ()), key=lambda s: s.step)]
    return ordered


ROUTES = (("GET", "/v1/history", get_history),)
