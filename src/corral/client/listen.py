"""How does sattach hear the tasks of a step that another client has started? It listens beside that client; stdlib only.

    listener = Listener(url, token, cluster, key, nodes=2)
    while not listener.has_ended:
        select(listener.fileno(), timeout=listener.timeout())
        for event in listener.on_readable(): ...        events as of corral.client.attach
    listener.close()

    listener.type(data, rank=None) -> bool              False: what was typed before is still under way

It acknowledges nothing: how fast the tasks may write is between them and their client. So it hears what the client has not read
yet, and what comes then; a listener too slow for that misses something.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from corral.bus import subjects
from corral.bus.errors import BusError
from corral.bus.link import Link
from corral.bus.wire import Redial, connect
from corral.client.attach import NodeEnded, Output, TaskEnded
from corral.protocol import streams as frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds until what was typed is said again.
_AGAIN = 0.2


class Listener:
    """Connects at once, and raises ConnectionLost when that is not possible."""

    def __init__(
        self, url: str, token: str, cluster: str, key: str, *, nodes: int, timeout: float = 5.0, ca: str = ""
    ) -> None:
        self._url, self._token, self._ca = url, token, ca
        self._from_tasks = subjects.step_to_client(cluster, key)
        self._to_tasks = subjects.step_to_tasks(cluster, key)
        self._heard: dict[tuple[int, int], int] = {}  #: rank, stream -> what comes next
        self._events = [0] * nodes
        self.over = [False] * nodes  #: the nodes' parts
        self.has_heard = [False] * nodes
        self._number = int.from_bytes(os.urandom(4), "big")
        self._typed = b""
        self._target = 0
        self._offset = 0
        self._taken = [0] * nodes
        self._say_again_at = 0.0
        self._poll = select.epoll()
        self._redial = Redial(lambda: self._dial(2.0))
        self._link: Link | None = self._dial(timeout)

    def fileno(self) -> int:
        return self._poll.fileno()

    @property
    def has_ended(self) -> bool:
        return all(self.over)

    @property
    def is_typing(self) -> bool:
        """What was typed has not been taken by all tasks."""
        return bool(self._typed)

    def timeout(self) -> float | None:
        """How long a selector may sleep."""
        if self._link is None:
            return self._redial.seconds_left()
        return max(0.0, self._say_again_at - monotonic()) if self._typed else None

    def on_readable(self) -> list[Any]:
        """What has come. Never waits, but for a new connection after a lost one (2 s at most)."""
        if self._link is None:
            self._link = self._redial.attempt()
            if self._link is None:
                return []
        events: list[Any] = []
        try:
            for _, _, payload in self._link.receive():
                try:
                    self._on_frame(frames.Frame(payload), events)
                except (ValueError, IndexError):
                    continue
            if self._typed and monotonic() >= self._say_again_at:
                self._say_typed()
            self._link.flush_some()
        except BusError:
            self._link.close()
            self._link = None
        return events

    def _on_frame(self, frame: frames.Frame, events: list[Any]) -> None:
        self.has_heard[frame.node] = True
        if frame.kind == frames.DATA:
            self._on_data(frame, events)
        elif frame.kind == frames.TAKEN and frame.rank == self._number:
            self._taken[frame.node] = max(self._taken[frame.node], frame.offset)
            self._on_taken()
        elif frame.kind >= frames.STARTED and frame.offset >= self._events[frame.node]:
            self._events[frame.node] = frame.offset + 1
            if frame.kind == frames.TASK_ENDED:
                events.append(TaskEnded(frame.node, frame.rank, frames.NUMBER.unpack(frame.data)[0]))
            elif frame.kind == frames.STEP_ENDED:
                self.over[frame.node] = True
                self._on_taken()
                events.append(NodeEnded(frame.node, frame.data[frames.NUMBER.size :].decode()))

    def _on_data(self, frame: frames.Frame, events: list[Any]) -> None:
        key = frame.rank, frame.stream
        known = self._heard.get(key, 0)
        data = frame.data[known - frame.offset :] if frame.offset < known else frame.data
        end = frame.offset + len(frame.data)
        is_last = bool(frame.flags & frames.END)
        if end < known or (not data and not is_last):
            return
        self._heard[key] = end + is_last
        events.append(Output(frame.node, frame.rank, frame.stream, data, end, is_last))

    # ------------------------------------------------------------------ input

    def type(self, data: bytes, rank: int | None = None) -> bool:
        """At most frames.TYPED_MOST bytes, to one task or to all."""
        if self._typed:
            return False
        self._typed, self._target = data, 0 if rank is None else rank + 1
        self._say_typed()
        return True

    def _say_typed(self) -> None:
        self._say_again_at = monotonic() + _AGAIN
        self._say(frames.TYPED, self._target, rank=self._number, offset=self._offset, data=self._typed)

    def _on_taken(self) -> None:
        wanted = self._offset + len(self._typed)
        if self._typed and all(taken >= wanted or over for taken, over in zip(self._taken, self.over, strict=True)):
            self._offset, self._typed = wanted, b""

    # ------------------------------------------------------------------ the connection

    def _say(self, kind: int, node: int = 0, **fields: Any) -> None:
        if self._link is not None:
            try:
                self._link.publish(self._to_tasks, frames.pack(kind, node, **fields))
                self._link.flush_some()
            except BusError:
                self._link = None

    def _dial(self, timeout: float) -> Link:
        link = connect(self._url, self._token, timeout, name="sattach", ca=self._ca)
        link.subscribe(self._from_tasks)
        link.publish(self._to_tasks, frames.pack(frames.HELLO))
        link.flush(timeout)
        self._poll.register(link.fileno(), select.EPOLLIN)
        return link

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._poll.close()
