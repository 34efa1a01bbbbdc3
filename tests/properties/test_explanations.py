"""`corral why` never contradicts the plan: who starts is said to start, what keeps a job is said, what is suggested is true."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import accounts
from tests.builders import ANN, BOB, ROOT, Cluster, cluster, gpus, job, node

from corral.engine import offers
from corral.engine.explaining import inquiry
from corral.engine.explanation import explanation
from corral.model.cluster import Accounting, Preemption, PriorityWeights
from corral.model.job import JobId, JobSpec
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.explanations import Suggestion, Why
from corral.protocol.replies import Rejected, Submitted
from corral.scheduler.plan import Plan

PARTITIONS = (
    Partition(name="batch", default=True),
    Partition(name="short", max_time=400, nodes="n[1-2]"),
    Partition(name="high", priority_tier=2, nodes="n[2-4]"),
)


@dataclass
class World:
    """A cluster that can be made again, step by step."""

    cpus: tuple[int, ...]
    gpus: tuple[int, ...]
    jobs: tuple[tuple[JobSpec, bool], ...]
    drained: tuple[int, ...]
    limited: bool
    reserved: bool
    preempts: bool
    weights: PriorityWeights
    backfill: bool | Literal["easy", "conservative"]
    cycles: tuple[int, ...]  #: after how many submissions a cycle runs

    def made(self) -> Cluster:
        inventories = [
            node(f"n{number}", cpus=cpus, gpus=units, memory=1000, features=("fast",) if number % 2 else ())
            for number, (cpus, units) in enumerate(zip(self.cpus, self.gpus, strict=False), 1)
        ]
        extra: dict[str, Any] = {"accounting": Accounting(enforce=("associations", "limits"))} if self.limited else {}
        if self.preempts:
            extra["preemption"] = Preemption(type="partition_prio", mode="REQUEUE")
        made = cluster(
            *inventories,
            partition=PARTITIONS,
            priority=self.weights,
            licenses={"matlab": 2},
            scheduling={"backfill": self.backfill},
            **extra,
        )
        if self.limited:
            accounts.account(made, "chem", grp_tres={"cpu": 6}, grp_jobs=3)
            accounts.user(made, "ann", "chem", max_jobs=2)
            accounts.user(made, "bob", "chem")
        if self.reserved:
            start = made.now + 300
            users = rq.Names(names=("bob",))
            fields = rq.ReservationFields(start_time=start, duration=600, nodes="n1", users=users)
            assert not isinstance(made.ask(rq.CreateReservation(name="r", fields=fields), ROOT), Rejected), made.reply
        for number in self.drained:
            if number <= len(inventories):
                made.ask(rq.UpdateNodes(nodes=f"n{number}", state="drain", reason="fan"), ROOT)
        for number, (spec, is_bobs) in enumerate(self.jobs):
            reply = made.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), BOB if is_bobs else ANN)
            assert isinstance(reply, Submitted | Rejected)
            if number in self.cycles:
                made.cycle()
            made.at(number)
        return made


specs = st.builds(
    lambda cpus, nodes, units, time, memory, extra: job(
        cpus=cpus, time=time, nodes=nodes, memory_per_node_mb=memory,
        **({"gpus_per_node": gpus(units)} if units else {}), **extra,
    ),
    cpus=st.integers(1, 5),
    nodes=st.sampled_from([None, None, 1, 2, 3, (1, 2)]),
    units=st.sampled_from([0, 0, 1, 2, 4]),
    time=st.sampled_from([60, 120, 300, 600, 1800, 7200]),
    memory=st.sampled_from([None, None, 300, 800]),
    extra=st.sampled_from(
        [
            {}, {}, {}, {}, {"partition": "short"}, {"partition": "short,batch"}, {"partition": "high"}, {"constraint": "fast"},
            {"exclusive": True}, {"licenses": "matlab:2"}, {"nodelist": "n2"}, {"array": "0-3"}, {"array": "0-5%2"},
            {"hold": True}, {"begin_time": 5000.0}, {"dependency": "afterok:1"}, {"dependency": "singleton", "name": "a"},
            {"time_min": 60}, {"exclude": "n1"}, {"ntasks": 4},
        ]
    ),
)  # fmt: skip

worlds = st.builds(
    World,
    cpus=st.lists(st.sampled_from([2, 4, 8]), min_size=1, max_size=4).map(tuple),
    gpus=st.lists(st.sampled_from([0, 2, 4]), min_size=4, max_size=4).map(tuple),
    jobs=st.lists(st.tuples(specs, st.booleans()), min_size=1, max_size=12).map(tuple),
    drained=st.lists(st.integers(1, 4), max_size=1).map(tuple),
    limited=st.booleans(),
    reserved=st.sampled_from([False, False, True]),
    preempts=st.sampled_from([False, False, True]),
    weights=st.sampled_from([PriorityWeights(), PriorityWeights(age=1000), PriorityWeights(job_size=1000, age=100)]),
    backfill=st.sampled_from([True, True, True, "easy", "conservative", False]),
    cycles=st.lists(st.integers(0, 11), max_size=4).map(tuple),
)


def everybody(_: object) -> bool:
    return True


def whys(live: Cluster) -> dict[JobId, Why]:
    view = live.engine.pending
    return {
        record.id: explanation(inquiry(view, record, None, live.now, everybody))
        for record in list(live.state.jobs.values())
        if record.is_pending
    }


def reasons_in(plan: Plan, live: Cluster) -> dict[JobId, Reason]:
    """Of every job that a cycle has looked at, as it would be noted."""
    found = {job_id: why.reason for job_id, why in plan.reasons.items()}
    for number, rest in plan.rest.items():
        group = live.engine.pending.offered[number]
        assert group.offer is not None
        for key in group.offer.queue[rest.position :]:
            found.setdefault(JobId(key[2]), rest.why.reason)
    return found


@settings(max_examples=80, deadline=None)
@given(worlds)
def test_what_is_said_is_what_the_scheduler_decides(world: World):
    live = world.made()
    live.engine.before_cycle(live.now)
    compare(live)


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_of_many_jobs_the_same_is_said_by_what_the_last_cycle_has_found(world: World):
    live = world.made()
    while (plan := live.plan()).starts or plan.preemptions or plan.broken:
        live.cycle()
    live.cycle()
    usual, offers.ALL_OF = offers.ALL_OF, 0
    try:
        compare(live)
    finally:
        offers.ALL_OF = usual


def compare(live: Cluster) -> None:
    answers = whys(live)
    plan = live.plan()
    starts = {start.job for start in plan.starts}
    reasons = reasons_in(plan, live)
    for job_id, why in answers.items():
        said = {cause.reason for cause in why.causes}
        kinds = {cause.kind for cause in why.causes}
        if job_id in {one.job for one in plan.preemptions}:
            assert "makes room" in why.summary or job_id in plan.reasons, (why, plan)
        elif job_id in starts and job_id not in plan.reasons:
            assert "can start now" in why.summary, (why, plan)
        elif job_id in starts:  # some elements of an array start, others wait
            continue
        elif job_id in reasons:
            assert str(reasons[job_id]) in said, (reasons[job_id], why)
        else:
            assert kinds, why
        assert "other" not in kinds, why
        if job_id in plan.expected:
            assert why.planned is not None
            assert (why.planned.start, why.planned.nodes) == (plan.expected[job_id].time, plan.expected[job_id].nodes)
            assert why.planned.is_firm


def applied(world: World, job_id: JobId, one: Suggestion) -> Cluster:
    """The same cluster, in which this job asks for what was suggested."""
    live = world.made()
    live.engine.before_cycle(live.now)
    record = live.state.jobs[job_id]
    spec = live.state.spec(record)
    option, _, value = one.change.removeprefix("--").partition("=")
    changes: dict[str, Any] = {}
    match option:
        case "time":
            changes["time_limit"] = seconds_of(value)
        case "partition":
            changes["partition"] = value
        case "nodes":
            changes |= {
                "nodes_min": int(value),
                "nodes_max": int(value) if spec.nodes_max == spec.nodes_min else spec.nodes_max,
            }
        case "gpus-per-node":
            kind, _, count = value.rpartition(":")
            changes["gpus_per_node"] = gpus(int(count), kind)
        case "cpus-per-task":
            changes["cpus_per_task"] = int(value)
        case "ntasks":
            changes["ntasks"] = int(value)
        case "mem":
            changes["memory_per_node_mb"] = int(value.rstrip("GM")) * (1024 if value.endswith("G") else 1)
        case _:
            changes[option.replace("-", "_")] = type(getattr(spec, option.replace("-", "_")))()
    new = msgspec.structs.replace(spec, **changes)
    fields: dict[str, Any] = {}
    if "time_limit" in changes:
        fields["time_limit"] = new.time_limit
    if "partition" in changes:
        fields["partition"] = value
    live.state.specs[record.spec_id] = new
    live.state._unindex(record)
    changed = msgspec.structs.replace(record, **fields)
    live.state.jobs[job_id] = changed
    live.state._index(changed)
    return live


def seconds_of(text: str) -> int:
    parts = [int(part) for part in text.replace("-", ":").split(":")]
    return sum(part * size for part, size in zip(reversed(parts), (1, 60, 3600, 86400), strict=False))


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_what_is_suggested_is_true(world: World):
    live = world.made()
    live.engine.before_cycle(live.now)
    for job_id, why in whys(live).items():
        for one in why.suggestions:
            plan = applied(world, job_id, one).plan()
            if job_id in {made.job for made in plan.preemptions}:
                continue  # better still: others make room for it
            started = [start for start in plan.starts if start.job == job_id]
            if one.now:
                assert started, (one, why, plan)
            else:
                assert plan.expected[job_id].time == one.start, (one, plan)
                assert why.planned is None or one.start < why.planned.start
