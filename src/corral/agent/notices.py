"""How does a shepherd tell its agent something? At once; later, when the agent is behind; not at all when it is dead: it will look."""

import socket

from corral.agent.control import connected_datagrams, send_datagram
from corral.agent.reactor import Reactor


class Notices:
    """One socket for all steps of a shepherd, one after another."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._path = ""
        self._agent: socket.socket | None = None  #: only while it is behind
        self._late: list[bytes] = []

    def of_step(self, directory: str) -> None:
        """From now on they are of the step that has this directory in the agent's spool."""
        self._path = f"{directory.rsplit('/', 3)[0]}/agent.sock"

    @property
    def are_waiting(self) -> bool:
        return bool(self._late)

    def try_once(self, notice: bytes) -> None:
        """Who is behind does not get it."""
        send_datagram(self._socket, self._path, notice)

    def send(self, notice: bytes) -> None:
        if self._late or not send_datagram(self._socket, self._path, notice):
            self._late.append(notice)
            self._agent = self._agent or connected_datagrams(self._path)
            if self._agent is None:
                self._late.clear()
            else:
                self._reactor.add_writer(self._agent.fileno(), self._send_late)

    def _send_late(self) -> None:
        assert self._agent is not None
        try:
            while self._late:
                self._agent.send(self._late[0])
                self._late.pop(0)
        except BlockingIOError:
            return
        except OSError:
            self._late.clear()
        self._reactor.remove_writer(self._agent.fileno())

    def give_up(self) -> None:
        self._late.clear()

    def close_step(self) -> None:
        if self._agent is not None:
            self._reactor.forget(self._agent.fileno())
            self._agent.close()
            self._agent = None
        self._late.clear()
