"""How do many TCP connections go through one stream of bytes, each at its own pace?

Frames of kind, connection and length. Who has a socket may send so many bytes for it as the other side has room for (WINDOW at first,
and again what ROOM frames say has been written): a connection that nobody reads from holds up no other.

    mux = Mux(selector)             on the side that connects: mux = Mux(selector, dial=socket_for)
    mux.adopt(socket, b"8888")      a new connection of ours, for which the other side is to dial this
    mux.feed(data)                  what has come from the other side
    mux.on_ready(key, events)       what the selector says of a socket whose key.data is this mux
    mux.outgoing                    bytes to be sent; when there are MOST of them no socket is read until it is less: mux.refresh()
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
from collections.abc import Callable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Protocol

    class Way(Protocol):
        """To the other side: the attached input of a step."""

        @property
        def stdin_room(self) -> int: ...
        def send_stdin(self, data: bytes) -> int: ...


HEAD = struct.Struct("!BII")  #: kind, connection, length
OPEN, DATA, EOF, CLOSE, ROOM = range(1, 6)
WINDOW = 4 << 20
MOST = 8 << 20
_PIECE = 256 << 10


class _Connection:
    __slots__ = ("credit", "got_eof", "is_connecting", "mask", "number", "owed", "sent_eof", "sock", "unwritten")

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number, self.sock = number, sock
        self.credit = WINDOW  #: bytes that the other side still takes
        self.owed = 0  #: bytes written since the other side was told
        self.unwritten = bytearray()
        self.sent_eof = self.got_eof = self.is_connecting = False
        self.mask = 0


class Mux:
    """All connections of one side."""

    def __init__(
        self, selector: selectors.BaseSelector, dial: Callable[[bytes], socket.socket] | None = None, numbers: int = 0
    ) -> None:
        """`numbers`: where those of its own connections begin; the two sides must not give the same."""
        self._selector, self._dial = selector, dial
        self._connections: dict[int, _Connection] = {}
        self._numbers = numbers
        self._partial = bytearray()
        self.outgoing = bytearray()

    def __len__(self) -> int:
        return len(self._connections)

    # ------------------------------------------------------------------ sockets

    def adopt(self, sock: socket.socket, wanted: bytes) -> None:
        self._numbers += 1
        self._say(OPEN, self._numbers, wanted)
        self._add(self._numbers, sock)

    def _add(self, number: int, sock: socket.socket) -> _Connection:
        sock.setblocking(False)
        one = self._connections[number] = _Connection(number, sock)
        self._watch(one)
        return one

    def _watch(self, one: _Connection) -> None:
        wants_read = not one.sent_eof and one.credit > 0 and len(self.outgoing) < MOST and not one.is_connecting
        mask = (selectors.EVENT_READ if wants_read else 0) | (
            selectors.EVENT_WRITE if one.unwritten or one.is_connecting else 0
        )
        if mask == one.mask:
            return
        if not one.mask:
            self._selector.register(one.sock, mask, (self, one.number))
        elif mask:
            self._selector.modify(one.sock, mask, (self, one.number))
        else:
            self._selector.unregister(one.sock)
        one.mask = mask

    def send_by(self, way: Way) -> None:
        """As much of what is to be sent as the way takes now."""
        was_full = len(self.outgoing) >= MOST
        while self.outgoing and (room := way.stdin_room):
            taken = way.send_stdin(bytes(memoryview(self.outgoing)[:room]))
            if not taken:
                break
            del self.outgoing[:taken]
        if was_full and len(self.outgoing) < MOST:
            self.refresh()

    def refresh(self) -> None:
        """There is room again."""
        for one in list(self._connections.values()):
            self._watch(one)

    def on_ready(self, number: int, events: int) -> None:
        one = self._connections.get(number)
        if one is None:
            return
        if events & selectors.EVENT_WRITE:
            if one.is_connecting and not self._connected(one):
                return
            self._write(one)
        if events & selectors.EVENT_READ and number in self._connections:
            self._read(one)

    def _connected(self, one: _Connection) -> bool:
        one.is_connecting = False
        if one.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop(one, tell=True)
            return False
        self._watch(one)
        return True

    def _read(self, one: _Connection) -> None:
        try:
            data = one.sock.recv(min(_PIECE, one.credit))
        except BlockingIOError:
            return
        except OSError:
            self._drop(one, tell=True)
            return
        if data:
            one.credit -= len(data)
            self._say(DATA, one.number, data)
        else:
            one.sent_eof = True
            self._say(EOF, one.number)
        self._watch(one)
        self._end_if_over(one)

    def _write(self, one: _Connection, data: memoryview | None = None) -> None:
        """What waits; or what has just come while nothing waited, of which is kept what the socket does not take now."""
        try:
            if data is not None:
                count = 0
                try:
                    count = one.sock.send(data)
                finally:
                    one.owed += count
                    one.unwritten += data[count:]
            while one.unwritten:
                count = one.sock.send(memoryview(one.unwritten)[:_PIECE])
                del one.unwritten[:count]
                one.owed += count
        except BlockingIOError:
            pass
        except OSError:
            self._drop(one, tell=True)
            return
        if one.owed >= WINDOW // 4:
            self._say(ROOM, one.number, one.owed.to_bytes(4, "big"))
            one.owed = 0
        if one.got_eof and not one.unwritten:
            try:
                one.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        self._watch(one)
        self._end_if_over(one)

    def _end_if_over(self, one: _Connection) -> None:
        if one.sent_eof and one.got_eof and not one.unwritten:
            self._drop(one, tell=False)

    def _drop(self, one: _Connection, *, tell: bool) -> None:
        if self._connections.pop(one.number, None) is None:
            return
        if one.mask:
            self._selector.unregister(one.sock)
        one.sock.close()
        if tell:
            self._say(CLOSE, one.number)

    def close(self) -> None:
        for one in list(self._connections.values()):
            self._drop(one, tell=False)

    # ------------------------------------------------------------------ frames

    def _say(self, kind: int, number: int, data: bytes = b"") -> None:
        self.outgoing += HEAD.pack(kind, number, len(data))
        self.outgoing += data

    def feed(self, data: bytes) -> None:
        """Raises ValueError when that is no frame of ours."""
        if self._partial:
            self._partial += data
            if len(self._partial) < self._whole():
                return
            data = bytes(self._partial)
            self._partial.clear()
        view, at, end = memoryview(data), 0, len(data)
        while end - at >= HEAD.size:
            kind, number, length = HEAD.unpack_from(data, at)
            if not OPEN <= kind <= ROOM or length > WINDOW:
                raise ValueError(f"not a frame: kind {kind}, {length} bytes")
            if end - at < HEAD.size + length:
                break
            start = at + HEAD.size
            at = start + length
            self._on_frame(kind, number, view[start:at])
        self._partial += view[at:]

    def _whole(self) -> int:
        """How long what has come must be at least until a frame is whole."""
        if len(self._partial) < HEAD.size:
            return HEAD.size
        return HEAD.size + min(int(HEAD.unpack_from(self._partial)[2]), WINDOW)

    def _on_frame(self, kind: int, number: int, data: memoryview) -> None:
        if kind == OPEN:
            self._on_open(number, bytes(data))
            return
        one = self._connections.get(number)
        if one is None:
            return
        match kind:
            case 2:
                if one.unwritten or one.is_connecting:
                    one.unwritten += data
                    if not one.is_connecting:
                        self._write(one)
                else:
                    self._write(one, data)
            case 3:
                one.got_eof = True
                if not one.is_connecting:
                    self._write(one)
            case 4:
                self._drop(one, tell=False)
            case 5:
                one.credit += int.from_bytes(data, "big")
                self._watch(one)

    def _on_open(self, number: int, wanted: bytes) -> None:
        try:
            if self._dial is None:
                raise OSError(errno.EPERM, "this side dials nobody")
            sock = self._dial(wanted)
        except (OSError, ValueError):
            self._say(CLOSE, number)
            return
        sock.setblocking(False)
        one = self._connections[number] = _Connection(number, sock)
        one.is_connecting = True
        self._watch(one)
