"""Where does a Service lead?"""

import msgspec
import pytest

from corral.model.job import Owner
from corral.model.kube.meta import ObjectMeta
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.model.kube.pod import Pod, PodStatus, PortAddress
from corral.protocol.routes import Target
from corral.services.endpoints import route, speech_of

ANN, BOB, ROOT = (
    Owner(uid=uid, gid=uid, user=name, group=name) for uid, name in ((1000, "ann"), (1001, "bob"), (0, "root"))
)


def service(*ports: ServicePort, **spec: object) -> Service:
    spec.setdefault("selector", {"app": "web"})
    return Service(metadata=ObjectMeta(name="web", namespace="default"), spec=ServiceSpec(ports=ports, **spec))  # type: ignore[arg-type]


def pod(name: str, *, ready: bool = True, phase: str = "Running", deleted: float = 0.0, addresses: int = 1) -> Pod:
    ports = (
        PortAddress(port=8000, name="web", host="10.0.0.1", host_port=31000),
        PortAddress(port=9000, name="admin", host="10.0.0.1", host_port=31001),
    )
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default", deletion_timestamp=deleted),
        status=PodStatus(phase=phase, ready_since=5.0 if ready else 0.0, addresses=ports if addresses else ()),  # type: ignore[arg-type]
    )


def targets(one: Service, *pods: Pod) -> list[list[Target]]:
    return [list(port.targets) for port in route(one, pods).ports]


def test_only_ready_pods_that_stay_take_traffic() -> None:
    one = service(ServicePort(port=80, target_port=8000))
    ready, waiting = pod("a"), pod("b", ready=False)
    leaving, over, bare = pod("c", deleted=9.0), pod("d", phase="Succeeded"), pod("e", addresses=0)
    assert targets(one, ready, waiting, leaving, over, bare) == [[Target("10.0.0.1", 31000, 1, "a")]]


def test_a_service_may_want_pods_that_are_not_ready() -> None:
    one = service(ServicePort(port=80, target_port=8000), publish_not_ready_addresses=True)
    assert len(targets(one, pod("a", ready=False), pod("b", phase="Failed"))[0]) == 1


def test_a_target_port_is_a_number_a_name_or_the_port_itself() -> None:
    one = service(
        ServicePort(port=80, target_port="web"),
        ServicePort(port=81, target_port=9000),
        ServicePort(port=8000),
        ServicePort(port=82, target_port="nowhere"),
    )
    assert [[target.port for target in found] for found in targets(one, pod("a"))] == [[31000], [31001], [31000], []]


def test_an_external_name_leads_there() -> None:
    one = service(
        ServicePort(port=443, target_port=8443), type="ExternalName", external_name="example.org", selector={}
    )
    assert targets(one) == [[Target("example.org", 8443)]]


def test_without_a_selector_it_leads_nowhere() -> None:
    assert targets(service(ServicePort(port=80, target_port=8000), selector={}), pod("a")) == [[]]


def test_ports_speak_as_their_app_protocol_or_name_says() -> None:
    said = [
        speech_of(ServicePort(port=1, name=name)) for name in ("", "http", "web", "grpc-api", "https", "tcp", "redis")
    ]
    assert said == ["http", "http", "http", "h2c", "https", "tcp", "tcp"]
    said = [speech_of(one) for one in (ServicePort(port=6379), ServicePort(port=1, target_port=3306, name="db"))]
    assert said == ["tcp", "tcp"]  # as manifests write them
    assert speech_of(ServicePort(port=6379, name="http-admin")) == "http"
    said = [
        speech_of(ServicePort(port=1, app_protocol=word))
        for word in ("kubernetes.io/h2c", "kubernetes.io/ws", "TCP", "x")
    ]
    assert said == ["h2c", "http", "tcp", "tcp"]


@pytest.mark.parametrize(("of", "by", "takes"), [(ANN, ANN, 1), (ANN, BOB, 0), (ANN, ROOT, 1), (ROOT, BOB, 1)])
def test_no_pod_gets_another_users_traffic_by_having_its_labels(of: Owner, by: Owner, takes: int) -> None:
    one = msgspec.structs.replace(service(ServicePort(port=80, target_port=8000)), creator=of)
    assert len(targets(one, msgspec.structs.replace(pod("a"), creator=by))[0]) == takes


def test_members_of_a_namespace_have_their_services_in_common() -> None:
    one = msgspec.structs.replace(service(ServicePort(port=80, target_port=8000)), creator=ANN)
    found = route(one, [msgspec.structs.replace(pod("a"), creator=BOB)], is_shared=True)
    assert len(found.ports[0].targets) == 1


@pytest.mark.parametrize(
    ("address", "host", "own"), [("None", "10.0.0.1", "10.104.0.1"), ("", "10.0.0.1", ""), ("None", "n1", "")]
)
def test_a_headless_service_leads_to_pods_own_addresses_and_ports(address: str, host: str, own: str) -> None:
    """Where nodes can translate them: not if a node is known by its name alone."""
    one = service(ServicePort(port=80, target_port=8000), cluster_ip=address)
    status = PodStatus(
        phase="Running", ready_since=5.0, own_ip="10.104.0.1", addresses=(PortAddress(port=8000, host=host, host_port=31000),)
    )  # fmt: skip
    (target,) = targets(one, Pod(metadata=ObjectMeta(name="a", namespace="default"), status=status))[0]
    assert (target.own, target.own_port) == (own, 8000 if own else 0)
