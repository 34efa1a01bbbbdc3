"""The bus over a NATS server, for programs with an event loop.

A `Link` does the talking, and the event loop tells when its socket can be read or written. What is published during one
turn of the loop goes out in one write; what one read brings is handed to the handlers at once, without a task or a queue
between, unless a handler is asynchronous and still busy. That is why nats-py is not used: it wakes three tasks for each
message, which costs twice the processor time.

One task owns the connection: it dials, puts the subscriptions in place, asks every few seconds whether the server is
still there, and begins anew when it is not.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from corral.bus import subjects, wire
from corral.bus.credentials import inbox_of
from corral.bus.errors import ConnectionLost, CredentialsRefused, NoReply
from corral.bus.interface import Handler, Listener
from corral.bus.link import NOBODY, Link
from corral.bus.subscription import OrderedSubscription

logger = logging.getLogger(__name__)

PING_SECONDS = 5.0
UNANSWERED_PINGS = 2
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
MOST_UNSENT = 4 * 1024 * 1024  # bytes; then `publish` waits
_CONNECT_SECONDS = 5.0
_INBOX_SID = 1


class NatsBus:
    """One program's connection to the NATS server at `url` (several with commas).

    A callable `url` or `jwt` is asked before each connection. `on_change` is told why there is none, once for each reason, and
    "" when there is one again.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        jwt: str | Callable[[], str] = "",
        *,
        name: str = "corral",
        ca_file: str = "",
        on_change: Callable[[str], None] = lambda problem: None,
    ) -> None:
        self._on_change = on_change
        self._told: str | None = None
        self._url = url if callable(url) else lambda: url
        self._name, self._ca_file = name, ca_file
        self._jwt = jwt if callable(jwt) else lambda: jwt
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._has_ended = asyncio.Event()
        self._problem: ConnectionLost | None = None
        self._subscriptions: dict[int, OrderedSubscription] = {}
        self._listeners: list[Listener] = []
        self._names = itertools.count(_INBOX_SID + 1)
        self._inbox = ""
        self._requests: dict[str, asyncio.Future[bytes]] = {}
        self._pongs: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._send_is_planned = False
        self._is_writing = False
        self._socket_number = -1  # kept, since a link that has failed is closed already
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def is_connected(self) -> bool:
        return self._link is not None

    async def connect(self, timeout: float | None = None) -> None:
        if self._keeper is not None:
            return
        first = asyncio.Future[None]()
        self._keeper = asyncio.create_task(self._keep_connected(first))
        try:
            await asyncio.wait_for(first, timeout)
        except BaseException as error:
            await self._stop()
            if isinstance(error, TimeoutError):
                raise self._problem or ConnectionLost(reason="no answer") from None
            raise

    async def publish(self, subject: str, payload: bytes) -> None:
        if not self._has_room.is_set():
            await self._has_room.wait()
        if self._link is None:
            subjects.check(subject)
            return
        self._link.publish(subject, payload)
        self._plan_send()

    async def subscribe(self, subject: str, handler: Handler) -> OrderedSubscription:
        sid = next(self._names)
        subscription = OrderedSubscription(self, sid, subjects.check(subject, wildcards=True), handler)
        self._subscriptions[sid] = subscription
        if self._link is not None:
            self._link.subscribe(subject, sid)
            self._plan_send()
        return subscription

    async def request(self, subject: str, payload: bytes, timeout: float) -> bytes:
        link = self._live_link()
        reply = f"{self._inbox}.{next(self._names)}"
        future = asyncio.Future[bytes]()
        self._requests[reply] = future
        try:
            link.publish(subjects.check(subject), payload, reply)
            self._plan_send()
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise NoReply(whom=subject, seconds=timeout) from None
        finally:
            del self._requests[reply]

    async def flush(self, timeout: float = 5.0) -> None:
        link = self._live_link()
        future = asyncio.Future[None]()
        self._pongs.append((link.ping(), future))
        self._plan_send()
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise NoReply(whom="the message bus", seconds=timeout) from None

    def on_reconnect(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        """What was published before is sent first, if the server takes it now."""
        self._send()
        await self._stop()
        self._subscriptions.clear()

    def forget(self, subscription: OrderedSubscription) -> None:
        if self._subscriptions.pop(subscription.sid, None) is not None and self._link is not None:
            self._link.unsubscribe(subscription.sid)
            self._plan_send()

    def answer(self, reply: str, payload: bytes) -> None:
        if reply and self._link is not None:
            self._link.publish(reply, payload)
            self._plan_send()

    def _plan_send(self) -> None:
        if not self._send_is_planned:
            self._send_is_planned = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._send_is_planned = False
        link = self._link
        if link is None:
            return
        try:
            link.flush_some()
        except ConnectionLost as error:
            self._end(error)
            return
        if link.wants_write != self._is_writing:
            self._is_writing = link.wants_write
            if self._is_writing:
                asyncio.get_running_loop().add_writer(self._socket_number, self._send)
            else:
                asyncio.get_running_loop().remove_writer(self._socket_number)
        if link.out_size <= MOST_UNSENT:
            self._has_room.set()
        else:
            self._has_room.clear()

    def _on_readable(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            messages = link.receive_requests()
        except ConnectionLost as error:
            self._end(error)
            return
        for sid, subject, payload, reply in messages:
            if sid == _INBOX_SID:
                self._on_reply(subject, payload, reply)
            elif (subscription := self._subscriptions.get(sid)) is not None:
                subscription.accept(subject, payload, reply)
        while self._pongs and self._pongs[0][0] <= link.pongs:
            _, future = self._pongs.popleft()
            if not future.done():
                future.set_result(None)
        while link.denials:
            logger.warning("%s: %s", self._name, link.denials.pop(0))
        if link.wants_write and not self._is_writing:
            self._plan_send()

    def _on_reply(self, subject: str, payload: bytes, reply: str) -> None:
        future = self._requests.get(subject)
        if future is not None and not future.done():
            if reply == NOBODY:
                future.set_exception(NoReply(whom="anybody", seconds=0.0))
            else:
                future.set_result(payload)

    async def _keep_connected(self, first: asyncio.Future[None]) -> None:
        pause = FIRST_PAUSE
        while True:
            if await self._dial():
                pause = FIRST_PAUSE
                try:
                    await self._live(first)
                    problem = str(self._problem)
                except (ConnectionLost, NoReply) as error:
                    problem = str(error)
                finally:
                    self._end(ConnectionLost(reason="it is closed"))
                self._say(problem)
            else:
                self._say(str(self._problem))
                if isinstance(self._problem, CredentialsRefused) and not first.done():
                    first.set_exception(self._problem)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _say(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            self._on_change(problem)

    async def _dial(self) -> bool:
        """Connect, with all subscriptions in front of whatever is published."""
        try:
            jwt = self._jwt()
            dialling = asyncio.ensure_future(asyncio.to_thread(self._connect, jwt))
            try:
                link = await asyncio.shield(dialling)
            except asyncio.CancelledError:
                dialling.add_done_callback(_close_link)
                raise
        except Exception as error:
            self._problem = error if isinstance(error, ConnectionLost) else ConnectionLost(reason=str(error))
            return False
        self._inbox = f"{inbox_of(jwt)}.{id(link):x}"
        link.subscribe(f"{self._inbox}.*", _INBOX_SID)
        for subscription in self._subscriptions.values():
            link.subscribe(subscription.subject, subscription.sid)
        self._has_ended.clear()
        self._link, self._socket_number = link, link.fileno()
        asyncio.get_running_loop().add_reader(self._socket_number, self._on_readable)
        self._plan_send()
        return True

    def _connect(self, jwt: str) -> Link:
        return wire.connect(self._url(), jwt, _CONNECT_SECONDS, name=self._name, ca=self._ca_file, echo=True)

    async def _live(self, first: asyncio.Future[None]) -> None:
        """From the moment the subscriptions are in place until the connection has ended."""
        await self.flush()
        self._say("")
        if not first.done():
            first.set_result(None)
        else:
            await self._tell()
        while not self._has_ended.is_set():
            try:
                await asyncio.wait_for(self._has_ended.wait(), PING_SECONDS)
            except TimeoutError:
                link = self._live_link()
                if link.pings - link.pongs > UNANSWERED_PINGS:
                    raise NoReply(whom="the message bus", seconds=PING_SECONDS * UNANSWERED_PINGS) from None
                link.ping()
                self._plan_send()

    async def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                result = listener()
                if inspect.isawaitable(result):
                    await result
            except Exception:
                logger.exception("after a reconnect")

    def _end(self, problem: ConnectionLost) -> None:
        """Nothing more comes over this connection: whoever waits for an answer hears so."""
        link, self._link = self._link, None
        if link is None:
            return
        self._problem = problem
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket_number)
        loop.remove_writer(self._socket_number)
        self._is_writing = False
        link.close()
        self._has_ended.set()
        self._has_room.set()
        waiting: list[asyncio.Future[Any]] = [*self._requests.values(), *(pong for _, pong in self._pongs)]
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionLost(reason=problem.reason))
        self._pongs.clear()

    def _live_link(self) -> Link:
        if self._link is None:
            raise self._problem or ConnectionLost(reason="there is none at the moment")
        return self._link

    async def _stop(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])


def _close_link(dialling: asyncio.Future[Link]) -> None:
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().close()
