"""What becomes of a service and a queue of training in one cluster? A replay whose nodes run Pods too, with a gateway that counts requests.

Nodes start a container at once, and it is ready some seconds later, when its program has loaded. Training that is preempted has written a
checkpoint when it is told, and goes on from there after some seconds of loading. All decisions are the engine's: how many replicas, on
which nodes, whom they preempt.
"""

import heapq
from collections.abc import Iterable

import msgspec

from corral.engine.effects import Effects
from corral.model.cluster import ClusterConfig
from corral.model.job import Job, JobId, JobState
from corral.model.kube.objects import AnyObject
from corral.model.node import NodeInventory
from corral.model.step import BATCH, EndCause, StepKey
from corral.protocol import events as ev
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.simulator.demand import STEP, Curve, Noise, Station
from corral.simulator.replay import AGENT, NOTHING, Replay
from corral.simulator.workloads.work import Work


class Served(msgspec.Struct):
    """One service: its objects, and the requests that come to it."""

    name: str  #: of its Service, and of the label `app` of its Pods
    objects: tuple[AnyObject, ...]
    curve: Curve
    noise: Noise
    station: Station
    opens: float = 120.0  #: the first requests come so many seconds after the service was made
    startup_seconds: float = 30.0  #: until a replica's program is ready


class Account(msgspec.Struct):
    """GPU-seconds, and what came of them."""

    service: float = 0.0
    training: float = 0.0
    finished: int = 0
    finished_gpu_seconds: float = 0.0
    preempted: int = 0
    most_replicas: int = 0
    replica_seconds: float = 0.0


class Serving(Replay):
    def __init__(
        self,
        config: ClusterConfig,
        nodes: Iterable[NodeInventory],
        training: Iterable[Work],
        served: Served,
        set_up: Iterable[rq.AnyRequest],
        seconds: float,
        *,
        restart_seconds: float = 60.0,
        checkpoint_seconds: float = 1800.0,
    ) -> None:
        super().__init__(config, nodes, training)
        self.served, self.set_up, self.until = served, tuple(set_up), self.epoch + seconds
        self.restart_seconds, self.checkpoint_seconds = restart_seconds, checkpoint_seconds
        self.done: dict[int, float] = {}  #: by job: seconds of its work that a checkpoint holds
        self.pods: dict[int, tuple[str, StepKey]] = {}  #: by job, the run of its container
        self.loading: list[tuple[float, StepKey, str]] = []  #: a heap: when which run is ready, and where
        self.account = Account()
        self._gpus: dict[int, int] = {}  #: by job that runs
        self._is_pod: set[int] = set()

    # -- time

    def run_day(self) -> Account:
        self.begin()
        for request in self.set_up:
            self.ask(request)
        self.ask(rq.PutObjects(objects=self.served.objects))
        jobs = sorted(self.jobs, key=lambda work: work.submit)
        upcoming = iter(jobs)
        work = next(upcoming, None)
        second = self.now
        while self.now < self.until:
            arrives = self.epoch + work.submit if work is not None else NOTHING
            ends = self.ends[0][0] if self.ends else NOTHING
            ready = self.loading[0][0] if self.loading else NOTHING
            cycles = self.next_cycle if self.engine.wants_cycle else NOTHING
            when = min(arrives, ends, ready, self.due(), cycles, second)
            self._pass_to(max(self.now, when))
            while self.ends and self.ends[0][0] <= self.now:
                self.exit()
            while self.loading and self.loading[0][0] <= self.now:
                self._is_ready()
            while work is not None and self.epoch + work.submit <= self.now:
                self.submit(work)
                work = next(upcoming, None)
            if second <= self.now:
                self._requests()
                second += STEP
            if self.due() <= self.now:
                self.follow(self.engine.tick(self.now))
            self.cycle()
        return self.account

    def _pass_to(self, now: float) -> None:
        seconds = min(now, self.until) - self.now
        if seconds > 0:
            pods = sum(self._gpus[job] for job in self._is_pod)
            every = sum(self._gpus.values())
            self.account.service += pods * seconds
            self.account.training += (every - pods) * seconds
            self.account.replica_seconds += len(self._is_pod) * seconds
            self.account.most_replicas = max(self.account.most_replicas, len(self._is_pod))
        self.now = now

    # -- requests

    def _requests(self) -> None:
        """A second of them, and what the gateway says of it."""
        served, time = self.served, self.now - self.epoch
        pods = self.engine.state.objects.pods_selected("default", {"app": served.name})
        ready = sum(pod.is_ready for pod in pods)
        arrivals = served.noise.arrivals(served.curve.at(time), time) if time >= served.opens else 0
        served.station.step(arrivals, ready, self.now)
        load = rq.ServiceLoad(
            namespace="default", service=served.name, in_flight=served.station.in_flight, requests=arrivals,
            held=0 if ready else served.station.queued,
        )  # fmt: skip
        self.ask(rq.ReportLoad(gateway="gateway", services=(load,), seconds=STEP))

    # -- nodes

    def follow(self, effects: Effects) -> None:
        for event in effects.records:
            match event:
                case ev.JobStarted():
                    share = event.job.allocation.nodes if event.job.allocation is not None else ()
                    self._gpus[event.job.id] = sum(len(g.indices) for one in share for g in one.gres if g.name == "gpu")
                    if self.engine.state.spec(event.job).pod is not None:
                        self._is_pod.add(event.job.id)
                case ev.JobEnded():
                    self._gone(event.job.id)
                case ev.JobRequeued():
                    self._gone(event.ended.id)
                    self.account.preempted += 1
        super().follow(effects)

    def _gone(self, job: int) -> None:
        self._gpus.pop(job, None)
        self._is_pod.discard(job)

    def launch(self, node: str, order: od.LaunchStep) -> None:
        key = order.key
        if order.pod is not None:
            if self.pods.get(key.job) != (node, key):
                self.pods[key.job] = (node, key)
                heapq.heappush(self.loading, (self.now + self.served.startup_seconds, key, node))
            return
        work = self.works.get(key.job)
        if work is not None and key not in self.running:
            done = self.done.get(key.job, 0.0)
            self.let_run(key, node, max(1.0, work.seconds - done + (self.restart_seconds if done else 0.0)))

    def _is_ready(self) -> None:
        _, key, node = heapq.heappop(self.loading)
        if self.pods.get(key.job) == (node, key):
            report = rp.ContainerStarted(agent=AGENT, node=node, key=key, time=self.now)
            self.follow(self.engine.handle(report, self.now))

    def end(self, node: str, order: od.EndJob) -> None:
        found = self.pods.pop(order.job, None)
        if found is not None:
            report = rp.StepFinished(
                agent=AGENT, node=node, key=found[1], tasks=(), cause=EndCause.CANCELLED, ended=self.now
            )
            self.follow(self.engine.handle(report, self.now))
            cleaned = rp.JobCleaned(agent=AGENT, node=node, job=order.job, restart=order.restart)
            self.follow(self.engine.handle(cleaned, self.now))
            return
        self._checkpoint(order)
        super().end(node, order)

    def _checkpoint(self, order: od.EndJob) -> None:
        """What it was told in time is kept; else what the last of its regular checkpoints holds."""
        job = self.engine.state.jobs.get(JobId(order.job))
        if job is None or StepKey(JobId(order.job), BATCH, order.restart) not in self.running:
            return
        before = self.done.get(order.job, 0.0)
        until = job.preempted.time if job.preempted is not None else self.now
        made = max(0.0, until - job.start_time - (self.restart_seconds if before else 0.0))
        if job.preempted is None:
            made = made // self.checkpoint_seconds * self.checkpoint_seconds
        self.done[order.job] = before + made

    def note_end(self, job: Job) -> None:
        work = self.works.get(job.id)
        if work is not None and job.state is JobState.COMPLETED:
            self.account.finished += 1
            self.account.finished_gpu_seconds += (
                work.seconds * (work.spec.nodes_min or 1) * sum(one.count for one in work.spec.gres)
            )
        super().note_end(job)
