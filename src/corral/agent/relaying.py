"""How do TCP connections from elsewhere come to a port on this node (corral port-forward), and from a display of this node to another
(srun --x11)? In a task's process, as the job's user.

Its standard input and output are the stream that daemon/mux.py speaks of. It ends when its input does.
"""

import fcntl
import os
import selectors
import signal
import socket
from typing import NoReturn

from corral.agent.xdisplay import WORD, Display
from corral.daemon.mux import MOST, Mux

_CHUNK = 1 << 20
#: Where the numbers of the connections begin that come from here.
_OWN_NUMBERS = 1 << 31


class _Told(Exception):
    """To end."""


def _end(number: int, frame: object) -> NoReturn:
    raise _Told


def relay(environment: dict[str, str]) -> NoReturn:
    """Does not come back."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    os.closerange(3, 1 << 20)  # the shepherd's
    status = 0
    try:
        _relay()
    except _Told:
        status = 128 + signal.SIGTERM
    except (OSError, ValueError):
        status = 1
    os._exit(status)


def dialled(wanted: bytes) -> socket.socket:
    """A connection to this port of the node, or HOST:PORT as the node sees it; it may still be on its way. unix:NAME is an abstract
    socket's (attaching.py)."""
    host, _, port = wanted.decode().rpartition(":")
    if host == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(f"\0{port}")
        return sock
    # Not as text: Python would look for its idna codec, which is not there in a container.
    place = (host or "127.0.0.1").encode()
    family, kind, protocol, _, address = socket.getaddrinfo(place, int(port), type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    return sock


def _relay() -> None:
    for fd in (0, 1):
        os.set_blocking(fd, False)
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _CHUNK)
        except OSError:
            pass  # a user may have so many large ones only
    selector = selectors.DefaultSelector()
    displays: list[Display] = []

    def dial(wanted: bytes) -> socket.socket:
        if not wanted.startswith(WORD):
            return dialled(wanted)
        display = Display(wanted, mux.adopt)
        displays.append(display)
        if display.listening is not None:
            selector.register(display.listening, selectors.EVENT_READ, display)
        ours, theirs = socket.socketpair()
        theirs.send(display.said)
        theirs.detach()  # open for as long as this lives
        return ours

    mux = Mux(selector, dial, _OWN_NUMBERS)
    try:
        _serve(selector, mux)
    finally:
        for display in displays:
            display.close()


def _serve(selector: selectors.BaseSelector, mux: Mux) -> None:
    selector.register(0, selectors.EVENT_READ)
    is_writing = False
    while True:
        if bool(mux.outgoing) != is_writing:
            is_writing = not is_writing
            selector.register(1, selectors.EVENT_WRITE) if is_writing else selector.unregister(1)
        for key, events in selector.select():
            if key.fd == 0 and key.data is None:
                if not (data := _read()):
                    return
                mux.feed(data)
            elif key.fd == 1 and key.data is None:
                _write(mux)
            elif isinstance(key.data, Display):
                key.data.accept()
            else:
                mux.on_ready(key.data[1], events)


def _read() -> bytes:
    return os.read(0, _CHUNK)


def _write(mux: Mux) -> None:
    was_full = len(mux.outgoing) >= MOST
    try:
        while mux.outgoing:
            del mux.outgoing[: os.write(1, memoryview(mux.outgoing)[:_CHUNK])]
    except BlockingIOError:
        pass
    if was_full and len(mux.outgoing) < MOST:
        mux.refresh()
