"""Which replica gets a request: shares, limits, stickiness; what goes on while replicas are replaced? The real gateway and Caddy."""

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.test_gateway import World, connects
from tests.cluster.test_gateway_http import upgraded
from tests.gateway_kit import pod, service
from tests.ports import free_port
from tests.waiting import wait_until

from corral.model.kube.meta import ObjectKey


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(tmp_path)
    yield one
    one.close()


def answers(world: World, port: int, number: int, headers: dict[str, str] | None = None) -> Counter[str]:
    """Over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found: Counter[str] = Counter()
    for _ in range(number):
        connection.request("GET", "/", headers=headers or {})
        found[connection.getresponse().read().decode()] += 1
    return found


def test_a_canary_of_a_tenth_gets_a_tenth(world: World) -> None:
    port = free_port()
    weights = {"old": "9", "new": "1"}
    pods = [
        pod(name, world.backend(name).port, annotations={"corral.dev/weight": weight})
        for name, weight in weights.items()
    ]
    world.control.put(service(port=port), *pods)
    wait_until(lambda: connects(port))
    wait_until(lambda: set(answers(world, port, 40)) == {"old", "new"})
    share = answers(world, port, 2000)["new"]
    assert 200 - 5 * 13.4 < share < 200 + 5 * 13.4  # the standard deviation of 2,000 draws of a tenth is 13.4


def test_a_replica_that_takes_no_connections_costs_no_request(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port), pod("a", world.backend("one").port), pod("b", free_port()))
    wait_until(lambda: connects(port))
    assert answers(world, port, 100) == {"one": 100}


def test_a_replica_has_no_more_requests_at_once_than_it_may(world: World) -> None:
    port = free_port()
    pods = [world.backend(name, holds=True) for name in "ab"]
    annotations = {"corral.dev/max-requests-per-replica": "2"}
    world.control.put(service(port=port, annotations=annotations), *(pod(one.name, one.port) for one in pods))
    wait_until(lambda: connects(port))
    got: list[str] = []
    asking = [threading.Thread(target=lambda: got.append(world.get(port))) for _ in range(7)]
    for number, one in enumerate(asking, 1):
        one.start()
        wait_until(lambda number=number: sum(each.in_flight for each in pods) == min(number, 4))
    for each in pods:
        each.go_on()
    for one in asking:
        one.join()
    assert sorted(set(got)) == ["a", "b"]
    assert len(got) == 7
    assert [each.most for each in pods] == [2, 2]


def test_a_cookie_keeps_a_client_at_its_replica_over_an_update_of_the_others(world: World) -> None:
    port = free_port()
    pods = {name: pod(f"web-{name}", world.backend(name).port) for name in "abc"}
    world.control.put(service(port=port, annotations={"corral.dev/sticky": "cookie"}), *pods.values())
    wait_until(lambda: connects(port))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    answer = connection.getresponse()
    mine, cookie = answer.read().decode(), answer.headers["Set-Cookie"].partition(";")[0]
    others = [one for name, one in pods.items() if name != mine]
    world.control.put(
        *(pod(f"web-{name}", world.backend(name).port) for name in "de"), removed=[one.key for one in others]
    )
    wait_until(lambda: set(answers(world, port, 40)) == {mine, "d", "e"})
    assert answers(world, port, 40, {"Cookie": cookie}) == {mine: 40}
    world.control.put(removed=[pods[mine].key])
    wait_until(lambda: mine not in answers(world, port, 5, {"Cookie": cookie}))


def test_a_header_leads_to_one_replica_over_an_update_of_another(world: World) -> None:
    port = free_port()
    pods = {name: pod(f"web-{name}", world.backend(name).port) for name in "abc"}
    world.control.put(service(port=port, annotations={"corral.dev/sticky": "header=X-Chat"}), *pods.values())
    wait_until(lambda: connects(port))

    def places() -> dict[str, str]:
        found = {name: answers(world, port, 4, {"X-Chat": name}) for name in map(str, range(30))}
        assert all(len(one) == 1 for one in found.values())
        return {name: next(iter(one)) for name, one in found.items()}

    before = places()
    assert set(before.values()) == {"a", "b", "c"}
    world.control.put(pod("web-d", world.backend("d").port), removed=[pods["c"].key])
    wait_until(lambda: "d" in answers(world, port, 30))
    wait_until(lambda: "c" not in places().values())
    after = places()
    stayed = [name for name, place in before.items() if place != "c" and after[name] in (place, "d")]
    assert len(stayed) == sum(place != "c" for place in before.values())


def test_a_web_socket_and_a_stream_go_on_while_their_replica_is_replaced(world: World) -> None:
    port, old = free_port(), world.backend("old")
    world.control.put(service(port=port), pod("web-1", old.port))
    wait_until(lambda: world.get(port) == "old")
    client = upgraded(port)
    stream = socket.create_connection(("127.0.0.1", port), 60)
    stream.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    seen = b""
    while b"data: 1" not in seen:
        seen += stream.recv(65536)
    world.control.put(pod("web-1", old.port, ready=False), pod("web-2", world.backend("new").port))
    wait_until(lambda: answers(world, port, 10) == {"new": 10})
    world.control.put(removed=[ObjectKey("Pod", "default", "web-1")])
    other = free_port()
    world.control.put(service("other", port=other))
    wait_until(lambda: connects(other))
    client.sendall(b"still there")
    assert client.recv(100) == b"still there"
    old.go_on()
    while b"data: 2" not in seen:
        more = stream.recv(65536)
        assert more
        seen += more
