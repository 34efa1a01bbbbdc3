"""At which port of the gateway is each Service reached?"""

import msgspec
import pytest

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig, GatewayConfig
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.network import (
    HTTPIngressPath,
    HTTPIngressRule,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    Service,
    ServicePort,
    ServiceSpec,
)
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects, ReportLoad

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
OPERATOR = msgspec.structs.replace(ANN, role="operator")
CONFIG = ClusterConfig(gateway=GatewayConfig(ports="28000-28002", node_ports="30000-30001"))


def service(name: str = "web", *ports: int, **fields: object) -> Service:
    node_ports = fields.pop("node_ports", {})
    spec = ServiceSpec(
        ports=tuple(ServicePort(port=one, node_port=node_ports.get(one, 0)) for one in ports or (80,)), **fields
    )  # type: ignore
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


def put(engine: Engine, *objects: Service) -> ObjectsPut | Rejected:
    reply = engine.handle(PutObjects(objects=objects), 10.0, ANN).reply
    assert isinstance(reply, ObjectsPut | Rejected)
    return reply


def of(engine: Engine, name: str = "web") -> Service:
    one = engine.state.objects.get(ObjectKey("Service", "default", name))
    assert isinstance(one, Service)
    return one


def numbers(engine: Engine, name: str = "web") -> list[int]:
    return [one.gateway_port for one in of(engine, name).status.ports]


def test_each_port_has_one_of_its_own_and_a_url() -> None:
    engine = Engine(CONFIG)
    put(engine, service("web", 80, 81), service("api"))
    assert (numbers(engine), numbers(engine, "api")) == ([28000, 28001], [28002])
    assert of(engine).status.url == "http://127.0.0.1:28000/"


def test_it_keeps_its_port_when_it_is_applied_again_and_after_a_restart() -> None:
    engine = Engine(CONFIG)
    put(engine, service("gone"), service("web"))
    engine.handle(DeleteObjects(keys=(ObjectKey("Service", "default", "gone"),)), 20.0, ANN)
    put(engine, service("web", 80, 81))
    assert numbers(engine)[0] == 28001
    again = Engine(CONFIG, ClusterState.load(engine.state.dump()))
    put(again, service("new"))
    assert numbers(again) == numbers(engine)
    assert not set(numbers(again)) & set(numbers(again, "new"))


def test_ports_of_services_that_are_gone_are_given_again() -> None:
    engine = Engine(CONFIG)
    for _ in range(5):
        put(engine, service("web"))
        assert numbers(engine)[0]
        engine.handle(DeleteObjects(keys=(ObjectKey("Service", "default", "web"),)), 20.0, ANN)


def test_a_service_without_a_free_port_has_no_url() -> None:
    engine = Engine(CONFIG)
    put(engine, service("a", 80, 81, 82))
    put(engine, service("web"))
    assert (numbers(engine), of(engine).status.url) == ([], "")


def test_a_node_port_is_as_asked_for_or_given_and_stays() -> None:
    engine = Engine(CONFIG)
    put(engine, service("asked", type="NodePort", node_ports={80: 30000}), service("given", type="LoadBalancer"))
    assert (numbers(engine, "asked"), numbers(engine, "given")) == ([30000], [30001])
    assert of(engine, "given").spec.ports[0].node_port == 30001
    assert engine.handle(PutObjects(objects=(service("given", type="LoadBalancer"),)), 20.0, ANN).records == []


@pytest.mark.parametrize(("number", "why"), [(29999, "not among"), (30000, "taken")])
def test_a_node_port_that_cannot_be_is_refused(number: int, why: str) -> None:
    engine = Engine(CONFIG)
    put(engine, service("first", type="NodePort", node_ports={80: 30000}))
    reply = put(engine, service("second", type="NodePort", node_ports={80: number}))
    assert isinstance(reply, Rejected)
    assert why in reply.error


def test_headless_services_and_udp_have_no_port_at_the_gateway() -> None:
    engine = Engine(CONFIG)
    put(engine, service("web", cluster_ip="None"))
    assert numbers(engine) == []


def test_a_port_that_another_program_has_is_exchanged() -> None:
    engine = Engine(CONFIG)
    put(engine, service("web"))
    engine.handle(ReportLoad(gateway="g", unusable_ports=(28000,)), 20.0, OPERATOR)
    assert numbers(engine) == [28001]


def test_only_operators_report_load() -> None:
    reply = Engine(CONFIG).handle(ReportLoad(gateway="g"), 20.0, ANN).reply
    assert isinstance(reply, Rejected)
    assert reply.code == "denied"


def test_an_ingress_says_where_its_first_path_is_reached_once_a_gateway_has_said_its_ports() -> None:
    engine = Engine(CONFIG)
    backend = IngressBackend(service=IngressServiceBackend(name="web"))
    rules = (IngressRule(host="x.org", http=HTTPIngressRule(paths=(HTTPIngressPath(backend=backend, path="/app"),))),)
    one = Ingress(metadata=ObjectMeta(name="i", namespace="default"), spec=IngressSpec(rules=rules))
    engine.handle(PutObjects(objects=(one,)), 10.0, ANN)

    def url() -> str:
        found = engine.state.objects.get(one.key)
        assert isinstance(found, Ingress)
        return found.status.url

    assert url() == ""
    engine.handle(ReportLoad(gateway="g", http_port=8080), 20.0, OPERATOR)
    assert url() == "http://x.org:8080/app"
    assert engine.handle(ReportLoad(gateway="g", http_port=8080), 21.0, OPERATOR).records == []
