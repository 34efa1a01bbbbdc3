"""Which tasks of a step run on which of its nodes, and with which share?"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from corral.engine import stepgpus
from corral.engine.bounds import MAX_TASKS_PER_NODE
from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresDevice, GresRequest, GresShare, gpus_of
from corral.model.job import StepSpec
from corral.model.node import Node
from corral.model.step import Step, StepNode, TaskPlace
from corral.syntax import distribution, gpubind, hostlist


class Refusal(msgspec.Struct, frozen=True):
    """Can't be made. busy: it could once other steps have ended."""

    error: str
    busy: bool = False
    detail: str = ""


class Layout(msgspec.Struct, frozen=True):
    nodes: tuple[StepNode, ...]
    ntasks: int
    cpus_per_task: int


_NONE: Mapping[str, Node] = MappingProxyType({})
_BUSY = Refusal("Requested nodes are busy", True)
_NO_GRES = Refusal(
    "Invalid generic resource (gres) specification", detail="Step requested GRES but job doesn't have GRES"
)


def lay_out(
    allocation: Allocation, spec: StepSpec, others: list[Step], nodes: Mapping[str, Node] = _NONE
) -> Layout | Refusal:
    """Place a step in its job's allocation; `others` are the job's live steps, `nodes` know what is linked.

    srun(1): a step takes all CPUs of its nodes unless --exact; steps that do not overlap never share what they took.
    """
    chosen = _nodes(allocation, spec)
    if isinstance(chosen, Refusal):
        return chosen
    if not chosen:
        return Refusal("Requested node configuration is not available")
    taken = _taken(others) if not spec.overlap else {}
    cpus_per_task = spec.cpus_per_task or 1
    free = {share.node: _without(share, taken.get(share.node, ())) for share in chosen}
    ntasks = spec.ntasks
    order = distribution.parse(spec.distribution) if spec.distribution else distribution.Distribution()
    if order.nodes == "arbitrary" and spec.nodelist:
        return _arbitrary(chosen, spec, ntasks, cpus_per_task, taken, nodes)
    if ntasks is None and spec.ntasks_per_gpu:
        ntasks = (
            spec.ntasks_per_gpu * sum(len(g.indices) for share in chosen for g in share.gres if g.name == "gpu") or None
        )
    if ntasks is None:
        width = min(_count(spec) or len(chosen), len(chosen))
        if spec.ntasks_per_node:
            ntasks = spec.ntasks_per_node * width
        elif _count(spec):
            ntasks = width
        else:
            ntasks = sum(max(1, share.tasks) for share in chosen)
    fewest = min(ntasks, _count(spec) or ntasks)
    if order.pack == "pack" and not _count(spec):
        fewest = _fewest(ntasks, [_capacity(free[share.node], spec, cpus_per_task) for share in chosen]) or fewest
    if fewest < len(chosen):
        chosen = _freest(chosen, free, spec, cpus_per_task, fewest, taken)
    if ntasks > MAX_TASKS_PER_NODE * len(chosen):
        return Refusal("Task count specification invalid", detail=f"{ntasks} tasks on {len(chosen)} nodes")
    if any(not _units(share, request) for request in spec.gpus_per_task or () if request.count for share in chosen):
        return _NO_GRES
    whole = _rooms(chosen, spec, ntasks, cpus_per_task)
    if not spec.overcommit and sum(whole) < ntasks:
        if any(spec.memory_per_node_mb and 0 < s.memory_mb < spec.memory_per_node_mb for s in chosen):
            return Refusal("Memory required by task is not available")
        return Refusal("More processors requested than permitted")
    now = _rooms([free[share.node] for share in chosen], spec, ntasks, cpus_per_task)
    if not spec.overcommit:
        if sum(now) < ntasks or min(now) < 1:
            return _BUSY
        if not spec.exact and not spec.overlap and any(taken.get(share.node) for share in chosen):
            return _BUSY
    counts = _counts(ntasks, now, spec, order)
    ranks = _ranks(counts, order, ntasks)
    return _filled(chosen, ranks, spec, ntasks, cpus_per_task, taken, nodes)


def _filled(
    chosen: list[NodeShare], ranks: list[list[int]], spec: StepSpec, ntasks: int, cpus_per_task: int,
    taken: dict[str, tuple[NodeShare, ...]], known: Mapping[str, Node],
) -> Layout | Refusal:  # fmt: skip
    """The shares of the nodes that run these ranks."""
    used = [(share, mine) for share, mine in zip(chosen, ranks, strict=True) if mine]
    totals = _totals([share if spec.overlap else _without(share, taken.get(share.node, ())) for share, _ in used], spec)
    nodes = []
    for (share, mine), total in zip(used, totals, strict=True):
        others = taken.get(share.node, ())
        free = _without(share, others)
        made = _share(share, free, spec, len(mine), cpus_per_task, others, total)
        if isinstance(made, Refusal):
            return made
        devices = known[share.node].inventory.gres if made.gres and share.node in known else ()
        if devices:
            made = stepgpus.linked(made, share if spec.overlap else free, devices)
        nodes.append(StepNode(share=made, tasks=_places(made, mine, spec, devices)))
    return Layout(tuple(nodes), ntasks, cpus_per_task)


def _arbitrary(
    chosen: list[NodeShare],
    spec: StepSpec,
    ntasks: int | None,
    cpus_per_task: int,
    taken: dict[str, tuple[NodeShare, ...]],
    nodes: Mapping[str, Node],
) -> Layout | Refusal:
    """Rank i goes to the i-th node of the list, in which a node may stand several times."""
    wanted = hostlist.expand(spec.nodelist)
    ntasks = len(wanted) if ntasks is None else ntasks
    if ntasks != len(wanted):
        return Refusal("Invalid task range specification", detail=f"{ntasks} tasks and a list of {len(wanted)} nodes")
    ranks = [[rank for rank, name in enumerate(wanted) if name == share.node] for share in chosen]
    for share, mine in zip(chosen, ranks, strict=True):
        if not spec.overcommit and len(mine) > _capacity(share, spec, cpus_per_task):
            return Refusal("More processors requested than permitted")
        if not spec.overcommit and len(mine) > _capacity(
            _without(share, taken.get(share.node, ())), spec, cpus_per_task
        ):
            return _BUSY
    return _filled(chosen, ranks, spec, ntasks, cpus_per_task, taken, nodes)


def _fewest(ntasks: int, capacity: list[int]) -> int:
    """So many nodes, from the first on, take the tasks; 0 = all of them do not."""
    room = 0
    for number, count in enumerate(capacity):
        room += count
        if room >= ntasks:
            return number + 1
    return 0


def _count(spec: StepSpec) -> int:
    """How many nodes at most; 0 = not said."""
    return spec.nodes_max or spec.nodes_min or 0


def _freest(
    chosen: list[NodeShare], free: dict[str, NodeShare], spec: StepSpec, cpus_per_task: int, count: int,
    taken: dict[str, tuple[NodeShare, ...]],
) -> list[NodeShare]:  # fmt: skip
    """So many of them, in their order: named ones first, then those with room for a task now."""
    count = max(1, count)
    if spec.nodelist or spec.relative is not None:
        return chosen[:count]
    one_of_each = [GresRequest(r.name, r.type, 1) for r in spec.gpus or ()]
    picked: list[str] = []
    for share in chosen:
        if len(picked) == count:
            break
        now, others = free[share.node], taken.get(share.node, ())
        if _capacity(now, spec, cpus_per_task) > 0:
            made = _share(share, now, spec, 1, cpus_per_task, others, one_of_each) if others else share
            if not isinstance(made, Refusal):
                picked.append(share.node)
    for share in chosen if len(picked) < count else ():
        if len(picked) < count and share.node not in picked:
            picked.append(share.node)
    wanted = set(picked)
    return [share for share in chosen if share.node in wanted]


def _nodes(allocation: Allocation, spec: StepSpec) -> list[NodeShare] | Refusal:
    shares = list(allocation.nodes)
    names = {share.node: share for share in shares}
    if spec.exclude:
        away = set(hostlist.expand(spec.exclude))
        shares = [share for share in shares if share.node not in away]
    wanted = hostlist.expand(spec.nodelist) if spec.nodelist else []
    if any(name not in names for name in wanted):
        return Refusal("Requested node configuration is not available")
    if spec.relative is not None:
        if spec.relative >= len(shares):
            return Refusal("Node count specification invalid")
        shares = shares[spec.relative :]
    count = _count(spec)
    if spec.nodes_min is not None and spec.nodes_min > len(shares):
        return Refusal(
            "Node count specification invalid", detail=f"Only allocated {len(shares)} nodes asked for {spec.nodes_min}"
        )
    if wanted:
        first = [names[name] for name in dict.fromkeys(wanted)]
        rest = [share for share in shares if share.node not in set(wanted)]
        shares = first + rest[: max(0, (count or 0) - len(first))]
        return sorted(shares, key=lambda s: allocation.node_names.index(s.node))
    return shares


def _taken(others: list[Step]) -> dict[str, tuple[NodeShare, ...]]:
    taken: dict[str, tuple[NodeShare, ...]] = {}
    for step in others:
        if step.overlap or step.key.step < 0:
            continue
        for node in step.nodes:
            if not node.finished:
                taken[node.share.node] = (*taken.get(node.share.node, ()), node.share)
    return taken


def _without(share: NodeShare, taken: tuple[NodeShare, ...]) -> NodeShare:
    if not taken:
        return share
    cpus = set(share.cpus).difference(*(other.cpus for other in taken))
    memory = share.memory_mb - sum(other.memory_mb for other in taken) if share.memory_mb else 0
    gres = []
    for held in share.gres:
        gone = {
            i for other in taken for g in other.gres if (g.name, g.type) == (held.name, held.type) for i in g.indices
        }
        gres.append(msgspec.structs.replace(held, indices=tuple(i for i in held.indices if i not in gone)))
    return msgspec.structs.replace(share, cpus=tuple(sorted(cpus)), memory_mb=memory, gres=tuple(gres))


def _rooms(shares: list[NodeShare], spec: StepSpec, ntasks: int, cpus_per_task: int) -> list[int]:
    """For how many tasks each node has room. If there are CPUs enough in all, a node with too few for a task has one all the same."""
    rooms = [_capacity(share, spec, cpus_per_task) for share in shares]
    if not all(rooms) and sum(_lent(share, spec) for share in shares) >= ntasks * cpus_per_task:
        rooms = [
            room or int(0 < _lent(share, spec) < cpus_per_task and _capacity(share, spec, 1) > 0)
            for room, share in zip(rooms, shares, strict=True)
        ]
    return rooms


def _capacity(share: NodeShare, spec: StepSpec, cpus_per_task: int) -> int:
    capacity = _lent(share, spec) // cpus_per_task
    if spec.memory_per_cpu_mb and share.memory_mb:
        capacity = min(capacity, share.memory_mb // (spec.memory_per_cpu_mb * cpus_per_task))
    if spec.memory_per_node_mb and share.memory_mb and spec.memory_per_node_mb > share.memory_mb:
        capacity = 0
    for request in spec.gpus_per_task or ():
        capacity = min(capacity, len(_units(share, request)) // max(1, request.count))
    if spec.ntasks_per_node:
        capacity = min(capacity, spec.ntasks_per_node)
    return capacity


def _lent(share: NodeShare, spec: StepSpec) -> int:
    """The CPUs that count: of each core as many threads as the step uses."""
    used = min(spec.threads_per_core or share.threads, share.threads)
    if spec.ntasks_per_core and not spec.overcommit:
        used = min(used, spec.ntasks_per_core * (spec.cpus_per_task or 1))
    return len(share.cpus) // share.threads * used if used < share.threads else len(share.cpus)


def _counts(ntasks: int, capacity: list[int], spec: StepSpec, order: distribution.Distribution) -> list[int]:
    """Tasks per node: one after another (a plane of them, if asked for) to each node that has room; packed, as many as it takes."""
    nodes = len(capacity)
    if spec.overcommit:
        each, more = divmod(ntasks, nodes)
        return [each + (i < more) for i in range(nodes)]
    if order.pack == "pack":
        left, counts = ntasks, []
        for i in range(nodes):
            counts.append(max(1, min(capacity[i], left - (nodes - i - 1))))
            left -= counts[-1]
        return counts
    counts = [0] * nodes
    left = ntasks
    while left:
        for i in range(nodes):
            more = min(order.plane or 1, left, capacity[i] - counts[i])
            counts[i] += more
            left -= more
    return counts


def _ranks(counts: list[int], order: distribution.Distribution, ntasks: int) -> list[list[int]]:
    """Which global ranks each node runs."""
    ranks: list[list[int]] = [[] for _ in counts]
    if order.nodes in ("cyclic", "plane"):
        rank = 0
        while rank < ntasks:
            for i, count in enumerate(counts):
                for _ in range(order.plane or 1):
                    if len(ranks[i]) < count and rank < ntasks:
                        ranks[i].append(rank)
                        rank += 1
        return ranks
    rank = 0
    for i, count in enumerate(counts):
        ranks[i] = list(range(rank, rank + count))
        rank += count
    return ranks


def _units(share: NodeShare, request: GresRequest) -> list[tuple[str, str, int]]:
    return [
        (held.name, held.type, index)
        for held in share.gres
        if held.name == request.name and request.type in ("", held.type)
        for index in held.indices
    ]


def _part(share: NodeShare, request: GresRequest) -> GresShare | None:
    """Of the job's share of a GPU as much as a step asks for."""
    for held in share.gres:
        if held.milli and held.indices and request.type in ("", held.type):
            if request.milli and request.milli <= held.milli:
                return GresShare(
                    "shard", held.type, held.indices, request.milli, max(1, held.shards * request.milli // held.milli)
                )
            if not request.milli and request.count <= held.shards:
                return GresShare(
                    "shard", held.type, held.indices, held.milli * request.count // held.shards, request.count
                )
    return None


def _totals(shares: list[NodeShare], spec: StepSpec) -> list[list[GresRequest]]:
    """--gpus counts over all nodes: each in turn gives what it has, and leaves one to each that follows."""
    given: list[list[GresRequest]] = [[] for _ in shares]
    for request in spec.gpus or ():
        left = request.count
        for i, share in enumerate(shares):
            following = len(shares) - i - 1
            count = min(len(_units(share, request)), left - following) if following else left
            given[i].append(GresRequest(request.name, request.type, max(0, count)))
            left -= max(0, count)
    return given


def _requests(spec: StepSpec, tasks: int, total_gpus: list[GresRequest]) -> list[GresRequest]:
    """Of several ways to count the same thing (some come from the job's environment) one holds: per node, per task, in all."""
    per_node, gres = list(spec.gpus_per_node or ()), list(spec.gres or ())
    if sum(r.count for r in gres if r.name == "gpu") > sum(r.count for r in per_node):
        per_node = []
    elif per_node:
        gres = [r for r in gres if r.name != "gpu"]
    requests = gres + per_node
    per_task = [GresRequest(r.name, r.type, r.count * tasks) for r in spec.gpus_per_task or ()]
    for wish in (per_task, total_gpus):
        named = {r.name for r in requests}
        requests += [r for r in wish if r.name not in named]
    return requests


def _share(
    job: NodeShare, free: NodeShare, spec: StepSpec, tasks: int, cpus_per_task: int, taken: tuple[NodeShare, ...],
    total_gpus: list[GresRequest],
) -> NodeShare | Refusal:  # fmt: skip
    source = job if spec.overlap else free
    cpus = source.cpus[: _cpus_needed(source, spec, tasks, cpus_per_task)] if spec.exact else source.cpus
    requests = _requests(spec, tasks, total_gpus)
    asked = any(value is not None for value in (spec.gres, spec.gpus, spec.gpus_per_node, spec.gpus_per_task))
    gres: tuple[GresShare, ...]
    if not asked:
        gres = source.gres
        if any(job.gres) and not any(g.indices for g in source.gres):
            return _BUSY
    else:
        picked: dict[tuple[str, str], list[int]] = {}
        parts: list[GresShare] = []
        for request in requests:
            if request.is_share:
                part = _part(source, request)
                if part is not None:
                    parts.append(part)
                    continue
                return _BUSY if _part(job, request) is not None else _NO_GRES
            units = [u for u in _units(source, request) if u[2] not in picked.get((u[0], u[1]), ())]
            if len(units) < request.count:
                if len(_units(job, request)) >= request.count:
                    return _BUSY
                return _NO_GRES
            for name, type, index in units[: request.count]:
                picked.setdefault((name, type), []).append(index)
        gres = (*(GresShare(name, type, tuple(sorted(i))) for (name, type), i in picked.items()), *parts)
    memory = job.memory_mb
    if spec.memory_per_node_mb:
        memory = spec.memory_per_node_mb
    elif spec.memory_per_cpu_mb:
        memory = spec.memory_per_cpu_mb * len(cpus)
    asked_memory = bool(spec.memory_per_node_mb or spec.memory_per_cpu_mb)
    if job.memory_mb and memory > job.memory_mb:
        return Refusal("Memory required by task is not available")
    if job.memory_mb and asked_memory and not spec.overlap and taken and memory > max(0, free.memory_mb):
        return _BUSY
    return NodeShare(
        node=job.node, cpus=cpus, memory_mb=memory if asked_memory or not taken else 0, gres=gres, tasks=tasks
    )


def _cpus_needed(share: NodeShare, spec: StepSpec, tasks: int, each: int) -> int:
    """For so many tasks: whole cores, and a task of several CPUs does not share its own."""
    if share.threads == 1:
        return tasks * each
    used = max(1, _lent(share, spec) * share.threads // max(1, len(share.cpus)))
    cores = tasks * -(-each // used) if each > 1 else -(-tasks // used)
    return cores * share.threads


def _places(
    share: NodeShare, ranks: list[int], spec: StepSpec, devices: tuple[GresDevice, ...]
) -> tuple[TaskPlace, ...]:
    gpus = gpus_of(share.gres)
    each = sum(r.count for r in spec.gpus_per_task or () if r.name == "gpu")
    if devices:
        gpus = stepgpus.by_tasks(gpus, each, devices)
    binding = gpubind.parse(spec.gpu_bind) if spec.gpu_bind else None
    if binding is None and spec.ntasks_per_gpu:
        binding = gpubind.GpuBinding("single", (spec.ntasks_per_gpu,))
    places = []
    for local, rank in enumerate(ranks):
        own = gpus[local * each : (local + 1) * each] if each else ()
        if binding is not None and gpus:
            own = gpubind.chosen(binding, gpus, local) or own
        places.append(TaskPlace(rank, local, (), own))
    return tuple(places)
