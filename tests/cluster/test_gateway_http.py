"""What do clients see of HTTP through the gateway: TLS, tokens, stickiness, streams? The real gateway and the real Caddy."""

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.test_gateway import World, connects
from tests.gateway_kit import ingress, pod, service
from tests.ports import free_port
from tests.waiting import wait_until

from corral.model.kube.config import Secret
from corral.model.kube.meta import ObjectMeta


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(tmp_path, https_port=free_port(), metrics_port=free_port(), dns_port=free_port(), access_log=True)
    yield one
    one.close()


def over_tls(port: int, host: str, context: ssl.SSLContext) -> str:
    plain = socket.create_connection(("127.0.0.1", port), 60)
    with context.wrap_socket(plain, server_hostname=host) as tls:
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := tls.recv(65536):
            answer += data
    return answer.rpartition(b"\r\n")[2].decode()


def test_an_ingress_has_a_certificate_of_the_clusters_authority(world: World) -> None:
    port = free_port()
    world.control.put(
        service(port=port), pod("web-1", world.backend("one").port), ingress("front", "shop.example.org", secret="")
    )
    ca = world.directory / "gateway-ca.crt"
    wait_until(ca.exists)
    context = ssl.create_default_context(cafile=str(ca))
    assert wait_until(lambda: answer_or_nothing(world, context)) == "one"
    connection = http.client.HTTPConnection("127.0.0.1", world.shared, timeout=60)
    connection.request("GET", "/a?b", headers={"Host": "shop.example.org"})
    redirect = connection.getresponse()
    assert (redirect.status, redirect.headers["Location"]) == (308, f"https://shop.example.org:{world.secure}/a?b")


def answer_or_nothing(world: World, context: ssl.SSLContext) -> str:
    try:
        return over_tls(world.secure, "shop.example.org", context)
    except OSError:
        return ""


def test_a_given_certificate_is_shown(world: World, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "crt.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop.example.org"],
        check=True, capture_output=True,
    )  # fmt: skip
    secret = Secret(
        metadata=ObjectMeta(name="pair", namespace="default", uid="s-pair"),
        type="kubernetes.io/tls",
        data={"tls.crt": certificate.read_text(), "tls.key": key.read_text()},
    )
    objects = (pod("web-1", world.backend("one").port), ingress("front", "shop.example.org", secret="pair"), secret)
    world.control.put(service(port=free_port()), *objects)
    context = ssl.create_default_context(cafile=str(certificate))
    assert wait_until(lambda: answer_or_nothing(world, context)) == "one"


def test_a_token_is_needed_where_one_is_asked_for(world: World) -> None:
    port = free_port()
    annotations = {"corral.dev/auth": "token", "corral.dev/auth-secret": "keys"}
    secret = Secret(metadata=ObjectMeta(name="keys", namespace="default", uid="s"), data={"ann": "open sesame"})
    world.control.put(service(port=port, annotations=annotations), pod("web-1", world.backend("one").port), secret)
    wait_until(lambda: connects(port))
    assert "A token is needed" in world.get(port, ok=False)
    assert "A token is needed" in world.get(port, ok=False, headers={"Authorization": "Bearer x"})
    assert world.get(port, headers={"Authorization": "Bearer open sesame"}) == "one"


def test_who_it_is_is_asked_where_a_login_is_wanted(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.users = {"good": "ann"}
    world.control.put(service(port=port, annotations={"corral.dev/auth": "login"}), pod("web-1", one.port))
    wait_until(lambda: connects(port))
    assert "A token of a user" in world.get(port, ok=False, headers={"X-Corral-User": "root"})
    assert "A token of a user" in world.get(port, ok=False, headers={"Authorization": "Bearer bad"})
    assert world.get(port, headers={"Authorization": "Bearer good", "X-Corral-User": "root"}) == "one"
    assert b"X-Corral-User: ann" in one.heads[-1]
    assert b"root" not in one.heads[-1]
    assert world.get(port, headers={"Cookie": "corral_token=good"}) == "one"


def test_each_request_that_goes_to_a_replica_is_counted_once_however_it_comes(world: World) -> None:
    port, guarded, limited = free_port(), free_port(), free_port()
    world.control.users = {"good": "ann"}
    world.control.put(
        service(port=port), service("safe", port=guarded, annotations={"corral.dev/auth": "login"}),
        service("small", port=limited, annotations={"corral.dev/max-body": "1k"}),
        pod("web-1", world.backend("one").port), pod("safe-1", world.backend("two").port, app="safe"),
        pod("small-1", world.backend("three").port, app="small"),
    )  # fmt: skip
    token = {"Authorization": "Bearer good"}
    wait_until(lambda: connects(port) and connects(guarded) and connects(limited))
    for _ in range(3):
        assert world.get(port) == world.get(world.shared, "web.default.corral") == "one"
        assert world.get(guarded, headers=token) == "two"
        assert "A token" in world.get(guarded, ok=False)
        assert world.get(limited) == "three"

    def counted(name: str) -> int:
        return sum(one.requests for _, load in world.control.loads for one in load.services if one.service == name)

    wait_until(lambda: [counted(name) for name in ("web", "safe", "small")] == [6, 3, 3])


def test_nobody_says_who_he_is_where_no_login_is_wanted(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: world.get(port))
    assert world.get(port, headers={"X-Corral-User": "root"}) == "one"
    assert b"X-Corral-User" not in one.heads[-1]


def test_a_cookie_keeps_a_client_at_its_replica(world: World) -> None:
    port = free_port()
    pods = [pod(f"web-{name}", world.backend(name).port) for name in "abcd"]
    world.control.put(service(port=port, annotations={"corral.dev/sticky": "cookie=at"}), *pods)
    wait_until(lambda: world.get(port))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    answer = connection.getresponse()
    first, cookie = answer.read().decode(), answer.headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith("at=")
    assert {world.get(port, headers={"Cookie": cookie}) for _ in range(10)} == {first}


def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    port = free_port()
    world.control.put(
        service(port=port, annotations={"corral.dev/max-body": "1k"}), pod("a", world.backend("one").port)
    )
    wait_until(lambda: world.get(port))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", b"x" * 5000)
    assert connection.getresponse().status == 413


def upgraded(port: int) -> socket.socket:
    """A connection as a WebSocket has it: after the head, bytes both ways."""
    client = socket.create_connection(("127.0.0.1", port), 60)
    client.sendall(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n"
    )
    assert client.recv(65536).startswith(b"HTTP/1.1 101")
    return client


def test_a_web_socket_lives_on_when_the_configuration_changes(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port))
    client = upgraded(port)
    client.sendall(b"first")
    assert client.recv(100) == b"first"
    other = free_port()
    world.control.put(service("other", port=other))
    wait_until(lambda: connects(other))
    client.sendall(b"second")
    assert client.recv(100) == b"second"


def test_each_event_of_a_stream_comes_at_once(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port))
    client = socket.create_connection(("127.0.0.1", port), 60)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    seen = b""
    while b"data: 1" not in seen:
        seen += client.recv(65536)
    assert b"data: 2" not in seen
    other = free_port()
    world.control.put(service("other", port=other))
    wait_until(lambda: connects(other))
    world.backends[0].go_on()
    while b"data: 2" not in seen:
        more = client.recv(65536)
        assert more
        seen += more


def test_http_2_reaches_a_replica_that_speaks_it(world: World, tmp_path: Path) -> None:
    from corral.gateway.caddy import program

    h2, port = free_port(), free_port()
    site = {"listen": [f"127.0.0.1:{h2}"], "protocols": ["h2c"], "automatic_https": {"disable": True}}
    site["routes"] = [{"handle": [{"handler": "static_response", "body": "{http.request.proto}"}]}]  # type: ignore[list-item]
    config = {"admin": {"disabled": True}, "apps": {"http": {"servers": {"s": site}}}}
    (tmp_path / "h2.json").write_text(json.dumps(config))
    replica = subprocess.Popen([program(), "run", "--config", tmp_path / "h2.json"], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: connects(h2))
        world.control.put(service(port=port, port_name="grpc"), pod("web-1", h2))
        assert wait_until(lambda: world.get(port)) == "HTTP/2.0"
    finally:
        replica.kill()
        replica.wait()


def test_names_metrics_and_each_request_can_be_read(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port))
    question = b"\0\1\1\0\0\1" + bytes(6) + b"\3web\7default\6corral\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(60)
        asking.sendto(question, ("127.0.0.1", world.keys["dns_port"]))
        assert asking.recv(512).endswith(bytes((127, 0, 0, 1)))
    assert 'server="default/web:80"' in world.get(int(str(world.keys["metrics_port"])))
    log = world.directory / "gateway" / "access.log"
    line = json.loads(wait_until(lambda: log.exists() and log.read_text()).splitlines()[0])
    assert (line["request"]["uri"], line["status"]) == ("/", 200)
