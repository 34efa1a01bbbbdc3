"""The controller's heart: how does one message after another go into the engine, and what it decided out?

One task owns the engine. Each turn it takes what lies in the inbox, asks the engine, runs a scheduling cycle if one is due,
and hands the records of the turn to the store. It does not wait for the disk: the next turn goes on while the commit is in
flight, and what the turn has to say (replies, orders, acknowledgements) waits in `_in_flight`, in order, until its commit
and all before it are done.

When a commit fails, the engine knows things that are not recorded. It is thrown away; everything in flight is answered
"unavailable"; a new engine is built from the record; and until the store can be written again, changes are refused (reads
go on). A fault inside the engine is treated likewise, so that one bad message cannot leave a half-made change behind.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from corral.controller.batch import AnswerFuture, PendingBatch
from corral.controller.cycle import CycleTimer
from corral.controller.recovery import Recovered
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.engine.effects import Effects
from corral.errors import StoreUnavailable
from corral.model.cluster import ClusterConfig
from corral.model.job import Owner
from corral.protocol.replies import Done, Rejected, Reply, StepCreated, Submitted, WouldStart
from corral.protocol.reports import AnyReport
from corral.protocol.requests import AnyRequest, Caller
from corral.store.interface import Store, done

#: Seconds a turn may take from the inbox before others (HTTP, the bus) get their turn.
SLICE = 0.02
#: A timer further away than this is looked at later.
LONGEST_SLEEP = 3600.0
#: Seconds between two attempts to write again after the store has failed.
PROBE_INTERVAL = 0.5
#: Answers to requests with an idempotency key that are kept in memory.
ANSWERS_IN_MEMORY = 20_000
#: A report that made the engine fail is not tried again for so many seconds.
POISON_SECONDS = 60.0

_replies: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Done | Rejected | Submitted | WouldStart | StepCreated)

_unavailable = "The controller cannot record changes now: {reason}"


class Engine(Protocol):
    """What this loop needs of corral.engine.engine.Engine."""

    @property
    def state(self) -> Any: ...
    @property
    def wants_cycle(self) -> bool: ...
    def start(self, now: float) -> Effects: ...
    def configure(self, config: ClusterConfig, now: float, out: Effects) -> None: ...
    def handle(self, message: Any, now: float, caller: Caller | None = None, owner: Owner | None = None) -> Effects: ...
    def next_wake(self, now: float) -> float | None: ...
    def tick(self, now: float) -> Effects: ...
    def before_cycle(self, now: float) -> Effects: ...
    def snapshot(self, now: float) -> Any: ...
    def commit(self, plan: Any, now: float) -> Effects: ...


class Outside(Protocol):
    """Where decisions go once they are durable (perform.py)."""

    def committed(self, batch: PendingBatch) -> None: ...
    def recovered(self) -> None:
        """The engine is a new one: agents shall say again what they know."""


class Asked(msgspec.Struct, eq=False):
    message: AnyRequest
    caller: Caller
    future: AnswerFuture
    key: str = ""
    blobs: dict[str, bytes] = {}
    owner: Owner | None = None


class Reported(msgspec.Struct, eq=False):
    agent: str
    report: AnyReport


class Configured(msgspec.Struct, eq=False):
    config: ClusterConfig
    future: AnswerFuture


Item = Asked | Reported | Configured


class Loop:
    """Owns engine and store; others ask it."""

    def __init__(
        self,
        *,
        store: Store,
        recover: Callable[[], Recovered],
        make_engine: Callable[[Recovered], Engine],
        schedule: Callable[[Any, float], Any],
        outside: Outside,
        log: Log,
        cycle_interval: float = 0.01,
        snapshot_events: int = 50_000,
    ) -> None:
        self._store = store
        self._recover = recover
        self._make_engine = make_engine
        self._schedule = schedule
        self._outside = outside
        self._log = log
        self._snapshot_events = snapshot_events
        self.cycles = CycleTimer(cycle_interval)
        self.unavailable = ""  #: why changes are refused; "" = they are not
        self._inbox: deque[Item] = deque()
        self._in_flight: deque[tuple[Future[int], PendingBatch]] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._failure = ""
        self._answered: dict[str, bytes] = {}
        self._being_answered: dict[str, AnswerFuture] = {}
        self._poison: dict[tuple[str, int], float] = {}
        self._seq = 0
        self._snapshot_seq = 0
        self.handled = 0
        self.engine: Engine
        self._build()
        for answer in store.answered(clock.now() - 3600.0):
            self._answered[f"{answer.uid}:{answer.key}"] = answer.reply

    def _build(self) -> None:
        recovered = self._recover()
        self.engine = self._make_engine(recovered)
        self._seq = recovered.seq
        self._snapshot_seq = recovered.seq - recovered.replayed
        self._to_start = True

    @property
    def state(self) -> Any:
        return self.engine.state

    @property
    def seq(self) -> int:
        """Number of the last event."""
        return self._seq

    def heard(self) -> dict[str, float]:
        """When each node was last heard of, as the engine has it."""
        found: dict[str, float] = getattr(getattr(self.engine, "ctx", None), "last_heard", {})
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
        if key:
            key = f"{caller.uid}:{key}"
            earlier = self._answered.get(key)
            if earlier is not None:
                remembered: Reply = _replies.decode(earlier)
                return remembered
            under_way = self._being_answered.get(key)
            if under_way is not None:
                return await asyncio.shield(under_way)
        future: AnswerFuture = asyncio.get_running_loop().create_future()
        if key:
            self._being_answered[key] = future
        self._inbox.append(Asked(message, caller, future, key, blobs or {}, owner))
        self._wake.set()
        try:
            return await asyncio.shield(future)
        finally:
            if future.done():
                self._being_answered.pop(key, None)
            elif key:
                future.add_done_callback(lambda _: self._being_answered.pop(key, None))

    async def configure(self, config: ClusterConfig) -> None:
        """The engine takes over a configuration; returns when what follows from it is durable."""
        future: AnswerFuture = asyncio.get_running_loop().create_future()
        self._inbox.append(Configured(config, future))
        self._wake.set()
        await future

    def report(self, agent: str, reports: list[AnyReport]) -> None:
        """From the bus. Acknowledged once it is durable; dropped now if it could not be (the agent sends it again)."""
        if not self.unavailable:
            self._inbox.extend(Reported(agent, report) for report in reports)
            self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    # -- the loop

    async def run(self) -> None:
        """Until `stop`; then what is in flight is finished and a snapshot written."""
        self._wake.set()
        while not self._stopping:
            await self._sleep()
            if self._failure:
                await self._start_over()
                continue
            self._turn()
            await asyncio.sleep(0)
        await self._finish()

    def _turn(self) -> None:
        batch = PendingBatch()
        if self._to_start:
            self._to_start = False
            self._take(self.engine.start(clock.now()), batch)
        ends = clock.monotonic() + SLICE
        while self._inbox and not self._failure:
            self._handle(self._inbox.popleft(), batch)
            if clock.monotonic() > ends:
                break
        if not self._failure:
            self._tick_and_schedule(batch)
        self._hand_over(batch)
        if not self._failure and self._seq - self._snapshot_seq >= self._snapshot_events:
            self.write_snapshot()

    async def _sleep(self) -> None:
        if self._inbox or self._failure:
            self._wake.clear()
            return
        delay = self._delay()
        if delay is not None and delay <= 0:
            self._wake.clear()
            return
        timer = None
        if delay is not None:
            timer = asyncio.get_running_loop().call_later(delay, self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        if timer:
            timer.cancel()

    def _delay(self) -> float | None:
        delay = None
        now = clock.now()
        wake = self.engine.next_wake(now)
        if wake is not None and wake < now + LONGEST_SLEEP:
            delay = wake - now
        if self.engine.wants_cycle:
            due = self.cycles.due_in(clock.monotonic())
            delay = due if delay is None else min(delay, due)
        return delay

    def _handle(self, item: Item, batch: PendingBatch) -> None:
        now = clock.now()
        self.handled += 1
        if isinstance(item, Reported):
            self._handle_report(item, batch, now)
            return
        if isinstance(item, Configured):
            out = Effects()
            self.engine.configure(item.config, now, out)
            self._take(out, batch)
            batch.answer(item.future, Done())
            return
        try:
            effects = self.engine.handle(item.message, now, item.caller, item.owner)
        except Exception as error:
            self._engine_failed(error, type(item.message).__name__)
            text = f"internal error: {type(error).__name__}: {error}"
            _resolve(item.future, Rejected(error=text, code="unavailable"))
            return
        reply = effects.reply if effects.reply is not None else Rejected(error="internal error: no reply")
        if effects.records:
            batch.stored.blobs.update(item.blobs)
            if item.key:
                uid, _, key = item.key.partition(":")
                batch.remember(key, int(uid), now, reply)
        self._take(effects, batch)
        batch.answer(item.future, reply)

    def _handle_report(self, item: Reported, batch: PendingBatch, now: float) -> None:
        name = (item.agent, item.report.sequence)
        if self._poison and item.report.sequence and self._poison.get(name, 0.0) > now:
            return
        try:
            effects = self.engine.handle(item.report, now)
        except Exception as error:
            self._poison[name] = now + POISON_SECONDS
            self._engine_failed(error, type(item.report).__name__)
            return
        self._take(effects, batch)
        batch.acknowledge(item.agent, item.report.sequence)

    def _tick_and_schedule(self, batch: PendingBatch) -> None:
        try:
            now = clock.now()
            wake = self.engine.next_wake(now)
            if wake is not None and wake <= now:
                self._take(self.engine.tick(now), batch)
            began = clock.monotonic()
            if self.engine.wants_cycle and self.cycles.due_in(began) <= 0:
                self._take(self.engine.before_cycle(now), batch)
                plan = self._schedule(self.engine.snapshot(now), now)
                self._take(self.engine.commit(plan, now), batch)
                self.cycles.has_run(began, clock.monotonic())
        except Exception as error:
            self._engine_failed(error, "tick or cycle")

    def _take(self, effects: Effects, batch: PendingBatch) -> None:
        if effects.records:
            specs, jobs = self.engine.state.specs, self.engine.state.jobs
            for event in effects.records:
                batch.record(event, specs, jobs)
        if effects.sends:
            batch.sends += effects.sends

    # -- to the disk, and then out

    def _hand_over(self, batch: PendingBatch) -> None:
        if not batch:
            return
        if batch.stored:
            self._seq += len(batch.stored.events)
            future = self._store.append(batch.stored)
        elif self._in_flight:
            future = done()
        else:
            self._perform(batch)
            return
        batch.last_seq = self._seq
        self._in_flight.append((future, batch))
        if future.done():
            self._settle()
        else:
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._settle))

    def _settle(self) -> None:
        while self._in_flight and self._in_flight[0][0].done():
            future, batch = self._in_flight.popleft()
            error = future.exception()
            if error is None and not self.unavailable:
                self._perform(batch)
            else:
                self._store_failed(error or StoreUnavailable(reason=self._failure))
                batch.refuse(self._refusal())

    def _perform(self, batch: PendingBatch) -> None:
        for answer in batch.stored.answered:
            self._answered[f"{answer.uid}:{answer.key}"] = answer.reply
        while len(self._answered) > ANSWERS_IN_MEMORY:
            del self._answered[next(iter(self._answered))]
        try:
            self._outside.committed(batch)
        except Exception as error:
            self._log.error("performing failed", error)
        for future, reply in batch.answers:
            _resolve(future, reply)

    def write_snapshot(self) -> None:
        began = clock.monotonic()
        state = self.engine.state
        live = {spec.script_digest for spec in state.specs.values()}
        for spec in state.specs.values():
            live.add(spec.environment_digest)
            if spec.step is not None:
                live.add(spec.step.environment_digest)
        for steps in state.steps.values():
            live.update(step.spec.environment_digest for step in steps.values())
        data = state.dump()
        self._snapshot_seq = self._seq
        # The same queue as the batches: by then every event up to here has been written.
        future = self._store.write_snapshot(data, self._seq, live)
        self._in_flight.append((future, PendingBatch()))
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._settle))
        self._log.info("snapshot", bytes=len(data), upto=self._seq, seconds=round(clock.monotonic() - began, 4))

    # -- when something broke

    def _engine_failed(self, error: Exception, what: str) -> None:
        self._log.error("the engine failed", error, message=what)
        self._failure = self._failure or f"the engine failed at {what}"
        self._wake.set()

    def _store_failed(self, error: BaseException) -> None:
        reason = error.fields.get("reason", str(error)) if isinstance(error, StoreUnavailable) else str(error)
        if not self.unavailable:
            self._log.error("the store failed", reason=reason)
        self.unavailable = self.unavailable or reason
        self._failure = self._failure or reason
        self._wake.set()

    def _refusal(self) -> Rejected:
        reason = self.unavailable or self._failure
        return Rejected(
            error=_unavailable.format(reason=reason),
            code="unavailable",
            detail="It goes on by itself when that is over.",
        )

    async def _start_over(self) -> None:
        """Throw the engine away; build a new one from the record as soon as that can be read and written."""
        reason = self._failure
        while self._in_flight:
            await asyncio.sleep(0.001)
        if self.unavailable:
            while self._inbox:
                item = self._inbox.popleft()
                if not isinstance(item, Reported):
                    _resolve(item.future, self._refusal())
        is_built = False
        while not self._stopping:
            try:
                if not is_built:
                    self._build()
                    is_built = True
                if self.unavailable:
                    self._store.recover()
                break
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    self._log.error("recovery failed", error)
                await self._pause(PROBE_INTERVAL)
        self._log.warning("started over from the record", after=reason, upto=self._seq)
        self._failure = self.unavailable = ""
        self._outside.recovered()
        self._wake.set()

    async def _pause(self, seconds: float) -> None:
        ends = clock.monotonic() + seconds
        while not self._stopping and clock.monotonic() < ends:
            await asyncio.sleep(min(0.05, seconds))

    async def _finish(self) -> None:
        if not self._failure:
            self._turn()
            if self._seq > self._snapshot_seq:
                self.write_snapshot()
        while self._in_flight:
            await asyncio.sleep(0.001)
        for item in self._inbox:
            if not isinstance(item, Reported):
                _resolve(item.future, Rejected(error="The controller is shutting down", code="unavailable"))


def _resolve(future: AnswerFuture, reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)
