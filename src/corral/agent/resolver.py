"""Who answers the programs of a node for names? This program, as their name server.

Names of Services whose addresses this node translates (addresses.py) it answers itself; for other names of services it asks the gateways,
for all others the machine's name servers. It outlives its agent, so that jobs resolve names whatever becomes of the cluster, and decides
nothing: a question goes on as it has come, to one server after the other until one answers. What it must know lies in three files, which
it reads again when they change: the agent's tables (who knows the services; their addresses), and the machine's /etc/resolv.conf.

It imports next to nothing, and is run as a file: it takes 12 MB.
"""

import json
import os
import select
import socket
import struct
import sys
import threading
import time

PORT = 53
#: Addresses that Pods with a network of their own see begin so.
LINK_LOCAL = "169.254."
_MACHINES = "/etc/resolv.conf"
_KUBERNETES = b".cluster.local"
_SERVICES = b".svc"
#: Seconds for which an answer of our own holds, and what it answers.
_HOLDS = 5
_A, _AAAA = 1, 28
_TRANSLATES = 0x40  #: gateway/dns.py
#: Until the next server is asked, or the only one again; in all, as long as resolvers wait that ask us.
_SECONDS, _ALL_SECONDS = 1.0, 4.5
#: Until one is asked again that was not there at all.
_AWAY_SECONDS = 0.2
#: Questions under way at once; more are dropped, and asked again by who wants to know.
_MOST = 2000
_LARGEST = 65535
_SERVER_FAILS, _NO_SUCH_NAME, _REFUSED = 2, 3, 5


class Files:
    """What they say, as of now."""

    def __init__(self, table: str, addresses: str = "") -> None:
        self._table, self._addresses = table, addresses
        self._translated: dict[bytes, bytes] = {}
        self.translates = False
        self._seen: dict[str, object] = {}
        self._domain = b"\0"
        self._servers: dict[bool, list[tuple[str, int]]] = {False: [], True: []}
        self._machines: list[tuple[str, int]] = []
        self._is_in_kubernetes = False
        self.own: set[str] = set()

    def look(self) -> None:
        if self._has_changed(self._table):
            try:
                with open(self._table, encoding="utf-8") as file:
                    said = json.load(file)
            except (OSError, ValueError):
                said = {}
            self._domain = b"." + (said.get("domain") or "\0").encode()
            servers = [_place(text) for text in said.get("servers", ())]
            self._servers = {False: servers, True: [_place(text) for text in said.get("for_pods", ())] or servers}
        if self._addresses and self._has_changed(self._addresses):
            try:
                with open(self._addresses, encoding="utf-8") as file:
                    known = json.load(file)["names"]
                    self._translated = {b"." + name.encode(): socket.inet_aton(text) for name, text in known.items()}
                self.translates = True
            except (OSError, ValueError, KeyError):
                self._translated, self.translates = {}, False
        if self._has_changed(_MACHINES):
            self._machines = [(one, PORT) for one in words_after("nameserver", _MACHINES) if one not in self.own]
            searched = words_after("search", _MACHINES)
            self._is_in_kubernetes = any(f".{one}".endswith(".cluster.local") for one in searched)

    def _has_changed(self, path: str) -> bool:
        try:
            found = os.stat(path)
            seen: object = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            seen = None
        if self._seen.get(path, 0) == seen:
            return False
        self._seen[path] = seen
        return True

    def servers_for(self, name: bytes, *, by_pod: bool) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Those that know the services, if it may be one's name; and others."""
        self.look()
        if name.endswith(self._domain):
            return self._servers[by_pod], []
        if name.endswith(_KUBERNETES):  # the agent may be a Pod of Kubernetes'
            return self._servers[by_pod], self._machines if self._is_in_kubernetes else []
        return [], self._machines

    def address_of(self, name: bytes) -> bytes:
        """Which this node translates; b"" = none."""
        self.look()
        for end in (self._domain, _KUBERNETES):
            if name.endswith(end):
                return self._translated.get(name.removesuffix(end).removesuffix(_SERVICES), b"")
        return b""

    def for_gateway(self, question: bytes) -> bytes:
        """It is told whether Pods' own addresses lead to them from here."""
        return question[:3] + bytes((question[3] | _TRANSLATES,)) + question[4:] if self.translates else question

    def prefer(self, server: tuple[str, int]) -> None:
        """It has answered: it is asked first from now on."""
        for servers in (*self._servers.values(), self._machines):
            if server in servers[1:]:
                servers.remove(server)
                servers.insert(0, server)


class Question:
    """One that is under way."""

    __slots__ = ("asked", "asker", "count", "data", "first", "is_last_word", "listener", "others", "server", "until")

    def __init__(
        self, data: bytes, asker: tuple[str, int], listener: socket.socket, first: list[tuple[str, int]], others: list[tuple[str, int]]
    ) -> None:  # fmt: skip
        self.data, self.asker, self.listener = data, asker, listener
        self.first, self.others = list(first), list(others)
        self.server, self.is_last_word, self.count = ("", 0), False, 0
        self.asked, self.until = 0.0, time.monotonic() + _ALL_SECONDS

    def next_server(self) -> None:
        """The list goes round: a message may be lost, a server may come back."""
        self.is_last_word = not self.first
        servers = self.first or self.others
        self.server = servers.pop(0)
        servers.append(self.server)
        self.count += 1

    @property
    def has_asked_all(self) -> bool:
        return self.count >= len(self.first or self.others)


class Resolver:
    """At its addresses."""

    def __init__(self, table: str, translated: str, addresses: list[str]) -> None:
        """`translated`: the file that says of which Services."""
        self._files = Files(table, translated)
        self._files.own = set(addresses)
        self._poll = select.poll()
        self._listeners: dict[int, tuple[socket.socket, bool]] = {}
        self._under_way: dict[int, tuple[socket.socket, Question]] = {}
        self._later: list[Question] = []
        for address in addresses:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            udp.bind((address, PORT))
            by_pod = address.startswith(LINK_LOCAL)
            self._listeners[udp.fileno()] = udp, by_pod
            self._poll.register(udp, select.POLLIN)
            tcp = socket.socket()
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((address, PORT))
            tcp.listen(64)
            threading.Thread(target=self._take, args=(tcp, by_pod), daemon=True).start()

    def serve(self) -> None:
        while True:
            for fd, _ in self._poll.poll(50 if self._under_way or self._later else None):
                if fd in self._listeners:
                    self._hear(*self._listeners[fd])
                elif fd in self._under_way:
                    self._on_answer(*self._under_way[fd])
            now = time.monotonic()
            for sock, question in list(self._under_way.values()):
                if now - question.asked > _SECONDS:
                    self._leave(sock)
                    self._ask(question)
            due, self._later = self._later, []
            for question in due:
                if now - question.asked > _AWAY_SECONDS:
                    self._ask(question)
                else:
                    self._later.append(question)

    # -- over UDP

    def _hear(self, listener: socket.socket, by_pod: bool) -> None:
        for _ in range(64):
            try:
                data, asker = listener.recvfrom(_LARGEST)
            except OSError:
                return
            try:
                name = name_of(data)
                said = own_answer(data, self._files.address_of(name))
            except (IndexError, ValueError):
                continue
            question = Question(data, asker, listener, *self._files.servers_for(name, by_pod=by_pod))
            if said:
                self._say(question, said)
            elif len(self._under_way) < _MOST:
                self._ask(question)

    def _ask(self, question: Question) -> None:
        """The next server."""
        if not question.first and not question.others:
            self._say(question, failure(question.data, _NO_SUCH_NAME))
            return
        if time.monotonic() > question.until:
            self._say(question, failure(question.data, _SERVER_FAILS))
            return
        question.next_server()
        question.asked = time.monotonic()
        sock = _datagrams(question.server[0])
        try:
            sock.connect(question.server)
            sock.send(question.data if question.is_last_word else self._files.for_gateway(question.data))
        except OSError:
            sock.close()
            self._later.append(question)
            return
        self._under_way[sock.fileno()] = sock, question
        self._poll.register(sock, select.POLLIN)

    def _on_answer(self, sock: socket.socket, question: Question) -> None:
        try:
            data = sock.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # nobody is there
            data = b""
        if data and data[:2] != question.data[:2]:
            return  # not an answer to this
        self._leave(sock)
        if not data:
            self._later.append(question)
        elif not question.is_last_word and is_of_another(data, question.others):
            question.first.clear()
            self._ask(question)
        elif has_failed(data) and not question.has_asked_all:
            self._ask(question)
        else:
            self._files.prefer(question.server)
            self._say(question, data)

    def _leave(self, sock: socket.socket) -> None:
        self._under_way.pop(sock.fileno(), None)
        self._poll.unregister(sock)
        sock.close()

    def _say(self, question: Question, data: bytes) -> None:
        try:
            question.listener.sendto(data, question.asker)
        except OSError:
            pass  # who has asked is gone

    # -- over TCP, for long answers: seldom

    def _take(self, listener: socket.socket, by_pod: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                time.sleep(0.1)
                continue
            threading.Thread(target=self._carry, args=(connection, by_pod), daemon=True).start()

    def _carry(self, connection: socket.socket, by_pod: bool) -> None:
        with connection:
            connection.settimeout(_ALL_SECONDS)
            try:
                while data := _message(connection):
                    name = name_of(data)
                    first, others = self._files.servers_for(name, by_pod=by_pod)
                    said = (
                        own_answer(data, self._files.address_of(name))
                        or _asked_at_length(data, self._files.for_gateway(data), first, others)
                        or failure(data, _SERVER_FAILS if first or others else _NO_SUCH_NAME)
                    )
                    connection.sendall(struct.pack("!H", len(said)) + said)
            except (OSError, IndexError, ValueError, struct.error):
                return


def _asked_at_length(
    data: bytes, for_gateway: bytes, first: list[tuple[str, int]], others: list[tuple[str, int]]
) -> bytes:
    """What one of them says; b"" = none does."""
    for server in (*first, *others):
        is_last = server in others or not others
        kind = socket.SOCK_DGRAM if server in first else socket.SOCK_STREAM  # gateways have no long answers
        try:
            with socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, kind) as sock:
                sock.settimeout(_SECONDS)
                sock.connect(server)
                sock.sendall(for_gateway if kind == socket.SOCK_DGRAM else struct.pack("!H", len(data)) + data)
                said = sock.recv(_LARGEST) if kind == socket.SOCK_DGRAM else _message(sock)
        except OSError:
            continue
        if said and said[:2] == data[:2] and (is_last or not is_of_another(said, others)):
            return said
    return b""


def _message(sock: socket.socket) -> bytes:
    head = _exactly(sock, 2)
    return _exactly(sock, struct.unpack("!H", head)[0]) if head else b""


def _exactly(sock: socket.socket, size: int) -> bytes:
    """b"" = the other end has closed."""
    found = b""
    while len(found) < size:
        piece = sock.recv(size - len(found))
        if not piece:
            return b""
        found += piece
    return found


def _datagrams(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def name_of(message: bytes) -> bytes:
    """Which is asked for, with a dot before it. Raises IndexError, ValueError for what is no question."""
    if message[2] & 0x80 or not message[5]:
        raise ValueError("not a question")
    at, found = 12, b""
    while length := message[at]:
        if length > 63:
            raise ValueError("not a name")
        found += b"." + message[at + 1 : at + 1 + length]
        at += 1 + length
    return found.lower()


def own_answer(message: bytes, address: bytes) -> bytes:
    """To what is asked of this name; b"" = others answer. Raises IndexError for what is no question."""
    if not address:
        return b""
    end = 12
    while length := message[end]:
        end += 1 + length
    kind = struct.unpack_from("!H", message, end + 1)[0] if len(message) >= end + 5 else 0
    if kind not in (_A, _AAAA):
        return b""
    record = struct.pack("!HHHIH", 0xC00C, _A, 1, _HOLDS, len(address)) + address if kind == _A else b""
    head = message[:2] + bytes((0x84 | message[2] & 0x79, 0x80)) + struct.pack("!HHHH", 1, bool(record), 0, 0)
    return head + message[12 : end + 5] + record


def is_of_another(answer: bytes, others: list[tuple[str, int]]) -> bool:
    """Do the gateways not know it, and might others?"""
    return bool(others) and len(answer) > 3 and answer[3] & 15 in (_NO_SUCH_NAME, _REFUSED)


def has_failed(answer: bytes) -> bool:
    """Another server may know more."""
    return len(answer) < 4 or answer[3] & 15 in (_SERVER_FAILS, _REFUSED)


def failure(question: bytes, code: int) -> bytes:
    """An answer that says no more than that."""
    return question[:2] + bytes((0x80 | question[2] & 0x79, 0x80 | code)) + question[4:6] + b"\0" * 6 + question[12:]


def words_after(key: str, path: str) -> list[str]:
    """In all lines of the machine's that begin so."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return []
    return [word for words in lines if words[:1] == [key] for word in words[1 : 2 if key == "nameserver" else None]]


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main(table: str, translated: str, ready: str, addresses: list[str]) -> None:
    resolver = Resolver(table, translated, addresses)
    with open(f"{ready}.new", "w", encoding="utf-8") as file:
        file.write(" ".join(addresses))
    os.replace(f"{ready}.new", ready)
    resolver.serve()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
