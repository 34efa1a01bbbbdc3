"""How do a job's windows come to the display of who runs it (srun --x11)? On this node, in a relay's process, as the job's user.

The relay is asked, as for a connection, for `x11 NUMBER AUTHORITY COOKIE`. It listens at display NUMBER of this machine's loopback, writes
COOKIE into the file AUTHORITY, which is new and its user's alone, and says "ok". Every connection to the display goes back through the
relay as one that the other side dials. Where the file is there already, another relay of the same srun does it on this machine (virtual
nodes): "shared".
"""

import os
import socket
import struct
from collections.abc import Callable

#: TCP port of display 0.
X_PORT = 6000
WORD = b"x11"
_WILD = 0xFFFF  #: Xau's FamilyWild: whatever the display's machine is called
_NAME = b"MIT-MAGIC-COOKIE-1"


class Display:
    """A display of this node that is another's."""

    def __init__(self, wanted: bytes, adopt: Callable[[socket.socket, bytes], None]) -> None:
        """Raises OSError where it cannot be had, ValueError where that asks for none."""
        _, number, path, cookie = wanted.split(b" ", 3)
        self._adopt = adopt
        self._path = ""
        self.listening: socket.socket | None = None
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            if os.lstat(path).st_uid != os.geteuid():
                raise
            return
        self._path = os.fsdecode(path)
        try:
            os.write(fd, authority(int(number), bytes.fromhex(cookie.decode())))
            self.listening = socket.create_server(("127.0.0.1", X_PORT + int(number)))
            self.listening.setblocking(False)
        except (OSError, ValueError, OverflowError):
            self.close()
            raise
        finally:
            os.close(fd)

    @property
    def said(self) -> bytes:
        return b"ok\n" if self.listening is not None else b"shared\n"

    def accept(self) -> None:
        assert self.listening is not None
        try:
            sock, _ = self.listening.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._adopt(sock, WORD)

    def close(self) -> None:
        if self.listening is not None:
            self.listening.close()
        if self._path:
            try:
                os.unlink(self._path)
            except OSError:
                pass
            self._path = ""


def authority(number: int, cookie: bytes) -> bytes:
    """An entry of Xau's file: family, then address, display, name and data, each behind its length."""
    parts = (b"", str(number).encode(), _NAME, cookie)
    return struct.pack(">H", _WILD) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
