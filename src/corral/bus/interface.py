"""What must a bus do? Carry messages at most once, in order per publisher, and say when it was cut.

A message published while there is no connection is dropped: whoever needs it to arrive sends it again, for which
`on_reconnect` is the moment. Subscriptions outlive a broken connection.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

Reply = bytes | None
Handler = Callable[[str, bytes], Reply | Awaitable[Reply]]
"""Takes subject and payload; what it returns answers a request. Calls of one subscription never overlap."""

Listener = Callable[[], Awaitable[None] | None]


class Subscription(Protocol):
    """An interest in a subject, until closed."""

    async def close(self) -> None: ...


class Bus(Protocol):
    """One program's connection to the others."""

    @property
    def is_connected(self) -> bool: ...

    async def connect(self, timeout: float | None = None) -> None:
        """Wait until connected; ConnectionLost when `timeout` seconds were not enough (None: try for ever)."""

    async def publish(self, subject: str, payload: bytes) -> None: ...

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """`*` stands for one token of the subject, `>` for all that follow."""

    async def request(self, subject: str, payload: bytes, timeout: float) -> bytes:
        """The first reply; NoReply when none came in time, ConnectionLost when there is no connection."""

    async def flush(self, timeout: float = 5.0) -> None:
        """Wait until the server has read all that was published and subscribed so far."""

    def on_reconnect(self, listener: Listener) -> None:
        """Call `listener` each time a broken connection is back, with all subscriptions in place."""

    async def close(self) -> None: ...
