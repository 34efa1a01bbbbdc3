"""Where does each service lead now? The answer for Caddy, which asks it anew many times a second, so that it needs no new configuration.

A program of its own that knows nothing: it answers DNS questions on a unix socket out of files that the gateway writes, one a service, and
goes on with them while the gateway is away. A question for SRV KEY.s. is answered with one of the pieces in the file KEY, by chance; the
names of addresses say what they are (7f000001.i. is 127.0.0.1). A service that leads nowhere has no file: there is no such name.

It also keeps copies of the sockets on which Caddy listens (`ports.py`), for the gateway that comes after this one. They are left and taken
at another unix socket.

It imports next to nothing, and is run as a file: it takes 10 MB.
"""

import os
import select
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


# ---------------------------------------------------------------------- copies of sockets

_NUMBER = struct.Struct("!I")
_AT_ONCE = 200  #: sockets in a message; the kernel takes 253
_TAKE = b"take"


def deposit(path: str, sockets: dict[int, int]) -> None:
    """These are kept from now on, instead of what was: descriptors by the numbers that they go by."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(path)
        _send(connection, sockets)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # until they are there


def withdraw(path: str, patience: float) -> dict[int, int]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience)
        connection.connect(path)
        connection.sendall(_TAKE)
        connection.shutdown(socket.SHUT_WR)
        return _received(connection)[0]


def _send(connection: socket.socket, sockets: dict[int, int]) -> None:
    numbers = sorted(sockets)
    for at in range(0, len(numbers), _AT_ONCE):
        some = numbers[at : at + _AT_ONCE]
        socket.send_fds(connection, [b"".join(map(_NUMBER.pack, some))], [sockets[number] for number in some])


def _received(connection: socket.socket) -> tuple[dict[int, int], bytes]:
    """And what came without sockets."""
    found: dict[int, int] = {}
    while True:
        data, descriptors, *_ = socket.recv_fds(connection, _NUMBER.size * _AT_ONCE, _AT_ONCE)
        if not data:
            return found, b""
        if not descriptors:
            return found, data
        found.update(zip((number for (number,) in _NUMBER.iter_unpack(data)), descriptors, strict=True))


def _keep(connection: socket.socket, kept: dict[int, int]) -> None:
    """Somebody leaves sockets, or takes copies."""
    found, word = _received(connection)
    if word == _TAKE:
        _send(connection, kept)
        return
    for descriptor in kept.values():
        os.close(descriptor)
    kept.clear()
    kept.update(found)


# ---------------------------------------------------------------------- the program


def _listener(path: str) -> socket.socket:
    temporary = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(temporary)
    os.chmod(temporary, 0o600)
    listener.listen(1024)
    os.replace(temporary, path)
    return listener


def serve(path: str, directory: str, copies: str) -> None:
    """For ever."""
    keeping, asking = _listener(copies), _listener(path)
    kept: dict[int, int] = {}
    ready = select.poll()
    for listener in (asking, keeping):
        ready.register(listener, select.POLLIN)
    while True:
        for number, _ in ready.poll():
            listener = asking if number == asking.fileno() else keeping
            connection, _ = listener.accept()
            try:
                connection.settimeout(_PATIENCE)
                if listener is asking:
                    connection.sendall(answer(connection.recv(2048), directory))
                else:
                    _keep(connection, kept)
            except (OSError, ValueError, IndexError, struct.error):
                pass
            finally:
                connection.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
