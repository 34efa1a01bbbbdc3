"""A bus inside one process, for tests and simulation: it can be cut, and can lose, double and delay from a seed."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import random
from collections import deque
from dataclasses import dataclass

from corral.bus import subjects
from corral.bus.errors import ConnectionLost, NoReply, PayloadTooLarge
from corral.bus.interface import Handler, Listener
from corral.bus.permissions import EVERYTHING, Permissions

logger = logging.getLogger(__name__)

MAX_PAYLOAD = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How unreliable is the bus? Shares between 0 and 1; a delayed message may be overtaken."""

    seed: int = 0
    lose: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    longest_delay: float = 0.05  #: seconds of the event loop's time


class MemoryBroker:
    """What the NATS server is to the real bus."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._chance = random.Random(self.faults.seed)
        self._buses: list[MemoryBus] = []
        self._is_running = asyncio.Event()
        self._is_running.set()
        self._names = itertools.count(1)

    @property
    def is_running(self) -> bool:
        return self._is_running.is_set()

    def stop(self) -> None:
        """Cut everybody off; what is under way is lost."""
        self._is_running.clear()
        for bus in self._buses:
            bus.cut()

    async def start(self) -> None:
        self._is_running.set()
        for bus in list(self._buses):
            await bus.restore()

    async def admit(self, bus: MemoryBus, timeout: float | None) -> None:
        try:
            await asyncio.wait_for(self._is_running.wait(), timeout)
        except TimeoutError:
            raise ConnectionLost(reason=f"nothing runs after {timeout} s") from None
        if bus not in self._buses:
            self._buses.append(bus)

    def dismiss(self, bus: MemoryBus) -> None:
        if bus in self._buses:
            self._buses.remove(bus)

    def new_inbox(self, under: str) -> str:
        return f"{under}.{next(self._names)}"

    def carry(self, subject: str, payload: bytes, reply: str = "") -> bool:
        """Give the message to all who want it; false when nobody does."""
        receivers = [one for bus in self._buses for one in bus.interested_in(subject)]
        for receiver in receivers:
            for delay in self._fate():
                if delay:
                    asyncio.get_running_loop().call_later(delay, receiver.accept, subject, payload, reply)
                else:
                    receiver.accept(subject, payload, reply)
        return bool(receivers)

    def _fate(self) -> list[float]:
        """The delays of the copies that arrive."""
        faults, chance = self.faults, self._chance
        if chance.random() < faults.lose:
            return []
        copies = 2 if chance.random() < faults.duplicate else 1
        return [
            chance.uniform(0, faults.longest_delay) if chance.random() < faults.delay else 0.0 for _ in range(copies)
        ]


class MemorySubscription:
    def __init__(self, bus: MemoryBus, pattern: str, handler: Handler) -> None:
        self.pattern = pattern
        self._bus = bus
        self._handler = handler
        self._waiting: deque[tuple[str, bytes, str]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._is_open = True

    def accept(self, subject: str, payload: bytes, reply: str) -> None:
        if not self._is_open or not self._bus.is_connected:
            return
        self._waiting.append((subject, payload, reply))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def forget(self) -> None:
        self._waiting.clear()

    async def close(self) -> None:
        self._is_open = False
        self._waiting.clear()
        self._bus.remove(self)

    async def _work(self) -> None:
        while self._waiting:
            subject, payload, reply = self._waiting.popleft()
            try:
                answer = self._handler(subject, payload)
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer is not None and reply:
                    self._bus.answer(reply, answer)
            except Exception:
                logger.exception("handling a message of %s failed", subject)
        self._worker = None


class MemoryBus:
    """One program's connection to a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, permissions: Permissions = EVERYTHING) -> None:
        self._broker = broker
        self._permissions = permissions
        self._subscriptions: list[MemorySubscription] = []
        self._listeners: list[Listener] = []
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    async def connect(self, timeout: float | None = None) -> None:
        await self._broker.admit(self, timeout)
        self._is_connected = True

    async def publish(self, subject: str, payload: bytes) -> None:
        subjects.check(subject)
        if len(payload) > MAX_PAYLOAD:
            raise PayloadTooLarge(size=len(payload), limit=MAX_PAYLOAD)
        if self._is_connected and self._permissions.may_publish(subject):
            self._broker.carry(subject, bytes(payload))

    async def subscribe(self, subject: str, handler: Handler) -> MemorySubscription:
        subjects.check(subject, wildcards=True)
        subscription = MemorySubscription(self, subject, handler)
        if self._permissions.may_subscribe(subject):
            self._subscriptions.append(subscription)
        return subscription

    async def request(self, subject: str, payload: bytes, timeout: float) -> bytes:
        subjects.check(subject)
        if not self._is_connected:
            raise ConnectionLost(reason="there is none at the moment")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def on_answer(_: str, reply: bytes) -> None:
            if not answer.done():
                answer.set_result(reply)

        inbox = MemorySubscription(self, self._broker.new_inbox(self._permissions.inbox), on_answer)
        self._subscriptions.append(inbox)
        try:
            allowed = self._permissions.may_publish(subject)
            if not allowed or not self._broker.carry(subject, bytes(payload), inbox.pattern):
                raise NoReply(whom=subject, seconds=0.0)
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise NoReply(whom=subject, seconds=timeout) from None
        finally:
            await inbox.close()

    async def flush(self, timeout: float = 5.0) -> None:
        if not self._is_connected:
            raise ConnectionLost(reason="there is none at the moment")
        await asyncio.sleep(0)

    def on_reconnect(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        self._is_connected = False
        self._broker.dismiss(self)
        for subscription in list(self._subscriptions):
            await subscription.close()

    def interested_in(self, subject: str) -> list[MemorySubscription]:
        return [one for one in self._subscriptions if subjects.matches(one.pattern, subject)]

    def answer(self, inbox: str, payload: bytes) -> None:
        if self._is_connected:
            self._broker.carry(inbox, payload)

    def remove(self, subscription: MemorySubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def cut(self) -> None:
        self._is_connected = False
        for subscription in self._subscriptions:
            subscription.forget()

    async def restore(self) -> None:
        self._is_connected = True
        for listener in list(self._listeners):
            result = listener()
            if inspect.isawaitable(result):
                await result
