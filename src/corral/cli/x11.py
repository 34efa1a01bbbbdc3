"""srun --x11: how do the windows of a job's programs come to the display here?

On each of its nodes a step that nobody sees listens at a display of the node's own (agent/xdisplay.py), for which the tasks have DISPLAY
and XAUTHORITY. What connects there is connected to the display here. Number and file are chosen here, so that they are the same on all
nodes. As with Slurm, the tasks get the magic cookie itself.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import threading

from corral.cli.relaystep import relay_step
from corral.cli.run import BAD_OPTION, failure
from corral.client.attach import Attachment, LaunchError, Message, Output
from corral.daemon.mux import Mux
from corral.errors import CorralError

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.run import Exit, Program

#: Display numbers of nodes: their ports lie below those that systems give to clients.
_NUMBERS = (100, 20_000)
#: Seconds until a node must have a display.
_PATIENCE = 30.0
_TRIES = 5
_SIGTERM = 15
_X_PORT = 6000


class Display:
    """The one here: where it is, and its cookie."""

    def __init__(self, program: Program) -> None:
        """Raises Exit in the real one's words."""
        self._program = program
        text = os.environ.get("DISPLAY")
        if text is None:
            raise self._failed("No DISPLAY variable set, cannot setup x11 forwarding.")
        host, colon, rest = text.rpartition(":")
        if not colon:
            raise self._failed("Error parsing DISPLAY environment variable. Cannot use X11 forwarding.")
        number = rest.partition(".")[0]
        self._number = int(number) if number.isascii() and number.isdigit() else 0
        self._path = f"/tmp/.X11-unix/X{self._number}" if host in ("", "unix") else ""
        self._host = host.strip("[]")
        if self._path and not os.path.exists(self._path):
            raise self._failed(f"Cannot stat() local X11 socket `{self._path}`")
        self.screen = rest.partition(".")[2] or "0"
        self.cookie = self._cookie_of(text)

    def _failed(self, text: str) -> Exit:
        return self._program.failed(text, BAD_OPTION)

    def _cookie_of(self, display: str) -> str:
        try:
            done = subprocess.run(["xauth", "list", display], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.SubprocessError):
            done = None
        if done is None or done.returncode:
            raise self._failed("Problem running xauth command. Cannot use X11 forwarding.")
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == "MIT-MAGIC-COOKIE-1":
                return words[2]
        raise self._failed("x11_get_xauth: Could not retrieve magic cookie. Cannot use X11 forwarding.")

    def connect(self) -> socket.socket:
        if not self._path:
            return socket.create_connection((self._host, _X_PORT + self._number), timeout=5.0)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._path)
        return sock


def chosen(which: str, nodes: list[str]) -> list[str]:
    """Those of the job's nodes that have a display."""
    if which == "all":
        return nodes
    return nodes[-1:] if which == "last" else nodes[:1]


class Forwarding:
    """From these nodes of a job, until `close`."""

    def __init__(self, program: Program, display: Display, job: int, nodes: list[str]) -> None:
        """Raises Exit when a node has no display for us."""
        import secrets

        lowest, beyond = _NUMBERS
        self._relays: list[_Relay] = []
        for _ in range(_TRIES):
            number = lowest + secrets.randbelow(beyond - lowest)
            authority = f"/tmp/.Xauthority-{secrets.token_hex(8)}"
            wanted = f"x11 {number} {authority} {display.cookie}".encode()
            try:
                for node in nodes:
                    self._relays.append(_Relay(display, wanted, str(job), node))
                problems = [problem for relay in self._relays if (problem := relay.problem())]
            except CorralError as error:
                problems = [str(error)]
            if not problems:
                self.variables = {"DISPLAY": f"localhost:{number}.{display.screen}", "XAUTHORITY": authority}
                return
            self.close()
        raise program.failed(f"X11 forwarding could not be set up: {problems[0]}", failure())

    def close(self) -> None:
        for relay in self._relays:
            relay.close()
        for relay in self._relays:
            relay.join()
        self._relays = []


class _Relay(threading.Thread):
    """One node's."""

    def __init__(self, display: Display, wanted: bytes, job: str, node: str) -> None:
        super().__init__(daemon=True)
        self._display, self._node = display, node
        self._selector = selectors.DefaultSelector()
        self._mux = Mux(self._selector, self._dial)
        access: dict[str, Any] = relay_step("x11", job, node)["access"]
        self._attachment = Attachment(
            access["url"], access["token"], access["cluster"], access["key"], nodes=1, ca=access.get("ca", "")
        )
        self._answer, theirs = socket.socketpair()
        self._mux.adopt(theirs, wanted)
        self._woken, self._wake = os.pipe()
        self._said = ""
        self.start()

    def problem(self) -> str:
        """Waits until the node has a display; "" = it has."""
        self._answer.settimeout(_PATIENCE)
        try:
            said = self._answer.recv(100)
        except TimeoutError:
            return f"{self._node} does not answer"
        return "" if said in (b"ok\n", b"shared\n") else self._said or f"{self._node} has no display that is free"

    def _dial(self, wanted: bytes) -> socket.socket:
        return self._display.connect()

    def run(self) -> None:
        self._selector.register(self._attachment, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        try:
            while not self._attachment.has_ended:
                self._mux.send_by(self._attachment)
                for key, events in self._selector.select(self._attachment.timeout()):
                    if key.fd == self._woken:
                        return
                    if key.data is not None:
                        self._mux.on_ready(key.data[1], events)
                for event in self._attachment.on_readable():
                    self._on_event(event)
        except (CorralError, OSError, ValueError) as error:
            self._said = str(error)
        finally:
            self._mux.close()
            self._attachment.send_signal(_SIGTERM)
            self._attachment.close()

    def _on_event(self, event: Any) -> None:
        match event:
            case Output():
                self._mux.feed(event.data)
                self._attachment.consumed(event)
            case LaunchError(_, text) | Message(_, text, _):
                self._said = text.strip()

    def close(self) -> None:
        os.write(self._wake, b"x")

    def join(self, timeout: float | None = None) -> None:
        super().join(timeout if timeout is not None else _LAST_WORDS)


_LAST_WORDS = 2.0
