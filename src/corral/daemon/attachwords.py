"""How do a Pod's shepherd and who attaches to it speak: at which socket, in which frames?

The socket has an abstract name on the node. To the shepherd go frames of kind and length: what is typed, the end of that, the size of the
terminal. What the container says comes back as it is.
"""

import struct

HEAD = struct.Struct("!BI")  #: kind, length
TYPED, END, SIZE = 0, 1, 2
SIZE_OF = struct.Struct("!HH")  #: rows, columns
#: Bytes of one frame.
MOST = 1 << 20


def name_of(uid: str, container: str) -> str:
    """`uid`: the Pod's."""
    return f"corral-attach-{uid}-{container}"


def frame(kind: int, data: bytes = b"") -> bytes:
    return HEAD.pack(kind, len(data)) + data
