"""How does a shepherd carry streams and events to the attached client, and the client's input to the tasks?

protocol/streams.py says what is exchanged. Nothing here waits: while the bus is away outputs fill their windows, and then the
tasks' pipes. When the step is over the shepherd stays until the client has it all, or nobody has been heard for a while.
"""

import os
from collections.abc import Callable

from corral.agent.peers import Peers
from corral.agent.pty import Terminal
from corral.agent.reactor import Reactor, Timer
from corral.agent.typed import TypedInput
from corral.bus import subjects
from corral.bus.errors import BusError, CredentialsRefused
from corral.bus.link import Link
from corral.bus.wire import Redial, connect
from corral.model.step import EndCause
from corral.protocol import streams as frames
from corral.protocol.orders import LaunchStep

_CONNECT_TIMEOUT = 2.0
_MOST_QUEUED = 1 << 20  #: bytes in the link's own queue at which no more is put into it
#: Seconds without a word of the client after the step's end until its shepherd goes: ordinary; after an order to end.
_PATIENCE, _PATIENCE_WHEN_ENDED = 300.0, 3.0
_END_OF_TERMINAL = b"\x04"


class _Output:
    """One stream of one task: from a descriptor into the window."""

    __slots__ = ("fd", "out", "rank", "stream")

    def __init__(self, rank: int, stream: int, fd: int) -> None:
        self.rank, self.stream, self.fd = rank, stream, fd
        self.out = frames.Outgoing()


class _Feed:
    """The client's input, on its way into the tasks' pipes (or the terminal): as fast as the slowest of them takes it."""

    def __init__(self, reactor: Reactor, on_consumed: Callable[[int], None]) -> None:
        self.incoming = frames.Incoming()
        self._reactor, self._on_consumed = reactor, on_consumed
        self._data = bytearray()
        self._base = 0
        self._at: dict[int, int] = {}
        self._terminal: int | None = None

    def add(self, fd: int, *, is_terminal: bool = False) -> None:
        self._at[fd] = 0
        if is_terminal:
            self._terminal = fd

    def take(self, frame: frames.Frame) -> None:
        self._data += self.incoming.accept(frame)
        self.push()

    def push(self) -> None:
        for fd in list(self._at):
            self._push_one(fd)
        end = self._base + len(self._data)
        consumed = min(self._at.values(), default=end)
        del self._data[: consumed - self._base]
        self._base = consumed
        self._on_consumed(self.incoming.acknowledgement(consumed))

    def _push_one(self, fd: int) -> None:
        try:
            while (start := self._at[fd] - self._base) < len(self._data):
                with memoryview(self._data) as whole:
                    self._at[fd] += os.write(fd, whole[start : start + frames.CHUNK])
        except BlockingIOError:
            self._reactor.add_writer(fd, self.push)
            return
        except OSError:
            self._drop(fd)  # the task does not want it
            return
        self._reactor.remove_writer(fd)
        if self.incoming.has_ended:
            if fd == self._terminal:
                self._write_end_of_terminal(fd)
            self._drop(fd)

    def _write_end_of_terminal(self, fd: int) -> None:
        try:
            os.write(fd, _END_OF_TERMINAL)
        except OSError:
            pass

    def has(self, fd: int) -> bool:
        """Is it still open?"""
        return fd in self._at

    def close(self) -> None:
        for fd in list(self._at):
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        del self._at[fd]
        self._reactor.remove_writer(fd)
        if fd != self._terminal:
            os.close(fd)


class Uplink:
    """The shepherd's end of an attachment."""

    def __init__(
        self,
        order: LaunchStep,
        reactor: Reactor,
        on_signal: Callable[[int], None],
        on_window: Callable[[int, int], None],
        ca: str = "",
        peers: Peers | None = None,
    ) -> None:
        assert order.io is not None
        self._order, self._io, self._reactor = order, order.io, reactor
        self._on_signal, self._on_window = on_signal, on_window
        self._ca = ca
        self._node = order.step_nodes.index(order.node)
        key = str(order.key)
        self._to_client = subjects.step_to_client(self._io.cluster, key)
        self._from_client = (
            subjects.step_to_tasks(self._io.cluster, key),
            subjects.step_to_tasks(self._io.cluster, key, order.node),
        )
        self._peers = peers
        self._from_peers: tuple[str, ...] = ()
        if peers is not None:
            self._join(
                peers, subjects.step_peers(self._io.cluster, key), subjects.step_first_peer(self._io.cluster, key)
            )
        self._outputs: dict[tuple[int, int], _Output] = {}
        self._events: list[tuple[int, int, bytes]] = []  #: kind, rank, data
        self._events_sent = 0
        self._events_heard = 0
        self._feed = _Feed(reactor, self._acknowledge_stdin)
        self._stdin_acknowledged = 0
        self._link: Link | None = None
        self._registered = -1
        self._redial = Redial(self._dial)
        self._terminal: Terminal | None = None
        self._typed = TypedInput([], self._feed.has)
        self._has_finished = self._is_over = self._is_refused = False
        self._patience: Timer | None = None

    # ------------------------------------------------------------------ making

    def _join(self, peers: Peers, all_of_them: str, first: str) -> None:
        """The same connection carries what the step's shepherds say to each other."""
        self._from_peers = (all_of_them, first) if peers.is_first else (all_of_them,)
        peers.to_all = lambda message: self._tell_peers(all_of_them, message)
        peers.to_first = lambda message: self._tell_peers(first, message)

    def _tell_peers(self, subject: str, message: bytes) -> None:
        if self._link is not None:
            self._link.publish(subject, message)
            self._pump()

    def add_output(self, rank: int, stream: int, fd: int) -> None:
        output = self._outputs[rank, stream] = _Output(rank, stream, fd)
        self._reactor.add_reader(fd, lambda: self._on_output(output))

    def begin(self, stdin_pipes: list[tuple[int, int]], terminal: Terminal | None) -> None:
        """`stdin_pipes`: rank and descriptor of those tasks whose input comes from the client."""
        self._terminal = terminal
        for _, fd in stdin_pipes:
            self._feed.add(fd)
        if terminal is not None:
            self._feed.add(terminal.fd, is_terminal=True)
        self._typed = TypedInput([*stdin_pipes, *([(0, terminal.fd)] if terminal is not None else [])], self._feed.has)

    def connect(self) -> None:
        """At first, and whenever the connection is lost."""
        if self._link is not None or self._is_refused:
            return
        try:
            self._link = self._redial.attempt()
        except CredentialsRefused:
            # They were good for this step: it has ended for the controller, and with it every client.
            self._is_refused = True
            return
        if self._link is None:
            self._reactor.call_later(self._redial.seconds_left() + 0.001, self.connect)
            return
        self._registered = self._link.fileno()
        self._reactor.add_reader(self._registered, self._on_link)
        self._say(frames.READY, offset=len(self._order.tasks), data=self._order.node.encode())
        self._send_again()
        if self._peers is not None:
            self._peers.on_connected()

    def _dial(self) -> Link:
        link = connect(self._io.url, self._io.token, _CONNECT_TIMEOUT, name=f"shepherd {self._order.key}", ca=self._ca)
        for subject in (*self._from_client, *self._from_peers):
            link.subscribe(subject)
        return link

    # ------------------------------------------------------------------ to the client

    def tell(self, kind: int, rank: int = 0, data: bytes = b"") -> None:
        """An event: kept until the client has heard it."""
        self._events.append((kind, rank, data))
        self._pump()

    def _say(
        self, kind: int, *, rank: int = 0, stream: int = 0, offset: int = 0, data: bytes = b"", flags: int = 0
    ) -> None:
        if self._link is not None:
            frame = frames.pack(kind, self._node, rank=rank, stream=stream, offset=offset, data=data, flags=flags)
            self._link.publish(self._to_client, frame)

    def _on_output(self, output: _Output) -> None:
        out = output.out
        try:
            data = os.read(output.fd, min(out.room, frames.CHUNK))
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal whose last holder has gone
        if data:
            out.write(data)
            if not out.room:
                self._reactor.remove_reader(output.fd)
        else:
            self._end_output(output)
        self._pump()

    def _end_output(self, output: _Output) -> None:
        output.out.close()
        self._reactor.remove_reader(output.fd)
        if self._terminal is None:
            os.close(output.fd)

    def end_terminal(self) -> None:
        """The terminal is about to be closed: what it still holds is its last."""
        assert self._terminal is not None
        for output in self._outputs.values():
            if not output.out.is_closed:
                self._on_output(output)
            if not output.out.is_closed:
                self._end_output(output)
        self._feed.close()
        self._pump()

    def _pump(self) -> None:
        """Put into the link what may go now, and what of it the socket takes."""
        link = self._link
        if link is None:
            return
        try:
            for output in self._outputs.values():
                while link.out_size < _MOST_QUEUED and (piece := output.out.next_piece()) is not None:
                    offset, data, flags = piece
                    self._say(
                        frames.DATA, rank=output.rank, stream=output.stream, offset=offset, data=data, flags=flags
                    )
            while self._events_sent < len(self._events):
                kind, rank, data = self._events[self._events_sent]
                self._say(kind, rank=rank, offset=self._events_sent, data=data)
                self._events_sent += 1
            if link.flush_some():
                self._reactor.remove_writer(self._registered)
            else:
                self._reactor.add_writer(self._registered, self._pump)
        except BusError:
            self._on_lost()

    def _send_again(self) -> None:
        for output in self._outputs.values():
            output.out.rewind()
        self._events_sent = self._events_heard
        if self._stdin_acknowledged:
            self._say(frames.ACK, stream=frames.STDIN_STREAM, offset=self._stdin_acknowledged)
        self._pump()

    def _acknowledge_stdin(self, offset: int) -> None:
        if offset > self._stdin_acknowledged:
            self._stdin_acknowledged = offset
            self._say(frames.ACK, stream=frames.STDIN_STREAM, offset=offset)
            self._pump()

    # ------------------------------------------------------------------ from the client

    def _on_link(self) -> None:
        assert self._link is not None
        try:
            for _, subject, payload in self._link.receive():
                try:
                    if self._peers is not None and subject in self._from_peers:
                        self._peers.on_message(payload)
                    else:
                        self._on_frame(frames.Frame(payload))
                except ValueError:
                    continue
        except BusError:
            self._on_lost()
            return
        self._pump()

    def _on_frame(self, frame: frames.Frame) -> None:
        if frame.kind != frames.TYPED:
            self._be_patient()
        match frame.kind:
            case frames.ACK:
                self._on_acknowledged(frame)
            case frames.STDIN:
                self._feed.take(frame)
            case frames.HELLO:
                if len(frame.data) == frames.SIZE.size:
                    self._on_window(*frames.SIZE.unpack(frame.data))
                if not frame.flags & frames.ANSWER:
                    ready = self._order.node.encode()
                    self._say(frames.READY, offset=len(self._order.tasks), data=ready, flags=frames.ANSWER)
                self._send_again()
            case frames.WINDOW_SIZE:
                self._on_window(*frames.SIZE.unpack(frame.data))
            case frames.SIGNAL:
                self._on_signal(frame.offset)
            case frames.TYPED:
                offset = self._typed.take(frame)
                self._say(frames.TAKEN, rank=frame.rank, offset=offset)
            case frames.BYE:
                self._drop_all()

    def _on_acknowledged(self, frame: frames.Frame) -> None:
        if frame.stream == frames.EVENTS:
            if frame.node == self._node:
                self._events_heard = max(self._events_heard, min(frame.offset, len(self._events)))
            return
        output = self._outputs.get((frame.rank, frame.stream))
        if output is not None and output.out.acknowledge(frame.offset) and output.out.room:
            self._reactor.add_reader(output.fd, lambda: self._on_output(output))

    def _on_lost(self) -> None:
        if self._link is not None:
            self._reactor.forget(self._registered)
            self._link.close()
            self._link = None
        self.connect()

    def _drop_all(self) -> None:
        """The client has left of its own will."""
        for output in self._outputs.values():
            if not output.out.is_closed:
                self._end_output(output)
            output.out.drop()
        self._events_heard = self._events_sent = len(self._events)

    # ------------------------------------------------------------------ the end

    def finish(self, cause: EndCause) -> None:
        self._has_finished = True
        self.tell(frames.STEP_ENDED, data=frames.NUMBER.pack(len(self._outputs)) + cause.value.encode())
        if self._patience is None:
            self._patience = self._reactor.call_later(_PATIENCE, self._go)

    def give_up(self) -> None:
        """The job is over for the controller: a client that is still there takes the rest at once, or never."""
        self._reactor.cancel(self._patience)
        self._patience = self._reactor.call_later(_PATIENCE_WHEN_ENDED, self._go)

    def _be_patient(self) -> None:
        if self._has_finished:
            self._reactor.cancel(self._patience)
            self._patience = self._reactor.call_later(_PATIENCE, self._go)

    def _go(self) -> None:
        self._is_over = True

    def close(self) -> None:
        for output in self._outputs.values():
            if not output.out.is_closed:
                self._end_output(output)
        self._feed.close()
        if self._link is not None:
            self._link.close()

    @property
    def is_drained(self) -> bool:
        """Nothing is left that a client might want."""
        if self._is_over or self._is_refused:
            return True
        return self._events_heard == len(self._events) and all(output.out.is_done for output in self._outputs.values())
