"""Which other requests are worth a try for a job that waits? Less of each thing it asks for, without a wish, in another partition.

They are requests as the user could have written them, resolved as the job's own is; whether they help is found out in
scheduler/explain_changes.py.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from corral.engine import offers
from corral.engine.pending import PendingView
from corral.engine.ranking import priority_of
from corral.model.gres import GresRequest
from corral.model.job import Job, JobSpec
from corral.model.partition import Partition, PartitionState
from corral.scheduler import words
from corral.scheduler.explain_changes import Ladder, Variant
from corral.scheduler.snapshot import PendingGroup

#: Below this every count is tried.
FEW = 8
#: Of one kind at most so many are tried, and so many other partitions.
MOST_STEPS = 4
MOST_PARTITIONS = 6

_WISHES: tuple[tuple[str, str, Any], ...] = (
    ("constraint", "--constraint", ""), ("nodelist", "--nodelist", ""), ("exclude", "--exclude", ""),
    ("exclusive", "--exclusive", False), ("contiguous", "--contiguous", False), ("switches", "--switches", None),
    ("reservation", "--reservation", ""), ("licenses", "--licenses", ""),
)  # fmt: skip
_GRES: tuple[tuple[str, str, str], ...] = (
    ("gres", "--gres", "a node"), ("gpus_per_node", "--gpus-per-node", "a node"), ("gpus", "--gpus", "in all"),
    ("gpus_per_task", "--gpus-per-task", "per task"),
)  # fmt: skip


def ladders(view: PendingView, job: Job, spec: JobSpec, now: float, own: PendingGroup, tier: int) -> tuple[Ladder, ...]:
    """The cheapest kinds first."""
    if own.gang:
        return ()
    maker = _Maker(view, job, spec, now, own, tier)
    found = [maker.ladder(maker.without(*wish)) for wish in _WISHES]
    found.append(maker.ladder(maker.elsewhere()))
    found += [maker.ladder(maker.fewer_units(*kind)) for kind in _GRES]
    found += [maker.ladder(steps) for steps in (maker.less_memory(), maker.fewer_cpus(), maker.fewer_nodes())]
    return tuple(ladder for ladder in found if ladder)


Step = tuple[dict[str, Any], str, str, str]


def steps_down(count: int) -> list[int]:
    """Below this, the nearest first: up to 8 each, of more some: of 16 that is 15, 12, 8 and 4."""
    if count <= FEW:
        return list(range(count - 1, 0, -1))
    found = [count - 1, count * 3 // 4, count // 2, count // 4]
    return [number for number in dict.fromkeys(found) if 0 < number < count][:MOST_STEPS]


class _Maker:
    def __init__(self, view: PendingView, job: Job, spec: JobSpec, now: float, own: PendingGroup, tier: int) -> None:
        self.view, self.job, self.spec, self.now, self.own, self.tier = view, job, spec, now, own, tier

    def ladder(self, steps: Iterable[Step]) -> Ladder:
        found = []
        for fields, change, instead, said in steps:
            variant = self.variant(fields, change, instead, said)
            if variant is not None:
                found.append(variant)
        return tuple(found)

    def variant(self, fields: dict[str, Any], change: str, instead: str, said: str) -> Variant | None:
        """None: it can't be asked for, or makes no difference."""
        view, job = self.view, self.job
        spec = msgspec.structs.replace(self.spec, **fields)
        rank, ahead = job.priority, None
        if "partition" in fields:
            job = msgspec.structs.replace(job, partition=spec.partition)
            if not job.priority_set:
                nice = spec.nice if job.nice is None else job.nice
                new = priority_of(
                    view.ctx, spec, spec.partition, nice, job.eligible_time, self.now, job.association, number=job.id,
                    site=job.site_factor, time_limit=job.time_limit,
                )  # fmt: skip
                # As `scontrol update` does it: never higher, for who is no operator.
                rank = min(job.priority, new)
        element = self.own.elements[0] if self.own.elements else None
        group = offers.group_of(view, job, spec, self.now, element, rank)
        if not isinstance(group, PendingGroup) or group == self.own:
            return None
        if rank < self.job.priority or group.tier != self.tier:
            ahead = offers.ahead_of(view, group.tier, group.queue[0])
            ahead = tuple(without_job(ahead, job.id))
        return Variant(change=change, instead=instead, words=said, group=group, ahead=ahead)

    def without(self, field: str, option: str, nothing: Any) -> Iterable[Step]:
        value = getattr(self.spec, field)
        if value and value != nothing and not (field == "constraint" and self.spec.prefer):
            shown = "" if value is True else f"={value}"
            yield {field: nothing}, f"{option}=", str(value), f"without {option}{shown}"

    def elsewhere(self) -> Iterable[Step]:
        state = self.view.ctx.state
        own = set(self.job.partition.split(","))
        found = [one for one in state.partitions.values() if one.name not in own and _is_open(one, self.spec)]
        for one in found[:MOST_PARTITIONS]:
            yield {"partition": one.name}, f"--partition={one.name}", self.job.partition, f"in partition {one.name}"

    def fewer_units(self, field: str, option: str, where: str) -> Iterable[Step]:
        requests: tuple[GresRequest, ...] = getattr(self.spec, field)
        for number, one in enumerate(requests):
            for count in steps_down(one.count):
                less = GresRequest(one.name, one.type, count)
                changed = (*requests[:number], less, *requests[number + 1 :])
                text = ",".join(str(request) for request in changed) if field == "gres" else _gpus(changed)
                said = f"with {words.units(one.name, one.type, count)} {where} instead of {one.count}"
                yield {field: changed}, f"{option}={text}", str(one.count), said
            if one.type and number == 0:
                changed = (GresRequest(one.name, "", one.count), *requests[1:])
                text = ",".join(str(request) for request in changed) if field == "gres" else _gpus(changed)
                yield {field: changed}, f"{option}={text}", one.type, f"with any type of {words.unit_of(one.name, '')}"

    def less_memory(self) -> Iterable[Step]:
        for field, option, where in (
            ("memory_per_node_mb", "--mem", "a node"), ("memory_per_cpu_mb", "--mem-per-cpu", "per CPU"),
            ("memory_per_gpu_mb", "--mem-per-gpu", "per GPU"),
        ):  # fmt: skip
            amount = getattr(self.spec, field)
            for part in (4, 2, 1) if amount else ():
                less = amount * part // 5 if part == 4 else amount * part // 4
                less = less // 1024 * 1024 or less
                if 0 < less < amount:
                    text = f"{less // 1024}G" if less % 1024 == 0 else f"{less}M"
                    said = f"with {words.mib(less)} of memory {where} instead of {words.mib(amount)}"
                    yield {field: less}, f"{option}={text}", words.mib(amount), said

    def fewer_cpus(self) -> Iterable[Step]:
        for count in steps_down(self.spec.cpus_per_task or 1):
            said = f"with {words.counted(count, 'CPU')} per task instead of {self.spec.cpus_per_task}"
            yield {"cpus_per_task": count}, f"--cpus-per-task={count}", str(self.spec.cpus_per_task), said
        if self.spec.ntasks and not self.spec.ntasks_per_node:
            for count in steps_down(self.spec.ntasks):
                if count >= (self.spec.nodes_min or 1):
                    said = f"with {words.counted(count, 'task')} instead of {self.spec.ntasks}"
                    yield {"ntasks": count}, f"--ntasks={count}", str(self.spec.ntasks), said

    def fewer_nodes(self) -> Iterable[Step]:
        least, most = self.spec.nodes_min or 1, self.spec.nodes_max
        for count in steps_down(least):
            fields: dict[str, Any] = {"nodes_min": count}
            if most == least:
                fields["nodes_max"] = count
            if self.spec.nodelist:
                return
            yield fields, f"--nodes={count}", str(least), f"on {words.counted(count, 'node')} instead of {least}"


def _gpus(requests: Iterable[GresRequest]) -> str:
    return ",".join(f"{one.type}:{one.count}" if one.type else str(one.count) for one in requests)


def _is_open(partition: Partition, spec: JobSpec) -> bool:
    """Whom it lets in is seen when the request is made; these never show themselves."""
    shut = partition.hidden or partition.root_only or partition.allow_groups or partition.requires_reservation
    return partition.state is PartitionState.UP and not shut


def without_job(groups: tuple[PendingGroup, ...], job: int) -> Iterable[PendingGroup]:
    """The job itself does not come before it."""
    for group in groups:
        queue = tuple(key for key in group.queue if key[2] != job)
        if queue:
            yield group if queue == group.queue else msgspec.structs.replace(group, queue=queue)
