"""Who is it that a request comes from? Caddy asks here before it lets one to a service that wants the cluster's login.

The controller knows: it is asked with the token of the request, and its answer holds for a while.
"""

import asyncio
import os
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

import msgspec

from corral.client.connection import Connection
from corral.daemon import clock
from corral.errors import Refused, Unreachable

#: Seconds for which an answer holds; while no controller answers, so much longer.
_HOLDS = 30.0
_HOLDS_ALONE = 600.0
_KEPT = 10_000
_COOKIE = "corral_token"
_MOST_HEAD = 1 << 16


class Login:
    def __init__(self, socket: Path, endpoint: str) -> None:
        self.socket = socket
        self._endpoint = endpoint
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._asking = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        if self._server is not None:
            return
        temporary = self.socket.with_name(f"{self.socket.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._on_connection, temporary, backlog=1024, limit=_MOST_HEAD)
        os.chmod(temporary, 0o600)
        os.replace(temporary, self.socket)
        self._connection = Connection(self._endpoint, timeout=10.0)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(await self._answer(token_in(head)))
                if _has_body(head):  # what comes after it is no question, whatever it says
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _answer(self, token: str) -> bytes:
        try:
            user = await self._user(token) if token else ""
        except Unreachable:
            return _answer("503 Service Unavailable", "The controller does not answer.\n")
        if user:
            return _answer("200 OK", "", f"X-Corral-User: {user}\r\n")
        text = (
            "A token of a user of the cluster is needed: Authorization: Bearer TOKEN (`corral token user` makes one)\n"
        )
        return _answer("401 Unauthorized", text, "WWW-Authenticate: Bearer\r\n")

    async def _user(self, token: str) -> str:
        """Whose token it is; "" = nobody's. Unreachable when that cannot be known."""
        now = clock.monotonic()
        known = self._known.get(token)
        if known is not None and known[0] + _HOLDS > now:
            return known[1]
        async with self._asking:
            try:
                body = msgspec.json.encode({"token": token})
                answer = await asyncio.to_thread(
                    self._connection.call, "POST", "/v1/gateway/login", body, retry_seconds=0.0
                )
                user = str(msgspec.json.decode(answer)["user"])
            except (Unreachable, OSError):
                if known is not None and known[0] + _HOLDS_ALONE > now:
                    return known[1]
                raise Unreachable(endpoint=self._endpoint, reason="it does not answer") from None
            except Refused:
                user = ""
        self._known[token] = now, user
        self._known.move_to_end(token)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return user


def _has_body(head: str) -> bool:
    names = {line.partition(":")[0].strip().lower() for line in head.split("\r\n")[1:]}
    return bool(names & {"content-length", "transfer-encoding"})


def token_in(head: str) -> str:
    """Of Authorization: Bearer, or of the cookie corral_token."""
    token = ""
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        match name.strip().lower():
            case "authorization":
                scheme, _, given = value.strip().partition(" ")
                if scheme.lower() == "bearer":
                    return given.strip()
            case "cookie":
                try:
                    cookie = SimpleCookie(value.strip()).get(_COOKIE)
                except CookieError:
                    continue
                token = cookie.value if cookie is not None else token
    return token


def _answer(status: str, body: str, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
