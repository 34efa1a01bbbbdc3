"""How does Caddy go over to a new configuration without a client that loses a request?

Caddy starts the servers of a new configuration beside those of the one before, and then shuts these down: whoever sends a request over a
connection that is idle at that moment, and is being closed, loses it. So every configuration is a generation. When the next one is there,
new connections are its alone (`twins.py`), and the old one goes on with its own for a while (Caddy's `shutdown_delay`) and says
`Connection: close` with each answer, so that clients come over by themselves; what is closed in the end are connections that nobody has
used for all that time. HTTP/2 and HTTP/3 have GOAWAY for it.

A generation has a listener of its own, a unix socket. When that is there, the generation has begun; and it ends with it, so that Caddy's
delay holds, which is for what is not listened on any more. It learns that it is old by a file, for which it looks at each request. Without
clients there is nothing to wait for: the generation stays.
"""

import asyncio
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = "generation"
_ESTABLISHED = "01"
_LOOK_SECONDS = 0.005


def as_generation(
    config: dict[str, Any], number: int, directory: Path, listen: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """This configuration, as one that another can follow. `directory`: of its socket, and of the file that says that it is old.

    `listen`: on what its servers listen instead of what stands there.
    """
    words = listen or {}
    http = config["apps"]["http"]
    leaving = {
        "match": [{"file": {"root": str(directory), "try_files": [flag(directory, number).name]}}],
        "handle": [{"handler": "headers", "response": {"deferred": True, "set": {"Connection": ["close"]}}}],
    }
    servers: dict[str, Any] = {}
    for name, server in http["servers"].items():
        at = [words.get(one, one) for one in server["listen"]]
        servers[name] = {**server, "listen": at, "routes": [leaving, *server["routes"]]}
    servers[SERVER] = {
        "listen": [f"unix/{_socket(directory, number)}|0600"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
    }
    return {**config, "apps": {**config["apps"], "http": {**http, "servers": servers}}}


def flag(directory: Path, number: int) -> Path:
    """Where this is, the generation is old."""
    return directory / f"{SERVER}-{number}.old"


def _socket(directory: Path, number: int) -> Path:
    return directory / f"{SERVER}-{number}.sock"


async def begun(directory: Path, number: int, loading: asyncio.Task[Any]) -> bool:
    """Wait until the generation that is being loaded takes connections. False: it does not, or Caddy is dead by now."""
    while not loading.done():
        if _listens(_socket(directory, number)):
            return True
        await asyncio.wait((loading,), timeout=_LOOK_SECONDS)
    return False


def _listens(path: Path) -> bool:
    """Is anybody there? What is dead leaves its path behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def number_of(listen: str) -> int:
    """Of the generation whose socket this is."""
    number = listen.partition(".sock")[0].rpartition("-")[2]
    return int(number) if number.isdigit() else 0


@contextmanager
def old(directory: Path, number: int) -> Iterator[None]:
    """This generation is: its clients go."""
    one = flag(directory, number)
    one.touch()
    try:
        yield
    finally:
        one.unlink(missing_ok=True)


def sweep(directory: Path) -> None:
    """Nothing of earlier generations is left: what runs is not old, what is started can listen."""
    for path in directory.glob(f"{SERVER}-*"):
        path.unlink(missing_ok=True)


def has_clients(ports: Collection[int]) -> bool:
    """Is anybody connected at one of these TCP ports of this machine? Yes, where that cannot be known."""
    try:
        return any(_connected(Path(f"/proc/net/{name}").read_text(), ports) for name in ("tcp", "tcp6"))
    except OSError:
        return True


def _connected(table: str, ports: Collection[int]) -> bool:
    rows = (line.split(None, 4) for line in table.splitlines()[1:])
    return any(row[3] == _ESTABLISHED and int(row[1].rpartition(":")[2], 16) in ports for row in rows)
