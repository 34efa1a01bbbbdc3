"""Which replica does a connection of a TCP service go to?"""

from pathlib import Path

from corral.daemon.logs import Log
from corral.gateway.relay import Relay
from corral.gateway.waiting import Waiting
from corral.protocol.routes import PortRoute, ServiceRoute, Target, Traffic

TARGETS = tuple(Target(f"10.0.0.{number}", 25000, pod=f"db-{number}") for number in range(5))
CLIENTS = [f"192.0.2.{number}" for number in range(200)]


def relay(tmp_path: Path, targets: tuple[Target, ...] = TARGETS, **traffic: str) -> Relay:
    port = PortRoute(port=5432, speech="tcp", targets=targets)
    service = ServiceRoute(namespace="default", name="db", ports=(port,), traffic=Traffic(**traffic))  # type: ignore[arg-type]
    return Relay(service, port, Waiting(1, 1.0, lambda: None), Log(tmp_path / "log", "info"))


def test_the_one_with_the_fewest_connections_for_its_weight_is_first(tmp_path: Path) -> None:
    heavy, none = Target("10.0.0.8", 1, 3, "heavy"), Target("10.0.0.9", 1, 0, "none")
    one = relay(tmp_path, (*TARGETS[:2], heavy, none))
    one.in_flight = {TARGETS[0]: 1, heavy: 1}
    assert one.in_order("192.0.2.1") == (heavy, TARGETS[1], TARGETS[0])


def test_a_client_stays_with_its_replica_and_all_replicas_have_clients(tmp_path: Path) -> None:
    one = relay(tmp_path, sticky="client-ip")
    chosen = {client: one.in_order(client)[0] for client in CLIENTS}
    one.in_flight = {target: number for number, target in enumerate(TARGETS)}
    assert {client: one.in_order(client)[0] for client in CLIENTS} == chosen
    assert set(chosen.values()) == set(TARGETS)
    less = relay(tmp_path, TARGETS[1:], sticky="client-ip")  # only clients of the one that went have another
    assert all(less.in_order(client)[0] == target for client, target in chosen.items() if target != TARGETS[0])
