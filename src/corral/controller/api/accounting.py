"""The history that sacct reads: what has ended from the store, what lives from memory, as one."""

import asyncio

from starlette.requests import Request

from corral.controller import runs
from corral.controller.api import query
from corral.controller.api.history_rows import HISTORY, HistoryContext, Line
from corral.controller.api.http import caller_of
from corral.controller.api.privacy import sees_all
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.model.job import JobId, JobState
from corral.protocol.replies import JobRows
from corral.store.rows import HistoryQuery, Run, StepRun

_STATES = {state.value: state for state in JobState}


async def get_history(service: Service, request: Request) -> JobRows:
    caller = caller_of(service, request)
    fields = HISTORY.check(query.words(request, "fields"))
    refs = query.job_refs(request)
    users = query.words(request, "users")
    if not users and not refs and not query.flag(request, "all_users"):
        users = (caller.user,)
    wanted = HistoryQuery(
        ids=tuple((ref.job, task) for ref in refs for task in (ref.tasks or (None,))),
        users=users,
        accounts=query.words(request, "accounts"),
        partitions=query.words(request, "partitions"),
        names=query.words(request, "names"),
        qos=query.words(request, "qos"),
        states=query.choice(request, "states", _STATES),
        since=query.number(request, "since"),
        until=query.number(request, "until"),
        limit=int(query.number(request, "limit")),
    )
    # Reading the store may take long: in a thread, so that others are served meanwhile.
    stored = await asyncio.to_thread(service.store.runs, wanted)
    ended = {(run.job, run.restart): run for run in stored}
    live, live_steps = live_runs(service, wanted)
    ended.update({(run.job, run.restart): run for run in live})
    chosen = [run for _, run in sorted(ended.items())]
    if not sees_all(service, caller):
        chosen = [run for run in chosen if run.uid == caller.uid]
    nodes = query.nodes(request)
    if nodes:
        chosen = [run for run in chosen if not nodes.isdisjoint(run.node_names)]
    if not query.flag(request, "duplicates"):
        chosen = list({run.job: run for run in chosen}.values())
    steps: list[StepRun] = []
    if query.flag(request, "steps"):
        known = {(step.job, step.restart, step.step) for step in live_steps}
        there = {(run.job, run.restart) for run in chosen}
        old = await asyncio.to_thread(service.store.steps, chosen)
        steps = [step for step in old if (step.job, step.restart, step.step) not in known]
        steps += [step for step in live_steps if (step.job, step.restart) in there]
    return HISTORY.rows(lines(chosen, steps), fields, HistoryContext(service.config.cluster, clock.now(), steps))


def live_runs(service: Service, wanted: HistoryQuery) -> tuple[list[Run], list[StepRun]]:
    """Jobs in memory that have not ended. (What has just ended is in the store: its row was committed with its event.)"""
    state = service.state
    found, steps = [], []
    for job in state.jobs.values():
        if job.has_ended:
            continue
        run = runs.run_of(job, state.specs[job.spec_id])
        if not wanted.takes(run):
            continue
        found.append(run)
        for step in state.steps.get(JobId(job.id), {}).values():
            steps.append(runs.step_run_of(step, job.allocation))
    return found, steps


def lines(found: list[Run], steps: list[StepRun]) -> list[Line]:
    """Each run, followed by its steps: batch and the other named ones first, then by number."""
    by_run: dict[tuple[int, int], list[StepRun]] = {}
    for step in steps:
        by_run.setdefault((step.job, step.restart), []).append(step)
    ordered = []
    for run in found:
        ordered.append(Line(run))
        ordered += [Line(run, step) for step in sorted(by_run.get((run.job, run.restart), ()), key=lambda s: s.step)]
    return ordered


ROUTES = (("GET", "/v1/history", get_history),)
