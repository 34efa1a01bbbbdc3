"""Why does this job wait? The whole answer, out of what `inquiry` has gathered; nothing here reads what still changes."""

from collections.abc import Iterable

import msgspec
import numpy as np

from corral.engine.duetimes import limit_ends
from corral.engine.explaining import Inquiry
from corral.model.job import Job, JobSpec, JobState
from corral.model.reason import Reason
from corral.protocol.explanations import Cause, Ending, Place, Planned, Why
from corral.scheduler import words
from corral.scheduler.explain_changes import tried
from corral.scheduler.explain_nodes import Kept, Sight, place_of
from corral.scheduler.explain_start import awaited
from corral.scheduler.plan import NotNow
from corral.scheduler.snapshot import LONGEST, PendingGroup
from corral.scheduler.trial import Outcome, Trial
from corral.syntax import hostlist

_ABOUT_NODES = frozenset({
    Reason.RESOURCES, Reason.REQ_NODE_NOT_AVAIL, Reason.PARTITION_NODE_LIMIT, Reason.PARTITION_CONFIG, Reason.RESERVATION,
    Reason.LICENSES, Reason.BAD_CONSTRAINTS,
    Reason.NODE_DOWN,
})  # fmt: skip


def explanation(inquiry: Inquiry, with_changes: bool = True) -> Why:
    """Of a job that waits."""
    job, scene, own = inquiry.job, inquiry.scene, inquiry.own
    causes = list(inquiry.causes)
    if inquiry.ready and not _is_stopped(causes):
        return _answer(inquiry, f"It can start now, on {inquiry.ready}: the next cycle starts it.", [], (), None)
    trial = scene.trial() if isinstance(own, PendingGroup) and not job.held_by else None
    outcome: Outcome | None = None
    if trial is not None and isinstance(own, PendingGroup):
        outcome = (scene.trial().last if own.gang or own.rights is not None else trial.ask)(own)
    places = _places(inquiry, trial)
    planned: Planned | None = None
    if trial is not None and outcome is not None and isinstance(own, PendingGroup):
        if outcome.preemptions and not _is_stopped(causes):
            return _answer(inquiry, _preempting(inquiry, outcome), [], places, None)
        if outcome.starts and not _is_stopped(causes):
            said = f"It can start now, on {outcome.nodes}: the next cycle starts it."
            return _answer(inquiry, said, [], places, None)
        causes += _of_nodes(inquiry, own, outcome, places) if not outcome.starts else ()
        causes += _used_up(causes, outcome)
        planned = _planned(inquiry, own, outcome, trial)
    elif isinstance(own, NotNow):
        if job.expected_start and (job.promises or job.reason is Reason.MPI_PORTS_BUSY):
            planned = Planned(start=job.expected_start, nodes=job.expected_nodes, is_firm=bool(job.promises))
        if own.reason not in {cause.reason for cause in causes}:
            causes.append(Cause(kind="other", reason=str(own.reason), text=own.text or f"It waits: {own.reason}."))
        if places and all(one.ever < one.needed for one in places):
            text = _about_nodes(places, None, NotNow(Reason.PARTITION_CONFIG))
            causes.append(Cause(kind="nodes", reason=str(Reason.PARTITION_CONFIG), text=text))
    noted = str(job.reason)
    if job.reason is not Reason.NONE and noted not in {cause.reason for cause in causes} and outcome is None:
        causes.append(Cause(kind="other", reason=noted, text=job.reason_text or f"It waits: {noted}."))
    why = _answer(inquiry, _summary(causes, places), causes, places, planned)
    if not with_changes or trial is None or _is_stopped(causes) or any(one.kind == "limit" for one in inquiry.causes):
        return why
    if job.het_job_id is not None or scene.policy.backfill == "conservative":
        return why  # components and promised starts hang together: one can't be changed by itself
    assert isinstance(own, PendingGroup)
    found = tried(scene, own, inquiry.variants, trial, planned.start if planned is not None else None)
    return msgspec.structs.replace(why, suggestions=found.found, tried=found.count)


def _preempting(inquiry: Inquiry, outcome: Outcome) -> str:
    victims = [victim.job for one in outcome.preemptions for victim in one.victims]
    names = [name for name, _ in map(inquiry.name_of, victims) if name]
    who = f" ({', '.join(names)})" if names else ""
    nodes = hostlist.fold([name for one in outcome.preemptions for name in one.allocation.node_names])
    return f"The next cycle makes room for it on {nodes}: {words.counted(len(victims), 'job')}{who} must go."


def _is_stopped(causes: list[Cause]) -> bool:
    """Whatever nodes there are? What one of its partitions has against it does not stop it in the others."""
    return any(cause.kind in ("held", "dependency", "begin", "ports", "array") for cause in causes)


def _answer(
    inquiry: Inquiry, summary: str, causes: list[Cause], places: tuple[Place, ...], planned: Planned | None
) -> Why:
    job = inquiry.job
    return Why(
        job=inquiry.shown, name=_name_of(inquiry.spec), user=job.owner.user, partition=job.partition, state=str(job.state),
        reason=str(job.reason), summary=summary, time=inquiry.scene.now, causes=tuple(causes), places=places,
        ahead=inquiry.ahead, planned=planned,
    )  # fmt: skip


# -- nodes


def _places(inquiry: Inquiry, trial: Trial | None) -> tuple[Place, ...]:
    scene = inquiry.scene
    kept = _kept(inquiry, trial)
    span = float(inquiry.job.time_limit) if inquiry.job.time_limit < LONGEST else float("inf")
    found = []
    for demand in dict.fromkeys(one for one in inquiry.demands if not one.preferred):
        rows = scene.partition_rows.get(demand.partition)
        if rows is not None:
            sight = Sight(scene.table, demand, rows, scene.reserved, scene.now, span, kept, inquiry.away)
            found.append(place_of(sight))
    return tuple(found)


def _kept(inquiry: Inquiry, trial: Trial | None) -> tuple[Kept, ...]:
    """What is planned for jobs before it."""
    if trial is None:
        return ()
    table = inquiry.scene.table
    found = []
    for job_id, expected in trial.before.expected.items():
        if job_id == inquiry.job.id:
            continue
        rows = np.zeros(len(table), np.bool_)
        rows[[table.index[name] for name in hostlist.expand(expected.nodes) if name in table.index]] = True
        found.append(Kept(expected.time, rows, inquiry.name_of(job_id)[0]))
    return tuple(found)


def _of_nodes(inquiry: Inquiry, own: PendingGroup, outcome: Outcome, places: tuple[Place, ...]) -> Iterable[Cause]:
    """Nodes, licences and those who come before it, as far as they keep it from starting."""
    scene = inquiry.scene
    why = outcome.why or NotNow(Reason.NONE)
    lacking = sorted({place.licenses for place in places if place.licenses})
    if lacking:
        yield Cause(kind="licenses", reason=str(Reason.LICENSES), text=f"Licences are lacking: {'; '.join(lacking)}.")
    alone = scene.trial(()).ask(own, plans=False) if scene.ahead else outcome
    if (not alone.starts and not lacking) or why.reason in _ABOUT_NODES - {Reason.LICENSES}:
        reason = why.reason if why.reason in _ABOUT_NODES else (alone.why or why).reason
        if reason not in _ABOUT_NODES:
            reason = Reason.RESOURCES
        kind = "reservation" if reason is Reason.RESERVATION else "nodes"
        yield Cause(kind=kind, reason=str(reason), text=_about_nodes(places, alone, why))
    count = inquiry.ahead.count if inquiry.ahead is not None else 0
    if count or why.reason is Reason.PRIORITY:
        text = f"{words.counted(count, 'job')} {'comes' if count == 1 else 'come'} before it."
        if alone.starts:
            text = f"{text[:-1]}, and the nodes that it would fit on now ({alone.nodes}) are kept for them."
        yield Cause(kind="priority", reason=str(Reason.PRIORITY), text=text)


def _used_up(causes: list[Cause], outcome: Outcome) -> Iterable[Cause]:
    """What the jobs before it will have when they have started in the same cycle."""
    reason = outcome.why.reason if outcome.why is not None else Reason.NONE
    if reason is Reason.NONE or str(reason) in {cause.reason for cause in causes}:
        return
    if reason is Reason.LICENSES:
        text = "Jobs before it, which can start now, take the licences."
        yield Cause(kind="licenses", reason=str(reason), text=text)
    elif reason is Reason.ARRAY_TASK_LIMIT:
        text = "With the elements that can start now its array has as many as it lets run at once (ArrayTaskThrottle)."
        yield Cause(kind="array", reason=str(reason), text=text)
    else:
        text = f"Jobs before it, which can start now, use up a limit that holds for it too ({reason})."
        yield Cause(kind="limit", reason=str(reason), text=text)


def _about_nodes(places: tuple[Place, ...], alone: Outcome | None, why: NotNow) -> str:
    if alone is not None and alone.starts:
        return f"It would fit on {alone.nodes}, but that is kept for jobs before it."
    parts = []
    for one in places:
        where = f"partition {one.partition}" + (f", reservation {one.reservation}" if one.reservation else "")
        if one.ever < one.needed:
            parts.append(f"{where} has {words.counted(one.ever, 'such node')} in all, and it needs {one.needed}")
        elif one.fit < one.needed:
            parts.append(f"it needs {words.counted(one.needed, 'node')} of {where}, and {one.fit} can be had now")
        elif one.room < one.tasks:
            parts.append(f"{one.fit} nodes of {where} have room for {one.room} of its {one.tasks} tasks")
        else:
            parts.append(f"the {one.fit} nodes of {where} that can be had do not fit together")
    text = "; ".join(parts)
    said = f"{text[:1].upper()}{text[1:]}." if text else "There is no place for it."
    return said + (f" ({why.text})" if why.text else "")


def _summary(causes: list[Cause], places: tuple[Place, ...]) -> str:
    if not causes:
        return "It has just been submitted: the next cycle looks at it."
    first = causes[0].text
    return first if len(causes) == 1 else f"{first} {words.counted(len(causes) - 1, 'further reason')}."


# -- the planned start


def _planned(inquiry: Inquiry, own: PendingGroup, outcome: Outcome, trial: Trial) -> Planned | None:
    """As the cycle plans it; an estimate beside the plans of those before it, where it has none."""
    expected, firm = outcome.expected, True
    if expected is None and outcome.why is not None and not outcome.starts:
        expected, firm = trial.ask(own, plans=True).expected, False
    if expected is None:
        return None
    endings, more = awaited(inquiry.scene, expected)
    return Planned(
        start=expected.time, nodes=expected.nodes, is_firm=firm, more=more,
        awaits=tuple(_ending(inquiry, one.job, one.ends, one.nodes) for one in endings),
    )  # fmt: skip


def _ending(inquiry: Inquiry, job_id: int, ends: float, nodes: str) -> Ending:
    name, user = inquiry.name_of(job_id)
    return Ending(job=name, user=user, ends=ends, nodes=nodes)


# -- of one that does not wait


def settled(job: Job, spec: JobSpec, shown: str, now: float) -> Why:
    """It runs, or has ended."""
    nodes = hostlist.fold(job.allocation.node_names) if job.allocation is not None else ""
    end = job.end_time
    if job.has_ended:
        how = f" with exit code {job.exit_status}" if str(job.exit_status) != "0:0" else ""
        summary = (
            f"It has ended: {job.state}{how}"
            + (f" ({job.reason_text or job.reason})" if job.reason is not Reason.NONE else "")
            + "."
        )
    else:
        limit = limit_ends(job)
        end = limit if limit != float("inf") else 0.0
        summary = {
            JobState.SUSPENDED: "It has started, and is suspended.",
            JobState.COMPLETING: "It is over, and its nodes are being cleared.",
            JobState.CONFIGURING: "It has its nodes, and they are being made ready.",
        }.get(job.state, "It runs.")
    return Why(
        job=shown, name=_name_of(spec), user=job.owner.user, partition=job.partition, state=str(job.state), reason=str(job.reason),
        summary=summary, time=now, start=job.start_time, end=end, nodes=nodes,
    )  # fmt: skip


def _name_of(spec: JobSpec) -> str:
    """A Pod's job is told as kubectl names it."""
    return f"pod {spec.pod}" if spec.pod is not None else spec.name
