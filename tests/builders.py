"""The words that tests of engine and scheduler use: nodes, jobs, and a cluster whose nodes do as they are told."""

from typing import Any

from corral.engine.effects import Effects
from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model import ranges
from corral.model.cluster import ClusterConfig, Scheduling, Timeouts
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import Job, JobId, JobSpec, JobState, StepSpec
from corral.model.node import Node, NodeInventory
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.model.step import BATCH, ExitStatus, Step, StepKey, TaskExit
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.codec import decode_event, encode
from corral.protocol.events import AnyEvent
from corral.protocol.replies import AnyReply, Submitted
from corral.scheduler.cycle import schedule
from corral.scheduler.plan import Plan
from corral.simulator import invariants
from corral.simulator.limits import check_limits
from corral.syntax import hostlist

ANN = rq.Caller(uid=1000, gid=1000, user="ann", group="users")
BOB = rq.Caller(uid=1001, gid=1001, user="bob", group="users")
OPERATOR = rq.Caller(uid=900, gid=900, user="olga", group="staff", role="operator")
ROOT = rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator")

__all__ = ["ANN", "BOB", "BATCH", "OPERATOR", "ROOT", "Cluster", "cluster", "gpus", "job", "node", "nodes"]


def node(
    name: str, cpus: int = 4, gpus: int = 0, memory: int = 1000, type: str = "v100", **fields: Any
) -> NodeInventory:
    gres = (GresDevice(name="gpu", type=type, count=gpus),) if gpus else ()
    return NodeInventory(name=name, cpus=cpus, memory_mb=memory, gres=gres, **fields)


def nodes(names: str, **fields: Any) -> list[NodeInventory]:
    return [node(name, **fields) for name in hostlist.expand(names)]


def gpus(count: int, type: str = "") -> tuple[GresRequest, ...]:
    return (GresRequest("gpu", type, count),)


def job(cpus: int | None = None, time: int | None = 100, **fields: Any) -> JobSpec:
    """One task of so many CPUs for so many seconds. `nodes=2` or `nodes=(2, 4)` is -N."""
    wanted = fields.pop("nodes", None)
    if wanted is not None:
        low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        fields |= {"nodes_min": low, "nodes_max": high}
    if isinstance(fields.get("gpus"), int):
        fields["gpus"] = gpus(fields["gpus"])
    return JobSpec(cpus_per_task=cpus, time_limit=time, **fields)


def allocation_of(*entries: str, memory: int = 0) -> Any:
    """`allocation_of("n1:0-3", "n2:0")`: CPU ids per node."""
    from corral.model.allocation import Allocation, NodeShare
    from corral.syntax import arrayspec

    shares = []
    for entry in entries:
        name, _, cpus = entry.partition(":")
        shares.append(NodeShare(node=name, cpus=tuple(arrayspec.parse(cpus, 1000).indices), memory_mb=memory))
    return Allocation(nodes=tuple(shares), partition="batch")


class Cluster:
    """An engine, a clock, and nodes that launch what they are told and end it when the test says so.

    Every change is checked: states follow the table of changes, nothing is given twice.
    """

    def __init__(self, inventories: list[NodeInventory], config: ClusterConfig) -> None:
        self.now = 1000.0
        self.events: list[AnyEvent] = []
        self.sent: list[tuple[str, od.AnyOrder]] = []
        self.reply: AnyReply | None = None
        self.engine = Engine(config, term=1)
        self.inventories = {inventory.name: inventory for inventory in inventories}
        self.silent: set[str] = set()  #: nodes that hear nothing and say nothing
        self.cleans = True  #: nodes answer EndJob at once
        self._states: dict[JobId, JobState] = {}
        self._take(self.engine.start(self.now))
        if inventories:
            self.register()

    # -- time, nodes

    def register(
        self, *names: str, steps: tuple[rp.KnownStep, ...] = (), instance: str = "1", highest_job: int = 0
    ) -> "Cluster":
        found = tuple(self.inventories[name] for name in names or self.inventories)
        return self.report(
            rp.AgentRegistered(agent="agent", instance=instance, nodes=found, steps=steps, highest_job=highest_job)
        )

    def at(self, now: float) -> "Cluster":
        """Set the clock, seconds after the start; do what is due."""
        self.now = 1000.0 + now
        return self.tick()

    def tick(self) -> "Cluster":
        for name in self.inventories:
            if name not in self.silent:
                self.engine.ctx.last_heard[name] = self.now
        self._take(self.engine.tick(self.now))
        return self

    def beat(self, *names: str, steps: tuple[rp.KnownStep, ...] = ()) -> "Cluster":
        return self.report(rp.Heartbeat(agent="agent", nodes=names or tuple(self.inventories), steps=steps))

    def report(self, report: rp.AnyReport) -> "Cluster":
        self._take(self.engine.handle(report, self.now))
        return self

    # -- requests

    def ask(self, request: rq.AnyRequest, caller: rq.Caller = ANN) -> AnyReply:
        effects = self.engine.handle(request, self.now, caller)
        assert effects.reply is not None
        self.reply = effects.reply
        self._take(effects)
        return effects.reply

    def submit(self, *specs: JobSpec, by: rq.Caller = ANN) -> "Cluster":
        reply = self.ask(rq.SubmitJobs(jobs=tuple(rq.NewJob(spec=spec) for spec in specs)), by)
        assert isinstance(reply, Submitted), reply
        return self

    def add(self, spec: JobSpec, by: rq.Caller = ANN) -> JobId:
        self.submit(spec, by=by)
        assert isinstance(self.reply, Submitted)
        return self.reply.ids[0]

    def run(self, spec: JobSpec, by: rq.Caller = ANN) -> JobId:
        """Submit it, and it starts."""
        job_id = self.add(spec, by)
        self.cycle()
        assert self.job(job_id).state is JobState.RUNNING, self.job(job_id)
        return job_id

    def cancel(self, *ids: object, by: rq.Caller = ANN, **fields: Any) -> AnyReply:
        selection = rq.JobSelection(ids=tuple(str(i) for i in ids))
        return self.ask(rq.CancelJobs(selection=selection, **fields), by)

    # -- the scheduler

    def plan(self) -> Plan:
        self._take(self.engine.before_cycle(self.now))
        return schedule(self.engine.snapshot(self.now), self.now)

    def cycle(self) -> "Cluster":
        self._take(self.engine.commit(self.plan(), self.now))
        return self

    # -- what the nodes do

    def finish(
        self, job: int, code: int = 0, signal: int = 0, step: int = BATCH, node: str = "", **fields: Any
    ) -> "Cluster":
        """The step's tasks end (on all its nodes, or on one)."""
        record = self.state.jobs[JobId(job)]
        found = self.state.steps_of(record.id)[step]
        for name in [node] if node else found.node_names:
            ranks = next(n.tasks for n in found.nodes if n.share.node == name)
            exits = tuple(TaskExit(place.rank, ExitStatus(code, signal), self.now) for place in ranks)
            key = StepKey(record.id, step, record.restarts)
            self.report(
                rp.StepFinished(
                    agent="agent", node=name, key=key, tasks=exits, started=self.now, ended=self.now, **fields
                )
            )
        return self

    def clean(self, job: int, *names: str) -> "Cluster":
        record = self.state.jobs[JobId(job)]
        assert record.allocation is not None
        for name in names or record.allocation.node_names:
            self.report(rp.JobCleaned(agent="agent", node=name, job=job, restart=record.restarts))
        return self

    def _take(self, effects: Effects) -> None:
        self.events += effects.records
        self.sent += effects.sends
        invariants.check_events(self.state, self._states, effects.records)
        check_limits(self.state, self.engine.config.accounting.enforce, effects.records)
        if self.cleans:
            for name, order in effects.sends:
                if isinstance(order, od.EndJob) and name not in self.silent:
                    self.report(rp.JobCleaned(agent="agent", node=name, job=order.job, restart=order.restart))

    # -- reading

    @property
    def state(self) -> ClusterState:
        return self.engine.state

    def job(self, job: int) -> Job:
        return self.state.jobs[JobId(job)]

    def node(self, name: str) -> Node:
        return self.state.nodes[name]

    def step(self, job: int, step: int = BATCH) -> Step:
        return self.state.steps_of(JobId(job))[step]

    def element(self, array: int, task: int) -> Job:
        members = self.state.array_members[JobId(array)]
        found = (self.state.jobs[m] for m in members)
        return next(j for j in found if j.array_task_id == task or ranges.contains(j.array_waiting, task))

    def running(self) -> list[int]:
        return sorted(self.state.active)

    def states(self, *jobs: int) -> list[str]:
        return [str(self.job(job_id).state) for job_id in jobs]

    def where(self, job: int) -> dict[str, int]:
        """Node -> tasks."""
        allocation = self.job(job).allocation
        assert allocation is not None
        return {share.node: share.tasks for share in allocation.nodes}

    def cpus(self, job: int) -> dict[str, int]:
        """Node -> number of CPUs."""
        allocation = self.job(job).allocation
        assert allocation is not None
        return {share.node: len(share.cpus) for share in allocation.nodes}

    def reason(self, job: int) -> Reason:
        return self.job(job).reason

    def orders(self, kind: type[Any]) -> list[Any]:
        """Orders of one kind sent since the last call of this."""
        found = [order for _, order in self.sent if isinstance(order, kind)]
        self.sent = [(name, order) for name, order in self.sent if not isinstance(order, kind)]
        return found

    # -- what must hold

    def check(self) -> None:
        """The invariants; and the record gives the same state again."""
        invariants.check_all(self.state)
        invariants.check_record(self.state, [decode_event(encode(event)) for event in self.events])
        invariants.check_record(self.state, (), self.state.dump())


def configuration(**fields: Any) -> ClusterConfig:
    """Limits to the second, unless the test says otherwise."""
    scheduling = {"time_limit_step": 1, **fields.pop("scheduling", {})}
    timeouts = fields.pop("timeouts", {})
    return ClusterConfig(scheduling=Scheduling(**scheduling), timeouts=Timeouts(**timeouts), **fields)


def cluster(*inventories: NodeInventory | list[NodeInventory], **fields: Any) -> Cluster:
    """`cluster(nodes("n[1-4]", cpus=4))`; further words are those of the configuration."""
    found: list[NodeInventory] = []
    for entry in inventories:
        found += entry if isinstance(entry, list) else [entry]
    return Cluster(found, configuration(**fields))


def srun(ntasks: int = 1, **fields: Any) -> StepSpec:
    return StepSpec(name="step", argv=("true",), ntasks=ntasks, **fields)


def ten_dgx() -> Cluster:
    """Ten nodes as in the examples: 16 CPUs, 64,000 MB, 8 GPUs each."""
    return cluster(nodes("dgx[0180-0189]", cpus=16, gpus=8, memory=64000))


def partitions(*entries: Partition) -> dict[str, Any]:
    return {"partition": entries}
