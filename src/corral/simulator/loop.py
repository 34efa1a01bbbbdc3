"""What becomes of a cluster under faults? The controller's loop with a virtual clock, a bus that loses things, and a record in memory.

A turn is as in the controller: one message, a tick if one is due, a cycle if one is wanted; then the commit, and only after it
the orders, replies and acknowledgements. A crash may come before the commit or after it; then a new engine is built from the record.
"""

import hashlib
import random

import msgspec

from corral.engine.effects import Effects
from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.job import JobId, JobKind, JobState, StepSpec
from corral.model.reason import Reason
from corral.model.step import BATCH, StepKey
from corral.protocol import codec, replies
from corral.protocol import events as ev
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.scheduler.cycle import schedule
from corral.simulator import invariants, quotas
from corral.simulator.clock import VirtualClock
from corral.simulator.faults import CHARACTERS, faults_of
from corral.simulator.generate import Wish, World, world_of
from corral.simulator.limits import check_limits
from corral.simulator.nodes import SimulatedAgent

START = 1_000_000.0
#: All work must be over so many seconds after the last fault.
PATIENCE = 4000.0
RETRY_SECONDS = 2.0
CHECK_EVERY = 60  #: turns

ANN = rq.Caller(uid=1000, gid=1000, user="ann", group="users")
ROOT = rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator")


class Stuck(AssertionError):
    """Not all work came to an end."""


class Simulation:
    characters: tuple[str, ...] = CHARACTERS
    has_more_to_do = False  #: with a request also what was due of objects is done

    def __init__(self, seed: int, world: World | None = None) -> None:
        self.seed = seed
        chance = random.Random(seed)
        self.world = world or world_of(chance)
        self.character, self.faults = faults_of(chance, len(self.world.agents), self.world.span, self.characters)
        self.chance = chance
        self.clock = VirtualClock(START)
        self.ahead = 0.0  #: seconds by which the controller's clock has been set
        self.record: list[ev.AnyEvent] = []
        self.hash = hashlib.sha256()
        self.snapshot: tuple[bytes, int] | None = None
        self.states: dict[JobId, JobState] = {}
        self.term = 0
        self.turns = 0
        self.crashes = 0
        self.engine: Engine | None = None
        self.wake = 0.0
        self.acknowledged: list[JobId] = []
        self.endings: dict[JobId, ev.JobEnded] = {}  #: the last of each job
        self.kinds: dict[JobId, JobKind] = {}  #: by the id under which the spec came in
        self.cancelled: set[JobId] = set()  #: acknowledged, and not requeued since
        self.busy = 0  #: requests without an answer
        self.cut_off: dict[str, float] = {}  #: agent -> until when it hears and says nothing
        self.gone: set[SimulatedAgent] = set()
        self.agents = [self._agent(number, nodes) for number, nodes in enumerate(self.world.agents)]
        self.of_node = {node: agent for agent in self.agents for node in agent.own}
        self.of_name = {agent.name: agent for agent in self.agents}

    def _agent(self, number: int, nodes: tuple[object, ...]) -> SimulatedAgent:
        agent = SimulatedAgent(
            f"agent{number}", list(nodes), self.clock, self.chance, lambda report: self.to_controller(agent, report),  # type: ignore[arg-type]
            self.world.config.timeouts.heartbeat,
        )  # fmt: skip
        return agent

    # -- the whole

    def run(self) -> str:
        """Until all work is over; the hash of the record. Raises AssertionError when something that must hold does not."""
        after = self.clock.after
        after(0.0, self.build)
        for number, agent in enumerate(self.agents):
            after(0.01 * (number + 1), agent.start)
        for wish in self.world.wishes:
            after(1.0 + wish.at, self.wish, wish)
        for when, who, seconds in self.faults.partitions:
            after(when, self.cut, self.agents[who], seconds)
        for when, who, seconds in self.faults.restarts:
            after(when, self.stop_agent, self.agents[who], seconds, False)
        for when, who, seconds in self.faults.power_cuts:
            after(when, self.stop_agent, self.agents[who], seconds, True)
        for when, who, seconds in self.faults.amnesia:
            after(when, self.stop_agent, self.agents[who], seconds, True, True)
        for when, seconds in self.faults.jumps:
            after(when, self.jump, seconds)
        for when, who in self.faults.losses:
            after(when, self.lose_agent, self.agents[who])
        after(self.world.span * 1.2 + 10.0, self.tidy)
        ends = START + self.world.span + PATIENCE
        while not self.is_over():
            if not self.clock.step() or self.clock.now > ends:
                raise Stuck(self.why_stuck())
        self.check_everything()
        return self.hash.hexdigest()

    @property
    def now(self) -> float:
        """By the controller's clock."""
        return self.clock.now + self.ahead

    def is_over(self) -> bool:
        engine = self.engine
        return (
            engine is not None
            and self.clock.now > START + self.world.span * 1.2 + 10.0
            and not self.busy
            and not engine.state.queue
            and not engine.state.held
            and not engine.state.active
            and all(
                agent.is_up and not agent.outbox and not agent.steps for agent in self.agents if agent not in self.gone
            )
        )

    # -- the bus

    def deliver(self, agent: SimulatedAgent, do: object, message: object) -> None:
        """On its way with the luck of the seed."""
        faults, chance = self.faults, self.chance
        delay = 0.001 + chance.random() * 0.002
        if self.clock.now < START + faults.until and faults.lost:
            if chance.random() < faults.lost:
                return
            if chance.random() < faults.doubled:
                self.clock.after(delay + chance.random() * 5, do, message)  # type: ignore[arg-type]
            if chance.random() < faults.late:
                delay += chance.random() * 20
        self.clock.after(delay, do, message)  # type: ignore[arg-type]

    def is_cut_off(self, agent: SimulatedAgent) -> bool:
        return self.cut_off.get(agent.name, 0.0) > self.clock.now

    def to_controller(self, agent: SimulatedAgent, report: rp.AnyReport) -> None:
        if not self.is_cut_off(agent):
            self.deliver(agent, self.on_report, report)

    def to_agent(self, name: str, order: od.AnyOrder) -> None:
        agent = self.of_node.get(name) or self.of_name[name]
        if not self.is_cut_off(agent):
            self.deliver(agent, agent.on_order, order)

    # -- the controller

    def build(self) -> None:
        """A controller starts: the state is what the record says."""
        self.term += 1
        state = ClusterState()
        done = 0
        if self.snapshot is not None:
            state, done = ClusterState.load(self.snapshot[0]), self.snapshot[1]
        for event in self.record[done:]:
            state.apply(event)
        invariants.check_all(state)
        self.states = {job.id: job.state for job in state.jobs.values()}
        self.engine = Engine(self.world.config, state, self.term)
        self.commit([self.engine.start(self.now)])
        self.plan_wake()

    def on_report(self, report: rp.AnyReport) -> None:
        if self.engine is None:
            return
        effects = self.engine.handle(report, self.now)
        if report.sequence:
            order = od.ReportsCommitted(term=self.term, node=report.agent, sequences=(report.sequence,))
            effects.sends.append((report.agent, order))
        self.turn(effects)

    def on_request(self, request: rq.AnyRequest, caller: rq.Caller, number: list[int]) -> None:
        """`number` is emptied when it is answered."""
        if not number:
            return
        self.clock.after(RETRY_SECONDS, self.on_request, request, caller, number)
        if self.engine is None:
            return
        effects = self.engine.handle(request, self.now, caller)
        assert effects.reply is not None
        if isinstance(request, rq.RequeueJobs):
            for job_id in (JobId(int(text)) for text in request.ids):
                self.cancelled -= {job_id, *self.engine.state.array_members.get(job_id, ())}
        if isinstance(effects.reply, replies.Rejected) and effects.records and not self.has_more_to_do:
            raise AssertionError(f"refused, and yet recorded: {request}")
        if self.turn(effects):
            number.clear()
            self.busy -= 1
            self.acknowledge(request, effects.reply)

    def acknowledge(self, request: rq.AnyRequest, reply: replies.AnyReply) -> None:
        match request, reply:
            case _, replies.Submitted():
                self.acknowledged += reply.ids
            case rq.CancelJobs(), replies.Done(errors=()):
                self.cancelled.update(JobId(int(text)) for text in request.selection.ids)

    def turn(self, first: Effects) -> bool:
        """Tick, cycle, commit; False when it crashed before anybody was told."""
        engine, now = self.engine, self.now
        assert engine is not None
        effects = [first]
        if engine.next_wake(now) <= now:
            effects.append(engine.tick(now))
        if engine.wants_cycle:
            effects.append(engine.before_cycle(now))
            effects.append(engine.commit(schedule(engine.snapshot(now), now), now))
        faults = self.faults
        if faults.crash_before_commit and self.clock.now < START + faults.until:
            luck = self.chance.random()
            if luck < faults.crash_before_commit:
                self.crash()
                return False
            if luck < faults.crash_before_commit + faults.crash_after_commit:
                self.write(effects)
                self.crash()
                return False
        self.commit(effects)
        self.plan_wake()
        return True

    def commit(self, effects: list[Effects]) -> None:
        self.write(effects)
        for effect in effects:
            for name, order in effect.sends:
                self.to_agent(name, order)

    def write(self, effects: list[Effects]) -> None:
        assert self.engine is not None
        state = self.engine.state
        for effect in effects:
            for event in effect.records:
                self.hash.update(codec.encode(event))
                match event:
                    case ev.JobEnded():
                        self.endings[event.job.id] = event
                    case ev.JobStarted() if event.job.id in self.cancelled:
                        raise AssertionError(f"job {event.job.id} was cancelled, and starts")
                    case ev.JobChanged(spec=spec) if spec is not None:
                        self.kinds[event.job.spec_id] = spec.kind
                    case ev.JobSubmitted():
                        self.kinds[event.job.id] = event.spec.kind
            self.record += effect.records
        records = [event for effect in effects for event in effect.records]
        invariants.check_events(state, self.states, records)
        check_limits(state, self.world.config.accounting.enforce, records)
        self.turns += 1
        if self.turns % CHECK_EVERY == 0:
            invariants.check_all(state)
            self.check_record()
            if self.chance.random() < 0.2:
                self.snapshot = (state.dump(), len(self.record))

    def plan_wake(self) -> None:
        assert self.engine is not None
        when = self.engine.next_wake(self.now)
        if not self.now < self.wake <= when:
            self.wake = when
            self.clock.after(max(0.0, when - self.now), self.on_wake, when, self.term)

    def on_wake(self, when: float, term: int) -> None:
        if self.engine is not None and term == self.term and when == self.wake:
            self.wake = 0.0
            self.turn(Effects())

    def crash(self) -> None:
        self.engine = None
        self.wake = 0.0
        self.crashes += 1
        self.clock.after(self.chance.uniform(0.1, 20.0), self.build)

    # -- faults

    def cut(self, agent: SimulatedAgent, seconds: float) -> None:
        self.cut_off[agent.name] = self.clock.now + seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock. The controller sleeps no longer than it meant to, and sees then."""
        self.ahead += seconds
        if self.engine is not None and seconds > 0:
            self.engine.away(seconds, self.now)
        self.clock.after(self.chance.uniform(0.0, 5.0), self.after_jump)

    def after_jump(self) -> None:
        if self.engine is not None:
            self.wake = 0.0
            self.turn(Effects())

    def stop_agent(self, agent: SimulatedAgent, seconds: float, power: bool, forgets: bool = False) -> None:
        if not agent.is_up or agent in self.gone:
            return
        if power:
            agent.lose_power()
        else:
            agent.die()
        if forgets:
            agent.forget()
        self.clock.after(seconds, self.start_agent, agent)

    def start_agent(self, agent: SimulatedAgent) -> None:
        if agent not in self.gone:
            agent.start()

    def lose_agent(self, agent: SimulatedAgent) -> None:
        agent.lose_power()
        self.gone.add(agent)

    # -- users

    def ask(self, request: rq.AnyRequest, caller: rq.Caller = ROOT) -> None:
        """Until there is an answer."""
        self.busy += 1
        self.on_request(request, caller, [1])

    def wish(self, wish: Wish) -> None:
        if wish.spec is not None:
            spec = wish.spec
            if "*" in spec.dependency:
                known = self.acknowledged
                text = spec.dependency.replace("*", str(known[len(known) // 2])) if known else ""
                spec = msgspec.structs.replace(spec, dependency=text)
            self.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), ANN)
            return
        if isinstance(wish.request, rq.SubmitJobs):
            self.ask(wish.request, ANN)
            return
        if isinstance(wish.request, rq.ChangeAccounts):
            self.ask(wish.request)
            return
        if isinstance(wish.request, rq.CreateReservation):
            fields = wish.request.fields
            fields = msgspec.structs.replace(fields, start_time=self.now + (fields.start_time or 0.0))
            self.ask(rq.CreateReservation(name=wish.request.name, fields=fields))
            return
        nodes = sorted(self.of_node)
        node = nodes[int(wish.pick * len(nodes))]
        match wish.what:
            case "drain":
                self.ask(rq.UpdateNodes(nodes=node, state="drain", reason="a test"))
                return
            case "down":
                self.ask(rq.UpdateNodes(nodes=node, state="down", reason="a test"))
                return
            case "resume_node":
                self.ask(rq.UpdateNodes(nodes=node, state="resume"))
                return
        live = sorted(self.engine.state.active) if self.engine is not None else []
        jobs = live or self.acknowledged
        if jobs:
            self.to_job(wish.what, jobs[int(wish.pick * len(jobs))])

    def to_job(self, what: str, job: JobId) -> None:
        if what == "requeue_cancel":
            self.to_job("requeue", job)
            what = "cancel"
        text = str(job)
        requests: dict[str, rq.AnyRequest] = {
            "cancel": rq.CancelJobs(selection=rq.JobSelection(ids=(text,))),
            "hold": rq.HoldJobs(ids=(text,)),
            "release": rq.ReleaseJobs(ids=(text,)),
            "requeue": rq.RequeueJobs(ids=(text,)),
            "suspend": rq.SuspendJobs(ids=(text,)),
            "resume": rq.ResumeJobs(ids=(text,)),
            "step": rq.CreateStep(job=text, spec=msgspec.structs.replace(_STEP, exact=job % 2 == 0)),
            "kill_step": rq.SignalStep(job=job, step=0, kill=True),
            "update": rq.UpdateJob(id=text, changes={"name": "renamed"}),
            "later": rq.UpdateJob(id=text, changes={"starttime": "now+20"}),
            "special_exit": rq.RequeueJobs(ids=(text,), special_exit=True),
            "hold_elements": rq.HoldJobs(ids=(f"{text}_[0-2]",)),
        }
        self.ask(requests[what])

    def tidy(self) -> None:
        """Whoever waits for a person gets one, again and again."""
        self.clock.after(20.0, self.tidy)
        engine = self.engine
        if engine is None or self.busy:
            return
        state = engine.state
        if state.held:
            self.ask(rq.ReleaseJobs(ids=tuple(str(i) for i in sorted(state.held))))
        frozen = [str(i) for i in sorted(state.active) if state.jobs[i].state is JobState.SUSPENDED]
        if frozen:
            self.ask(rq.ResumeJobs(ids=tuple(frozen)))
        for reservation in list(state.reservations.values()):
            if reservation.repeats:
                self.ask(rq.DeleteReservation(name=reservation.name))
        if state.books and "lab" in state.books.accounts:
            for change in quotas.cleared():
                self.ask(change)
        away = [name for name, node in sorted(state.nodes.items()) if node.drains or node.admin_down]
        if away:
            self.ask(rq.UpdateNodes(nodes=",".join(away), state="resume"))
        late = self.clock.now > START + self.world.span * 1.2 + 1500.0
        never = [
            str(job.id)
            for job in state.queued()
            if job.reason is Reason.DEPENDENCY_NEVER_SATISFIED or (late and self.gone)
        ]
        if never:
            self.ask(rq.CancelJobs(selection=rq.JobSelection(ids=tuple(never))))

    # -- the end

    def check_everything(self) -> None:
        assert self.engine is not None
        state = self.engine.state
        invariants.check_all(state)
        self.check_record()
        for job_id in self.acknowledged:
            assert job_id in self.endings, f"job {job_id} was acknowledged and never ended"
        for agent in self.agents:
            for (node, key), times in agent.runs.items():
                assert times == 1, f"{key} ran {times} times on {node}"
        self.check_exit_codes()

    def check_record(self) -> None:
        assert self.engine is not None
        start, done = self.snapshot or (None, 0)
        invariants.check_record(self.engine.state, self.record[done:], start)

    def check_exit_codes(self) -> None:
        """A batch job is COMPLETED exactly if its script ran, once, and ended with 0."""
        for job_id, ended in self.endings.items():
            job = ended.job
            if job.state not in (JobState.COMPLETED, JobState.FAILED) or self.kinds[job.spec_id] is not JobKind.BATCH:
                continue
            if job.het_offset:  # the script runs on the first component
                continue
            name = (job.batch_host, StepKey(job_id, BATCH, job.restarts))
            agent = self.of_node[job.batch_host]
            assert agent.runs[name] == 1, f"job {job_id} is {job.state} and ran {agent.runs[name]} times"
            assert agent.ended[name] == job.exit_status, (
                f"job {job_id}: {agent.ended[name]}, recorded {job.exit_status}"
            )

    def why_stuck(self) -> str:
        lines = [f"{self.character}, {self.busy} requests without an answer"]
        if self.engine is not None:
            for job in self.engine.state.jobs.values():
                if not job.has_ended:
                    waits = self.engine.ctx.cleaning.get(job.id)
                    lines.append(
                        f"job {job.id} {job.state} {job.reason} {job.reason_text} restarts={job.restarts} {waits}"
                    )
            lines += [f"node {n.name} up={n.up} {n.down_reason} {n.drains}" for n in self.engine.state.nodes.values()]
        for agent in self.agents:
            lines.append(
                f"{agent.name} up={agent.is_up} outbox={len(agent.outbox)} steps={[str(k) for k in agent.steps]}"
            )
        return "\n".join(lines)


_STEP = StepSpec(argv=("3", "0"), ntasks=1)


def run(seed: int) -> str:
    """One seed; a failure names it."""
    try:
        return Simulation(seed).run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
