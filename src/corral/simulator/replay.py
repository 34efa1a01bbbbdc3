"""What becomes of a workload on a cluster? The real engine and the real scheduler, under a clock that jumps from one thing to the next.

Of one moment first what has ended is told, then come the jobs that are submitted, then what is due by the clock (time limits); then one
cycle decides what starts. Nodes do as they are told, and at once: a launch runs for as long as the trace says, or until the engine has it
ended. Nothing here decides.
"""

import heapq
from collections.abc import Callable, Iterable

import msgspec

from corral.engine.effects import Effects
from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig
from corral.model.job import ExitStatus, Job
from corral.model.node import NodeInventory
from corral.model.step import BATCH, EndCause, StepKey, TaskExit
from corral.protocol import events as ev
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected
from corral.scheduler.cycle import schedule
from corral.simulator.outcome import Outcome
from corral.simulator.workloads.work import Work

#: The time 0 of a trace: times of the engine are never 0, which means "not yet".
EPOCH = 1_000_000.0
AGENT = "simulated"
#: No node of a simulation is ever silent.
NEVER = 1e15
#: Ended jobs are forgotten when so many have ended since the last time.
FORGET = 2000
NOTHING = float("inf")


class Replay:
    """One workload, one cluster, one policy."""

    def __init__(
        self,
        config: ClusterConfig,
        nodes: Iterable[NodeInventory],
        jobs: Iterable[Work],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        silent = msgspec.structs.replace(config.timeouts, heartbeat=NEVER, node=NEVER, min_job_age=0.0)
        limits = msgspec.structs.replace(config.limits, max_job_count=1 << 40)
        self.engine = Engine(msgspec.structs.replace(config, timeouts=silent, limits=limits), term=1)
        self.nodes = tuple(nodes)
        self.jobs = iter(jobs)
        self.progress = progress
        self.now = EPOCH
        self.ends: list[tuple[float, int, int, StepKey, str]] = []  #: a heap: when, in which order, which launch
        self.running: dict[StepKey, tuple[str, int]] = {}  #: launches that have not ended: where, and their number
        self.works: dict[int, Work] = {}  #: by job id, those that have not ended
        self.owners: dict[str, rq.Caller] = {}
        self.launches = 0
        self.ended = 0
        self.outcome = Outcome(self.nodes)

    def run(self) -> Outcome:
        engine, now = self.engine, self.now
        self.follow(engine.start(now))
        known = tuple(self.nodes)
        self.follow(engine.handle(rp.AgentRegistered(agent=AGENT, instance="1", nodes=known), now))
        upcoming = next(self.jobs, None)
        while True:
            arrives = EPOCH + upcoming.submit if upcoming is not None else NOTHING
            ends = self.ends[0][0] if self.ends else NOTHING
            due = self.due()
            now = max(now, min(arrives, ends, due))
            if now == NOTHING or (upcoming is None and not self.works):
                break
            self.now = now
            self.outcome.pass_to(now - EPOCH)
            while self.ends and self.ends[0][0] <= now:
                self.exit()
            while upcoming is not None and EPOCH + upcoming.submit <= now:
                self.submit(upcoming)
                upcoming = next(self.jobs, None)
            if self.due() <= now or self.ended >= FORGET:
                self.ended = 0
                self.follow(engine.tick(now))
            self.cycle()
        self.outcome.close(engine.state, self.now - EPOCH)
        return self.outcome

    def due(self) -> float:
        """When the engine has something to do by the clock."""
        when = self.engine.next_wake(self.now)
        return when if when < NEVER else NOTHING

    def cycle(self) -> None:
        engine, now = self.engine, self.now
        if engine.wants_cycle:
            self.follow(engine.before_cycle(now))
            self.follow(engine.commit(schedule(engine.snapshot(now), now), now))
            self.outcome.cycles += 1

    # -- users

    def submit(self, work: Work) -> None:
        caller = self.owners.get(work.user)
        if caller is None:
            uid = 1000 + len(self.owners)
            caller = self.owners[work.user] = rq.Caller(uid=uid, gid=uid, user=work.user, group=work.user)
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
                    self.outcome.requeued(event.ended, self.now - EPOCH)
        for node, order in effects.sends:
            match order:
                case od.LaunchStep():
                    self.launch(node, order)
                case od.EndJob():
                    self.end(node, order)

    def launch(self, node: str, order: od.LaunchStep) -> None:
        work = self.works.get(order.key.job)
        if work is None or order.key in self.running:
            return
        self.launches += 1
        self.running[order.key] = (node, self.launches)
        heapq.heappush(self.ends, (self.now + work.seconds, self.launches, order.key.job, order.key, node))

    def exit(self) -> None:
        """A launch has run for as long as it would."""
        _, number, _, key, node = heapq.heappop(self.ends)
        if self.running.get(key) == (node, number):
            self.finish(key, node, EndCause.EXITED)

    def finish(self, key: StepKey, node: str, cause: EndCause) -> None:
        del self.running[key]
        exits = (TaskExit(0, ExitStatus(), self.now),) if cause is EndCause.EXITED else ()
        report = rp.StepFinished(agent=AGENT, node=node, key=key, tasks=exits, cause=cause, ended=self.now)
        self.follow(self.engine.handle(report, self.now))

    def end(self, node: str, order: od.EndJob) -> None:
        key = StepKey(order.job, BATCH, order.restart)  # type: ignore[arg-type]
        if key in self.running and self.running[key][0] == node:
            self.finish(key, node, EndCause.CANCELLED)
        report = rp.JobCleaned(agent=AGENT, node=node, job=order.job, restart=order.restart)
        self.follow(self.engine.handle(report, self.now))

    def note_end(self, job: Job) -> None:
        self.ended += 1
        work = self.works.pop(job.id, None)
        if work is None:
            return
        self.outcome.ended(job, work, EPOCH)
        if self.progress is not None:
            self.progress(len(self.outcome.runs))
