"""The controller's heart: how does one message after another go into the engine, and what it decided out?

One task owns the engine. Each turn it takes what lies in the inbox, asks the engine, runs a scheduling cycle if one is due,
and hands the records of the turn to the store. It does not wait for the disk: the next turn goes on while the commit is in
flight, and what the turn has to say (replies, orders, acknowledgements) waits in the Flight, in order, until its commit and
all before it are done.

When a commit fails, the engine knows things that are not recorded. It is thrown away; everything in flight is answered
"unavailable"; a new engine is built from the record; and until the store can be written again, changes are refused (reads
go on). A fault inside the engine is treated likewise, so that one bad message cannot leave a half-made change behind.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from corral.controller.absence import Absence
from corral.controller.answers import Answers
from corral.controller.batch import PendingBatch
from corral.controller.cycle import Cycle, CycleTimer
from corral.controller.flight import Flight
from corral.controller.interface import Asked, Configured, Engine, Item, Outside, Reported, new_future, resolve
from corral.controller.nodetimes import NodeTimes
from corral.controller.recovery import Recovered
from corral.controller.statistics import Statistics
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.engine.effects import Effects
from corral.errors import StoreSuperseded, StoreUnavailable
from corral.model.cluster import ClusterConfig
from corral.model.job import Owner
from corral.protocol.replies import Done, Rejected, Reply
from corral.protocol.reports import AnyReport
from corral.protocol.requests import AnyRequest, Caller, PutObjects
from corral.store.interface import ANSWERS_KEPT, Store
from corral.store.rows import EVER

#: Seconds a turn may take from the inbox before others (HTTP, the bus) get their turn.
SLICE = 0.02
#: Seconds between two slices of a cycle, for users and nodes.
BREATH = 0.001
#: A timer further away than this is looked at later.
LONGEST_SLEEP = 3600.0
#: Seconds between two attempts to write again after the store has failed.
PROBE_INTERVAL = 0.5
#: After a fault in a cycle or a tick the next one waits so many seconds.
AFTER_FAULT = 5.0
#: A report that made the engine fail is not tried again for so many seconds.
POISON_SECONDS = 60.0


class Loop:
    """Owns the engine; others ask it."""

    def __init__(
        self,
        *,
        store: Store,
        recover: Callable[[], Recovered],
        make_engine: Callable[[Recovered], Engine],
        schedule: Callable[[Any, float], Generator[None, None, Any]],
        outside: Outside,
        log: Log,
        cycle_interval: float = 0.01,
        snapshot_events: int = 50_000,
        sealed: Callable[[PutObjects, Any], PutObjects] | None = None,
    ) -> None:
        self._store = store
        self._recover = recover
        self._make_engine = make_engine
        self._schedule = schedule
        self._outside = outside
        self._log = log
        self._snapshot_events = snapshot_events
        self._sealed = sealed  #: what is secret in a request, before anything else sees it
        self.cycles = CycleTimer(cycle_interval)
        self.statistics = Statistics(clock.now(), clock.monotonic)
        self.unavailable = ""  #: why changes are refused; "" = they are not
        self.handled = 0
        self._inbox: deque[Item] = deque()
        self._flight = Flight(store, self._landed, self._lost)
        self._wake = asyncio.Event()
        self._stopping = False
        self._failure = ""
        self._answers = Answers(store.answered(clock.now() - ANSWERS_KEPT))
        self._poison: dict[tuple[str, int], float] = {}
        self._no_tick_until = 0.0
        self._under_way: Cycle | None = None
        self._absence = Absence(clock.now)
        self.engine: Engine
        self._build()

    def _build(self) -> None:
        recovered = self._recover()
        self._under_way = None
        self.engine = self._make_engine(recovered)
        self._flight.start(recovered.seq, recovered.seq - recovered.replayed)
        self._node_times = NodeTimes(self._store.node_changes(EVER))
        self._to_start = True

    @property
    def state(self) -> Any:
        return self.engine.state

    @property
    def in_flight(self) -> int:
        """Transactions on their way to the store."""
        return self._flight.under_way

    @property
    def is_scheduling(self) -> bool:
        """Is a cycle due, or under way?"""
        return self._under_way is not None or self.engine.wants_cycle

    @property
    def seq(self) -> int:
        """Number of the last event."""
        return self._flight.seq

    @property
    def context(self) -> Any:
        """The engine's own variables, to be read; None of an engine that has none."""
        return getattr(self.engine, "ctx", None)

    def heard(self) -> dict[str, float]:
        """When each node was last heard of, as the engine has it."""
        found: dict[str, float] = getattr(self.context, "last_heard", {})
        return found

    # -- what others may call (in the loop's thread)

    async def ask(
        self,
        message: AnyRequest,
        caller: Caller,
        key: str = "",
        blobs: dict[str, bytes] | None = None,
        owner: Owner | None = None,
    ) -> Reply:
        """The reply, when what it says is durable."""
        if self.unavailable:
            return self._refusal()
        if self._sealed is not None and isinstance(message, PutObjects):
            message = self._sealed(message, self.state.objects)
        if key and (earlier := await self._answers.earlier(caller.uid, key)) is not None:
            return earlier
        future = new_future()
        if key:
            self._answers.begin(caller.uid, key, future)
        self._put(Asked(message, caller, future, key, blobs or {}, owner))
        return await asyncio.shield(future)  # it is done also when the client has gone

    async def configure(self, config: ClusterConfig) -> Reply:
        """The engine takes over a configuration; returns when what follows from it is durable."""
        future = new_future()
        self._put(Configured(config, future))
        return await future

    async def recorded(self) -> None:
        """Wait until the store has all that the state shows now."""
        if self._flight.under_way:
            future, batch = new_future(), PendingBatch()
            batch.answer(future, Done())
            self._flight.hand_over(batch)
            await future

    def report(self, agent: str, reports: list[AnyReport]) -> None:
        """From the bus. Acknowledged once it is durable; dropped now if it could not be (the agent sends it again)."""
        if not self.unavailable:
            for report in reports:
                self._put(Reported(agent, report))

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def _put(self, item: Item) -> None:
        self._inbox.append(item)
        self._wake.set()

    # -- the loop

    async def run(self) -> None:
        """Until `stop`; then what is in flight is finished and a snapshot written."""
        self._wake.set()
        while not self._stopping:
            await self._sleep()
            if self._failure:
                await self._start_over()
            else:
                self._turn()
                await asyncio.sleep(0 if self._under_way is None else BREATH)
        await self._finish()

    async def _sleep(self) -> None:
        """Until there is something to do."""
        delay = 0.0
        self._notice_absence(delay)
        if not self._inbox and not self._failure:
            delay = self._delay()
            if delay > 0:
                timer = asyncio.get_running_loop().call_later(delay, self._wake.set)
                await self._wake.wait()
                timer.cancel()
        self._notice_absence(max(delay, 0.0))
        self._wake.clear()

    def _notice_absence(self, expected: float) -> None:
        if lost := self._absence.look(expected):
            self._log.warning("has been away", seconds=round(lost, 1))
            self.engine.away(lost, clock.now())

    def _delay(self) -> float:
        now = clock.now()
        delay = LONGEST_SLEEP
        wake = self.engine.next_wake(now)
        if wake is not None:
            delay = min(delay, max(wake, self._no_tick_until) - now)
        if self._under_way is not None:
            return 0.0
        if self.engine.wants_cycle:
            delay = min(delay, self.cycles.due_in(clock.monotonic()))
        return 0.0 if self._to_start else delay

    def _turn(self) -> None:
        batch = PendingBatch()
        if self._to_start:
            self._to_start = False
            self._take(self.engine.start(clock.now()), batch)
            for node in self.engine.state.nodes.values():
                if (change := self._node_times.of(node, clock.now())) is not None:
                    batch.stored.node_changes.append(change)
        ends = clock.monotonic() + SLICE
        while self._inbox and not self._failure and clock.monotonic() < ends:
            self._handle(self._inbox.popleft(), batch)
        if not self._failure:
            self._tick(batch)
        if not self._failure:
            self._cycle(batch)
        self._flight.hand_over(batch)
        if not self._failure and self._flight.seq - self._flight.snapshot_seq >= self._snapshot_events:
            self.write_snapshot()

    def _handle(self, item: Item, batch: PendingBatch) -> None:
        now = clock.now()
        self.handled += 1
        try:
            match item:
                case Asked():
                    self._handle_request(item, batch, now)
                case Reported():
                    self._handle_report(item, batch, now)
                case Configured():
                    effects = Effects()
                    self.engine.configure(item.config, now, effects)
                    self._take(effects, batch)
                    batch.answer(item.future, Done())
        except Exception as error:
            message = type(item.config if isinstance(item, Configured) else getattr(item, "message", None) or item)
            self._engine_failed(error, message.__name__)
            if not isinstance(item, Reported):
                text = f"internal error: {type(error).__name__}: {error}"
                resolve(item.future, Rejected(error=text, code="unavailable"))

    def _handle_request(self, item: Asked, batch: PendingBatch, now: float) -> None:
        effects = self.engine.handle(item.message, now, item.caller, item.owner)
        assert effects.reply is not None
        if effects.records:
            batch.stored.blobs.update(item.blobs)
            if item.key:
                batch.remember(item.key, item.caller.uid, now, effects.reply)
        self._take(effects, batch)
        batch.answer(item.future, effects.reply)

    def _handle_report(self, item: Reported, batch: PendingBatch, now: float) -> None:
        began = clock.monotonic()
        name = (item.agent, item.report.sequence)
        if self._poison.get(name, 0.0) > now:
            return
        try:
            self._take(self.engine.handle(item.report, now), batch)
        except Exception:
            if item.report.sequence:
                self._poison[name] = now + POISON_SECONDS
            raise
        batch.acknowledge(item.agent, item.report.sequence)
        self.statistics.on_request(type(item.report).__name__, clock.monotonic() - began)

    def _tick(self, batch: PendingBatch) -> None:
        now = clock.now()
        wake = self.engine.next_wake(now)
        if wake is None or max(wake, self._no_tick_until) > now:
            return
        try:
            self._take(self.engine.tick(now), batch)
        except Exception as error:
            self._no_tick_until = now + AFTER_FAULT
            self._engine_failed(error, "tick")

    def _cycle(self, batch: PendingBatch) -> None:
        """Begin one when it is time, and go on with one for a slice."""
        began = clock.monotonic()
        due = self.cycles.due_in(began)
        if due == math.inf:
            self._under_way = None  # nothing is to be started any more
        if self._under_way is None and (not self.engine.wants_cycle or due > 0):
            return
        now = clock.now()
        try:
            if self._under_way is None:
                self._take(self.engine.before_cycle(now), batch)
                self._under_way = Cycle(self.engine.snapshot(now), self._schedule, now)
                self._under_way.seconds = clock.monotonic() - began
            cycle = self._under_way
            if cycle.advance(lambda piece: self._take(self.engine.commit(piece, now), batch), clock.monotonic):
                self._under_way = None
                ended = clock.monotonic()
                self.cycles.has_run(ended - cycle.seconds, ended)
                self.statistics.on_cycle(cycle.plan, cycle.waiting, cycle.seconds, now)
        except Exception as error:
            self._under_way = None
            self.cycles.postpone(began + AFTER_FAULT)
            self._engine_failed(error, "cycle")

    def _take(self, effects: Effects, batch: PendingBatch) -> None:
        if effects.records:
            specs, jobs = self.engine.state.specs, self.engine.state.jobs
            for event in effects.records:
                self.statistics.on_event(event)
                batch.record(event, specs, jobs)
                if (change := self._node_times.seen(event)) is not None:
                    batch.stored.node_changes.append(change)
        if effects.sends:
            batch.sends += effects.sends
        for problem in effects.problems:
            self._log.warning("a rule has failed", problem=problem)
        if effects.blobs:
            batch.stored.blobs.update(effects.blobs)

    def write_snapshot(self) -> None:
        began = clock.monotonic()
        size = self._flight.write_snapshot(self.engine.state)
        self._log.info("snapshot", bytes=size, upto=self.seq, seconds=round(clock.monotonic() - began, 4))

    # -- when the disk has it, or has not

    def _landed(self, batch: PendingBatch) -> None:
        self._answers.remember(batch.stored.answered)
        try:
            self._outside.committed(batch)
        except Exception as error:
            self._log.error("performing failed", error)
        for future, reply in batch.answers:
            resolve(future, reply)

    def _lost(self, batch: PendingBatch, error: BaseException) -> None:
        if not self.unavailable:
            self.unavailable = self._failure = _reason_of(error)
            self._log.error("the store failed", reason=self.unavailable)
            self._wake.set()
        batch.refuse(self._refusal())

    def _engine_failed(self, error: Exception, what: str) -> None:
        self._log.error("the engine failed", error, message=what)
        self._failure = self._failure or f"the engine failed at {what}"
        self._wake.set()

    def _refusal(self) -> Rejected:
        return Rejected(
            error=f"The controller cannot record changes now: {self.unavailable}",
            code="unavailable",
            detail="It goes on by itself when that is over.",
        )

    async def _start_over(self) -> None:
        """Throw the engine away; build a new one from the record as soon as that can be read and written."""
        reason = self._failure
        await self._flight.has_landed()
        is_built = False
        while not self._stopping:
            if self.unavailable:
                self._refuse_inbox(self._refusal())
            try:
                if not is_built:
                    self._build()
                    is_built = True
                if self.unavailable:
                    last = await asyncio.to_thread(self._store.recover)
                    if last != self.seq:  # a commit that was given up for lost had come through after all
                        self._build()
                break
            except StoreSuperseded:
                raise
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    self._log.error("recovery failed", error)
                self._wake.clear()
                timer = asyncio.get_running_loop().call_later(PROBE_INTERVAL, self._wake.set)
                await self._wake.wait()
                timer.cancel()
        else:
            return
        self._failure = self.unavailable = ""
        self._log.warning("started over from the record", after=reason, upto=self.seq)
        self._outside.recovered()
        self._wake.set()

    def _refuse_inbox(self, reply: Rejected) -> None:
        while self._inbox:
            item = self._inbox.popleft()
            if not isinstance(item, Reported):
                resolve(item.future, reply)

    async def _finish(self) -> None:
        if not self._failure:
            self._turn()
            if self._flight.seq > self._flight.snapshot_seq:
                self.write_snapshot()
        await self._flight.has_landed()
        self._refuse_inbox(Rejected(error="The controller is shutting down", code="unavailable"))


def _reason_of(error: BaseException) -> str:
    return str(error.fields["reason"]) if isinstance(error, StoreUnavailable) else str(error)
