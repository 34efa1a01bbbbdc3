"""How do new connections come to the servers of a new configuration alone, while those before finish what they have?

Each port has two sockets (SO_REUSEPORT). One listens. While one configuration follows another the other one does as well, for the new
servers: first all connections still come to the old ones, then all to the new. That is one instruction to the kernel, a program of one line
that says which of the sockets that listen at a port has the next connection: the first or the second, in the order in which they began to
listen. When the old servers are gone their socket is shut; it stays bound, for the turn after this one. Without it old servers would take
connections until their last moment, and Go's answer nothing that comes over one then.

Another program of the same user may listen there with SO_REUSEPORT too: it gets no connections, and there is no turn while it does, for the
order is not known then.
"""

import ctypes
import socket
import struct
import sys
from collections import Counter
from pathlib import Path

Place = tuple[str, int]  #: address, port

_BACKLOG = 4096
_ATTACH = 51  # SO_ATTACH_REUSEPORT_CBPF
_RETURN = 0x06  # BPF_RET | BPF_K
_LISTENS = "0A"


class Twins:
    """The two sockets of one place; or one, where no other could be had: then both configurations take its connections."""

    def __init__(self, place: Place, sockets: list[socket.socket], active: int = 0) -> None:
        """They are bound. `active`: the number of the one that is not shut."""
        self.place, self.sockets = place, sockets
        self._active = 0
        self._is_turning = False
        for index, one in enumerate(sockets):
            if one.fileno() == active:
                self._active = index
                _say(one, 0)
            elif active:
                _shut(one)

    @classmethod
    def bound(cls, place: Place, one: socket.socket) -> "Twins":
        """OSError: it is somebody else's. It must be alone there, or it would not be noticed."""
        one.bind(place)
        return cls(place, [one])

    def join(self, other: socket.socket) -> bool:
        """The second one. False: it cannot be bound."""
        try:
            for one in (self.sockets[0], other):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(self.place)
        except OSError:
            return False
        self.sockets.append(other)
        return True

    @property
    def word(self) -> str:
        """Of the first one, in Caddy's words, whichever listens."""
        return _word(self.sockets[0])

    @property
    def active(self) -> str:
        """The one at which Caddy takes connections, or will."""
        return _word(self.sockets[self._active])

    def listen(self) -> None:
        """OSError: another program has the port by now."""
        one = self.sockets[self._active]
        one.listen(_BACKLOG)
        _say(one, 0)

    def shut(self) -> None:
        """Connections are refused, and another program may have the port."""
        for one in self.sockets:
            _shut(one)

    def begin(self) -> str:
        """The other one listens as well, but has no connections yet; its word."""
        if len(self.sockets) == 1 or not _say(self.sockets[self._active], 0):
            return self.active
        other = self.sockets[1 - self._active]
        try:
            other.listen(_BACKLOG)
        except OSError:
            return self.active
        self._is_turning = True
        return _word(other)

    def steer(self) -> None:
        """From now on connections come to the other one."""
        if self._is_turning:
            _say(self.sockets[self._active], 1)

    def end(self, *, is_taken: bool, is_alone: bool) -> None:
        """The other one goes on; or not it. `is_alone`: nobody else listens there."""
        if not self._is_turning:
            return
        self._is_turning = False
        if is_taken:
            self._active = 1 - self._active
        _shut(self.sockets[1 - self._active])
        # Where one is taken away the last one has its place.
        _say(self.sockets[self._active], 1 if is_taken and not is_alone else 0)


def listening() -> Counter[Place]:
    """How many sockets listen where, whoever has them; nothing, where that cannot be known."""
    found: Counter[Place] = Counter()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, _ = line.split(None, 4)
            if state == _LISTENS:
                address, _, port = local.partition(":")
                found[socket.inet_ntop(family, _packed(address)), int(port, 16)] += 1
    return found


def _packed(text: str) -> bytes:
    """Of an address in words of four bytes, each in this machine's order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    return b"".join(word.to_bytes(4, sys.byteorder) for word in words)


def _word(one: socket.socket) -> str:
    return f"fd/{one.fileno()}"


def _shut(one: socket.socket) -> None:
    """One that does not listen would be shut for good: whatever came when it listens again would be cut off."""
    if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        one.shutdown(socket.SHUT_RDWR)


def _say(one: socket.socket, index: int) -> bool:
    """Which of those that listen there has the next connection. False: it cannot be said."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN, 0, 0, index))
    try:
        one.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("@HP", 1, ctypes.addressof(program)))
    except OSError:
        return False
    return True
