"""Which cluster and which work does a seed make?"""

import random
from typing import Any, Literal

import msgspec

from corral.model.cluster import Accounting, ClusterConfig, Preemption, PriorityWeights, Scheduling, Timeouts
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobKind, JobSpec, StepSpec
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.protocol.accounting import Condition, Settings
from corral.protocol.requests import (
    AnyRequest,
    ChangeAccounts,
    CreateReservation,
    Names,
    NewJob,
    ReservationFields,
    SubmitJobs,
)
from corral.simulator import quotas


class Wish(msgspec.Struct, frozen=True):
    """What a user or operator does at some time: submit this, or do this to the n-th job acknowledged so far."""

    at: float
    what: str
    spec: JobSpec | None = None
    pick: float = 0.0  #: 0 to 1: which of the jobs (or nodes) there are
    request: AnyRequest | None = None


class World(msgspec.Struct, frozen=True, kw_only=True):
    config: ClusterConfig
    agents: tuple[tuple[NodeInventory, ...], ...]
    wishes: tuple[Wish, ...]
    span: float  #: seconds in which the wishes come


def world_of(chance: random.Random, jobs: tuple[int, int] = (20, 40)) -> World:
    """A small cluster, and work that is too much for it at times."""
    count, cpus, gpus = chance.randint(2, 5), chance.choice((2, 4, 8)), chance.choice((0, 0, 2, 4))
    gres = (GresDevice(name="gpu", type="v100", count=gpus),) if gpus else ()
    nodes = [NodeInventory(name=f"n{i}", cpus=cpus, memory_mb=1000 * cpus, gres=gres) for i in range(1, count + 1)]
    agents = [nodes[i::2] for i in range(2)] if chance.random() < 0.5 else [[node] for node in nodes]
    partitions = [Partition(name="batch", default=True)]
    if chance.random() < 0.3:
        partitions.append(Partition(name="some", nodes="n[1-2]"))
    preemption = _preemption(chance, partitions)
    config = ClusterConfig(
        partition=tuple(partitions),
        licenses={"a": 2, "b": 3},
        preemption=preemption,
        scheduling=Scheduling(
            time_limit_step=1,
            placement=chance.choice(("pack", "spread")),
            backfill=chance.random() < 0.9,
            backfill_max_jobs=chance.choice((1, 1, 4)),
            requeue_delay=chance.choice((0.0, 0.0, 15.0)),
            kill_invalid_depend=chance.random() < 0.3,
        ),
        timeouts=Timeouts(kill_wait=5.0, node=30.0, heartbeat=10.0, min_job_age=chance.choice((30.0, 300.0))),
    )
    span = chance.choice((60.0, 200.0))
    wishes = []
    for _ in range(chance.randint(*jobs)):
        spec = _spec(chance, cpus, gpus, count, any(partition.name == "some" for partition in partitions))
        spec = _urgent_or_not(chance, spec, preemption)
        wishes.append(Wish(chance.uniform(0, span), "submit", spec))
    for _ in range(chance.randint(0, 12)):
        what = chance.choice(_DEEDS)
        wishes.append(Wish(chance.uniform(0, span * 1.2), what, None, chance.random()))
    for _ in range(chance.choice((0, 0, 2, 4))):
        specs = [
            _component(chance, max(1, cpus // 3), 0 if cpus < 3 else gpus)
            for _ in range(min(cpus, chance.randint(2, 3)))
        ]
        request = SubmitJobs(jobs=tuple(NewJob(spec=spec) for spec in specs), het=True)
        wishes.append(Wish(chance.uniform(0, span), "het", request=request))
    for number in range(chance.choice((0, 0, 1, 3))):
        wishes.append(Wish(chance.uniform(0, span), "reserve", request=_reservation(chance, number, count, cpus)))
    if preemption.type == "qos":
        wishes += [
            Wish(-0.9 + 0.1 * number, "accounts", request=request) for number, request in enumerate(_qos(chance))
        ]
    if chance.random() < 0.4:
        config, wishes = _limited(chance, config, wishes, span)
    wishes.sort(key=lambda wish: wish.at)
    return World(config=config, agents=tuple(tuple(a) for a in agents), wishes=tuple(wishes), span=span)


def _limited(
    chance: random.Random, config: ClusterConfig, wishes: list[Wish], span: float
) -> tuple[ClusterConfig, list[Wish]]:
    """With accounts, and limits that are held and change while jobs wait and run."""
    enforce = chance.choice((("limits",), ("limits", "qos"), ("safe",), ("associations",)))
    partitions = config.partition
    if chance.random() < 0.3:
        partitions = (msgspec.structs.replace(partitions[0], qos="part"), *partitions[1:])
    config = msgspec.structs.replace(
        config,
        partition=partitions,
        accounting=Accounting(enforce=enforce),
        priority=PriorityWeights(
            decay_half_life=chance.choice((0.0, 60.0)),
            fair_share=chance.choice((0, 1000)),
            age=chance.choice((0, 1000)),
        ),
    )
    wishes = [
        msgspec.structs.replace(wish, spec=quotas.charged(chance, wish.spec)) if wish.spec is not None else wish
        for wish in wishes
    ]
    wishes += [Wish(-0.8 + 0.02 * at, "accounts", request=one) for at, one in enumerate(quotas.books(chance))]
    for one in quotas.changes(chance, chance.randint(0, 8)):
        wishes.append(Wish(chance.uniform(0, span), "accounts", request=one))
    return config, wishes


def _preemption(chance: random.Random, partitions: list[Partition]) -> Preemption:
    """Half of the clusters preempt; those by tier get a partition from which it is done."""
    kinds: tuple[Literal["none", "qos", "partition_prio"], ...] = ("none", "none", "qos", "partition_prio")
    kind = chance.choice(kinds)
    if kind == "none":
        if chance.random() < 0.7:
            return Preemption()
        partitions[0] = msgspec.structs.replace(partitions[0], oversubscribe=chance.choice(("FORCE:2", "FORCE:3")))
        return Preemption(mode="GANG", time_slice=5)
    mode = chance.choice(("REQUEUE", "CANCEL", "SUSPEND,GANG", "REQUEUE"))
    if kind == "partition_prio":
        partitions.append(Partition(name="hi", priority_tier=5))
    if kind == "partition_prio" or mode.startswith("SUSPEND"):
        low = partitions[0]
        own = chance.choice(("", "", "REQUEUE", "CANCEL"))
        partitions[0] = msgspec.structs.replace(
            low,
            grace_time=chance.choice((0, 3)),
            oversubscribe=chance.choice(("NO", "FORCE:1", "FORCE:1", "FORCE:2")),
            preempt_mode=own,
        )
    return Preemption(
        type=kind, mode=mode, exempt_time=chance.choice((0.0, 0.0, 10.0)), strict_order=chance.random() < 0.3,
        send_user_signal=chance.random() < 0.3, time_slice=5,
    )  # fmt: skip


def _qos(chance: random.Random) -> list[ChangeAccounts]:
    """`low`, which `high` may preempt."""
    low = Settings(
        numbers={"grace_time": chance.choice((0, 0, 4, 12))},
        words={"preempt_mode": chance.choice(("cluster", "cluster", "cancel", "requeue,within"))},
    )
    high = Settings(lists={"preempt": ("=low",)})
    return [
        ChangeAccounts(verb="add", kind="qos", where=Condition(names=(name,)), settings=settings)
        for name, settings in (("low", low), ("high", high))
    ]


def _urgent_or_not(chance: random.Random, spec: JobSpec, preemption: Preemption) -> JobSpec:
    if preemption.type == "qos":
        return msgspec.structs.replace(
            spec, qos=chance.choice(("low", "low", "high", "")), nice=chance.choice((0, 0, 50))
        )
    if preemption.type == "partition_prio" and not spec.partition and chance.random() < 0.3:
        return msgspec.structs.replace(spec, partition="hi")
    return spec


def _component(chance: random.Random, cpus: int, gpus: int) -> JobSpec:
    seconds = round(chance.uniform(0.1, 20), 2)
    gres = (GresRequest("gpu", "", 1),) if gpus and chance.random() < 0.3 else ()
    return JobSpec(
        name="het", cpus_per_task=chance.randint(1, cpus), time_limit=int(chance.choice((seconds * 2 + 5, seconds * 0.5 + 1, LONG))),
        argv=(str(seconds), chance.choice(("0", "1"))), gres=gres, licenses=chance.choice(("", "", "", "a")) if cpus > 1 else "",
        requeue=chance.random() < 0.8,
    )  # fmt: skip


def _reservation(chance: random.Random, number: int, nodes: int, cpus: int) -> CreateReservation:
    """For a time, or every hour until somebody deletes it. Their starts are seconds from now."""
    repeats = chance.random() < 0.2
    flags = [
        flag
        for flag in ("MAINT", "OVERLAP", "IGNORE_JOBS", "FLEX", "REPLACE_DOWN", "MAGNETIC")
        if chance.random() < 0.2
    ]
    where: dict[str, Any] = chance.choice(
        ({"nodes": "n1"}, {"nodes": f"n[1-{nodes}]"}, {"node_counts": (1,)}, {"core_counts": (max(1, cpus // 2),)})
    )
    fields = ReservationFields(
        start_time=chance.uniform(0, 30), duration=60 * chance.randint(1, 3), users=Names(names=(chance.choice(("ann", "bob")),)),
        flags=Names(names=tuple([*flags, "HOURLY"] if repeats else flags)), **where,
    )  # fmt: skip
    return CreateReservation(name=f"h{number}" if repeats else f"r{number}", fields=fields)


#: A limit that never strikes: such a job ends by itself, or the simulation is stuck.
LONG = 10**6

_DEEDS = (
    "cancel", "cancel", "requeue_cancel", "hold", "release", "requeue", "requeue", "suspend", "resume", "step", "step",
    "kill_step", "drain", "resume_node", "down", "update", "later", "special_exit", "hold_elements",
)  # fmt: skip


def _spec(chance: random.Random, cpus: int, gpus: int, nodes: int, two_partitions: bool) -> JobSpec:
    seconds = round(chance.choice((chance.uniform(0.1, 5), chance.uniform(5, 40))), 2)
    limit = int(chance.choice((seconds * 2 + 5, seconds + 5, seconds * 0.5 + 1, LONG, LONG)))
    argv = (str(seconds), str(chance.choice((0, 0, 0, 1, 3))))
    fields: dict[str, object] = {"time_limit": limit, "argv": argv, "name": chance.choice(("a", "b", "c"))}
    kind = chance.random()
    if kind < 0.1:
        wanted = chance.randint(1, cpus)
        fields |= {"kind": JobKind.SRUN, "ntasks": wanted, "step": StepSpec(argv=argv, ntasks=wanted)}
    elif kind < 0.3:
        fields["array"] = f"0-{chance.randint(1, 6)}" + chance.choice(("", "%2"))
        fields["cpus_per_task"] = 1
    elif kind < 0.5:
        fields["nodes_min"] = fields["nodes_max"] = chance.randint(1, nodes)
        fields["cpus_per_task"] = chance.randint(1, cpus)
    else:
        fields["cpus_per_task"] = chance.randint(1, cpus)
    if gpus and chance.random() < 0.4:
        fields["gres"] = (GresRequest("gpu", "", chance.randint(1, gpus)),)
    if chance.random() < 0.2:
        fields["memory_per_cpu_mb"] = chance.choice((100, 1000))
    if chance.random() < 0.05:
        fields["exclusive"] = True
    if chance.random() < 0.1:
        fields["requeue"] = False
    if chance.random() < 0.1:
        fields["no_kill"] = True
    if chance.random() < 0.1:
        fields["hold"] = True
    if chance.random() < 0.1:
        fields["signal"] = (10, 2, False)
    if chance.random() < 0.1:
        fields["reservation"] = chance.choice(("r0", "r0,r1", "r2"))
    if chance.random() < 0.15:
        fields["licenses"] = chance.choice(("a", "a:2", "a,b:2", "b:3"))
    if chance.random() < 0.15:
        fields["dependency"] = chance.choice(("singleton", "afterok:*", "afterany:*", "afternotok:*", "after:*"))
    if two_partitions and chance.random() < 0.3:
        fields["partition"] = chance.choice(("some", "some,batch"))
        if fields["partition"] == "some" and "nodes_min" in fields:
            fields["nodes_min"] = fields["nodes_max"] = min(2, nodes)
    return JobSpec(**fields)  # type: ignore[arg-type]
