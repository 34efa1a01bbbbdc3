"""What does one connection to a NATS server say, and what has it heard? The core protocol on a non-blocking socket.

The bytes are NATS' client protocol: lines that end with CR LF, where MSG and PUB are followed by a payload of the size
they name. The server may send at any time PING (to be answered, or it hangs up), INFO (when something about it changed)
and -ERR. Most errors end the connection; a refused subject does not, and is kept in `denials`.

A connection that broke is noticed in `receive` or `flush_some`. What had arrived before is handed out first: only a call
that has nothing left to give raises ConnectionLost.
"""

from __future__ import annotations

import select
from time import monotonic

from corral.bus.errors import BadSubject, ConnectionLost, CredentialsRefused, NoReply, PayloadTooLarge

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    Message = tuple[int, str, bytes]
    Request = tuple[int, str, bytes, str]

_CHUNK = 64 * 1024  # larger buffers are mapped and unmapped by malloc for every read
_USUAL_PAYLOAD = 1024 * 1024  # until the server says otherwise
NOBODY = " "  # in place of the subject to reply to: the server's word that nobody heard the request
_SURVIVABLE = ("permissions violation", "invalid subject", "invalid publish subject")


class Link:
    """One connection to a NATS server, to be driven by a selector. Made by `corral.bus.wire.connect`."""

    def __init__(self, sock: socket.socket, info: bytes) -> None:
        self._socket = sock
        self._holds_bytes_back = hasattr(sock, "pending")  # as SSL sockets do
        self._in = bytearray()
        self._out = bytearray()
        self._awaited: tuple[int, str, int, int, str] | None = None  # sid, subject, header's and whole size, reply
        self._ready: list[Request] = []
        self._last_sid = 0
        self.pings, self.pongs = 0, 0  #: asked of the server and answered by it
        self._failure: ConnectionLost | None = None
        self.max_payload = _number(info, b'"max_payload":', _USUAL_PAYLOAD)
        self.denials: list[str] = []  #: what the server refused, in its words; the connection goes on

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_closed(self) -> bool:
        return self._socket.fileno() < 0

    @property
    def wants_write(self) -> bool:
        return bool(self._out)

    @property
    def out_size(self) -> int:
        """Bytes queued and not yet taken by the socket."""
        return len(self._out)

    def subscribe(self, subject: str, sid: int | None = None) -> int:
        """Queue an interest; its number comes with each of its messages."""
        if sid is None:
            sid = self._last_sid + 1
        self._last_sid = max(self._last_sid, sid)
        self._out += b"SUB %b %d\r\n" % (_checked(subject), sid)
        return sid

    def unsubscribe(self, sid: int) -> None:
        self._out += b"UNSUB %d\r\n" % sid

    def publish(self, subject: str, payload: bytes | bytearray | memoryview, reply: str = "") -> None:
        """Queue a message; `out_size` says when to stop."""
        size = len(payload)
        if size > self.max_payload:
            raise PayloadTooLarge(size=size, limit=self.max_payload)
        target = _checked(subject) if not reply else _checked(subject) + b" " + _checked(reply)
        self._out += b"PUB %b %d\r\n" % (target, size)
        self._out += payload
        self._out += b"\r\n"

    def ping(self) -> int:
        """Queue a PING; it is answered once `pongs` has reached the number returned."""
        self.command(b"PING")
        self.pings += 1
        return self.pings

    def command(self, line: bytes) -> None:
        """Queue one line of the protocol."""
        self._out += line
        self._out += b"\r\n"

    def flush_some(self) -> bool:
        """Send what the socket takes now; true when nothing is left."""
        self._send()
        if self._failure is not None and not self._ready:
            self._give_up(self._failure)
        return not self._out

    def receive(self) -> list[Message]:
        """What has arrived: (number of the subscription, subject, payload). Never waits."""
        return [message[:3] for message in self.receive_requests()]

    def receive_requests(self) -> list[Request]:
        """As `receive`, each with the subject to reply to; "" for none."""
        if self._failure is None:
            self._read()
        if self._failure is not None and not self._ready:
            self._give_up(self._failure)
        messages, self._ready = self._ready, []
        return messages

    def flush(self, timeout: float = 5.0) -> None:
        """Wait until the server has read all that was queued; what comes meanwhile is kept for `receive`."""
        wanted, deadline = self.ping(), monotonic() + timeout
        while self.pongs < wanted:
            if self._failure is None:
                self._send()
            if self._failure is not None:
                self._give_up(self._failure)
            self._wait(deadline, timeout)
            self._read()

    def close(self) -> None:
        """Close at once; what is queued is lost (`flush` first)."""
        if self._failure is None:
            self._failure = ConnectionLost(reason="it is closed")
        self._out.clear()
        self._socket.close()

    def _send(self) -> None:
        try:
            while self._out and self._failure is None:
                with memoryview(self._out) as whole, whole[:_CHUNK] as part:
                    sent = self._socket.send(part)
                del self._out[:sent]
        except OSError as error:
            if not _would_block(error):
                self._fail(str(error))

    def _read(self) -> None:
        try:
            while chunk := self._socket.recv(_CHUNK):
                self._in += chunk
                # What an SSL socket holds back no selector sees; for a plain one the selector wakes us again.
                if not self._holds_bytes_back:
                    break
            else:
                self._fail("the server closed it")
        except OSError as error:
            if not _would_block(error):
                self._fail(str(error))
        self._parse()

    def _parse(self) -> None:
        data, at = self._in, 0
        with memoryview(data) as view:
            while True:
                if self._awaited is not None:
                    sid, subject, head, size, reply = self._awaited
                    if len(data) < at + size + 2:
                        break
                    if head and data.startswith(b"NATS/1.0 503", at):
                        reply = NOBODY
                    self._ready.append((sid, subject, bytes(view[at + head : at + size]), reply))
                    self._awaited = None
                    at += size + 2
                end = data.find(b"\r\n", at)
                if end < 0:
                    break
                self._on_line(data[at:end])
                at = end + 2
        if at:
            del data[:at]

    def _on_line(self, line: bytearray) -> None:
        if line.startswith(b"MSG "):
            parts = line.decode().split()  # MSG subject sid [reply] size
            self._awaited = (int(parts[2]), parts[1], 0, int(parts[-1]), parts[3] if len(parts) == 5 else "")
        elif line == b"PING":
            self._out += b"PONG\r\n"
            self._send()
        elif line == b"PONG":
            self.pongs += 1
        elif line.startswith(b"INFO "):
            self.max_payload = _number(bytes(line), b'"max_payload":', self.max_payload)
        elif line.startswith(b"-ERR"):
            self._on_refusal(line[5:].decode(errors="replace").strip("'"))
        elif line.startswith(b"HMSG "):
            parts = line.decode().split()  # HMSG subject sid [reply] header's-size size
            reply = parts[3] if len(parts) == 6 else ""
            self._awaited = (int(parts[2]), parts[1], int(parts[-2]), int(parts[-1]), reply)
        elif line != b"+OK":
            self._fail(f"unexpected answer {bytes(line[:40])!r}")

    def _on_refusal(self, why: str) -> None:
        kind = why.lower()
        if kind.startswith(_SURVIVABLE):
            self.denials.append(why)
        elif "auth" in kind or "revoked" in kind:
            self._failure = CredentialsRefused(reason=why)
        else:
            self._fail(why)

    def _fail(self, why: str) -> None:
        if self._failure is None:
            self._failure = ConnectionLost(reason=why)

    def _give_up(self, failure: ConnectionLost) -> None:
        self.close()
        raise failure.with_traceback(None)

    def _wait(self, deadline: float, timeout: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise NoReply(whom="the message bus", seconds=timeout)
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | (select.POLLOUT if self._out else 0))
        poller.poll(left * 1000)


def _would_block(error: OSError) -> bool:
    # The two of SSL are known by name, so that ssl need not be imported.
    return isinstance(error, BlockingIOError) or type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def _number(text: bytes, key: bytes, default: int) -> int:
    """One number out of the INFO line: reading the whole of it would take json, and that re."""
    at = text.find(key)
    if at < 0:
        return default
    digits = text[at + len(key) :].split(b",")[0].rstrip(b"} \r\n")
    return int(digits) if digits.isdigit() else default


def _checked(subject: str) -> bytes:
    coded = subject.encode()
    if len(coded.split()) != 1 or coded.strip() != coded:
        raise BadSubject(name=subject)
    return coded
