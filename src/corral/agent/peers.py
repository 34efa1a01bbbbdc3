"""How do the shepherds of one step agree on what their tasks have told each other?

Tasks of an MPI program publish pairs of key and value, and meet at a fence; behind it each sees the pairs of all. When all tasks
of a node have come to the fence its shepherd sends what they have put to the first node's shepherd, which sends all of it to
everybody once the last node has come: two messages per node and fence, however many tasks there are.

The bus may lose messages. Who waits for an answer asks again, first soon and then more seldom, and at once after a new connection;
the first node remembers its last answers, so asking again does nothing twice. What is too long for one message goes in parts.

Beside fences there are questions to the first node (names under which programs publish their ports), and the word that the whole
step is to be ended.
"""

import enum
from collections.abc import Callable, Sequence

import msgspec

from corral.agent.reactor import Reactor, Timer

#: Bytes of one message: below what any NATS server takes.
PART = 512 * 1024
#: Seconds until something is said again: the first time, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class _Kind(enum.IntEnum):
    FENCE = 0  #: to the first: a node has come; from it: all have
    ASK = 1
    ANSWER = 2
    ABORT = 3
    HELLO = 4  #: the first node hears only now


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """One message on the bus. `node`: who sends it, or for an answer whom it is for."""

    kind: _Kind
    node: int
    serial: int
    data: bytes = b""
    part: int = 0
    parts: int = 1


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Part).decode
_decode_many = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_texts = msgspec.msgpack.Decoder(list[str]).decode


class Repeated:
    """Something that is said until it is answered."""

    def __init__(self, reactor: Reactor, say: Callable[[], None]) -> None:
        self._reactor, self._say = reactor, say
        self._pause = _FIRST_PAUSE
        self._timer: Timer | None = None
        self._again()

    def _again(self) -> None:
        self._say()
        self._timer = self._reactor.call_later(self._pause, self._again)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def stop(self) -> None:
        self._reactor.cancel(self._timer)


class Peers:
    """One shepherd's part. `to_first` and `to_all` put a message on the bus, or lose it."""

    def __init__(
        self,
        node: int,
        nodes: int,
        reactor: Reactor,
        on_fence: Callable[[Sequence[bytes]], None],
        on_abort: Callable[[], None],
    ) -> None:
        self._node, self._nodes, self._reactor = node, nodes, reactor
        self._on_fence, self._on_abort = on_fence, on_abort
        self.to_first: Callable[[bytes], None] = lambda message: None
        self.to_all: Callable[[bytes], None] = lambda message: None
        self._serial = 0  #: the fence that is waited at, or was last
        self._said: Repeated | None = None  #: what this node waits for at a fence
        self._say_fence: Callable[[], None] = lambda: None
        self._questions: list[tuple[tuple[str, ...], Callable[[str], None]]] = []
        self._asked: Repeated | None = None
        self._question_serial = 0
        self._parts: dict[tuple[int, int, int], dict[int, bytes]] = {}
        self._has_aborted = False
        # of the first node
        self._arrived: dict[int, bytes] = {}
        self._last_fence: tuple[int, bytes] = (0, b"")
        self._names: dict[str, str] = {}
        self._answers: dict[int, tuple[int, str]] = {}

    @property
    def is_first(self) -> bool:
        return self._node == 0

    # ------------------------------------------------------------------ what the tasks' server asks for

    def fence(self, data: bytes) -> None:
        """All tasks of this node are there, and have put this. `on_fence` gets every node's."""
        self._serial += 1
        if self.is_first:
            self._arrive(0, self._serial, data)
            return
        self._say_fence = lambda: self._send(self.to_first, _Kind.FENCE, self._node, self._serial, data)
        self._said = Repeated(self._reactor, self._say_fence)

    def ask(self, words: tuple[str, ...], on_answer: Callable[[str], None]) -> None:
        """publish NAME PORT, unpublish NAME, lookup NAME: answered with a text, "" = no."""
        if self.is_first:
            on_answer(self._answer(words))
            return
        self._questions.append((words, on_answer))
        if len(self._questions) == 1:
            self._ask_next()

    def _ask_next(self) -> None:
        self._question_serial += 1
        data = _encode(list(self._questions[0][0]))
        serial = self._question_serial
        self._asked = Repeated(self._reactor, lambda: self._send(self.to_first, _Kind.ASK, self._node, serial, data))

    def abort(self) -> None:
        """The step is to be ended on all nodes."""
        if not self._has_aborted:
            self._has_aborted = True
            self._send(self.to_all, _Kind.ABORT, self._node, 0)

    def on_connected(self) -> None:
        """What was said before may not have been heard."""
        if self.is_first:
            self._send(self.to_all, _Kind.HELLO, 0, self._serial)
        elif self._said is not None:
            self._say_fence()
        if self._has_aborted:
            self._send(self.to_all, _Kind.ABORT, self._node, 0)

    def close(self) -> None:
        for repeated in (self._said, self._asked):
            if repeated is not None:
                repeated.stop()

    # ------------------------------------------------------------------ what comes from the bus

    def on_message(self, message: bytes) -> None:
        """Raises ValueError for what is none."""
        try:
            part = _decode(message)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
        if not 0 <= part.node < self._nodes:
            raise ValueError("not from this step")
        data = self._whole(part)
        if data is None:
            return
        match part.kind:
            case _Kind.FENCE if self.is_first and part.node:
                self._arrive(part.node, part.serial, data)
            case _Kind.FENCE if not self.is_first:
                self._pass(part.serial, data)
            case _Kind.ASK if self.is_first:
                self._on_question(part.node, part.serial, data)
            case _Kind.ANSWER if part.node == self._node:
                self._on_answer(part.serial, data)
            case _Kind.ABORT:
                self._has_aborted = True
                self._on_abort()
            case _Kind.HELLO if self._said is not None:
                self._say_fence()

    def _whole(self, part: _Part) -> bytes | None:
        """The message's data when its last part has come."""
        if part.parts == 1:
            return part.data
        key = part.kind, part.node, part.serial
        held = self._parts.setdefault(key, {})
        held[part.part] = part.data
        if len(held) < part.parts:
            return None
        del self._parts[key]
        return b"".join(held[index] for index in range(part.parts))

    def _send(self, way: Callable[[bytes], None], kind: _Kind, node: int, serial: int, data: bytes = b"") -> None:
        parts = max(1, -(-len(data) // PART))
        for index in range(parts):
            way(_encode(_Part(kind, node, serial, data[index * PART : (index + 1) * PART], index, parts)))

    # ------------------------------------------------------------------ fences

    def _arrive(self, node: int, serial: int, data: bytes) -> None:
        """At the first node: one more has come."""
        done, answer = self._last_fence
        if serial <= done:
            if serial == done and node:
                self._send(self.to_all, _Kind.FENCE, 0, done, answer)
            return
        if serial != done + 1:
            return  # no node can be further than that
        self._arrived[node] = data
        if len(self._arrived) == self._nodes:
            answer = _encode([self._arrived[index] for index in range(self._nodes)])
            self._arrived = {}
            self._last_fence = serial, answer
            if self._nodes > 1:
                self._send(self.to_all, _Kind.FENCE, 0, serial, answer)
            self._on_fence(_decode_many(answer))

    def _pass(self, serial: int, data: bytes) -> None:
        if self._said is None or serial != self._serial:
            return
        self._said.stop()
        self._said = None
        self._on_fence(_decode_many(data))

    # ------------------------------------------------------------------ names

    def _on_question(self, node: int, serial: int, data: bytes) -> None:
        if node not in self._answers or self._answers[node][0] < serial:
            self._answers[node] = serial, self._answer(tuple(_decode_texts(data)))
        known, text = self._answers[node]
        if known == serial:
            self._send(self.to_all, _Kind.ANSWER, node, serial, text.encode())

    def _answer(self, words: tuple[str, ...]) -> str:
        match words:
            case "publish", name, port:
                self._names[name] = port
                return "ok"
            case "unpublish", name:
                return "ok" if self._names.pop(name, "") else ""
            case "lookup", name:
                return self._names.get(name, "")
        return ""

    def _on_answer(self, serial: int, data: bytes) -> None:
        if self._asked is None or serial != self._question_serial:
            return
        self._asked.stop()
        self._asked = None
        _, on_answer = self._questions.pop(0)
        if self._questions:
            self._ask_next()
        on_answer(data.decode())
