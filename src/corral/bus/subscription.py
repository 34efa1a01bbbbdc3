"""How do the messages of one subscription come to its handler one after another, and cheaply?"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable
from typing import Protocol

from corral.bus.interface import Handler, Reply

logger = logging.getLogger(__name__)

MOST_WAITING = 100_000  # messages for one busy handler; more are dropped


class Owner(Protocol):
    def answer(self, reply: str, payload: bytes) -> None: ...

    def forget(self, subscription: OrderedSubscription) -> None: ...


class OrderedSubscription:
    """One interest. A handler that does not wait is called at once; for one that waits there is a task while it does."""

    def __init__(self, bus: Owner, sid: int, subject: str, handler: Handler) -> None:
        self.sid, self.subject = sid, subject
        self._bus = bus
        self._handler = handler
        self._waiting: deque[tuple[str, bytes, str]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def accept(self, subject: str, payload: bytes, reply: str) -> None:
        if self._worker is not None:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append((subject, payload, reply))
            else:
                logger.warning("a message of %s is dropped: %d wait already", subject, MOST_WAITING)
            return
        try:
            answer = self._handler(subject, payload)
        except Exception:
            logger.exception("handling a message of %s failed", subject)
            return
        if answer is None:
            return
        if isinstance(answer, bytes):
            self._bus.answer(reply, answer)
        else:
            self._worker = asyncio.get_running_loop().create_task(self._work(answer, subject, reply))

    async def close(self) -> None:
        self._waiting.clear()
        self._bus.forget(self)

    async def _work(self, answer: Awaitable[Reply], subject: str, reply: str) -> None:
        """Finish one message, and then those that came meanwhile."""
        pending: Reply | Awaitable[Reply] = answer
        try:
            while True:
                try:
                    outcome = await pending if inspect.isawaitable(pending) else pending
                    if isinstance(outcome, bytes):
                        self._bus.answer(reply, outcome)
                except Exception:
                    logger.exception("handling a message of %s failed", subject)
                pending = None
                if not self._waiting:
                    return
                subject, payload, reply = self._waiting.popleft()
                try:
                    pending = self._handler(subject, payload)
                except Exception:
                    logger.exception("handling a message of %s failed", subject)
        finally:
            self._worker = None
