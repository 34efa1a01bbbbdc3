"""What does the loop need of the engine and of the outside, and what comes into its inbox?"""

import asyncio
from typing import Any, Protocol

import msgspec

from corral.controller.batch import AnswerFuture, PendingBatch
from corral.engine.effects import Effects
from corral.model.cluster import ClusterConfig
from corral.model.job import Owner
from corral.protocol.replies import Reply
from corral.protocol.reports import AnyReport
from corral.protocol.requests import AnyRequest, Caller


class Engine(Protocol):
    """What corral.engine.engine.Engine is to the loop."""

    @property
    def state(self) -> Any: ...
    @property
    def wants_cycle(self) -> bool: ...
    def start(self, now: float) -> Effects: ...
    def configure(self, config: ClusterConfig, now: float, out: Effects) -> None: ...
    def handle(self, message: Any, now: float, caller: Caller | None = None, owner: Owner | None = None) -> Effects: ...
    def next_wake(self, now: float) -> float | None: ...
    def away(self, seconds: float, now: float) -> None: ...
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
    """A user's request."""

    message: AnyRequest
    caller: Caller
    future: AnswerFuture
    key: str = ""
    blobs: dict[str, bytes] = {}
    owner: Owner | None = None


class Reported(msgspec.Struct, eq=False):
    """An agent's report."""

    agent: str
    report: AnyReport


class Configured(msgspec.Struct, eq=False):
    """A configuration to take over."""

    config: ClusterConfig
    future: AnswerFuture


Item = Asked | Reported | Configured


def new_future() -> AnswerFuture:
    return asyncio.get_running_loop().create_future()


def resolve(future: AnswerFuture, reply: Reply) -> None:
    """Who asked may have gone already."""
    if not future.done():
        future.set_result(reply)
