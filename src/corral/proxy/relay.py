"""How does a connection come from here to a port on a job's node? As those of `corral port-forward`: through a step that nobody sees.

A relay is a thread of its own for each job and node, with the step's stream at one end and socket pairs at the other.
"""

import os
import selectors
import socket
import threading
from collections import deque
from typing import Any

from corral.client.attach import Attachment, BusError, CredentialsRefused, Output
from corral.client.connection import Connection, new_key
from corral.daemon.mux import Mux
from corral.errors import CorralError, Refused

_SIGTERM = 15
_LIVE = ("RUNNING", "PENDING", "CONFIGURING", "SUSPENDED", "COMPLETING")
#: Seconds after its last connection until it goes.
IDLE_SECONDS = 60.0
#: Seconds of silence after which the controller is asked whether the step is still there: a node that dies says nothing.
LOOK_SECONDS = 20.0


class Relay:
    """To one node of one job. Made in a thread: it waits for the controller, and raises its refusals."""

    def __init__(self, endpoint: str, job: int, node: str) -> None:
        self.has_ended = False
        self._waiting: deque[tuple[socket.socket, int]] = deque()
        self._selector = selectors.DefaultSelector()
        self._mux = Mux(self._selector)
        self._endpoint = endpoint
        self._attachment, self._step = _attached(endpoint, job, node)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name=f"relay-{job}", daemon=True).start()

    def connect(self, port: int) -> socket.socket:
        """Its other end may not be there, or close at once: nobody listens then."""
        ours, theirs = socket.socketpair()
        with self._lock:
            if self.has_ended:
                ours.close()
                theirs.close()
                raise ConnectionRefusedError("the way to the job has ended")
            self._waiting.append((theirs, port))
            os.eventfd_write(self._wake, 1)
        return ours

    def _run(self) -> None:
        self._selector.register(self._attachment, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        idle = False
        try:
            while not self._attachment.has_ended:
                self._send()
                is_idle = not len(self._mux) and not self._mux.outgoing
                has_happened = self._turn(IDLE_SECONDS if is_idle else LOOK_SECONDS)
                if not has_happened and (self._is_over() or (is_idle and idle)):
                    break
                idle = is_idle and not has_happened
        except (BusError, CredentialsRefused, OSError, ValueError):
            pass  # the step is over, and forgotten
        finally:
            self._end()

    def _is_over(self) -> bool:
        try:
            with Connection(self._endpoint, timeout=LOOK_SECONDS) as connection:
                answer = connection.request("GET", f"{self._step}/wait?timeout=0")
        except Refused:
            return True
        except (CorralError, OSError):
            return False  # the controller is away
        row = dict(zip(answer["fields"], answer["rows"][0], strict=True))
        return row["state"] not in _LIVE

    def _turn(self, patience: float | None) -> bool:
        """Has anything happened?"""
        waits = [limit for limit in (patience, self._attachment.timeout()) if limit is not None]
        ready = self._selector.select(min(waits) if waits else None)
        for key, events in ready:
            if key.data is not None:
                self._mux.on_ready(key.data[1], events)
            elif key.fd == self._wake:
                os.eventfd_read(self._wake)
        while self._waiting:
            sock, port = self._waiting.popleft()
            self._mux.adopt(sock, str(port).encode())
        for event in self._attachment.on_readable():
            if isinstance(event, Output):
                self._mux.feed(event.data)
                self._attachment.consumed(event)
        return bool(ready)

    def _send(self) -> None:
        self._mux.send_by(self._attachment)

    def _end(self) -> None:
        with self._lock:
            self.has_ended = True
        for sock, _ in self._waiting:
            sock.close()
        self._mux.close()
        self._attachment.send_signal(_SIGTERM)
        self._attachment.close()
        self._selector.close()
        os.close(self._wake)


def _attached(endpoint: str, job: int, node: str) -> tuple[Attachment, str]:
    """And where the API has the step."""
    spec: dict[str, Any] = {
        "name": "port-forward", "argv": ["port-forward"], "work_dir": "/", "overlap": True, "relay": True, "ntasks": 1,
        "nodes_min": 1, "nodes_max": 1, "client_host": os.uname().nodename, "client_pid": os.getpid(), "gres": [],
    }  # fmt: skip
    if node:
        spec["nodelist"] = node
    with Connection(endpoint) as connection:
        request = {"type": "CreateStep", "job": str(job), "spec": spec, "environment": {}}
        reply = connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=20)
    access = reply["access"]
    number, step, *_ = reply["step"]["key"]
    made = Attachment(
        access["url"], access["token"], access["cluster"], access["key"], nodes=1, ca=access.get("ca", "")
    )
    return made, f"/v1/steps/{number}/{step}"
