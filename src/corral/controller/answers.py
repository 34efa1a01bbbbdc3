"""What was a request with this idempotency key answered? It has no second effect, also after a restart."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from corral.controller.batch import AnswerFuture
from corral.protocol.replies import Done, HetStepCreated, Rejected, Reply, StepCreated, Submitted, WouldStart
from corral.store.interface import Answered

#: Answers kept in memory.
MOST_KEPT = 20_000

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Done | Rejected | Submitted | WouldStart | StepCreated | HetStepCreated
)


class Answers:
    """By (uid, key): one user's keys mean nothing to another."""

    def __init__(self, known: Iterable[Answered]) -> None:
        self._given: dict[tuple[int, str], bytes] = {}
        self._under_way: dict[tuple[int, str], AnswerFuture] = {}
        self.remember(known)

    def remember(self, answered: Iterable[Answered]) -> None:
        for answer in answered:
            self._given[answer.uid, answer.key] = answer.reply
        while len(self._given) > MOST_KEPT:
            del self._given[next(iter(self._given))]

    async def earlier(self, uid: int, key: str) -> Reply | None:
        """The answer, if the request was made before; waits for one that is being worked on."""
        given = self._given.get((uid, key))
        if given is not None:
            reply: Reply = _decoder.decode(given)
            return reply
        under_way = self._under_way.get((uid, key))
        return None if under_way is None else await asyncio.shield(under_way)

    def begin(self, uid: int, key: str, future: AnswerFuture) -> None:
        self._under_way[uid, key] = future
        future.add_done_callback(lambda _: self._under_way.pop((uid, key), None))
