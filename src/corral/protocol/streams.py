"""What do an attached client and the shepherds of its step say to each other?

Every bus message is one frame: a header of 24 bytes, and data. Subjects: bus/subjects.py (step_to_client, step_to_tasks).

    kind(B) stream(B) flags(H) node(I) rank(I) length(I) offset(Q), then `length` bytes

`node` is the index of the shepherd's node within the step.

The bytes of a stream are numbered from its beginning, and its end counts as one more byte. A sender keeps what is not
acknowledged, at most WINDOW bytes, and stops reading its source when it holds so much: so a slow reader slows the writer. A
receiver takes what it expects next, drops what it has had already, and acknowledges what has been *consumed* (written to the
terminal, or to the task). What else a shepherd has to say (events) is numbered and acknowledged in the same way, one by one.

HELLO is said by a client that has connected, READY by a shepherd that has; each answers the other's. Whoever hears one sends all
again that is not acknowledged: after a lost connection, whichever side's, nothing is missing and nothing comes twice. The tasks
do not wait for the client: they run until their output fills the window.

Others may listen beside the client (sattach): they say HELLO, so that they hear what is not acknowledged yet, and acknowledge nothing.
"""

import struct

WINDOW = 256 * 1024  #: bytes per stream under way and not acknowledged
CHUNK = 32 * 1024  #: bytes per frame, at most

TYPED_MOST = 4096  #: a pipe takes so much whole, or not at all

HEADER = struct.Struct("!BBHIIIQ")

# client -> shepherds
HELLO = 1  #: data = rows, columns of the client's terminal (!HH), or nothing; flags 1 = in answer to READY
STDIN = 2  #: flags 1 = this is the end
WINDOW_SIZE = 4  #: data = !HH
SIGNAL = 5  #: offset = number
ACK = 6  #: both ways: this stream of this rank has been consumed up to offset; EVENTS: so many events have been heard
BYE = 7  #: the client leaves and wants no more (a client that was killed does not say so)
#: From sattach, beside the client's own input: rank = a number of its own choice, offset, at most TYPED_MOST bytes;
#: node = 0 for all tasks, else one rank + 1. Said again until every node of the step has answered TAKEN.
TYPED = 8

# shepherds -> client
READY = 16  #: flags 1 = in answer to HELLO; offset = number of tasks on this node; data = the node's name
TAKEN = 18  #: rank as in TYPED; offset = what comes next
DATA = 17  #: stream 1 or 2; flags 1 = this is the end

# events: offset = their number, from 0
STARTED = 32  #: data = processes, !I each, in the order of local ids
TASK_ENDED = 33  #: rank; data = status of wait(2), !I
LAUNCH_ERROR = 34  #: data = text for the user; not everything was started
MESSAGE = 35  #: data = text of the shepherd itself for the client's standard error; rank 1 = of a signal, which ends nothing by itself
FOR_USER = 2  #: rank of a MESSAGE that the client says as its own (scontrol notify)
STEP_ENDED = 36  #: this node's part is over; data = how many streams to the client it had (!I), and the EndCause's word

EVENTS = 255  #: in place of a stream, for ACK
STDIN_STREAM, STDOUT_STREAM, STDERR_STREAM = 0, 1, 2

ANSWER = 1
END = 1

SIZE = struct.Struct("!HH")
NUMBER = struct.Struct("!I")


class Frame:
    """One message, taken apart."""

    __slots__ = ("data", "flags", "kind", "node", "offset", "rank", "stream")

    def __init__(self, message: bytes) -> None:
        """Raises ValueError for what is no frame."""
        if len(message) < HEADER.size:
            raise ValueError("a frame is cut off")
        self.kind, self.stream, self.flags, self.node, self.rank, length, self.offset = HEADER.unpack_from(message)
        self.data = message[HEADER.size : HEADER.size + length]
        if len(self.data) != length:
            raise ValueError("a frame is cut off")


def pack(
    kind: int, node: int = 0, *, rank: int = 0, stream: int = 0, offset: int = 0, data: bytes = b"", flags: int = 0
) -> bytes:
    return HEADER.pack(kind, stream, flags, node, rank, len(data), offset) + data


class Outgoing:
    """The sender's end of a stream: what has been written and is not acknowledged."""

    __slots__ = ("_base", "_data", "_sent", "is_closed", "is_done")

    def __init__(self) -> None:
        self._data = bytearray()
        self._base = 0  #: the offset of its first byte
        self._sent = 0  #: what comes before this offset is under way
        self.is_closed = False
        self.is_done = False  #: the end itself has been acknowledged

    @property
    def room(self) -> int:
        """How much may be written now."""
        return 0 if self.is_closed else WINDOW - len(self._data)

    def write(self, data: bytes | memoryview) -> None:
        self._data += data

    def close(self) -> None:
        self.is_closed = True

    def next_piece(self) -> tuple[int, bytes, int] | None:
        """Offset, data and flags of the next frame to send; None = nothing now."""
        length = self._base + len(self._data)
        if self._sent < length:
            offset, start = self._sent, self._sent - self._base
            data = bytes(self._data[start : start + CHUNK])
            self._sent += len(data)
            is_last = self.is_closed and self._sent == length
            self._sent += is_last
            return offset, data, END if is_last else 0
        if self.is_closed and self._sent == length:
            self._sent += 1
            return length, b"", END
        return None

    def acknowledge(self, offset: int) -> bool:
        """True when there is more room, or it is done."""
        length = self._base + len(self._data)
        gone = min(offset, length) - self._base
        if gone > 0:
            del self._data[:gone]
            self._base += gone
            self._sent = max(self._sent, self._base)
        if self.is_closed and offset > length:
            self.is_done = True
        return gone > 0 or self.is_done

    def rewind(self) -> None:
        """Send all again that is not acknowledged."""
        if not self.is_done:
            self._sent = self._base

    def drop(self) -> None:
        """Nobody wants it any more."""
        self._base += len(self._data)
        self._data.clear()
        self.is_closed = self.is_done = True


class Incoming:
    """The receiver's end of a stream: what is expected next."""

    __slots__ = ("has_ended", "offset")

    def __init__(self) -> None:
        self.offset = 0
        self.has_ended = False

    def accept(self, frame: Frame) -> bytes:
        """What is new in this frame. What comes too early is dropped: it will be sent again."""
        if frame.offset > self.offset or self.has_ended:
            return b""
        data = frame.data[self.offset - frame.offset :] if self.offset > frame.offset else frame.data
        if frame.flags & END and self.offset <= frame.offset + len(frame.data):
            self.has_ended = True
        self.offset += len(data)
        return data

    def acknowledgement(self, consumed: int) -> int:
        """What to say when so many bytes are consumed: the end is one more."""
        return consumed + 1 if self.has_ended and consumed == self.offset else consumed
