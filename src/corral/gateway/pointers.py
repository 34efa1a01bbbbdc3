"""Where does each service lead now? The answer for Caddy, which asks it anew many times a second, so that it needs no new configuration.

A program of its own that knows nothing: it answers DNS questions on a unix socket out of files that the gateway writes, one a service, and
goes on with them while the gateway is away. A question for SRV KEY.s. is answered with one of the pieces in the file KEY, by chance; the
names of addresses say what they are (7f000001.i. is 127.0.0.1). A service that leads nowhere has no file: there is no such name.

It imports next to nothing, and is run as a file: it takes 10 MB.
"""

import os
import socket
import struct
import sys
from random import choice

A, AAAA, SRV = 1, 28, 33
_HEAD = struct.Struct("!HHHHHH")
_PIECE = struct.Struct("!HH")  # answers, bytes
_RECORD = struct.Struct("!HHHIH")  # name (a pointer to the question's), type, class, time to live, length
_SERVICE = struct.Struct("!HHH")  # priority, weight, port
_QUESTION_NAME = 0xC00C
_ANSWER, _NO_SUCH_NAME = 0x8480, 0x8483
#: Of an answer, as Go's resolver takes it; less the head and the question.
PIECE_BYTES = 1232 - 12 - 64
_PATIENCE = 2.0


def name_of(address: bytes) -> bytes:
    """As it stands in a message: 7f000001.i."""
    text = address.hex().encode()
    return bytes((len(text),)) + text + b"\x01i\x00"


def service_records(targets: list[tuple[bytes, int]]) -> bytes:
    """The file of a service: packed addresses and ports, dealt into as few pieces as fit into an answer each."""
    records = []
    for address, port in targets:
        name = name_of(address)
        head = _RECORD.pack(_QUESTION_NAME, SRV, 1, 0, _SERVICE.size + len(name))
        records.append(head + _SERVICE.pack(0, 1, port) + name)
    if not records:
        return b""
    count = -(-len(records) // max(1, PIECE_BYTES // max(map(len, records))))
    return b"".join(_PIECE.pack(len(piece), sum(map(len, piece))) + b"".join(piece) for piece in _dealt(records, count))


def _dealt(records: list[bytes], count: int) -> list[list[bytes]]:
    return [records[index::count] for index in range(count)]


def pieces_of(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        count, size = _PIECE.unpack_from(data, at)
        at += _PIECE.size
        found.append((count, data[at : at + size]))
        at += size
    return found


def question_of(message: bytes) -> tuple[list[bytes], int, int]:
    """Its labels, its type, and where it ends."""
    at, labels = 12, []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    return labels, int.from_bytes(message[at + 1 : at + 3], "big"), at + 5


def answer(message: bytes, directory: str) -> bytes:
    """To one question."""
    labels, kind, end = question_of(message)
    found = None
    if len(labels) == 2 and labels[1] == b"s":
        found = _service(labels[0], directory) if kind == SRV else (0, b"")
    elif len(labels) == 2 and labels[1] == b"i":
        address = bytes.fromhex(labels[0].decode())
        found = 0, b""
        if (kind, len(address)) in ((A, 4), (AAAA, 16)):
            found = 1, _RECORD.pack(_QUESTION_NAME, kind, 1, 3600, len(address)) + address
    flags = _ANSWER if found is not None else _NO_SUCH_NAME
    count, records = found or (0, b"")
    return _HEAD.pack(int.from_bytes(message[:2], "big"), flags, 1, count, 0, 0) + message[12:end] + records


def _service(key: bytes, directory: str) -> tuple[int, bytes] | None:
    if not key.isalnum():
        return None
    try:
        with open(os.path.join(directory, key.decode()), "rb") as file:
            return choice(pieces_of(file.read()))
    except (OSError, IndexError):
        return None


def serve(path: str, directory: str) -> None:
    """For ever."""
    temporary = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(temporary)
    os.chmod(temporary, 0o600)
    listener.listen(1024)
    os.replace(temporary, path)
    while True:
        connection, _ = listener.accept()
        try:
            connection.settimeout(_PATIENCE)
            connection.sendall(answer(connection.recv(2048), directory))
        except (OSError, ValueError, IndexError, struct.error):
            pass
        finally:
            connection.close()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
