"""The small client against a real server."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from corral.bus import subjects, wire
from corral.bus.errors import BadAddress, BadSubject, ConnectionLost, CredentialsRefused, NoReply, PayloadTooLarge
from corral.bus.permissions import StepRole
from corral.bus.server import start_server

FOREVER = 2_000_000_000
TO_CLIENT, TO_TASKS = subjects.step_to_client("test", "7.0"), subjects.step_to_tasks("test", "7.0")


@pytest.fixture
def links(server, keys):
    """The client's end of a step and the shepherd's."""
    pair = [wire.connect(server.url, keys.step_jwt("7.0", role, FOREVER)) for role in StepRole]
    for link, subject in zip(pair, (TO_CLIENT, TO_TASKS), strict=True):
        link.subscribe(subject)
        link.flush()
    yield pair
    for link in pair:
        link.close()


def drive(*loops, timeout=60.0):
    """Run (link, on_message, is_done) loops as a program would, with one selector."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for link, on_message, _ in loops:
            selector.register(link, selectors.EVENT_READ, (link, on_message))
        while not all(is_done() for _, _, is_done in loops):
            assert time.monotonic() < deadline
            for link, _, _ in loops:
                selector.modify(
                    link,
                    selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0),
                    selector.get_key(link).data,
                )
            for key, events in selector.select(deadline - time.monotonic()):
                link, on_message = key.data
                if events & selectors.EVENT_READ:
                    for _, _, payload in link.receive():
                        on_message(payload)
                if events & selectors.EVENT_WRITE:
                    link.flush_some()


def receive_until(link, count, timeout=60.0):
    messages = []
    drive((link, messages.append, lambda: len(messages) >= count), timeout=timeout)
    return messages


def test_messages_go_both_ways(links):
    client, shepherd = links
    client.publish(TO_TASKS, b"input")
    client.flush_some()
    assert receive_until(shepherd, 1) == [b"input"]
    shepherd.publish(TO_CLIENT, b"")
    shepherd.publish(TO_CLIENT, b"with\r\nline ends\r\nPING\r\n")
    shepherd.flush_some()
    assert receive_until(client, 2) == [b"", b"with\r\nline ends\r\nPING\r\n"]


def test_many_messages_both_ways_at_once_keep_their_order(links):
    client, shepherd = links
    count = 20_000
    sent = [b"%d " % number + b"x" * (number % 500) for number in range(count)]
    for payload in sent:
        client.publish(TO_TASKS, payload)
        shepherd.publish(TO_CLIENT, payload)
    at_client, at_shepherd = [], []
    drive(
        (client, at_client.append, lambda: len(at_client) == count),
        (shepherd, at_shepherd.append, lambda: len(at_shepherd) == count),
    )
    assert at_client == sent
    assert at_shepherd == sent


def test_a_message_tells_its_subscription_and_its_subject(links):
    client, shepherd = links
    own = shepherd.subscribe(f"{TO_TASKS}.n1", sid=17)
    shepherd.flush()
    client.publish(f"{TO_TASKS}.n1", b"one")
    client.publish(TO_TASKS, b"all")
    client.flush()
    shepherd.flush()
    assert own == 17
    assert shepherd.receive() == [(17, f"{TO_TASKS}.n1", b"one"), (1, TO_TASKS, b"all")]
    shepherd.unsubscribe(own)
    shepherd.flush()
    client.publish(f"{TO_TASKS}.n1", b"one")
    client.publish(TO_TASKS, b"all")
    client.flush()
    shepherd.flush()
    assert shepherd.receive() == [(1, TO_TASKS, b"all")]


def test_a_large_payload_arrives_whole(links):
    client, shepherd = links
    payload = os.urandom(8 * 1024 * 1024)
    client.publish(TO_TASKS, payload)
    got = []
    drive((client, got.append, lambda: True), (shepherd, got.append, lambda: len(got) == 1))
    assert got == [payload]
    with pytest.raises(PayloadTooLarge):
        client.publish(TO_TASKS, payload + b"x")


def test_a_reader_that_pauses_gets_everything_later(links):
    client, shepherd = links
    block = b"x" * 65536
    count = 300  # 20 MB: more than the sockets hold, less than the server keeps for one client
    for _ in range(count):
        shepherd.publish(TO_CLIENT, block)
    shepherd.flush(10)
    assert shepherd.out_size == 0
    assert receive_until(client, count) == [block] * count


def test_a_reader_that_never_reads_is_cut_off_and_the_writer_goes_on(links):
    client, shepherd = links
    block = b"x" * (1024 * 1024)
    for _ in range(120):
        shepherd.publish(TO_CLIENT, block)
        shepherd.flush(10)

    def read_all():
        while True:
            client.receive()
            client.flush(5)

    with pytest.raises(ConnectionLost):
        read_all()
    assert client.is_closed
    assert not shepherd.is_closed


def test_foreign_subjects_are_denied_and_the_link_goes_on(links):
    client, shepherd = links
    client.publish(TO_CLIENT, b"as if from the tasks")
    client.publish(subjects.orders("test", "n1"), b"")
    client.subscribe(subjects.step_to_client("test", "8.0"))
    client.publish(TO_TASKS, b"allowed")
    client.flush()
    assert len(client.denials) == 3
    assert receive_until(shepherd, 1) == [b"allowed"]


def test_what_arrived_before_the_end_is_given_out_first(links, server, kill):
    client, shepherd = links
    client.publish(TO_TASKS, b"last words")
    client.flush()
    shepherd.flush()
    kill(server)
    with selectors.DefaultSelector() as selector:
        selector.register(shepherd, selectors.EVENT_READ)
        assert selector.select(5)
        assert shepherd.receive() == [(1, TO_TASKS, b"last words")]
        with pytest.raises(ConnectionLost):
            shepherd.receive()
    assert shepherd.is_closed
    with pytest.raises(ConnectionLost):
        shepherd.flush_some()


def test_a_writer_notices_the_end_too(links, server, kill):
    client, _ = links
    kill(server)
    client.publish(TO_TASKS, b"x" * 1_000_000)
    with pytest.raises(ConnectionLost):
        client.flush(5)
    assert client.is_closed


def test_redialling_finds_the_server_again(server, keys, kill):
    jwt = keys.step_jwt("7.0", StepRole.CLIENT, FOREVER)
    kill(server)
    dialled = []

    def dial():
        dialled.append(1)
        return wire.connect(server.url, jwt, timeout=60)

    patient = wire.Redial(dial, first=60)
    assert patient.attempt() is None
    assert 0 < patient.seconds_left() <= 60
    assert patient.attempt() is None
    assert len(dialled) == 1, "too early"
    redial = wire.Redial(dial, first=0.01)
    assert redial.attempt() is None
    again = start_server(server.directory, keys)
    assert again.url == server.url
    deadline = time.monotonic() + 60
    while (link := redial.attempt()) is None:
        assert time.monotonic() < deadline
        time.sleep(redial.seconds_left())
    link.publish(TO_TASKS, b"here again")
    link.flush()
    link.close()


def test_a_token_of_another_cluster_is_refused(server, keys):
    for jwt in (
        "",
        "no.jwt.atall",
        type(keys).create("test").controller_jwt(),
        keys.step_jwt("7.0", StepRole.CLIENT, 1_000_000_000),
    ):
        with pytest.raises(CredentialsRefused):
            wire.connect(server.url, jwt)


def test_an_expired_token_ends_the_link(server, keys):
    link = wire.connect(server.url, keys.step_jwt("7.0", StepRole.CLIENT, int(time.time()) + 2))
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        assert selector.select(10)
        with pytest.raises(CredentialsRefused):
            link.receive()


def test_pings_are_answered(tmp_path):
    """A server that is played here, since the real one waits long before it asks."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard = []

        def serve():
            peer, _ = listening.accept()
            with peer, peer.makefile("rwb") as stream:
                stream.write(b'INFO {"max_payload":100}\r\n')
                stream.flush()
                heard.append(stream.readline()[:8])
                heard.append(stream.readline())
                stream.write(b"PONG\r\nPI")
                stream.flush()
                stream.write(b"NG\r\nMSG a 1 3\r\nab")
                stream.flush()
                heard.append(stream.readline())
                stream.write(b"c\r\n")
                stream.flush()
                stream.readline()

        thread = threading.Thread(target=serve)
        thread.start()
        link = wire.connect(f"nats://127.0.0.1:{listening.getsockname()[1]}")
        assert receive_until(link, 1) == [b"abc"]
        assert link.max_payload == 100
        link.close()
        thread.join(5)
    assert heard == [b"CONNECT ", b"PING\r\n", b"PONG\r\n"]


def test_a_server_that_hangs_is_given_up_at_the_timeout(server, keys):
    link = wire.connect(server.url, keys.controller_jwt())
    os.kill(server.pid, signal.SIGSTOP)
    while Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    try:
        with pytest.raises(NoReply):
            link.flush(0.05)
        with pytest.raises(ConnectionLost):
            wire.connect(server.url, keys.controller_jwt(), timeout=0.05)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    link.flush()
    link.close()


def test_the_first_server_that_answers_is_taken(server, keys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"nats://127.0.0.1:{unused.getsockname()[1]}"
        wire.connect(f"{nowhere}, {server.url}", keys.controller_jwt()).close()
        with pytest.raises(ConnectionLost, match=nowhere):
            wire.connect(nowhere, timeout=1)


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPING", "a\n"])
def test_a_subject_cannot_smuggle_commands(links, subject):
    for use in (lambda: links[0].publish(subject, b""), lambda: links[0].subscribe(subject)):
        with pytest.raises(BadSubject):
            use()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("nats://h:1", ("h", 1, False)),
        ("tls://h:1/", ("h", 1, True)),
        ("h", ("h", 4222, False)),
        ("nats://[::1]:5", ("::1", 5, False)),
        ("nats://[::1]", ("::1", 4222, False)),
    ],
)
def test_an_address_is_read(url, address):
    assert wire.server_address(url) == address


@pytest.mark.parametrize("url", ["", "http://h:1", "nats://:1", "nats://h:x"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(BadAddress):
        wire.server_address(url)


def test_the_client_imports_nothing_heavy():
    script = (
        "import sys; import corral.bus.wire; "
        "print([n for n in ('json', 're', 'asyncio', 'typing', 'msgspec', 'ssl', 'logging') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(Path(wire.__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr
