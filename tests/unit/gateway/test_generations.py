"""Can a configuration of Caddy be followed by another?"""

import asyncio
import socket
from pathlib import Path

from corral.gateway import generations

_CONFIG = {"apps": {"http": {"servers": {"web": {"listen": ["127.0.0.1:80"], "routes": [{"handle": []}]}}}}}


def test_each_request_looks_first_whether_its_generation_is_old() -> None:
    servers = generations.as_generation(_CONFIG, 7, Path("/run/g"))["apps"]["http"]["servers"]
    first, *others = servers["web"]["routes"]
    assert first["match"] == [{"file": {"root": "/run/g", "try_files": ["generation-7.old"]}}]
    assert others == [{"handle": []}]
    assert generations.flag(Path("/run/g"), 7) == Path("/run/g/generation-7.old")


def test_a_generation_is_known_by_its_socket() -> None:
    servers = generations.as_generation(_CONFIG, 12, Path("/run/g-3"))["apps"]["http"]["servers"]
    assert generations.number_of(servers[generations.SERVER]["listen"][0]) == 12


def test_a_generation_listens_where_it_is_told() -> None:
    words = {"127.0.0.1:80": "fd/2049"}
    servers = generations.as_generation(_CONFIG, 1, Path("/run/g"), words)["apps"]["http"]["servers"]
    assert servers["web"]["listen"] == ["fd/2049"]


def test_clients_are_those_who_are_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not generations.has_clients({port})
        with socket.create_connection(("127.0.0.1", port)):
            assert generations.has_clients({port})
            assert not generations.has_clients(set())


def test_a_generation_begins_when_it_listens_and_not_where_only_its_path_is_left(tmp_path: Path) -> None:
    at = tmp_path / "generation-7.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(at))
        one.listen()
        assert asyncio.run(_begins(tmp_path))
    assert at.exists()
    assert not asyncio.run(_begins(tmp_path))


async def _begins(directory: Path) -> bool:
    return await generations.begun(directory, 7, asyncio.create_task(asyncio.sleep(0.05)))
