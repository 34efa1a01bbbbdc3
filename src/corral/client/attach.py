"""How does srun reach the tasks of its step? One non-blocking object for the caller's selector; stdlib only.

    attachment = Attachment(url, token, cluster, key, nodes=2, window=(24, 80))
    selector.register(attachment, EVENT_READ)       its descriptor stays the same through reconnections
    while not attachment.has_ended:
        selector.select(attachment.timeout())
        for event in attachment.on_readable(): ...  also after a timeout
            ... Output: write it, then attachment.consumed(event)
    attachment.close()

    attachment.send_stdin(data) -> bytes taken      fewer than given: stop reading stdin while not attachment.stdin_room
    attachment.send_stdin_eof(), send_window(rows, columns), send_signal(number)

Output that is not consumed fills the window, and then the task waits: a slow terminal slows its program. A lost connection is
made anew for ever; nothing is lost and nothing comes twice. Only refused credentials end it: on_readable raises
CredentialsRefused then, for the step is over and forgotten.
"""

from __future__ import annotations

import select

from corral.bus import subjects
from corral.bus.errors import BusError as BusError  # for the callers too
from corral.bus.errors import CredentialsRefused as CredentialsRefused
from corral.bus.link import Link
from corral.bus.wire import Redial, connect
from corral.protocol import streams as frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STDOUT, STDERR = frames.STDOUT_STREAM, frames.STDERR_STREAM
_ACKNOWLEDGE_AFTER = frames.WINDOW // 8


class _Event:
    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class Ready(_Event):
    """This node's shepherd is there."""

    __match_args__ = __slots__ = ("node", "name", "ntasks")

    def __init__(self, node: int, name: str, ntasks: int) -> None:
        self.node, self.name, self.ntasks = node, name, ntasks


class Started(_Event):
    """This node's tasks have been started; `pids` in the order of their local ids."""

    __match_args__ = __slots__ = ("node", "pids")

    def __init__(self, node: int, pids: tuple[int, ...]) -> None:
        self.node, self.pids = node, pids


class Output(_Event):
    """Bytes of one task's stream (1 or 2); `is_last`: the stream has ended. To be given to `consumed` when it is written."""

    __match_args__ = ("rank", "stream", "data", "is_last")
    __slots__ = ("data", "end", "is_last", "node", "rank", "stream")

    def __init__(self, node: int, rank: int, stream: int, data: bytes, end: int, is_last: bool) -> None:
        self.node, self.rank, self.stream, self.data, self.end, self.is_last = node, rank, stream, data, end, is_last


class TaskEnded(_Event):
    """`status` as of wait(2)."""

    __match_args__ = __slots__ = ("node", "rank", "status")

    def __init__(self, node: int, rank: int, status: int) -> None:
        self.node, self.rank, self.status = node, rank, status


class LaunchError(_Event):
    """Not all of this node's tasks could be started, and why."""

    __match_args__ = __slots__ = ("node", "text")

    def __init__(self, node: int, text: str) -> None:
        self.node, self.text = node, text


class Message(_Event):
    """The shepherd's own words ("slurmstepd: error: ..."), with the newline, for standard error."""

    __match_args__ = __slots__ = ("node", "text", "of_signal")

    def __init__(self, node: int, text: str, of_signal: bool = False) -> None:
        self.node, self.text, self.of_signal = node, text, of_signal


class Notice(_Event):
    """What somebody has to say to the user of this client, without a newline."""

    __match_args__ = __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class NodeEnded(_Event):
    """Nothing of the step is left on this node. cause: "exited", "cancelled", "aborted", "oom", "launch_failed"."""

    __match_args__ = __slots__ = ("node", "cause")

    def __init__(self, node: int, cause: str) -> None:
        self.node, self.cause = node, cause


class _Stream:
    __slots__ = ("acknowledged", "consumed", "incoming", "node")

    def __init__(self, node: int) -> None:
        self.node = node
        self.incoming = frames.Incoming()
        self.consumed = self.acknowledged = 0


class Attachment:
    """The client's end. Connects at once, and raises ConnectionLost when that is not possible."""

    def __init__(
        self,
        url: str,
        token: str,
        cluster: str,
        key: str,
        *,
        nodes: int,
        window: tuple[int, int] = (0, 0),
        timeout: float = 5.0,
        ca: str = "",
    ) -> None:
        self._url, self._token, self._ca = url, token, ca
        self._from_tasks = subjects.step_to_client(cluster, key)
        self._to_tasks = subjects.step_to_tasks(cluster, key)
        self._nodes = nodes
        self._window = window
        self._streams: dict[tuple[int, int], _Stream] = {}
        self._heard = [0] * nodes  #: events, per node
        self._ready = [False] * nodes
        self._ended = [False] * nodes
        self._streams_due = [0] * nodes  #: known when the node's part is over
        self._stdin = frames.Outgoing()
        self._stdin_heard = [0] * nodes
        self._unsent: list[bytes] = []
        self._poll = select.epoll()
        self._mask = select.EPOLLIN
        self._redial = Redial(lambda: self._dial(2.0))
        self._link: Link | None = self._dial(timeout)
        self._greet()

    def fileno(self) -> int:
        return self._poll.fileno()

    @property
    def has_ended(self) -> bool:
        """Every node's part is over, and all its output has been handed out."""
        if not all(self._ended):
            return False
        ended = [0] * self._nodes
        for stream in self._streams.values():
            ended[stream.node] += stream.incoming.has_ended
        return all(count >= due for count, due in zip(ended, self._streams_due, strict=True))

    @property
    def stdin_room(self) -> int:
        return self._stdin.room

    def timeout(self) -> float | None:
        """How long a selector may sleep before `on_readable` wants to be called all the same."""
        return None if self._link is not None else self._redial.seconds_left()

    # ------------------------------------------------------------------ from the tasks

    def on_readable(self) -> list[_Event]:
        """What has come. Never waits, but for a new connection after a lost one (2 s at most)."""
        if self._link is None and not self._reconnect():
            return []
        events: list[_Event] = []
        try:
            assert self._link is not None
            for _, _, payload in self._link.receive():
                try:
                    self._on_frame(frames.Frame(payload), events)
                except (ValueError, IndexError):
                    continue
            self._flush()
        except BusError:
            self._on_lost()
        return events

    def _on_frame(self, frame: frames.Frame, events: list[_Event]) -> None:
        node = frame.node
        if frame.kind == frames.DATA:
            self._on_data(frame, events)
        elif frame.kind == frames.ACK:
            self._on_stdin_acknowledged(node, frame.offset)
        elif frame.kind == frames.READY:
            self._on_ready(frame, events)
        elif frame.kind >= frames.STARTED:
            if frame.offset == self._heard[node]:
                self._heard[node] += 1
                events.append(self._event(frame))
            self._say(frames.ACK, node, stream=frames.EVENTS, offset=self._heard[node])

    def _on_data(self, frame: frames.Frame, events: list[_Event]) -> None:
        stream = self._streams.get((frame.rank, frame.stream))
        if stream is None:
            stream = self._streams[frame.rank, frame.stream] = _Stream(frame.node)
        had_ended = stream.incoming.has_ended
        data = stream.incoming.accept(frame)
        is_last = stream.incoming.has_ended and not had_ended
        if data or is_last:
            events.append(Output(frame.node, frame.rank, frame.stream, data, stream.incoming.offset, is_last))

    def _on_ready(self, frame: frames.Frame, events: list[_Event]) -> None:
        node = frame.node
        if not self._ready[node]:
            self._ready[node] = True
            events.append(Ready(node, frame.data.decode(), frame.offset))
        if not frame.flags & frames.ANSWER:
            # It has just connected: it has missed what was said before.
            self._say_hello(frames.ANSWER)
            self._say_again()

    def _event(self, frame: frames.Frame) -> _Event:
        node, data = frame.node, frame.data
        if frame.kind == frames.STARTED:
            return Started(node, tuple(number for (number,) in frames.NUMBER.iter_unpack(data)))
        if frame.kind == frames.TASK_ENDED:
            return TaskEnded(node, frame.rank, frames.NUMBER.unpack(data)[0])
        if frame.kind == frames.LAUNCH_ERROR:
            return LaunchError(node, data.decode(errors="replace"))
        if frame.kind == frames.MESSAGE and frame.rank == frames.FOR_USER:
            return Notice(data.decode(errors="replace"))
        if frame.kind == frames.MESSAGE:
            return Message(node, data.decode(errors="replace"), bool(frame.rank))
        self._ended[node] = True
        self._streams_due[node] = frames.NUMBER.unpack_from(data)[0]
        self._on_stdin_acknowledged(node, 1 << 62)
        return NodeEnded(node, data[frames.NUMBER.size :].decode())

    def consumed(self, output: Output) -> None:
        """It is written: the task may write as much again."""
        stream = self._streams[output.rank, output.stream]
        stream.consumed = max(stream.consumed, output.end)
        if output.is_last or stream.consumed - stream.acknowledged >= _ACKNOWLEDGE_AFTER:
            self._acknowledge(output.rank, output.stream, stream)
            self._try_flush()

    def _acknowledge(self, rank: int, number: int, stream: _Stream) -> None:
        stream.acknowledged = stream.consumed
        offset = stream.incoming.acknowledgement(stream.consumed)
        self._say(frames.ACK, stream.node, rank=rank, stream=number, offset=offset)

    # ------------------------------------------------------------------ to the tasks

    def send_stdin(self, data: bytes) -> int:
        """How much of it was taken."""
        taken = min(len(data), self._stdin.room)
        if taken:
            self._stdin.write(data[:taken])
            self._try_flush()
        return taken

    def send_stdin_eof(self) -> None:
        self._stdin.close()
        self._try_flush()

    def send_window(self, rows: int, columns: int) -> None:
        self._window = (rows, columns)
        self._say(frames.WINDOW_SIZE, data=frames.SIZE.pack(rows, columns))
        self._try_flush()

    def send_signal(self, number: int) -> None:
        frame = frames.pack(frames.SIGNAL, offset=number)
        if self._link is None:
            self._unsent.append(frame)
        else:
            self._link.publish(self._to_tasks, frame)
            self._try_flush()

    def _on_stdin_acknowledged(self, node: int, offset: int) -> None:
        self._stdin_heard[node] = max(self._stdin_heard[node], offset)
        self._stdin.acknowledge(min(self._stdin_heard))

    def _say(self, kind: int, node: int = 0, **fields: Any) -> None:
        if self._link is not None:
            self._link.publish(self._to_tasks, frames.pack(kind, node, **fields))

    def _try_flush(self) -> None:
        try:
            self._flush()
        except BusError:
            self._on_lost()

    def _flush(self) -> None:
        if self._link is None:
            return
        while (piece := self._stdin.next_piece()) is not None:
            offset, data, flags = piece
            self._say(frames.STDIN, offset=offset, data=data, flags=flags)
        done = self._link.flush_some()
        mask = select.EPOLLIN if done else select.EPOLLIN | select.EPOLLOUT
        if mask != self._mask:
            self._mask = mask
            self._poll.modify(self._link.fileno(), mask)

    # ------------------------------------------------------------------ the connection

    def _dial(self, timeout: float) -> Link:
        link = connect(self._url, self._token, timeout, name="srun", ca=self._ca)
        link.subscribe(self._from_tasks)
        self._mask = select.EPOLLIN
        self._poll.register(link.fileno(), self._mask)
        return link

    def _reconnect(self) -> bool:
        self._link = self._redial.attempt()
        if self._link is None:
            return False
        self._greet()
        return self._link is not None

    def _greet(self) -> None:
        self._say_hello(0)
        self._say_again()
        for frame in self._unsent:
            assert self._link is not None
            self._link.publish(self._to_tasks, frame)
        self._unsent.clear()
        self._try_flush()

    def _say_hello(self, flags: int) -> None:
        data = frames.SIZE.pack(*self._window) if self._window != (0, 0) else b""
        self._say(frames.HELLO, data=data, flags=flags)

    def _say_again(self) -> None:
        self._stdin.rewind()
        for (rank, number), stream in self._streams.items():
            if stream.consumed or stream.incoming.has_ended:
                self._acknowledge(rank, number, stream)

    def _on_lost(self) -> None:
        if self._link is not None:
            if not self._link.is_closed:
                self._link.close()
            self._link = None  # the closed descriptor has left the epoll set by itself

    def close(self) -> None:
        """When all is consumed: the shepherds hear it, and go."""
        if self._link is not None:
            try:
                self._link.flush(5.0)
            except BusError:
                pass
            self._link.close()
            self._link = None
        self._poll.close()

    def leave(self) -> None:
        """Before the end, wanting no more: what the tasks write from then on meets a closed pipe."""
        self._say(frames.BYE)
        self.close()
