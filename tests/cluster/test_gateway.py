"""Does traffic reach the replicas, whatever happens? The real gateway and the real Caddy, with Pods that are local servers."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway_kit import Backend, ControlSide, GatewayProcess, free_port, pod, service, wait_until

from corral.model.kube.meta import ObjectKey


class World:
    """One gateway, and what it serves."""

    def __init__(self, directory: Path) -> None:
        self.control = ControlSide(directory)
        self.shared = free_port()
        config = f"[gateway]\nhttp_port = {self.shared}\nhttps_port = 0\n"
        self.gateway = GatewayProcess(directory, f"unix://{self.control.socket}", config)
        self.backends: list[Backend] = []

    def backend(self, name: str, seconds: float = 0.0, port: int = 0) -> Backend:
        self.backends.append(Backend(name, port, seconds))
        return self.backends[-1]

    def get(self, port: int, host: str = "", path: str = "/") -> str:
        """The answer; "" when there is none."""
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.HTTPError):
            return ""

    def close(self) -> None:
        self.gateway.stop()
        self.control.stop()
        for one in self.backends:
            one.stop()


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
    wait_until(lambda: world.get(port) == "one")
    assert world.gateway.caddy_pid != killed
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
