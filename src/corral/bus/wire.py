"""How do srun and the shepherds, which must be small and start at once, reach the bus?

    link = connect(url, jwt)
    sid = link.subscribe(subject)
    selector.register(link, EVENT_READ)
    while True:
        selector.modify(link, EVENT_READ | (EVENT_WRITE if link.wants_write else 0))
        ...
        for sid, subject, payload in link.receive(): ...        when readable
        link.flush_some()                                       when writable

`subscribe` and `publish` only queue; `flush_some` sends what the socket takes. `out_size` tells the caller when to stop
reading what it would publish. ConnectionLost means that the link is closed; `Redial` says when to try the next one.
Nothing heavy is imported: no json, no re, no asyncio, and ssl for tls:// only.
"""

from __future__ import annotations

import _socket  # `socket` itself loads selectors and enum: 5 ms
from time import monotonic

from corral.bus.errors import BadAddress, ConnectionLost, CredentialsRefused, NoReply
from corral.bus.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

DEFAULT_PORT = 4222


def connect(
    url: str, jwt: str = "", timeout: float = 5.0, *, name: str = "corral", ca: str = "", echo: bool = False
) -> Link:
    """A link to the first server of `url` (several with commas) that answers.

    With `echo` it hears what it publishes itself. `ca`: the authority behind the server's certificate, as a file or as its text.

    ConnectionLost when none does, CredentialsRefused when it does not take the JWT.
    """
    deadline = monotonic() + timeout
    problem: ConnectionLost | None = None
    for one in url.split(","):
        try:
            return _connect_to(one.strip(), jwt, deadline, name, ca, echo)
        except ConnectionLost as error:
            problem = error
        except (OSError, NoReply) as error:
            problem = ConnectionLost(reason=f"{one.strip()}: {error}")
    assert problem is not None
    raise problem


def _connect_to(url: str, jwt: str, deadline: float, name: str, ca: str, echo: bool) -> Link:
    host, port, is_tls = server_address(url)
    sock = _connected(host, port, deadline)
    try:
        if sock.getsockname() == sock.getpeername():
            # A connect to a free local port may get that very port as its own, and so meet itself.
            raise ConnectionLost(reason=f"nothing listens at {url}")
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        info = _first_line(sock)
        if is_tls or b'"tls_required":true' in info:
            sock = _encrypted(sock, host, ca)
        sock.setblocking(False)
        link = Link(sock, info)
        link.command(
            b'CONNECT {"verbose":false,"pedantic":false,"lang":"corral","version":"1","protocol":1,"headers":true,'
            b'"no_responders":true,"echo":%b,"name":"%b","jwt":"%b","sig":""}'
            % (b"true" if echo else b"false", _harmless(name), _harmless(jwt))
        )
        link.flush(max(0.001, deadline - monotonic()))
    except BaseException:
        sock.close()
        raise
    return link


def _connected(host: str, port: int, deadline: float) -> Any:
    # As bytes, a host name does not make Python import its tables for international ones, which takes 3 ms.
    coded = host.encode() if host.isascii() else host.encode("idna")
    problem: OSError = ConnectionRefusedError("no address")
    for family, kind, protocol, _, address in _socket.getaddrinfo(coded, port, type=_socket.SOCK_STREAM):
        sock: Any = _socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(0.001, deadline - monotonic()))
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            problem = error
    raise problem


def server_address(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is asked for: nats://host:4222, tls://[::1]:4222, host."""
    scheme, _, rest = url.rpartition("://")
    rest = rest.rstrip("/")
    host, colon, port = rest.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = rest, str(DEFAULT_PORT)
    if scheme not in ("", "nats", "tls") or not host or not port.isdigit():
        raise BadAddress(url=url)
    return host.strip("[]"), int(port), scheme == "tls"


def _first_line(sock: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        # A TLS handshake may follow at once: take no byte of what comes after the line.
        ahead = sock.recv(65536, _socket.MSG_PEEK)
        if not ahead:
            raise ConnectionLost(reason="the server closed it at once")
        line += sock.recv(ahead.find(b"\n") + 1 or len(ahead))
    if not line.startswith(b"INFO "):
        raise ConnectionLost(reason="what answers there is no NATS server")
    return bytes(line)


def _encrypted(sock: Any, host: str, ca: str) -> socket.socket:
    import socket
    import ssl

    patience = sock.gettimeout()
    whole = socket.socket(fileno=sock.detach())
    whole.settimeout(patience)
    is_text = ca.startswith("-----BEGIN")
    context = ssl.create_default_context(cafile=None if is_text else ca or None, cadata=ca if is_text else None)
    return context.wrap_socket(whole, server_hostname=host)


def _harmless(text: str) -> bytes:
    """As it may stand between quotes in JSON; a JWT has none of what is taken out."""
    return "".join(c for c in text if c.isprintable() and c not in '"\\').encode()


class Redial:
    """When to try again after a lost connection: soon at first, then more seldom, for ever."""

    def __init__(self, dial: Callable[[], Link], *, first: float = 0.05, most: float = 2.0) -> None:
        self._dial = dial
        self._first, self._most = first, most
        self._pause, self._due = first, 0.0

    def seconds_left(self) -> float:
        """How long the caller's selector may sleep before the next `attempt`."""
        return max(0.0, self._due - monotonic())

    def attempt(self) -> Link | None:
        """A new link, or None while it is too early or no server answers. CredentialsRefused is for the caller."""
        if self.seconds_left() > 0:
            return None
        try:
            link = self._dial()
        except CredentialsRefused:
            raise
        except ConnectionLost:
            self._due = monotonic() + self._pause
            self._pause = min(self._pause * 1.5, self._most)
            return None
        self._pause, self._due = self._first, 0.0
        return link
