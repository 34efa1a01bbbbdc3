"""What does a program started with srun --mpi=pmix find behind PMIX_SERVER_URI?

The server of libpmix, where that library is installed. It lives in a process forked from the shepherd, as the job's user, for it
has threads and memory of its own: whatever becomes of it, the shepherd goes on. The two speak over a socket in messages of msgpack
behind their length. When the node's tasks have come to a fence the library's blob goes the way of `agent/peers.py`, and what
comes back is all nodes' blobs, one behind the other.
"""

import os
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from corral.agent.identity import Identity
from corral.agent.peers import Peers
from corral.agent.reactor import Reactor
from corral.model.step import TaskPlace
from corral.protocol.orders import LaunchStep

#: Seconds that the library may take to begin.
_PATIENCE = 20.0
#: What cannot be ignored, or says that the server itself has gone wrong.
_OUR_OWN = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
    signal.SIGABRT,
}  # fmt: skip
_LENGTH = struct.Struct("!I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class CannotServe(Exception):
    """Why there is no PMIx for this step here."""


class PmixServer:
    """The shepherd's end."""

    def __init__(self, order: LaunchStep, reactor: Reactor, on_abort: Callable[[], None]) -> None:
        self._order, self._reactor, self._on_abort = order, reactor, on_abort
        self.peers = Peers(order.step_nodes.index(order.node), len(order.step_nodes), reactor, self._on_fence, on_abort)
        self._socket: socket.socket | None = None
        self._in = bytearray()
        self._out = bytearray()
        self._fences: deque[bytes] = deque()  #: the first is under way
        self._variables: dict[int, dict[str, str]] = {}
        self._directory = ""
        self._identity: Identity | None = None

    def begin(self, identity: Identity) -> None:
        """Fork the server and wait until it knows the step. Raises CannotServe."""
        import tempfile  # like shutil below: nothing that every shepherd should carry

        self._identity = identity
        with identity.for_a_while():
            self._directory = tempfile.mkdtemp(prefix="corral-pmix-", dir="/tmp")
        ours, theirs = socket.socketpair()
        if not os.fork():
            try:
                ours.close()
                _serve(self._order, identity, theirs, self._directory)
            finally:
                os._exit(1)
        theirs.close()
        ours.settimeout(_PATIENCE)
        try:
            kind, value = _receive(ours)
        except (OSError, EOFError, msgspec.MsgspecError):
            kind, value = "failed", "it ended at once"
        if kind != "ready":
            ours.close()
            raise CannotServe(f"mpi/pmix: {value}")
        self._variables = {int(rank): variables for rank, variables in value}
        ours.setblocking(False)
        self._socket = ours
        self._reactor.add_reader(ours.fileno(), self._on_readable)

    def admit(self, place: TaskPlace) -> tuple[int, dict[str, str]]:
        """As of a PmiServer: no descriptor is inherited."""
        variables = {"SLURM_PMIX_MAPPING_SERV": self._order.process_mapping}
        return -1, variables | self._variables.get(place.rank, {})

    def close_task_ends(self) -> None:
        """There are none."""

    def close(self) -> None:
        self._drop()
        self.peers.close()
        if self._directory and self._identity is not None:
            import shutil

            with self._identity.for_a_while():
                shutil.rmtree(self._directory, ignore_errors=True)

    # ------------------------------------------------------------------ what goes to and fro

    def _on_readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            return
        self._in += data
        while (message := _cut(self._in)) is not None:
            kind, value = message
            if kind == "fence":
                self._fences.append(value)
                if len(self._fences) == 1:
                    self.peers.fence(value)
            elif kind == "abort":
                self.peers.abort()
                self._on_abort()

    def _on_fence(self, parts: Sequence[bytes]) -> None:
        self._out += _packed("passed", b"".join(parts))
        self._flush()
        self._fences.popleft()
        if self._fences:
            self.peers.fence(self._fences[0])

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            while self._out:
                del self._out[: self._socket.send(self._out, socket.MSG_NOSIGNAL)]
        except BlockingIOError:
            self._reactor.add_writer(self._socket.fileno(), self._flush)
            return
        except OSError:
            self._drop()
            return
        self._reactor.remove_writer(self._socket.fileno())

    def _drop(self) -> None:
        if self._socket is not None:
            self._reactor.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _packed(kind: str, value: Any) -> bytes:
    data = _encode((kind, value))
    return _LENGTH.pack(len(data)) + data


def _cut(data: bytearray) -> tuple[str, Any] | None:
    """The first whole message, taken out."""
    if len(data) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(data)
    if len(data) < _LENGTH.size + length:
        return None
    kind, value = _decode(bytes(data[_LENGTH.size : _LENGTH.size + length]))
    del data[: _LENGTH.size + length]
    return kind, value


def _receive(sock: socket.socket) -> tuple[str, Any]:
    """The next message; waits."""
    data = bytearray()
    while (message := _cut(data)) is None:
        # Not more than this message: what comes after it must stay for the next one.
        wanted = _LENGTH.size if len(data) < _LENGTH.size else _LENGTH.size + _LENGTH.unpack_from(data)[0]
        piece = sock.recv(wanted - len(data))
        if not piece:
            raise EOFError
        data += piece
    return message


# ---------------------------------------------------------------------- in the process of the library


def _serve(order: LaunchStep, identity: Identity, sock: socket.socket, directory: str) -> NoReturn:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - _OUR_OWN:
        signal.signal(number, signal.SIG_IGN)  # they are meant for the tasks
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    own = os.dup2(sock.fileno(), 3, inheritable=False)
    os.closerange(4, 1 << 20)
    link = socket.socket(fileno=own)
    from corral.agent.processes import take_host_name

    take_host_name(order.node)
    identity.assume()
    os.environ["TMPDIR"] = directory
    try:
        server = _begun(order, link, directory)
    except Exception as error:
        link.sendall(_packed("failed", str(error)))
        os._exit(1)
    try:
        while True:
            kind, value = _receive(link)
            if kind == "passed":
                server.pass_fence(value)
    except (OSError, EOFError):
        server.finish()
    os._exit(0)


def _begun(order: LaunchStep, link: socket.socket, directory: str) -> Any:
    from threading import Lock

    from corral.agent.libpmix import Server

    lock = Lock()

    def tell(kind: str, value: Any) -> None:
        with lock:
            link.sendall(_packed(kind, value))

    nspace = f"slurm.pmix.{order.key.job}.{order.key.step}"
    server = Server(
        [
            ("pmix.srvr.tmpdir", "string", directory),
            ("pmix.sys.tmpdir", "string", directory),
            ("pmix.hname", "string", order.node),
            ("pmix.srv.nspace", "string", f"corral.{order.key.job}.{order.key.step}"),
            ("pmix.srv.rank", "rank", order.step_nodes.index(order.node)),
        ],
        lambda data: tell("fence", data),
        lambda status, words: tell("abort", words),
    )
    server.register(nspace, len(order.tasks), _description(order, server, directory))
    uid, gid = os.getuid(), os.getgid()
    variables = [(place.rank, server.admit(nspace, place.rank, uid, gid)) for place in order.tasks]
    tell("ready", variables)
    return server


def _description(order: LaunchStep, server: Any, directory: str) -> list[tuple[str, str, Any]]:
    """What every task may ask of its job."""
    ranks_of = ranks_by_node(order)
    own = order.step_nodes.index(order.node)
    mine = ranks_of[own]
    ntasks, nodes = order.ntasks, ",".join(order.step_nodes)
    ppn = ";".join(",".join(map(str, ranks)) for ranks in ranks_of)
    entries: list[tuple[str, str, Any]] = [
        ("pmix.spawned", "bool", False),
        ("pmix.tmpdir", "string", directory),
        ("pmix.nsdir", "string", directory),
        ("pmix.jobid", "string", f"{order.key.job}.{order.key.step}"),
        ("pmix.nodeid", "uint32", own),
        ("pmix.univ.size", "uint32", ntasks),
        ("pmix.job.size", "uint32", ntasks),
        ("pmix.app.size", "uint32", ntasks),
        ("pmix.max.size", "uint32", ntasks),
        ("pmix.local.size", "uint32", len(mine)),
        ("pmix.node.size", "uint32", len(mine)),
        ("pmix.job.napps", "uint32", 1),
        ("pmix.num.nodes", "uint32", len(order.step_nodes)),
        ("pmix.nlist", "string", nodes),
        ("pmix.nmap", "string", server.regex("PMIx_generate_regex", nodes)),
        ("pmix.pmap", "string", server.regex("PMIx_generate_ppn", ppn)),
        ("pmix.anlmap", "string", order.process_mapping),
        ("pmix.lpeers", "string", ",".join(map(str, mine))),
        ("pmix.lldr", "rank", mine[0]),
    ]
    for node, ranks in enumerate(ranks_of):
        for local, rank in enumerate(ranks):
            about = [
                ("pmix.rank", "rank", rank),
                ("pmix.appnum", "uint32", 0),
                ("pmix.aldr", "rank", 0),
                ("pmix.grank", "rank", rank),
                ("pmix.apprank", "rank", rank),
                ("pmix.lrank", "uint16", local),
                ("pmix.nrank", "uint16", local),
                ("pmix.nodeid", "uint32", node),
                ("pmix.hname", "string", order.step_nodes[node]),
            ]
            entries.append(("pmix.pdata", "infos", about))
    return entries


def ranks_by_node(order: LaunchStep) -> list[list[int]]:
    """From the mapping: (vector,(0,2,4)) deals ranks to nodes."""
    found: list[list[int]] = [[] for _ in order.step_nodes]
    rank = 0
    for triple in order.process_mapping.removeprefix("(vector,(").removesuffix("))").split("),("):
        first, nodes, count = map(int, triple.split(","))
        for node in range(first, first + nodes):
            found[node] += range(rank, rank + count)
            rank += count
    return found
