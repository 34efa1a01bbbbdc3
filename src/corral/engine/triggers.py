"""strigger: what has happened that somebody wants a program to be run for?

What happens to jobs and nodes is noted as it is recorded (Context.record) and looked at when the message that led to it has been
handled, so that the start of a program is committed together with its cause. What only time brings (limits, idleness, offsets)
is looked at with every tick.
"""

import msgspec

from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.effects import Effects
from corral.engine.selection import Unknown, targets_of
from corral.errors import UsageError
from corral.model.job import ENDED, Job, JobState
from corral.model.node import Node
from corral.model.trigger import EVENTS, Trigger, TriggerResource
from corral.protocol.events import NodeChanged, TriggerChanged, TriggerFired, TriggersCleared
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, ClearTriggers, SetTrigger
from corral.syntax import hostlist

#: So many at once.
MOST = 10_000
LONGEST_OFFSET = 365 * 86400


def on_set(ctx: Context, request: SetTrigger, caller: Caller, now: float, out: Effects) -> None:
    refused = _refusal(ctx, request, caller)
    if refused is not None:
        out.reply = refused
        return
    made = Trigger(
        id=ctx.state.last_trigger + 1, uid=caller.uid, gid=caller.gid, user=caller.user, resource=request.resource,
        event=request.event, target=request.target, offset=request.offset, program=request.program,
        permanent=request.permanent,
    )  # fmt: skip
    same = msgspec.structs.replace(made, id=0, permanent=False)
    for other in ctx.state.triggers.values():
        if msgspec.structs.replace(other, id=0, permanent=False, due=0.0, found=(), told=()) == same:
            out.reply = Rejected(error="Duplicate event trigger")
            return
    ctx.record(TriggerChanged(time=now, trigger=made), out)
    out.reply = Done()


def _refusal(ctx: Context, request: SetTrigger, caller: Caller) -> Rejected | None:
    if request.event not in EVENTS[request.resource]:
        return Rejected(
            error="Requested operation not supported on this system", detail=f"{request.event} never happens here"
        )
    if not request.program.startswith("/") or len(request.program) > 4096 or not request.program.isprintable():
        return Rejected(error="Invalid argument", detail="the program is a full path, with its arguments")
    if abs(request.offset) > LONGEST_OFFSET:
        return Rejected(error="Invalid argument", detail=f"the offset is at most {LONGEST_OFFSET} seconds")
    if len(ctx.state.triggers) >= MOST:
        return Rejected(
            error="Resource temporarily unavailable", code="busy", detail=f"there are {MOST} triggers already"
        )
    if request.resource is TriggerResource.JOB:
        job = _job_of(ctx, request.target)
        if job is None:
            return Rejected(error="Invalid job id specified", code="not_found")
        if not caller.is_operator and job.owner.uid != caller.uid:
            return Rejected(error="Access/permission denied", code="denied")
        if job.state in ENDED:
            return Rejected(error="Job/step already completing or completed")
    elif request.target:
        try:
            names = hostlist.expand(request.target)
        except UsageError:
            names = []
        if not names or any(name not in ctx.state.nodes for name in names):
            return Rejected(error="Invalid node name specified")
    return None


def _job_of(ctx: Context, text: str) -> Job | None:
    try:
        found = targets_of(ctx.state, text)
    except UsageError:
        return None
    return None if isinstance(found, Unknown) or not found else ctx.state.jobs[found[0].job]


def on_clear(ctx: Context, request: ClearTriggers, caller: Caller, now: float, out: Effects) -> None:
    """All that meet the conditions given, of those that the caller may clear."""
    chosen = [
        trigger
        for trigger in ctx.state.triggers.values()
        if (request.id is None or trigger.id == request.id)
        and (not request.job or (trigger.resource is TriggerResource.JOB and trigger.target == request.job))
        and (not request.user or request.user in (trigger.user, str(trigger.uid)))
    ]
    if request.id is None and not request.job and not request.user:
        out.reply = Rejected(error="Invalid argument", detail="which ones?")
        return
    allowed = [trigger.id for trigger in chosen if caller.is_operator or trigger.uid == caller.uid]
    if not allowed:
        out.reply = (
            Rejected(error="Access/permission denied", code="denied") if chosen else Rejected(error="No such process")
        )
        return
    ctx.record(TriggersCleared(time=now, ids=tuple(sorted(allowed))), out)
    out.reply = Done()


# -- what happens


def look(ctx: Context, now: float, out: Effects) -> None:
    """At what has been recorded since the last look."""
    happened, ctx.happened = ctx.happened, []
    for event, old in happened:
        if isinstance(event, NodeChanged):
            _node_changed(ctx, old, event.node, now, out)
            continue
        names = _names_of(ctx, event.job)
        _tell(ctx, TriggerResource.JOB, "fini", names, now, out, only=names)
        _forget(ctx, names, now, out)


def _names_of(ctx: Context, job: Job) -> tuple[str, ...]:
    """How a trigger may have named the job."""
    if job.array_job_id is None:
        return (str(job.id),)
    own = (f"{job.array_job_id}_{job.array_task_id}",) if job.array_task_id is not None else ()
    whole = (str(job.array_job_id),) if not ctx.state.array_live.get(job.array_job_id) else ()
    return (*own, *whole, *((str(job.id),) if job.id != job.array_job_id else ()))


def _forget(ctx: Context, names: tuple[str, ...], now: float, out: Effects) -> None:
    """A job that is over has nothing more to tell."""
    gone = [t.id for t in _of(ctx, TriggerResource.JOB) if t.target in names and not t.due]
    if gone:
        ctx.record(TriggersCleared(time=now, ids=tuple(sorted(gone))), out)


def is_down(node: Node | None) -> bool:
    return node is not None and (not node.up or bool(node.down_reason) or node.is_booting)


def fails(node: Node | None) -> bool:
    return node is not None and any(drain.fails for drain in node.drains)


def _node_changed(ctx: Context, old: Node | None, node: Node, now: float, out: Effects) -> None:
    if old is not None and is_down(node) != is_down(old):
        _on_nodes(ctx, "down" if is_down(node) else "up", (node.name,), now, out)
    if fails(node) and not fails(old):
        _on_nodes(ctx, "fail", (node.name,), now, out)


def reconfigured(ctx: Context, now: float, out: Effects) -> None:
    _tell(ctx, TriggerResource.NODE, "reconfig", (), now, out)


def resumed(ctx: Context, now: float, out: Effects) -> None:
    """A controller has begun: the one before has failed, or was stopped."""
    for event in ("primary_slurmctld_failure", "primary_slurmctld_resumed_operation"):
        _tell(ctx, TriggerResource.SLURMCTLD, event, (), now, out)


# -- what time brings


def tick(ctx: Context, now: float, out: Effects) -> None:
    if not ctx.state.triggers:
        return
    for trigger in list(ctx.state.triggers.values()):
        if trigger.due and now >= trigger.due:
            _fire(ctx, trigger, trigger.found, now, out)
        elif trigger.event == "time" and not trigger.due:
            job = _job_of(ctx, trigger.target)
            if job is not None and job.state is JobState.RUNNING and now >= limit_ends(job) + trigger.offset:
                _fire(ctx, trigger, (trigger.target,), now, out)
    wanted = {trigger.event for trigger in ctx.state.triggers.values()}
    if "drained" in wanted:
        _drained(ctx, now, out)
    if "idle" in wanted:
        _idle(ctx, now, out)


def _drained(ctx: Context, now: float, out: Effects) -> None:
    """Those that have become so since the last look."""
    found = {name for name, node in ctx.state.nodes.items() if node.drains and not ctx.state.jobs_by_node.get(name)}
    before, ctx.drained = ctx.drained, found
    fresh = sorted(found - before) if before is not None else []
    if fresh:
        _on_nodes(ctx, "drained", tuple(fresh), now, out)


def _idle(ctx: Context, now: float, out: Effects) -> None:
    for name, node in ctx.state.nodes.items():
        if node.is_usable and not ctx.state.jobs_by_node.get(name):
            ctx.idle_since.setdefault(name, now)
        else:
            ctx.idle_since.pop(name, None)
    for trigger in [t for t in _of(ctx, TriggerResource.NODE) if t.event == "idle"]:
        names, before = _chosen(trigger, tuple(sorted(ctx.idle_since))), frozenset(trigger.told)
        fresh = [
            name for name in names
            if now - ctx.idle_since[name] >= max(0, trigger.offset) and name not in before
        ]  # fmt: skip
        told = tuple(name for name in trigger.told if name in ctx.idle_since)
        if fresh:
            _fire(ctx, msgspec.structs.replace(trigger, told=(*told, *fresh)), tuple(fresh), now, out)
        elif told != trigger.told:
            ctx.record(TriggerChanged(time=now, trigger=msgspec.structs.replace(trigger, told=told)), out)


# -- who is told


def _of(ctx: Context, resource: TriggerResource) -> list[Trigger]:
    return [trigger for trigger in list(ctx.state.triggers.values()) if trigger.resource is resource]


def _chosen(trigger: Trigger, names: tuple[str, ...]) -> tuple[str, ...]:
    if not trigger.target:
        return names
    wanted = set(hostlist.expand(trigger.target))
    return tuple(name for name in names if name in wanted)


def _on_nodes(ctx: Context, event: str, names: tuple[str, ...], now: float, out: Effects) -> None:
    """Whoever watches these nodes, or the nodes of a job."""
    _tell(ctx, TriggerResource.NODE, event, names, now, out)
    for trigger in _of(ctx, TriggerResource.JOB):
        job = _job_of(ctx, trigger.target) if trigger.event == event else None
        if job is not None and job.allocation is not None and not set(names).isdisjoint(job.allocation.node_names):
            _soon(ctx, trigger, (trigger.target,), now, out)


def _tell(
    ctx: Context, resource: TriggerResource, event: str, names: tuple[str, ...], now: float, out: Effects,
    only: tuple[str, ...] | None = None,
) -> None:  # fmt: skip
    for trigger in _of(ctx, resource):
        if trigger.event != event or trigger.due or (only is not None and trigger.target not in only):
            continue
        found = (trigger.target,) if only is not None else _chosen(trigger, names)
        if found or not names:
            _soon(ctx, trigger, found, now, out)


def _soon(ctx: Context, trigger: Trigger, found: tuple[str, ...], now: float, out: Effects) -> None:
    """At once, or when its offset is over."""
    if trigger.offset > 0:
        due = msgspec.structs.replace(trigger, due=now + trigger.offset, found=found)
        ctx.record(TriggerChanged(time=now, trigger=due), out)
    else:
        _fire(ctx, trigger, found, now, out)


def _fire(ctx: Context, trigger: Trigger, found: tuple[str, ...], now: float, out: Effects) -> None:
    is_job = trigger.resource is TriggerResource.JOB
    words = found if is_job or not found else (hostlist.fold_sorted(list(found)),)
    told = msgspec.structs.replace(trigger, due=0.0, found=())
    ctx.record(TriggerFired(time=now, trigger=told, words=words), out)
