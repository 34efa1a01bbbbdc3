"""What can one user of the gateway do to the others? The real gateway and the real Caddy, with objects and requests that mean harm."""

import http.client
import json
import socket
import ssl
import urllib.request
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
    one = World(tmp_path, https_port=free_port(), metrics_port=free_port())
    yield one
    one.close()


def raw(port: int, head: str) -> bytes:
    """The whole answer to these bytes."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(head.encode("latin-1"))
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer


def test_an_ingress_that_caddy_refuses_keeps_nobody_elses_from_it(world: World) -> None:
    one = world.backend("one")
    world.control.put(service(port=free_port()), pod("web-1", one.port), ingress("good", "good.example.org"))
    wait_until(lambda: world.get(world.shared, "good.example.org"))
    world.control.put(ingress("bad", "xn--0.example.org"), ingress("worse", "*.xn--zzzzzz9999.org"))
    later = free_port()
    world.control.put(service("later", port=later, selector={"app": "web"}), ingress("more", "more.example.org"))
    wait_until(lambda: connects(later) and world.get(later) == "one", 60)
    wait_until(lambda: world.get(world.shared, "more.example.org") == "one")
    assert world.get(world.shared, "good.example.org") == "one"
    world.control.put(ingress("bad", "mended.example.org"))
    wait_until(lambda: world.get(world.shared, "mended.example.org") == "one")


def test_a_certificate_that_cannot_be_read_is_replaced_by_one_of_the_clusters(world: World) -> None:
    pair = Secret(
        metadata=ObjectMeta(name="pair", namespace="default", uid="s"),
        type="kubernetes.io/tls",
        data={"tls.crt": "nonsense", "tls.key": "nonsense"},
    )
    world.control.put(service(port=free_port()), pod("web-1", world.backend("one").port), pair)
    world.control.put(ingress("shop", "shop.example.org", secret="pair"))
    ca = world.directory / "gateway-ca.crt"
    wait_until(ca.exists)
    context = ssl.create_default_context(cafile=str(ca))

    def answer() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", int(str(world.secure))), 60) as plain:
                context.wrap_socket(plain, server_hostname="shop.example.org").close()
            return True
        except OSError:
            return False

    wait_until(answer)


def test_a_path_means_what_it_says_whatever_caddy_or_go_would_make_of_it(world: World) -> None:
    odd = ["/{http.request.host}", "/{env.PATH}", "/a{b}", "/(", "/[a-z]*", "/a.b", "/$1", "/\\Q", "/a+b", "/^", "/|"]
    world.control.put(service(port=free_port()), pod("web-1", world.backend("one").port))
    world.control.put(ingress("odd", "odd.example.org", *odd, kind="Exact"))
    quoted = {path: urllib.request.quote(path) for path in odd}
    wait_until(lambda: world.get(world.shared, "odd.example.org", quoted["/a.b"]) == "one")
    assert {path: world.get(world.shared, "odd.example.org", quoted[path]) for path in odd} == dict.fromkeys(odd, "one")
    for other in ("/odd.example.org", "/ab", "/axb", "/abc", "/aab", "/", "/a"):
        assert "Nothing is served" in world.get(world.shared, "odd.example.org", other, ok=False), other


def test_of_two_that_want_one_path_the_older_has_it(world: World) -> None:
    world.control.put(
        service("old", port=free_port()), service("new", port=free_port()),
        pod("old-1", world.backend("old").port, app="old"), pod("new-1", world.backend("new").port, app="new"),
    )  # fmt: skip
    world.control.put(ingress("a", "two.example.org", to="new", created=2.0))
    wait_until(lambda: world.get(world.shared, "two.example.org") == "new")
    world.control.put(ingress("z", "two.example.org", to="old", created=1.0))
    wait_until(lambda: world.get(world.shared, "two.example.org") == "old")


def test_thousands_of_paths_are_not_the_other_hosts_to_go_through(world: World) -> None:
    world.control.put(service(port=free_port()), pod("web-1", world.backend("one").port))
    world.control.put(
        ingress("many", "many.example.org", *(f"/p{number}" for number in range(5000))),
        ingress("other", "other.example.org"),
    )
    wait_until(lambda: world.get(world.shared, "many.example.org", "/p4999") == "one", 60)
    many = cost(world, "many.example.org", "/p4999")
    assert cost(world, "other.example.org", "/") < many / 4
    assert cost(world, "web.default.corral", "/") < many / 4


def cost(world: World, host: str, path: str) -> float:
    """Caddy's processor time for two hundred requests."""
    stat = Path(f"/proc/{world.gateway.caddy_pid}/stat")

    def spent() -> int:
        return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))

    before = spent()
    for _ in range(200):
        assert world.get(world.shared, host, path) == "one"
    return spent() - before


def test_nobody_names_himself_or_unnames_another_by_headers(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.users = {"good": "ann"}
    world.control.put(service(port=port, annotations={"corral.dev/auth": "login"}), pod("web-1", one.port))
    wait_until(lambda: connects(port))
    head = "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
    for lie in (
        "x-corral-user: root\r\n",
        "X_Corral_User: root\r\n",
        "x-corral_user: root\r\n",
        "X_CORRAL-USER: root\r\n",
    ):
        assert b"200 OK" in raw(port, f"{head}{lie}Connection: close\r\n\r\n")
        assert b"root" not in one.heads[-1]
        assert b"X-Corral-User: ann" in one.heads[-1]
    assert b"200 OK" in raw(port, f"{head}Connection: close, x-corral-user\r\n\r\n")
    assert b"X-Corral-User: ann" in one.heads[-1]


def test_a_question_who_it_is_has_no_second_one_in_its_body(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.users = {"good": "ann"}
    world.control.put(service(port=port, annotations={"corral.dev/auth": "login"}), pod("web-1", one.port))
    wait_until(lambda: connects(port))
    for path in ("/", "/corral/who"):
        hidden = "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n"
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(hidden)}\r\n"
        assert b"401 Unauthorized" in raw(port, f"{head}Authorization: Bearer bad\r\n\r\n{hidden}")
        assert "A token of a user" in world.get(port, ok=False, headers={"Authorization": "Bearer bad"})
    assert one.requests == 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/", b"a body", headers={"Authorization": "Bearer good"})
    assert connection.getresponse().read() == b"one"


def test_the_replica_is_told_where_a_request_has_come_from_and_not_what_it_says(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: world.get(port))
    lies = "X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Host: bank\r\nX-Forwarded-Proto: https\r\n"
    assert b"200 OK" in raw(port, f"GET / HTTP/1.1\r\nHost: me\r\n{lies}Connection: close, X-Forwarded-For\r\n\r\n")
    lines = one.heads[-1].split(b"\r\n")
    assert {b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: me", b"X-Forwarded-Proto: http"} <= set(lines)


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: xchunked\r\n\r\nabcd",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(one_world: World, head: str) -> None:
    answer = raw(one_world.shared, head.replace("\r\n", "\r\nConnection: close\r\n", 1))
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), answer
    assert one_world.backends[0].requests == 0


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("refused"))
    one.control.put(service(port=free_port()), pod("web-1", one.backend("one").port))
    wait_until(lambda: connects(one.shared))
    yield one
    one.close()


def test_hosts_that_nobody_has_do_not_fill_the_metrics(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port))
    for number in range(200):
        world.get(port, f"host-{number}.example.org")
    metrics = world.get(int(str(world.keys["metrics_port"])))
    assert 'server="default/web:80"' in metrics
    assert metrics.count("host-") == 0


def test_callers_who_say_nothing_keep_nobody_out(one_world: World) -> None:
    silent = [socket.create_connection(("127.0.0.1", one_world.shared)) for _ in range(500)]
    for client in silent:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert one_world.get(one_world.shared, "web.default.corral") == "one"
    for client in silent:
        client.close()


def test_http_3_is_offered_where_there_is_tls_and_nowhere_else(world: World) -> None:
    world.control.put(service(port=free_port()), pod("web-1", world.backend("one").port))
    pair = ingress("shop", "shop.example.org", secret="none")
    world.control.put(pair)
    wait_until((world.directory / "gateway-ca.crt").exists)
    config = json.loads((world.directory / "gateway" / "caddy.json").read_text())
    servers = config["apps"]["http"]["servers"]
    assert "h3" in servers["shared-tls"]["protocols"]
    assert "h3" not in servers["shared"]["protocols"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError, match="in use"):
        probe.bind(("127.0.0.1", int(str(world.secure))))
