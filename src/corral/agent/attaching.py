"""Who types into a Pod's container, and hears what it says meanwhile (kubectl attach, kubectl run -it)? By a socket of its shepherd.

The socket has an abstract name on the node, which only the Pod's user and root may use. A client sends frames of kind and length: what is
typed, the end of that, the size of the terminal. What the container says comes as it is; a client that does not read it is let go, for the
program must not wait for it.
"""

import os
import socket
from collections.abc import Callable

from corral.agent.pty import Terminal
from corral.agent.reactor import Reactor
from corral.auth import peer
from corral.daemon.attachwords import END, HEAD, MOST, SIZE, SIZE_OF, TYPED

#: So much that a client has not read.
_MOST_UNREAD = 8 << 20
_PIECE = 64 << 10


class Attaching:
    """Of one run of a container. `into`: its input, -1 where it has none; `once`: it ends with the first who typed."""

    def __init__(
        self, reactor: Reactor, name: str, owner: int, into: int, terminal: Terminal | None, *, once: bool
    ) -> None:
        """Raises OSError."""
        self._reactor, self._owner, self._into, self._terminal, self._once = reactor, owner, into, terminal, once
        self._clients: list[_Client] = []
        self._typed = bytearray()
        self._ends = False
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._listening.bind(f"\0{name}")
        self._listening.listen(16)
        reactor.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        if peer.credentials(connection)[1] not in (0, self._owner, os.geteuid()):
            connection.close()
            return
        connection.setblocking(False)
        self._clients.append(_Client(self._reactor, connection, self._take, self._gone))

    def _take(self, kind: int, data: bytes) -> None:
        if kind == TYPED and self._into >= 0 and not self._ends:
            self._typed += data
            self._write()
        elif kind == END and self._once and self._terminal is None:
            self._end()
        elif kind == SIZE and self._terminal is not None and len(data) == SIZE_OF.size:
            self._terminal.resize(*SIZE_OF.unpack(data))

    def _gone(self, client: "_Client") -> None:
        self._clients.remove(client)
        if self._once and self._terminal is None and client.has_typed:
            self._end()

    def _write(self) -> None:
        """What is typed, as fast as the program reads it: until then no more is taken."""
        try:
            while self._typed:
                del self._typed[: os.write(self._into, memoryview(self._typed)[:_PIECE])]
        except BlockingIOError:
            self._reactor.add_writer(self._into, self._write)
        except OSError:  # it reads no more
            self._typed.clear()
            self._ends = True
        if not self._typed:
            self._reactor.remove_writer(self._into)
            if self._ends:
                self._close_input()
        for client in self._clients:
            client.listen(len(self._typed) < MOST)

    def _end(self) -> None:
        self._ends = True
        if not self._typed:
            self._close_input()

    def _close_input(self) -> None:
        if self._into >= 0:
            self._reactor.forget(self._into)
            if self._terminal is None:
                os.close(self._into)
            self._into = -1

    def said(self, data: bytes) -> None:
        for client in list(self._clients):
            client.send(data)

    def finish(self) -> None:
        """The program is dead."""
        self._reactor.forget(self._listening.fileno())
        self._listening.close()
        for client in list(self._clients):
            client.finish()
        self._clients.clear()
        self._close_input()


class _Client:
    def __init__(
        self, reactor: Reactor, connection: socket.socket, take: Callable[[int, bytes], None],
        gone: "Callable[[_Client], None]",
    ) -> None:  # fmt: skip
        self._reactor, self._connection, self._take, self._gone = reactor, connection, take, gone
        self._partial, self._unsent = bytearray(), bytearray()
        self.has_typed = False
        self._is_listening = False
        self.listen(True)

    def listen(self, wanted: bool) -> None:
        if wanted == self._is_listening or self._connection.fileno() < 0:
            return
        self._is_listening = wanted
        if wanted:
            self._reactor.add_reader(self._connection.fileno(), self._read)
        else:
            self._reactor.remove_reader(self._connection.fileno())

    def _read(self) -> None:
        try:
            data = self._connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._partial += data
        while len(self._partial) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._partial)
            if length > MOST:
                self._close()
                return
            if len(self._partial) < HEAD.size + length:
                return
            body = bytes(self._partial[HEAD.size : HEAD.size + length])
            del self._partial[: HEAD.size + length]
            self.has_typed = self.has_typed or kind in (TYPED, END)
            self._take(kind, body)

    def send(self, data: bytes) -> None:
        self._unsent += data
        self._send()
        if len(self._unsent) > _MOST_UNREAD:
            self._close()

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(memoryview(self._unsent)[:_PIECE])]
            self._reactor.remove_writer(self._connection.fileno())
        except BlockingIOError:
            self._reactor.add_writer(self._connection.fileno(), self._send)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._connection.fileno() >= 0:
            self._reactor.forget(self._connection.fileno())
            self._connection.close()
            self._gone(self)

    def finish(self) -> None:
        """What it has not read yet it gets, if it reads on."""
        self._reactor.forget(self._connection.fileno())
        if self._unsent:
            self._connection.setblocking(True)
            self._connection.settimeout(1.0)
            try:
                self._connection.sendall(self._unsent)
            except OSError:
                pass
        self._connection.close()
