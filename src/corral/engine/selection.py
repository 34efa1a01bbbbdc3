"""Which jobs does a request mean?"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from corral.engine.state import ClusterState
from corral.model import ranges
from corral.model.job import Job, JobId, JobSpec
from corral.model.step import STEP_NAMES
from corral.protocol.replies import Rejected
from corral.protocol.requests import JobSelection
from corral.syntax import jobid

_STEP_NUMBERS: dict[str, int | None] = {"": None, **{name: number for number, name in STEP_NAMES.items()}}


#: So many ids, and array elements named one by one or as ranges, in one request: more would keep the controller from everybody else.
MOST_IDS = 100_000
MOST_ELEMENTS = 200_000
_SPAN = re.compile(r"([0-9]{1,10})-([0-9]{1,10})(?::([0-9]{1,10}))?")


def too_many(ids: Iterable[str]) -> Rejected | None:
    """The refusal of a request that names more than is carried out at once. Nothing is expanded to find that out."""
    count = elements = 0
    for text in ids:
        count += 1
        if "_[" not in text:
            continue
        elements += text.count(",") + 1
        for first, last, step in _SPAN.findall(text):
            elements += max(0, int(last) - int(first)) // max(1, int(step or 1))
    if count > MOST_IDS:
        return Rejected(error=f"{count} ids are too many for one request (at most {MOST_IDS})")
    if elements > MOST_ELEMENTS:
        return Rejected(
            error=f"{elements} array elements are too many for one request (at most {MOST_ELEMENTS}): "
            "name the whole array by its id"
        )
    return None


class Target(msgspec.Struct, frozen=True):
    """A record, or waiting elements of one; `step` when a step of it was named."""

    job: JobId
    elements: tuple[int, ...] | None = None  #: of an array's waiting record: only these; None = the whole record
    step: int | None = None


class Unknown(msgspec.Struct, frozen=True):
    """No such job."""

    text: str


def targets_of(state: ClusterState, text: str) -> list[Target] | Unknown:
    """What an id means: 42 (all of an array, too), 42_7, 42_[1-3], 42.0, 42.batch. Raises InvalidJobId."""
    parts = jobid.parse(text)
    job_id = JobId(parts.job)
    step = _STEP_NUMBERS.get(parts.step, int(parts.step) if parts.step.isdigit() else None)
    if parts.tasks:
        found = list(_elements(state, job_id, parts.tasks))
        if not found:
            return Unknown(text)
        merged: dict[JobId, list[int]] = {}
        whole = []
        for target in found:
            if target.elements is None:
                whole.append(msgspec.structs.replace(target, step=step))
            else:
                merged.setdefault(target.job, []).extend(target.elements)
        return whole + [Target(record, tuple(elements), step) for record, elements in merged.items()]
    job = state.jobs.get(job_id)
    if parts.het is not None:
        found = (
            [Target(one.id, None, step) for one in state.het_members(job) if one.het_offset == parts.het] if job else []
        )
        return found or Unknown(text)
    if job is not None and job.id == job.het_job_id and step is None:
        return [Target(one.id) for one in state.het_members(job)]
    members = state.array_members.get(job_id)
    if members:
        # Slurm begins with the record that has the array's id; the others follow, the youngest first.
        return [
            Target(member, None, step) for member in sorted(members, key=lambda member: (member != job_id, -member))
        ]
    return [Target(job_id, None, step)] if job_id in state.jobs else Unknown(text)


def _elements(state: ClusterState, array: JobId, wanted: tuple[int, ...]) -> Iterator[Target]:
    """Those of them that there are: it costs as much as the array has, not as somebody has thought of."""
    own = state.array_elements.get(array, {})
    parts = [state.jobs[number] for number in sorted(state.array_parts.get(array, ()))]
    if len(wanted) == 1:
        (element,) = wanted
        if element in own:
            yield Target(own[element])
        else:
            yield from (Target(job.id, wanted) for job in parts if ranges.contains(job.array_waiting, element))
        return
    names = frozenset(wanted)
    yield from (Target(own[element]) for element in sorted(names & own.keys()))
    for job in parts:
        chosen = tuple(element for element in ranges.members(job.array_waiting) if element in names)
        if chosen:
            yield Target(job.id, chosen)


def _known(state: ClusterState, array: JobId) -> set[int]:
    found = set(state.array_elements.get(array, ()))
    for number in state.array_parts.get(array, ()):
        found.update(ranges.members(state.jobs[number].array_waiting))
    return found


def missing_of(state: ClusterState, text: str) -> tuple[JobId, list[int]]:
    """Elements that 42_[1-9] names and the array has not."""
    parts = jobid.parse(text)
    array = JobId(parts.job)
    if len(parts.tasks) == 1:
        return array, [] if any(_elements(state, array, parts.tasks)) else list(parts.tasks)
    return array, sorted(frozenset(parts.tasks) - _known(state, array))


def matching(state: ClusterState, selection: JobSelection) -> list[Job]:
    """Live jobs that meet every given condition (ids are handled by `targets_of`)."""
    names = set(selection.names)
    states = set(selection.states)
    nodes = set(selection.nodes)
    found = []
    for job_id in sorted([*state.active, *state.held, *(JobId(entry[2]) for entry in state.queue)]):
        job = state.jobs[job_id]
        spec = state.spec(job)
        if (
            (not selection.users or job.owner.user in selection.users or str(job.owner.uid) in selection.users)
            and (not selection.accounts or spec.account in selection.accounts)
            and (not names or spec.name in names)
            and (not selection.partitions or (job.partition or spec.partition) in selection.partitions)
            and (not selection.qos or (spec.qos or "normal") in selection.qos)
            and (not selection.wckeys or spec.wckey in selection.wckeys)
            and (not states or job.state in states)
            and (not selection.reservations or _is_in(job, spec, selection.reservations))
            and (not nodes or (job.allocation is not None and not nodes.isdisjoint(job.allocation.node_names)))
        ):
            found.append(job)
    return found


def _is_in(job: Job, spec: JobSpec, reservations: tuple[str, ...]) -> bool:
    own = job.allocation.reservation if job.allocation is not None else ""
    return (own or spec.reservation) in reservations or spec.reservation in reservations
