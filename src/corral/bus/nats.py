"""The bus over a NATS server, for programs with an event loop.

nats-py carries the messages, but one of its clients serves one connection only: when that ends, for whatever reason, a
new client is made and all subscriptions with it. nats-py's own reconnecting gives up for good on some of the server's
errors (expired or changed credentials among them), cancels a handler in the middle of its work, and keeps what was
published meanwhile; here everything that concerns a lost connection is in `_keep_connected`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from corral.bus import subjects
from corral.bus.errors import ConnectionLost, CredentialsRefused, NoReply, PayloadTooLarge
from corral.bus.interface import Handler, Listener, Reply

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

logger = logging.getLogger(__name__)

PING_SECONDS = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
_CONNECT_SECONDS = 2


class NatsSubscription:
    """One interest, renewed with every connection."""

    def __init__(self, bus: NatsBus, subject: str, handler: Handler) -> None:
        self.client: Client | None = None  #: on whose connection it is in place
        self._bus = bus
        self._subject = subject
        self._handler = handler
        self._placed: Any = None
        self._is_open = True
        self._running: asyncio.Future[Reply] | None = None

    async def place(self, client: Client) -> None:
        if self._is_open:
            self.client = client
            self._placed = await client.subscribe(self._subject, cb=self._on_message)
            await self._remove_if_closed()

    async def close(self) -> None:
        self._is_open = False
        self._bus.forget(self)
        await self._remove_if_closed()

    async def _remove_if_closed(self) -> None:
        placed = self._placed
        if not self._is_open and placed is not None and self.client is not None and not self.client.is_closed:
            self._placed = None
            await placed.unsubscribe()

    async def _on_message(self, message: Msg) -> None:
        try:
            if self._running is not None:
                await asyncio.wait([self._running])
            answer = self._handler(message.subject, message.data)
            if inspect.isawaitable(answer):
                answer = await self._finish(answer)
            if answer is not None and message.reply:
                await self._bus.publish(message.reply, answer)
        except Exception:
            logger.exception("handling a message of %s failed", message.subject)

    async def _finish(self, answer: Any) -> Reply:
        # nats-py cancels this coroutine when the connection is lost; the handler itself runs to its end.
        self._running = asyncio.ensure_future(answer)
        self._running.add_done_callback(self._on_finished)
        return await asyncio.shield(self._running)

    def _on_finished(self, future: asyncio.Future[Reply]) -> None:
        self._running = None
        if not future.cancelled():
            future.exception()  # was logged by whoever awaited it


class NatsBus:
    """One program's connection to the NATS server at `url` (several with commas).

    A callable `jwt` is asked before each connection. `inbox` is the subject under which replies come back: that
    of the program's `Permissions`.
    """

    def __init__(
        self,
        url: str,
        jwt: str | Callable[[], str] = "",
        *,
        name: str = "corral",
        inbox: str = "_INBOX",
        ca_file: str = "",
    ) -> None:
        self._servers = [one.strip() for one in url.split(",")]
        self._jwt = jwt if callable(jwt) else lambda: jwt
        self._name = name
        self._inbox = inbox
        self._ca_file = ca_file
        self._client: Client | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_closing = False
        self._problem: ConnectionLost | None = None
        self._subscriptions: dict[NatsSubscription, None] = {}
        self._listeners: list[Listener] = []

    @property
    def is_connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def connect(self, timeout: float | None = None) -> None:
        if self._keeper is not None:
            return
        self._is_closing = False
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep_connected(first))
        try:
            await asyncio.wait_for(first, timeout)
        except BaseException as error:
            await self._stop()
            if isinstance(error, TimeoutError):
                raise self._problem or ConnectionLost(reason="no answer") from None
            raise

    async def publish(self, subject: str, payload: bytes) -> None:
        client = self._client
        if client is None:
            subjects.check(subject)
            return
        if len(payload) > client.max_payload:
            raise PayloadTooLarge(size=len(payload), limit=client.max_payload)
        from nats import errors

        try:
            await client.publish(subject, payload)
        except errors.BadSubjectError:
            subjects.check(subject)
            raise
        except (errors.Error, OSError):
            pass  # the connection ended just now: dropped, as when there is none

    async def subscribe(self, subject: str, handler: Handler) -> NatsSubscription:
        subscription = NatsSubscription(self, subjects.check(subject, wildcards=True), handler)
        self._subscriptions[subscription] = None
        if (client := self._client) is not None:
            try:
                await subscription.place(client)
            except Exception as error:  # the connection ended just now: the next one brings it
                self._problem = _in_our_words(error)
        return subscription

    async def request(self, subject: str, payload: bytes, timeout: float) -> bytes:
        from nats import errors

        client = self._connected_client()
        try:
            message = await client.request(subjects.check(subject), payload, timeout=timeout)
        except (errors.TimeoutError, errors.NoRespondersError):
            raise NoReply(whom=subject, seconds=timeout) from None
        except errors.MaxPayloadError:
            raise PayloadTooLarge(size=len(payload), limit=client.max_payload) from None
        except (errors.Error, OSError) as error:
            raise ConnectionLost(reason=str(error)) from error
        return bytes(message.data)

    async def flush(self, timeout: float = 5.0) -> None:
        from nats import errors

        try:
            await asyncio.wait_for(self._connected_client().flush(timeout), timeout)  # type: ignore[arg-type]
        except (errors.TimeoutError, TimeoutError):
            raise NoReply(whom="the message bus", seconds=timeout) from None
        except (errors.Error, OSError) as error:
            raise ConnectionLost(reason=str(error)) from error

    def on_reconnect(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        await self._stop()
        self._subscriptions.clear()

    async def _stop(self) -> None:
        self._is_closing = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])

    def forget(self, subscription: NatsSubscription) -> None:
        self._subscriptions.pop(subscription, None)

    def _connected_client(self) -> Client:
        if self._client is None:
            raise self._problem or ConnectionLost(reason="there is none at the moment")
        return self._client

    async def _keep_connected(self, first: asyncio.Future[None]) -> None:
        pause = FIRST_PAUSE
        while not self._is_closing:
            client, has_ended = await self._dial(first)
            if client is None:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
                continue
            try:
                # nats-py may have swallowed our cancellation, so that it has to be asked for once more.
                if await self._go_on_with(client) and not self._is_closing:
                    pause = FIRST_PAUSE
                    await self._tell(first)
                    await has_ended.wait()
            finally:
                self._client = None
                await client.close()
            await asyncio.sleep(pause)

    async def _dial(self, first: asyncio.Future[None]) -> tuple[Client | None, asyncio.Event]:
        """A connected client, and the event that tells its end. None when no server takes us now."""
        from nats.aio.client import Client

        client, has_ended = Client(), asyncio.Event()

        async def on_closed() -> None:
            has_ended.set()

        async def on_error(error: Exception) -> None:
            if "permissions violation" in str(error):
                logger.warning("%s: %s", self._name, error)
            else:
                self._problem = _in_our_words(error)
                logger.debug("%s: %s", self._name, self._problem)

        try:
            jwt = self._jwt()
            await client.connect(
                self._servers,
                name=self._name,
                error_cb=on_error,
                closed_cb=on_closed,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                inbox_prefix=self._inbox,
                flush_timeout=2 * PING_SECONDS,
                tls=self._tls(),
                user_jwt_cb=jwt.encode,
                signature_cb=(lambda nonce: b"") if jwt else None,
            )
        except asyncio.CancelledError:
            await client.close()
            raise
        except Exception as error:
            await client.close()
            if self._problem is None or str(error):
                self._problem = _in_our_words(error)
            if isinstance(self._problem, CredentialsRefused) and not first.done():
                first.set_exception(self._problem)
            return None, has_ended
        return client, has_ended

    async def _go_on_with(self, client: Client) -> bool:
        """Put all subscriptions in place, and only then let the others use the connection."""
        try:
            while missing := [one for one in self._subscriptions if one.client is not client]:
                for subscription in missing:
                    await subscription.place(client)
                await client.flush(_CONNECT_SECONDS)
        except Exception as error:
            self._problem = _in_our_words(error)
            return False
        self._client = client
        return True

    async def _tell(self, first: asyncio.Future[None]) -> None:
        if not first.done():
            first.set_result(None)
            return
        for listener in list(self._listeners):
            try:
                result = listener()
                if inspect.isawaitable(result):
                    await result
            except Exception:
                logger.exception("after a reconnect")

    def _tls(self) -> Any:
        if not self._ca_file and not any(one.startswith("tls:") for one in self._servers):
            return None
        import ssl

        return ssl.create_default_context(cafile=self._ca_file or None)


def _in_our_words(error: Exception) -> ConnectionLost:
    reason = str(error) or type(error).__name__
    if "uthoriz" in reason or "uthentication" in reason:
        return CredentialsRefused(reason=reason)
    return ConnectionLost(reason=reason)
