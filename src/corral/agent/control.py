"""How do an agent and its shepherds speak? Short datagrams on two kinds of unix sockets, and nothing else.

    shepherd -> agent       DIR/agent.sock              notices: "started NODE KEY TIME", of a step that does not end at once;
                                                        "exit NODE KEY" and the exit record, if that is small (msgpack);
                                                        "sampled NODE KEY QUERY" and what is used now (msgpack);
                                                        "executed NODE KEY QUERY STATUS" and what the command has said
    agent -> shepherd       DIR/steps/NODE/KEY/ctl      commands: Signal, Suspend, Notify, End, Sample, Execute (msgpack)

A notice may be lost (the agent may be dead): what counts is in the step's directory. `pid` is there and locked while the
shepherd lives, `exit` holds the StepFinished when it is over. A command to a shepherd that does not listen (yet, or any more) is
told to the sender, who decides.
"""

import fcntl
import os
import socket
from collections.abc import Callable

import msgspec

from corral.model.cluster import Containers, Isolation
from corral.model.gres import GresDevice
from corral.model.job import JobId
from corral.model.step import StepKey
from corral.model.usage import Usage


class ShepherdSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all shepherds of an agent are told once, with the spawner's start."""

    endpoint: str = ""  #: the controller's socket, if this is its machine
    api_ca: str = ""  #: file of the authority that the jobs' commands need for HTTPS, where this is another machine
    bus_ca: str = ""  #: the same for the message server
    virtual: bool = False  #: nodes with claimed sizes: nothing can be bound to real CPUs, memory or devices
    cgroups: str = "auto"  #: "auto", or "off"
    enforce: tuple[str, ...] = ("cpu", "memory", "devices")  #: limits to hold jobs to
    cgroup_name: str = "corral"  #: the directory under the cgroup mounts; differs per agent
    devices: tuple[GresDevice, ...] = ()  #: of this machine, counted as the controller counts them
    renumber_gpus: bool = False
    mps: str = ""  #: directory of the MPS daemons
    containers: Containers = Containers()
    isolation: Isolation = Isolation()
    images: str = ""  #: directory of the node's images
    boxes: str = ""  #: directory of the named containers
    pods: str = ""  #: directory of what Pods have said
    names: str = ""  #: directory of what names services have (names.py); "" = jobs see the machine's name servers


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Base of what an agent says to a shepherd."""


class Signal(Command, frozen=True, kw_only=True):
    """Signal the step's processes; only_shell: the batch shell itself and nothing below it."""

    signal: int = 15
    only_shell: bool = False
    kill_after: float | None = None  #: seconds until SIGKILL for what is left; None = no escalation
    reason: str = ""  #: "cancelled", "time_limit", "node_fail", "preempted", ...: ends the step, and its stderr is told
    at: float = 0.0


class Suspend(Command, frozen=True, kw_only=True):
    """Freeze or thaw everything."""

    thaw: bool = False


class Notify(Command, frozen=True, kw_only=True):
    """Words for the client, or for the step's standard error."""

    message: str


class End(Command, frozen=True, kw_only=True):
    """The job is over: SIGTERM, and SIGKILL after `kill_after` seconds (at once when 0)."""

    kill_after: float = 0.0
    reason: str = ""


class Sample(Command, frozen=True, kw_only=True):
    """Say what the tasks use now."""

    query: int


class Execute(Command, frozen=True, kw_only=True):
    """Run this inside the container of a Pod, beside its program."""

    query: int
    command: tuple[str, ...]
    timeout: float = 1.0


class Started(msgspec.Struct, frozen=True):
    """All tasks of the step on this node have been started, and its shepherd listens."""

    node: str
    key: StepKey
    time: float


class Exited(msgspec.Struct, frozen=True):
    """The exit record lies in the step's directory."""

    node: str
    key: StepKey
    record: bytes = b""  #: what lies there; empty: it is to be read


class Sampled(msgspec.Struct, frozen=True):
    """The answer to a Sample."""

    node: str
    key: StepKey
    query: int
    used: Usage
    pids: tuple[int, ...]


class Executed(msgspec.Struct, frozen=True):
    """The answer to an Execute."""

    node: str
    key: StepKey
    query: int
    status: int  #: its exit code; of one that a signal has ended: the negative of that
    said: bytes = b""


#: Bytes of an exit record that still go into a notice.
_LARGEST_RECORD = 8192

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Signal | Suspend | Notify | End | Sample | Execute).decode
_decode_sample = msgspec.msgpack.Decoder(tuple[Usage, tuple[int, ...]]).decode


def encode_command(command: Signal | Suspend | Notify | End | Sample | Execute) -> bytes:
    return _encode(command)


def decode_command(data: bytes) -> Signal | Suspend | Notify | End | Sample | Execute:
    return _decode(data)


def encode_notice(notice: Started | Exited | Sampled | Executed) -> bytes:
    if isinstance(notice, Sampled):
        head = f"sampled {notice.node} {notice.key} {notice.query} "
        return head.encode() + _encode((notice.used, notice.pids))
    if isinstance(notice, Executed):
        return f"executed {notice.node} {notice.key} {notice.query} {notice.status} ".encode() + notice.said
    if isinstance(notice, Started):
        return f"started {notice.node} {notice.key} {notice.time!r}".encode()
    record = notice.record if len(notice.record) <= _LARGEST_RECORD else b""
    return f"exit {notice.node} {notice.key} ".encode() + record


def decode_notice(data: bytes) -> Started | Exited | Sampled | Executed:
    """Raises ValueError for what is none."""
    if data.startswith(b"exit "):
        _, name, key_bytes, record = data.split(b" ", 3)
        job, step, restart = map(int, key_bytes.split(b"."))
        return Exited(name.decode(), StepKey(JobId(job), step, restart), record)
    if data.startswith(b"sampled "):
        _, name, key_bytes, query, record = data.split(b" ", 4)
        job, step, restart = map(int, key_bytes.split(b"."))
        try:
            used, pids = _decode_sample(record)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        return Sampled(name.decode(), StepKey(JobId(job), step, restart), int(query), used, pids)
    if data.startswith(b"executed "):
        _, name, key_bytes, query, status, said = data.split(b" ", 5)
        job, step, restart = map(int, key_bytes.split(b"."))
        return Executed(name.decode(), StepKey(JobId(job), step, restart), int(query), int(status), said)
    word, node, key_text, *rest = data.decode().split(" ")
    job, step, restart = map(int, key_text.split("."))
    if word == "started" and len(rest) == 1:
        return Started(node, StepKey(JobId(job), step, restart), float(rest[0]))
    raise ValueError(f"not a notice: {data[:40]!r}")


# ---------------------------------------------------------------------- sockets


def bind_datagrams(path: str) -> socket.socket:
    """A datagram socket at this path, whatever was there before. Non-blocking."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    _with_short_path(path, sock.bind)
    return sock


def send_datagram(sock: socket.socket, path: str, data: bytes) -> bool:
    """False when nobody listens there, or not quickly enough for a socket that does not block."""
    try:
        _with_short_path(path, lambda short: sock.sendto(data, short))
        return True
    except OSError:
        return False


def connected_datagrams(path: str) -> socket.socket | None:
    """A socket that becomes writable when the one at this path has room; None when nobody listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        _with_short_path(path, sock.connect)
    except OSError:
        sock.close()
        return None
    return sock


def _with_short_path(path: str, use: Callable[[str], object]) -> None:
    """A unix socket's path has at most 107 bytes; a longer one goes by its directory's descriptor."""
    if len(os.fsencode(path)) < 108:
        use(path)
        return
    directory, _, name = path.rpartition("/")
    fd = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


# ---------------------------------------------------------------------- is it alive?


def shepherd_pid(directory: str) -> int | None:
    """The process that watches this step now; 0: it has taken the step and not yet written its number; None: there is none."""
    try:
        fd = os.open(f"{directory}/pid", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        text = os.read(fd, 32)
        return int(text or 0)
    finally:
        os.close(fd)


def was_begun(directory: str) -> bool:
    """Has a shepherd ever begun here? Then the step must not be launched again."""
    try:
        return os.stat(f"{directory}/pid").st_size > 0
    except FileNotFoundError:
        return False
