"""What does an MPI program started with srun --mpi=pmi2 find behind PMI_FD?

A server of PMI-1 and PMI-2 for the tasks of one step on one node. What they put is kept until all of the node have come to a fence
(PMI-1 calls it a barrier); `agent/peers.py` brings together what all nodes have put, and then the tasks go on. The answers are
those of Slurm's plugin, which MPI libraries are tested with.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Sequence

import msgspec

from corral.agent.peers import Peers
from corral.agent.pmi_wire import BadRequest, Decoder, Request, line, message
from corral.agent.reactor import Reactor
from corral.model.step import TaskPlace
from corral.protocol.orders import LaunchStep

_LONGEST_NAME, _LONGEST_KEY, _LONGEST_VALUE = 256, 64, 1024
_MOST_PAIRS = 1 << 20  #: that the tasks of one node may put between two fences
_FIRST_FD = 10
_MOST_UNREAD = 1 << 20  #: bytes that a client may leave unread
#: Error codes of PMI-2.
_INVALID_KEY_LENGTH, _INVALID_VALUE_LENGTH, _OTHER = 5, 7, 14


class FencePart(msgspec.Struct, frozen=True, array_like=True):
    """What one node brings to a fence: pairs, and of a ring each task's (rank, count, left, right)."""

    pairs: dict[str, str] = {}
    ring: list[tuple[int, int, str, str]] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FencePart).decode


class PmiServer:
    """Serves the tasks of one step on this node."""

    def __init__(self, order: LaunchStep, reactor: Reactor, on_abort: Callable[[], None]) -> None:
        self._order, self._reactor = order, reactor
        self._on_abort = on_abort
        self.peers = Peers(order.step_nodes.index(order.node), len(order.step_nodes), reactor, self._on_fence, on_abort)
        self.name = f"{order.key.job}.{order.key.step}"  #: of the set of pairs
        self._pairs = {"PMI_process_mapping": order.process_mapping}
        self._put: dict[str, str] = {}  #: since the last fence
        self._ring: list[tuple[int, int, str, str]] = []
        self._node_pairs: dict[str, str] = {}
        self._waiting: list[tuple[_Client, str]] = []  #: for a node's pair
        self._clients: list[_Client] = []
        self._at_fence: list[_Client] = []
        self._task_ends: list[int] = []

    # ------------------------------------------------------------------ the tasks

    def admit(self, place: TaskPlace) -> tuple[int, dict[str, str]]:
        """Before a task is forked: the descriptor that it is to inherit, and its variables."""
        ours, near_end = socket.socketpair()
        ours.setblocking(False)
        # Small numbers are taken in a task: its streams, and what its start is reported by.
        theirs = fcntl.fcntl(near_end, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
        near_end.close()
        client = _Client(self, place.rank, ours, self._reactor)
        self._clients.append(client)
        self._task_ends.append(theirs)
        return theirs, {
            "PMI_FD": str(theirs),
            "PMI_JOBID": self.name,
            "PMI_RANK": str(place.rank),
            "PMI_SIZE": str(self._order.ntasks),
        }

    def close_task_ends(self) -> None:
        for end in self._task_ends:
            os.close(end)
        self._task_ends.clear()

    def close(self) -> None:
        self.close_task_ends()
        for client in self._clients:
            client.close()
        self.peers.close()

    def _abort(self) -> None:
        self.peers.abort()
        self._on_abort()

    # ------------------------------------------------------------------ requests

    def on_request(self, client: "_Client", request: Request) -> None:
        command = request.get("cmd") or request.get("mcmd", "")
        if command == "init":
            subversion = 0 if client.version == 2 else 1
            client.say(line("response_to_init", rc=0, pmi_version=client.version, pmi_subversion=subversion))
        elif client.version == 2:
            self._on_pmi2(client, command, request)
        else:
            self._on_pmi1(client, command, request)

    def _on_pmi1(self, client: "_Client", command: str, request: Request) -> None:
        match command:
            case "get_maxes":
                client.say(
                    line("maxes", rc=0, kvsname_max=_LONGEST_NAME, keylen_max=_LONGEST_KEY, vallen_max=_LONGEST_VALUE)
                )
            case "get_universe_size":
                client.say(line("universe_size", rc=0, size=self._order.ntasks))
            case "get_appnum":
                client.say(line("appnum", rc=0, appnum=-1))
            case "get_my_kvsname":
                client.say(line("my_kvsname", rc=0, kvsname=self.name))
            case "put":
                client.say(line("put_result", rc=1 if self._take(request) else 0))
            case "get":
                value = self._pairs.get(request.get("key", ""))
                client.say(line("get_result", rc=1) if value is None else line("get_result", rc=0, value=value))
            case "getbyidx":
                client.say(self._by_index(request.get("idx", "")))
            case "barrier_in":
                self._arrive(client, line("barrier_out", rc=0))
            case "finalize":
                client.say(line("finalize_ack", rc=0))
            case "abort":
                self._abort()
            case "publish_name" | "unpublish_name":
                result = f"{command.partition('_')[0]}_result"
                self._ask(
                    client, command, request.get("service", ""), request.get("port", ""),
                    lambda text: line(result, info="ok" if text else "fail"),
                )  # fmt: skip
            case "lookup_name":
                self._ask(
                    client, command, request.get("service", ""), "",
                    lambda text: line("lookup_result", info="ok", port=text)
                    if text
                    else line("lookup_result", info="fail"),
                )  # fmt: skip
            case "spawn":
                if request.get("spawnssofar") == request.get("totspawns"):
                    client.say(line("spawn_result", rc=-1, errmsg="spawn_failed"))
            case "create_kvs":
                client.say(line("newkvs", rc=-1))
            case "destroy_kvs":
                client.say(line("kvs_destroyed", rc=-1))
            case _:
                raise BadRequest(command)

    def _by_index(self, text: str) -> bytes:
        index = int(text) if text.isdigit() else -1
        if not 0 <= index < len(self._pairs):
            return line("getbyidx_results", rc=-1, reason="no_more_keyvals")
        key, value = list(self._pairs.items())[index]
        return line("getbyidx_results", rc=0, nextidx=index + 1, key=key, val=value)

    def _on_pmi2(self, client: "_Client", command: str, request: Request) -> None:
        match command:
            case "fullinit":
                client.answer(
                    command, rc=0, pmi_version=2, pmi_subversion=0, rank=client.rank, size=self._order.ntasks, appnum=-1,
                    debugged="FALSE", pmiverbose="FALSE",
                )  # fmt: skip
            case "finalize":
                client.answer(command, rc=0)
            case "abort":
                if request.get("isworld") == "TRUE":
                    self._abort()
            case "job-getid":
                client.answer(command, rc=0, jobid=self.name)
            case "kvs-put":
                client.answer(command, rc=self._take(request))
            case "kvs-get":
                client.answer_found(command, self._pairs.get(request.get("key", "")))
            case "kvs-fence":
                self._arrive(client, message("kvs-fence-response", {"rc": 0}))
            case "ring":
                count = request.get("ring-count", "0")
                number = int(count) if count.lstrip("-").isdigit() else 0
                self._ring.append((client.rank, number, request.get("ring-left", ""), request.get("ring-right", "")))
                self._arrive(client, b"")
            case "info-getjobattr":
                client.answer_found(command, self._job_pair(request.get("key", "")))
            case "info-putnodeattr":
                self._put_for_node(request.get("key", ""), request.get("value", ""))
                client.answer(command, rc=0)
            case "info-getnodeattr":
                key = request.get("key", "")
                if key not in self._node_pairs and request.get("wait") == "TRUE":
                    self._waiting.append((client, key))
                else:
                    client.answer_found(command, self._node_pairs.get(key))
            case "name-publish" | "name-unpublish":
                self._ask(
                    client, command, request.get("name", ""), request.get("port", ""),
                    lambda text: message(f"{command}-response", {"rc": 0 if text else 1}),
                )  # fmt: skip
            case "name-lookup":
                self._ask(
                    client, command, request.get("name", ""), "",
                    lambda text: message(f"{command}-response", {"rc": 0, "value": text} if text else {"rc": 1}),
                )  # fmt: skip
            case "spawn" | "job-connect" | "job-disconnect":
                client.answer(command, rc=_OTHER, errmsg=f"{command} is not supported by Corral")
            case _:
                raise BadRequest(command)

    # ------------------------------------------------------------------ pairs

    def _take(self, request: Request) -> int:
        """0, or why not."""
        key, value = request.get("key", ""), request.get("value", "")
        if not key or len(key) > _LONGEST_KEY:
            return _INVALID_KEY_LENGTH
        if len(value) > _LONGEST_VALUE or len(self._put) >= _MOST_PAIRS:
            return _INVALID_VALUE_LENGTH
        self._put[key] = value
        return 0

    def _job_pair(self, key: str) -> str | None:
        match key:
            case "PMI_process_mapping":
                return self._order.process_mapping
            case "universeSize":
                return str(self._order.ntasks)
            case "mpi_reserved_ports":
                return self._order.environment.get("SLURM_STEP_RESV_PORTS")
            case "PMI_netinfo_of_task":
                return _network(self._order.node)
        return None

    def _put_for_node(self, key: str, value: str) -> None:
        if len(self._node_pairs) < _MOST_PAIRS:
            self._node_pairs.setdefault(key, value)
        still: list[tuple[_Client, str]] = []
        for client, wanted in self._waiting:
            if wanted == key:
                client.answer_found("info-getnodeattr", value)
            else:
                still.append((client, wanted))
        self._waiting = still

    def _ask(self, client: "_Client", command: str, name: str, port: str, answer: Callable[[str], bytes]) -> None:
        verb = command.replace("name", "").strip("-_")
        words = (verb, name, port) if verb == "publish" else (verb, name)
        self.peers.ask(words, lambda text: client.say(answer(text)))

    # ------------------------------------------------------------------ fences

    def _arrive(self, client: "_Client", answer: bytes) -> None:
        if client in self._at_fence:
            raise BadRequest("it waits at a fence")
        client.fence_answer = answer
        self._at_fence.append(client)
        if len(self._at_fence) == len(self._clients):
            part = _encode(FencePart(self._put, self._ring))
            self._put, self._ring = {}, []
            self.peers.fence(part)

    def _on_fence(self, parts: Sequence[bytes]) -> None:
        ring: list[tuple[int, int, str, str]] = []
        for data in parts:
            part = _decode(data)
            self._pairs |= part.pairs
            ring += part.ring
        clients, self._at_fence = self._at_fence, []
        answers = _ring_answers(ring) if ring else {}
        for client in clients:
            client.say(client.fence_answer or answers.get(client.rank, b""))


def _ring_answers(ring: list[tuple[int, int, str, str]]) -> dict[int, bytes]:
    """Each rank gets the sum of the counts before it, and its neighbours' values."""
    ring.sort()
    answers, total = {}, 0
    for index, (rank, count, _, _) in enumerate(ring):
        fields: dict[str, object] = {
            "rc": 0,
            "ring-count": total,
            "ring-left": ring[index - 1][3],
            "ring-right": ring[(index + 1) % len(ring)][2],
        }
        answers[rank] = message("ring-response", fields)
        total += count
    return answers


def _network(node: str) -> str:
    """(node,(eth0,IP_V4,10.0.0.1)): the addresses of this host, but for the loopback."""
    import psutil

    found = [node]
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if name != "lo" and one.family in (socket.AF_INET, socket.AF_INET6):
                found.append(f"({name},{'IP_V4' if one.family == socket.AF_INET else 'IP_V6'},{one.address})")
    return f"({','.join(found)})"[:_LONGEST_VALUE]


class _Client:
    """One task's end."""

    def __init__(self, server: PmiServer, rank: int, sock: socket.socket, reactor: Reactor) -> None:
        self._server, self.rank, self._socket, self._reactor = server, rank, sock, reactor
        self._decoder = Decoder()
        self._out = b""
        self.fence_answer = b""
        reactor.add_reader(sock.fileno(), self._on_readable)

    @property
    def version(self) -> int:
        return self._decoder.version

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for request in self._decoder.feed(data):
                self._server.on_request(self, request)
        except BadRequest:
            self.close()

    def answer(self, command: str, **fields: object) -> None:
        self.say(message(f"{command}-response", {name.replace("_", "-"): value for name, value in fields.items()}))

    def answer_found(self, command: str, value: str | None) -> None:
        if value is None:
            self.answer(command, rc=0, found="FALSE")
        else:
            self.answer(command, rc=0, found="TRUE", value=value)

    def say(self, data: bytes) -> None:
        self._out += data
        self._flush()

    def _flush(self) -> None:
        if self._socket.fileno() < 0:
            return
        try:
            self._out = self._out[self._socket.send(self._out, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            self.close()
            return
        if len(self._out) > _MOST_UNREAD:
            self.close()
        elif self._out:
            self._reactor.add_writer(self._socket.fileno(), self._flush)
        else:
            self._reactor.remove_writer(self._socket.fileno())

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.forget(self._socket.fileno())
            self._socket.close()
