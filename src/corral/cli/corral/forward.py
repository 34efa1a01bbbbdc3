"""`corral port-forward JOB [ADDRESS:]PORT[:PORT]`: a job's port, here.

The connections go through the same way as a step's input and output: nothing has to be open on the node. The other end is a step of the
job that nobody sees.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from corral.cli.corral.kube.session import add_options
from corral.cli.corral.place import endpoint_of
from corral.cli.follow import Follower
from corral.cli.relaystep import relay_step
from corral.cli.run import Exit
from corral.client.attach import Attachment, CredentialsRefused, Message, Output
from corral.daemon.mux import Mux
from corral.errors import Refused, Unreachable

_SIGTERM = 15
#: Seconds for what is still under way when the controller says that the step is over.
_LAST_WORDS = 2.0


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral port-forward",
        description="Reach a port of a job's node, or of a Pod, from here, as long as this runs.",
    )
    parser.add_argument(
        "job", metavar="JOB|POD|KIND/NAME", help="the id of a running job; a Pod, or what has one: svc/web"
    )
    parser.add_argument(
        "ports", nargs="+", metavar="[ADDRESS:]LOCAL[:REMOTE]", help="8888, 9000:8888, 0.0.0.0:9000:8888; LOCAL 0: any"
    )
    parser.add_argument("--node", "-w", default="", help="of the job; its first where it is not said")
    parser.add_argument(
        "--stdio", action="store_true", help="one connection, to this port, is standard input and output (ProxyCommand)"
    )
    add_options(parser)
    given = parser.parse_args(arguments)
    forwards = [_forward(parser, text) for text in given.ports]
    if not given.job[:1].isdigit():
        from corral.cli.corral.kube.podport import target
        from corral.cli.corral.kube.session import Session

        given.job, given.container, remote = target(Session(given), given.job, [port for *_, port in forwards])
        forwards = [(address, local, port) for (address, local, _), port in zip(forwards, remote, strict=True)]
    if given.stdio and len(forwards) != 1:
        parser.error("--stdio goes with one port")
    try:
        return Forwarder(given, forwards).run()
    except Refused as error:
        raise Exit(1, f"corral: error: {given.job}: {error}") from None
    except (Unreachable, CredentialsRefused) as error:
        raise Exit(1, f"corral: error: {error}") from None
    except KeyboardInterrupt:
        return 130


def _is_over(row: dict[str, Any]) -> bool:
    return row["state"] not in ("RUNNING", "PENDING", "CONFIGURING", "SUSPENDED", "COMPLETING")


def _forward(parser: ArgumentParser, text: str) -> tuple[str, int, int]:
    """(address, local port, remote port)."""
    words = text.rsplit(":", 2)
    numbers = [word for word in words if word.isascii() and word.isdigit()]
    if len(words) == 3:
        host, local, remote = words
    elif len(words) == 2 and len(numbers) == 2:
        host, local, remote = "127.0.0.1", *words
    elif len(words) == 2:
        host, local, remote = words[0], words[1], words[1]
    else:
        host, local, remote = "127.0.0.1", text, text
    for word in (local, remote):
        if not (word.isascii() and word.isdigit() and int(word) < 65536):
            parser.error(f"{text}: {word!r} is no port")
    if remote == "0":
        parser.error(f"{text}: the job's port cannot be 0")
    return host.strip("[]"), int(local), int(remote)


class Forwarder:
    """Listens here; the other end is a step of the job."""

    def __init__(self, given: Namespace, forwards: list[tuple[str, int, int]], *, is_quiet: bool = False) -> None:
        self._is_quiet = is_quiet
        self._given, self._forwards = given, forwards
        self._selector = selectors.DefaultSelector()
        self._mux = Mux(self._selector)
        self._listening = [] if given.stdio else [self._listen(*one) for one in forwards]
        self._attachment = self._attach()
        self._problem = ""
        self._lost_at = 0.0
        self._finish_stdio: Callable[[], None] = lambda: None  # what has come is written out

    def _listen(self, address: str, local: int, remote: int) -> tuple[socket.socket, int]:
        try:
            sock = socket.create_server((address, local), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        except OSError as error:
            raise Exit(1, f"corral: error: cannot listen on {address}:{local}: {error.strerror}") from None
        sock.setblocking(False)
        return sock, remote

    def _attach(self) -> Attachment:
        container = getattr(self._given, "container", "")
        reply = relay_step("port-forward", self._given.job, self._given.node, endpoint_of(self._given), container)
        access = reply["access"]
        self.node = reply["step"]["nodes"][0]["share"]["node"]
        job, step, *_ = reply["step"]["key"]
        # A node that dies says nothing: the controller does.
        path = f"/v1/steps/{job}/{step}/wait"
        self._wake, wake = os.pipe()
        self._follower = Follower(path, _is_over, wake, endpoint_of(self._given))
        return Attachment(
            access["url"], access["token"], access["cluster"], access["key"], nodes=1, ca=access.get("ca", "")
        )

    @property
    def ports(self) -> list[int]:
        """Here, in the order of the forwards."""
        return [sock.getsockname()[1] for sock, _ in self._listening]

    def run(self) -> int:
        for sock, remote in self._listening:
            host, port = sock.getsockname()[:2]
            if not self._is_quiet:
                print(f"Forwarding from {host}:{port} -> {self.node}:{remote}", flush=True)
            self._selector.register(sock, selectors.EVENT_READ, remote)
        if self._given.stdio:
            self._adopt_stdio()
        self._selector.register(self._attachment, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        try:
            while not self._attachment.has_ended and not self._is_lost():
                self._send()
                if self._given.stdio and not len(self._mux) and not self._mux.outgoing:
                    return 0
                self._turn()
        finally:
            self._finish_stdio()
            self._attachment.send_signal(_SIGTERM)
            self._attachment.close()
        if not self._is_quiet:
            print(f"corral: {self._problem or f'job {self._given.job} has ended'}", file=sys.stderr)
        return 1

    def _is_lost(self) -> bool:
        """The step is over, and its node has not said so for a while."""
        row = self._follower.row
        if row is None:
            return False
        self._lost_at = self._lost_at or time.monotonic() + _LAST_WORDS
        if time.monotonic() < self._lost_at:
            return False
        if row["state"] == "NODE_FAIL" or row.get("cause") == "lost":
            self._problem = self._problem or f"the way to {self.node} is lost"
        return True

    def _turn(self) -> None:
        waits = [wait for wait in (self._attachment.timeout(), self._lost_at and _LAST_WORDS) if wait]
        for key, events in self._selector.select(min(waits, default=None)):
            if key.fd == self._wake:
                os.read(self._wake, 1)
                self._selector.unregister(self._wake)
            if key.data is None:
                continue
            if isinstance(key.data, int):
                assert isinstance(key.fileobj, socket.socket)
                self._accept(key.fileobj, key.data)
            else:
                self._mux.on_ready(key.data[1], events)
        for event in self._attachment.on_readable():
            if isinstance(event, Output):
                self._mux.feed(event.data)
                self._attachment.consumed(event)
            elif isinstance(event, Message):
                self._problem = event.text.strip()

    def _accept(self, listening: socket.socket, remote: int) -> None:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._mux.adopt(sock, str(remote).encode())

    def _send(self) -> None:
        self._mux.send_by(self._attachment)

    def _adopt_stdio(self) -> None:
        """Standard input and output are pipes, or a socket: two threads make them one."""
        import threading

        ours, theirs = socket.socketpair()

        def copy_in() -> None:
            try:
                while data := os.read(0, 1 << 16):
                    theirs.sendall(data)
                theirs.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the other side has closed

        def copy_out() -> None:
            while data := theirs.recv(1 << 16):
                view = memoryview(data)
                while view:
                    try:
                        view = view[os.write(1, view) :]
                    except OSError:
                        return  # nobody reads any more

        threading.Thread(target=copy_in, daemon=True).start()
        writer = threading.Thread(target=copy_out, daemon=True)
        writer.start()
        self._mux.adopt(ours, str(self._forwards[0][2]).encode())

        def finish() -> None:
            if ours.fileno() >= 0:
                ours.shutdown(socket.SHUT_WR)
            writer.join()

        self._finish_stdio = finish
