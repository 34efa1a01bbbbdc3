"""What do an attached client and the shepherds of its step say to each other?

Every bus message is one frame: a header of 24 bytes, and data. Subjects: bus/subjects.py (step_to_client, step_to_tasks).

    kind(B) stream(B) flags(H) node(I) rank(I) length(I) offset(Q), then `length` bytes

`node` is the index of the shepherd's node within the step. Data of a stream is numbered by byte offsets from its beginning. A
sender keeps what is not acknowledged, at most WINDOW bytes, and stops reading its source when it holds so much: so a slow reader
slows the writer, and after a lost connection everything is sent again from the acknowledged offset. A receiver takes what it
expects next, drops what it has had already, and acknowledges what has been *consumed* (written to its terminal or to the task).

Opening: HELLO (client -> all shepherds, with its id) and READY (shepherd -> client, with ranks) are sent by whoever comes; the
later one's is heard by the other, who answers. Both are repeated after each reconnection, and every side then resends what is not
acknowledged. The tasks start with the first HELLO.
"""

import struct

WINDOW = 256 * 1024  #: bytes per stream under way and not acknowledged
CHUNK = 32 * 1024  #: bytes per frame, at most

HEADER = struct.Struct("!BBHIIIQ")

# client -> shepherds
HELLO = 1  #: data = rows, columns of the client's terminal (!HH); offset = the client's id
STDIN = 2  #: rank ALL = every task
STDIN_EOF = 3  #: offset = length of the whole
WINDOW_SIZE = 4  #: data = !HH
SIGNAL = 5  #: offset = number
ACK = 6  #: both ways: this stream of this rank has been consumed up to offset
BYE = 7  #: the client leaves and wants no more (not at a crash)

# shepherds -> client
READY = 16  #: rank = first rank, offset = number of tasks on this node; data = node name
DATA = 17  #: stream 1 or 2
EOF = 18  #: offset = length of the whole
STARTED = 19  #: data = pids (!I each) in order of local ids
TASK_ENDED = 20  #: rank, offset = wait(2) status
LAUNCH_ERROR = 21  #: data = text for the user; nothing was started
STEP_ENDED = 22  #: this node's part is over; flags: an EndCause's place in its order
MESSAGE = 23  #: data = text of the shepherd itself for the client's standard error

ALL = 0xFFFFFFFF
STDIN_STREAM, STDOUT_STREAM, STDERR_STREAM = 0, 1, 2


def pack(kind: int, *, node: int = 0, rank: int = 0, stream: int = 0, offset: int = 0, data: bytes = b"", flags: int = 0) -> bytes:
    return HEADER.pack(kind, stream, flags, node, rank, len(data), offset) + data
