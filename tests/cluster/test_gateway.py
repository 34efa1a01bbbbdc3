"""Does traffic reach the replicas, whatever happens? The real gateway and the real Caddy, with Pods that are local servers."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest
from tests.cluster import afterwards
from tests.gateway_kit import Backend, ControlSide, GatewayProcess, pod, service
from tests.ports import free_port
from tests.waiting import wait_until

from corral.gateway.caddy import socket_directory
from corral.model.kube.meta import ObjectKey


class World:
    """One gateway, and what it serves."""

    def __init__(self, directory: Path, **keys: object) -> None:
        afterwards.may_be_asked(directory / "gateway")
        self.control = ControlSide(directory)
        self.shared = free_port()
        self.directory = directory
        self.secure = keys.setdefault("https_port", 0)
        self.keys: dict[str, object] = keys
        level = "debug" if keys.pop("log", 0) else "info"
        config = f'log_level = "{level}"\n[gateway]\nhttp_port = {self.shared}\n'
        config += "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        self.gateway = GatewayProcess(directory, f"unix://{self.control.socket}", config)
        self.backends: list[Backend] = []

    def backend(self, name: str, seconds: float = 0.0, port: int = 0, *, holds: bool = False) -> Backend:
        self.backends.append(Backend(name, port, seconds, holds=holds))
        return self.backends[-1]

    def get(
        self, port: int, host: str = "", path: str = "/", *, ok: bool = True, headers: dict[str, str] | None = None
    ) -> str:
        """The answer; "" when there is none, or (if it is to be `ok`) an error."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={**(headers or {}), **({"Host": host} if host else {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return "" if ok else str(error.read().decode())
        except OSError:
            return ""

    def close(self) -> None:
        self.gateway.stop()
        self.control.stop()
        for one in self.backends:
            one.stop()


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_load(url: str, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.httpload", url, *options], stdout=subprocess.PIPE)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(tmp_path)
    yield one
    one.close()


def test_a_service_is_reached_at_its_port_and_by_its_name(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    assert wait_until(lambda: world.get(port)) == "one"
    assert world.get(world.shared, "web.default.corral") == "one"
    world.control.put(removed=[ObjectKey("Service", "default", "web")])
    wait_until(lambda: not world.get(port))


def test_a_pod_that_is_not_ready_gets_no_requests(world: World) -> None:
    port, one, two = free_port(), world.backend("one"), world.backend("two")
    world.control.put(service(port=port), pod("web-1", one.port), pod("web-2", two.port))
    wait_until(lambda: {world.get(port) for _ in range(8)} == {"one", "two"})
    world.control.put(pod("web-2", two.port, ready=False))
    wait_until(lambda: {world.get(port) for _ in range(8)} == {"one"})


def test_caddy_is_started_again_when_it_was_killed_and_goes_on_without_gateway_and_controller(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: world.get(port) == "one")
    killed = world.gateway.caddy_pid
    os.kill(killed, 9)
    wait_until(lambda: world.gateway.caddy_pid not in (0, killed))
    wait_until(lambda: world.get(port) == "one")
    world.control.stop()
    world.gateway.kill()
    assert world.get(port) == "one"
    pid = world.gateway.caddy_pid
    world.gateway.start()
    world.control.start()
    two = world.backend("two")
    world.control.put(pod("web-1", two.port))
    wait_until(lambda: world.get(port) == "two")
    assert world.gateway.caddy_pid == pid


def test_a_tcp_service_is_relayed(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port, number=5432, port_name="postgres"), pod("web-1", one.port))
    assert wait_until(lambda: world.get(port)) == "one"


def test_a_request_waits_for_the_first_replica(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port))
    answers: list[str] = []
    asking = [threading.Thread(target=lambda: answers.append(world.get(port))) for _ in range(5)]
    wait_until(lambda: connects(port))
    for one in asking:
        one.start()
    wait_until(lambda: world.control.held("web") == 5)
    world.control.put(pod("web-1", world.backend("one").port))
    for one in asking:
        one.join()
    assert answers == ["one"] * 5


def test_large_bodies_wait_with_their_requests(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port))
    wait_until(lambda: connects(port))
    load = start_load(f"http://127.0.0.1:{port}/", "--connections", "3", "--timeout", "60", "--seconds", "0.1",
                      "--body", "x" * 100_000)  # fmt: skip
    wait_until(lambda: world.control.held("web") == 3)
    big = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    asking = threading.Thread(target=lambda: big.request("POST", "/", b"x" * 3_000_000))
    asking.start()
    wait_until(lambda: world.control.held("web") == 4)
    one = world.backend("one")
    world.control.put(pod("web-1", one.port))
    asking.join()
    assert big.getresponse().read() == b"one"
    assert json.loads(load.communicate()[0])["failed"] == 0


def test_what_has_waited_in_vain_is_told_why(tmp_path: Path) -> None:
    world = World(tmp_path, held_seconds=0.2)
    try:
        port = free_port()
        world.control.put(service(port=port))
        wait_until(lambda: connects(port))
        assert "default/web has no replica that is ready: none has become ready in 0.2 seconds" in world.get(
            port, ok=False
        )
    finally:
        world.close()


def test_not_one_request_fails_while_replicas_come_and_go(world: World) -> None:
    port, one, two = free_port(), world.backend("one"), world.backend("two")
    world.control.put(service(port=port), pod("web-1", one.port), pod("web-2", two.port))
    wait_until(lambda: world.get(port))
    load = start_load(f"http://127.0.0.1:{port}/", "--rate", "200", "--seconds", "3", "--body", "something")
    turn = 0
    while load.poll() is None:
        world.control.put(pod("web-2", two.port, ready=turn % 2 == 1))
        turn += 1
        sleep(0.1)
    found = json.loads(load.communicate()[0])
    assert found["failed"] == 0, found
    assert found["outcomes"] == {"200": found["requests"]}


def test_idle_clients_lose_no_request_to_a_new_configuration(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port))
    assert wait_until(lambda: _all_are_told(world, port), 60)


def test_whoever_connects_while_a_new_configuration_comes_is_answered_by_it(world: World) -> None:
    port, other = free_port(), free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port))
    (stays,) = wait_until(lambda: _idle_clients(port, 1), 60)  # without clients it would not be waited for any
    world.control.put(service("other", port=other, selector={"app": "web"}))
    sockets = socket_directory(world.directory / "gateway")
    is_old = wait_until(lambda: list(sockets.glob("generation-*.old")), 60)
    clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(20)]
    for one in clients:
        one.connect()
        one.auto_open = 0
    wait_until(lambda: not any(path.exists() for path in is_old), 60)
    for one in clients:
        one.request("GET", "/")
        assert one.getresponse().read() == b"one"
    stays.close()


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _all_are_told(world: World, port: int) -> bool:
    """A service is added while ten clients are idle: the next answer of each says that its connection ends. Clients that are held up for
    seconds may find theirs closed."""
    clients = wait_until(lambda: _idle_clients(port), 60)
    other = free_port()
    world.control.put(service(f"other{other}", port=other, selector={"app": "web"}))
    wait_until(lambda: world.get(other) == "one", 60)
    try:
        for one in clients:
            one.request("GET", "/")
            answer = one.getresponse()
            if answer.read() != b"one" or answer.headers["Connection"] != "close":
                return False
    except (http.client.HTTPException, ConnectionError):
        return False
    return True


def _idle_clients(port: int, number: int = 10) -> list[http.client.HTTPConnection]:
    """Of the newest configuration; none while an older one takes connections as well."""
    clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(number)]
    for one in clients:
        one.request("GET", "/")
        answer = one.getresponse()
        answer.read()
        if answer.headers["Connection"] == "close":
            return []
        one.auto_open = 0
    return clients


def test_the_controller_hears_what_there_is_to_do(world: World) -> None:
    port, one = free_port(), world.backend("one", holds=True)
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: connects(port))
    asking = [threading.Thread(target=world.get, args=(port,)) for _ in range(3)]
    for each in asking:
        each.start()

    def told() -> dict[str, int]:
        return {
            address.address: address.in_flight
            for _, load in world.control.loads
            for service in load.services
            for address in service.addresses
            if address.in_flight == 3
        }

    assert wait_until(told) == {f"127.0.0.1:{one.port}": 3}
    one.go_on()
    wait_until(lambda: sum(service.requests for _, load in world.control.loads for service in load.services) == 3)


def test_who_goes_away_while_waiting_waits_no_more(world: World) -> None:
    port = free_port()
    world.control.put(service(port=port))
    wait_until(lambda: connects(port))
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: world.control.held("web") == 1)
    client.close()
    wait_until(lambda: world.control.held("web") == 0)


def test_traffic_goes_on_while_the_gateway_is_started_anew(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: world.get(port) and world.get(world.shared, "web.default.corral"))
    wait_until((world.directory / "gateway" / "routes.json").exists)
    load = start_load(f"http://127.0.0.1:{port}/", "--rate", "100", "--seconds", "3")
    world.gateway.kill()
    world.gateway.start()
    found = json.loads(load.communicate()[0])
    assert found["failed"] == 0, found
    assert world.get(world.shared, "web.default.corral") == "one"


def test_traffic_goes_on_where_a_new_gateway_knows_nothing_and_no_controller_answers(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: world.get(port) == "one")
    world.gateway.kill()
    world.control.stop()
    (world.directory / "gateway" / "routes.json").unlink(missing_ok=True)
    log = world.directory / "gateway" / "gateway.log"
    world.gateway.start()
    wait_until(lambda: "no controller answers" in log.read_text())
    found = json.loads(start_load(f"http://127.0.0.1:{port}/", "--rate", "100", "--seconds", "1").communicate()[0])
    world.control.start()
    assert found["failed"] == 0, found


def test_what_tells_caddy_where_services_lead_may_die(world: World) -> None:
    port, one = free_port(), world.backend("one")
    world.control.put(service(port=port), pod("web-1", one.port))
    wait_until(lambda: world.get(port))
    load = start_load(f"http://127.0.0.1:{port}/", "--rate", "100", "--seconds", "2")
    killed = world.gateway.pid_of("pointers")
    os.kill(killed, 9)
    found = json.loads(load.communicate()[0])
    assert found["failed"] == 0, found
    wait_until(lambda: world.gateway.pid_of("pointers") not in (0, killed))


def test_whoever_connects_while_caddy_is_dead_waits_and_is_answered(world: World) -> None:
    port, later = free_port(), free_port()
    world.control.put(service(port=port), pod("web-1", world.backend("one").port))
    wait_until(lambda: world.get(port) == "one")
    world.control.put(service("api", port=later), pod("api-1", world.backend("two").port, app="api"))
    wait_until(lambda: world.get(later) == "two")
    world.gateway.kill()
    world.gateway.start()
    world.control.put(pod("web-1", world.backend("three").port))
    wait_until(lambda: world.get(port) == "three")
    os.kill(world.gateway.process.pid, signal.SIGSTOP)  # nobody starts it again yet
    killed = world.gateway.caddy_pid
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: _is_dead(killed))  # until then it may take a connection, and drop it
    answers: list[str] = []
    asking = [threading.Thread(target=lambda to=to: answers.append(world.get(to))) for to in (port, later)]
    for one in asking:
        one.start()
    wait_until(lambda: connects(port) and connects(later))
    os.kill(world.gateway.process.pid, signal.SIGCONT)
    for one in asking:
        one.join()
    assert sorted(answers) == ["three", "two"]
    world.control.put(removed=[ObjectKey("Service", "default", "api")])
    wait_until(lambda: not connects(later))
    assert world.gateway.caddy_pid != killed


def test_a_port_that_another_program_has_costs_no_other_service_anything(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, port = other.getsockname()[1], free_port()
        one = world.backend("one")
        world.control.put(service(port=taken), service("api", port=port), pod("a", one.port, app="api"))
        wait_until(lambda: world.get(port) == "one")
        wait_until(lambda: any(taken in load.unusable_ports for _, load in world.control.loads))
