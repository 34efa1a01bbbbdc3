"""How does the proxy start and end? Beside its controller, which starts it, and never longer than it."""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from corral.auth import tokens
from corral.config import files
from corral.config.cluster import load
from corral.daemon import memory
from corral.daemon.logs import Log
from corral.daemon.signals import on_stop
from corral.errors import CorralError
from corral.model.cluster import ClusterConfig
from corral.proxy.access import Access, Jobs
from corral.proxy.messages import MOST_HEAD
from corral.proxy.relays import Relays
from corral.proxy.server import Server

_PR_SET_PDEATHSIG = 1
LOOPBACK = "127.0.0.1:0"


async def run(config: ClusterConfig, directory: Path, endpoint: str) -> None:
    log = Log(directory / "proxy.log", config.log_level, pid=os.getpid())
    context = _context(config)
    scheme = b"https" if context is not None else b"http"
    key = tokens.load_key(directory / "api.key")
    server = Server(Jobs(endpoint), Access(key, config.roles), Relays(endpoint), scheme, config.proxy.names, log)
    sock = _listening(config.proxy.listen or LOOPBACK, directory / "proxy.ready")
    stopping = asyncio.Event()
    on_stop(stopping.set)
    listening = await asyncio.start_server(server.on_connection, sock=sock, ssl=context, limit=MOST_HEAD)
    _write_ready(directory / "proxy.ready", sock, scheme.decode())
    log.info("started", address="{}:{}".format(*sock.getsockname()[:2]), tls=context is not None)
    await stopping.wait()
    listening.close()
    log.info("stopped")


def _context(config: ClusterConfig) -> ssl.SSLContext | None:
    certificate = config.proxy.certificate or (config.api.certificate if config.proxy.listen else "")
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, config.proxy.key or config.api.key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _listening(listen: str, ready: Path) -> socket.socket:
    """Where no port is chosen it is the one it had before, so that open pages find it again."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        before = int(msgspec.json.decode(ready.read_bytes())["port"]) if port == "0" else int(port)
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        before = int(port)
    try:
        return socket.create_server((host.strip("[]"), before), family=family, backlog=1024)
    except OSError:
        if port != "0" or not before:
            raise
        return socket.create_server((host.strip("[]"), 0), family=family, backlog=1024)


def _write_ready(path: Path, sock: socket.socket, scheme: str) -> None:
    told: dict[str, Any] = {"pid": os.getpid(), "port": sock.getsockname()[1], "scheme": scheme}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode(told) + b"\n")
    os.replace(temporary, path)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="corral proxy-server", description="Serve ports of jobs; the controller starts it."
    )
    parser.add_argument("--config", type=Path)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--endpoint", required=True)
    arguments = parser.parse_args(argv)
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return 0  # the controller has gone already
    memory.be_frugal()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(load(files.find(arguments.config, arguments.dir)), arguments.dir, arguments.endpoint))
    except (CorralError, OSError, ssl.SSLError) as error:
        print(f"corral: error: the proxy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
