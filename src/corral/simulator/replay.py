"""What becomes of a workload on a cluster? The real engine and the real scheduler, under a clock that jumps from one thing to the next.

Of one moment first what has ended is told, then come the jobs that are submitted, then what is due by the clock (time limits); then one
cycle decides what starts. Nodes do as they are told, and at once: a launch runs for as long as the trace says, or until the engine has it
ended. Nothing here decides.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator

import msgspec

from corral.engine.effects import Effects
from corral.engine.engine import Engine
from corral.engine.steps import start_batch
from corral.model.cluster import ClusterConfig
from corral.model.job import ExitStatus, Job, JobId, JobState
from corral.model.node import NodeInventory
from corral.model.step import BATCH, EndCause, StepKey, TaskExit
from corral.protocol import events as ev
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected
from corral.scheduler.cycle import schedule
from corral.simulator.outcome import Outcome
from corral.simulator.people import People
from corral.simulator.workloads.snapshot import LiveCluster
from corral.simulator.workloads.work import Work
from corral.syntax import hostlist

#: The time 0 of a trace: times of the engine are never 0, which means "not yet".
EPOCH = 1_000_000.0
AGENT = "simulated"
#: No node of a simulation is ever silent.
NEVER = 1e15
#: Ended jobs are forgotten when so many have ended since the last time.
FORGET = 2000
NOTHING = float("inf")
#: A shorter time between two cycles than traces can tell is none.
LEAST_INTERVAL = 1.0
ROOT = rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator")


class Replay:
    """One workload, one cluster, one policy. `live`: the cluster from which it goes on; `broken`: which nodes fail when, for how long."""

    def __init__(
        self,
        config: ClusterConfig,
        nodes: Iterable[NodeInventory],
        jobs: Iterable[Work],
        live: LiveCluster | None = None,
        broken: Iterator[tuple[float, str, float]] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        silent = msgspec.structs.replace(config.timeouts, heartbeat=NEVER, node=NEVER, min_job_age=0.0)
        limits = msgspec.structs.replace(config.limits, max_job_count=1 << 40)
        config = msgspec.structs.replace(config, timeouts=silent, limits=limits)
        self.engine = Engine(config, live.state() if live is not None else None, term=1)
        self.nodes = tuple(nodes)
        self.jobs = iter(jobs)
        self.progress = progress
        self.epoch = self.now = EPOCH if live is None else live.time
        interval = config.scheduling.cycle_interval
        self.interval = interval if interval >= LEAST_INTERVAL else 0.0
        self.next_cycle = self.now  #: not before
        self.ends: list[tuple[float, int, StepKey, str]] = []  #: a heap: when, in which order, which launch, where
        self.running: dict[StepKey, tuple[str, int, float]] = {}  #: launches: where, their number, until when
        self.frozen: dict[StepKey, tuple[str, float]] = {}  #: suspended ones: where, and how long they would run still
        self.works: dict[int, Work] = (
            dict(live.works) if live is not None else {}
        )  #: by job id, those that have not ended
        self.people = People(self.ask, bool(config.priority.fair_share) and live is None)
        self.launches = 0
        self.ended = 0
        self.broken = broken if broken is not None else iter(())
        self.breaks = self._next_break()
        self.repairs: list[tuple[float, str]] = []  #: a heap
        watts = {name: entry for entry in config.node if entry.watts_busy for name in hostlist.expand(entry.name)}
        self.outcome = Outcome(self.nodes, self.epoch, watts)

    def run(self) -> Outcome:
        self.begin()
        upcoming = next(self.jobs, None)
        while upcoming is not None or self.works:
            arrives = self.epoch + upcoming.submit if upcoming is not None else NOTHING
            ends = self.ends[0][0] if self.ends else NOTHING
            repaired = self.repairs[0][0] if self.repairs else NOTHING
            cycles = self.next_cycle if self.engine.wants_cycle else NOTHING
            when = min(arrives, ends, self.due(), repaired, cycles)
            if when == NOTHING:
                break  # what is left can never start
            self.now = now = max(self.now, min(when, self.breaks[0]))
            self.outcome.pass_to(now)
            while self.ends and self.ends[0][0] <= now:
                self.exit()
            while self.repairs and self.repairs[0][0] <= now:
                self.ask(rq.UpdateNodes(nodes=heapq.heappop(self.repairs)[1], state="resume"))
            while self.breaks[0] <= now:
                self.break_down()
            while upcoming is not None and self.epoch + upcoming.submit <= now:
                self.submit(upcoming)
                upcoming = next(self.jobs, None)
            if self.due() <= now or self.ended >= FORGET:
                self.ended = 0
                self.follow(self.engine.tick(now))
            self.cycle()
        self.outcome.close(self.engine.state, self.now)
        return self.outcome

    def begin(self) -> None:
        """The controller starts, the nodes register; what ran goes on."""
        engine, now = self.engine, self.now
        if self.works:
            self.outcome.pass_to(now)
        self.follow(engine.start(now))
        state = engine.state
        new = tuple(node for node in self.nodes if node.name not in state.nodes)
        if new:
            self.follow(engine.handle(rp.AgentRegistered(agent=AGENT, instance="1", nodes=new), now))
        for job_id in sorted(self.works):
            job = state.jobs[JobId(job_id)]
            if not job.is_active:
                self.outcome.submitted(job, state.spec(job))
                continue
            self.outcome.started(job)
            if job.state is not JobState.COMPLETING:
                effects = Effects()
                start_batch(engine.ctx, job, now, effects)
                self.follow(effects)
            else:
                for node in job.allocation.node_names if job.allocation is not None else ():
                    report = rp.JobCleaned(agent=AGENT, node=node, job=job.id, restart=job.restarts)
                    self.follow(engine.handle(report, now))
        self.cycle()
        self.next_cycle = self.now

    def due(self) -> float:
        """When the engine has something to do by the clock."""
        when = self.engine.next_wake(self.now)
        return when if when < NEVER else NOTHING

    def cycle(self) -> None:
        engine, now = self.engine, self.now
        if engine.wants_cycle and now >= self.next_cycle:
            self.next_cycle = now + self.interval
            self.follow(engine.before_cycle(now))
            self.follow(engine.commit(schedule(engine.snapshot(now), now), now))
            self.outcome.cycles += 1

    # -- misfortune

    def _next_break(self) -> tuple[float, str, float]:
        when, node, seconds = next(self.broken, (NOTHING, "", 0.0))
        return self.epoch + when, node, seconds

    def break_down(self) -> None:
        """A node is gone, with all that runs on it, until it is repaired."""
        _, name, seconds = self.breaks
        self.breaks = self._next_break()
        if any(node == name for _, node in self.repairs):
            return  # it is broken already
        for launches in (self.running, self.frozen):
            for key in [key for key, launch in launches.items() if launch[0] == name]:
                del launches[key]
        heapq.heappush(self.repairs, (self.now + seconds, name))
        self.ask(rq.UpdateNodes(nodes=name, state="down", reason="broken"))
        self.outcome.breakdowns += 1

    def ask(self, request: rq.AnyRequest) -> None:
        self.follow(self.engine.handle(request, self.now, ROOT))

    # -- users

    def submit(self, work: Work) -> None:
        caller = self.people.caller(work.user, work.spec.account)
        effects = self.engine.handle(rq.SubmitJobs(jobs=(rq.NewJob(spec=work.spec),)), self.now, caller)
        reply = effects.reply
        if isinstance(reply, Rejected):
            self.outcome.refuse(work, reply.error)
            return
        for event in effects.records:
            if isinstance(event, ev.JobSubmitted):
                self.works[event.job.id] = work
                self.outcome.submitted(event.job, event.spec)
        self.follow(effects)

    # -- nodes

    def follow(self, effects: Effects) -> None:
        """What the nodes do, and what is noted of it."""
        for event in effects.records:
            match event:
                case ev.JobStarted():
                    self.outcome.started(event.job)
                case ev.JobEnded():
                    self.note_end(event.job)
                case ev.JobRequeued():
                    self.outcome.requeued(event.ended)
        for node, order in effects.sends:
            match order:
                case od.LaunchStep():
                    self.launch(node, order)
                case od.EndJob():
                    self.end(node, order)
                case od.SuspendJob():
                    self.suspend(order)

    def launch(self, node: str, order: od.LaunchStep) -> None:
        work = self.works.get(order.key.job)
        if work is None or order.key in self.running:
            return
        started = self.engine.state.jobs[order.key.job].start_time
        self.let_run(order.key, node, max(0.0, started + work.seconds - self.now))

    def let_run(self, key: StepKey, node: str, seconds: float) -> None:
        self.launches += 1
        ends = self.now + seconds
        self.running[key] = (node, self.launches, ends)
        heapq.heappush(self.ends, (ends, self.launches, key, node))

    def exit(self) -> None:
        """A launch has run for as long as it would."""
        ends, number, key, node = heapq.heappop(self.ends)
        if self.running.get(key) == (node, number, ends):
            self.finish(key, node, EndCause.EXITED)

    def finish(self, key: StepKey, node: str, cause: EndCause) -> None:
        self.running.pop(key, None)
        self.frozen.pop(key, None)
        exits = (TaskExit(0, ExitStatus(), self.now),) if cause is EndCause.EXITED else ()
        report = rp.StepFinished(agent=AGENT, node=node, key=key, tasks=exits, cause=cause, ended=self.now)
        self.follow(self.engine.handle(report, self.now))

    def suspend(self, order: od.SuspendJob) -> None:
        """What is suspended has as much before it when it goes on."""
        key = StepKey(JobId(order.job), BATCH, order.restart)
        if not order.thaw and key in self.running:
            node, _, ends = self.running.pop(key)
            self.frozen[key] = (node, ends - self.now)
        elif order.thaw and key in self.frozen:
            node, seconds = self.frozen.pop(key)
            self.let_run(key, node, seconds)

    def end(self, node: str, order: od.EndJob) -> None:
        key = StepKey(JobId(order.job), BATCH, order.restart)
        where = self.running.get(key) or self.frozen.get(key)
        if where is not None and where[0] == node:
            self.finish(key, node, EndCause.CANCELLED)
        report = rp.JobCleaned(agent=AGENT, node=node, job=order.job, restart=order.restart)
        self.follow(self.engine.handle(report, self.now))

    def note_end(self, job: Job) -> None:
        self.ended += 1
        work = self.works.pop(job.id, None)
        if work is None:
            return
        self.outcome.ended(job, work)
        if self.progress is not None:
            self.progress(len(self.outcome.runs))
