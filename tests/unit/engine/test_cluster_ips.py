"""Which address of its own has each Service, and what do agents know of it?"""

import msgspec
import pytest
from tests.builders import OPERATOR, cluster, nodes

from corral.engine.engine import Engine
from corral.engine.kube import clusterips
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig, KubernetesConfig
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.model.kube.pod import Container, ContainerPort, Pod, PodSpec
from corral.protocol import reports as rp
from corral.protocol.orders import AddressRoute, TellAddresses
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects, ReportLoad

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
GATEWAY = ReportLoad(gateway="g", host="192.0.2.1", http_port=8080)


def config(cidr: str = "10.96.0.0/12", directory: str = "") -> ClusterConfig:
    return ClusterConfig(kubernetes=KubernetesConfig(service_cidr=cidr), state_dir=directory)


def service(name: str, **fields: object) -> Service:
    spec = ServiceSpec(ports=(ServicePort(port=80),), **fields)  # type: ignore[arg-type]
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


def put(engine: Engine, *objects: Service) -> ObjectsPut | Rejected:
    reply = engine.handle(PutObjects(objects=objects), 10.0, ANN).reply
    assert isinstance(reply, ObjectsPut | Rejected)
    return reply


def delete(engine: Engine, name: str) -> None:
    engine.handle(DeleteObjects(keys=(ObjectKey("Service", "default", name),)), 20.0, ANN)


def address(engine: Engine, name: str) -> str:
    one = engine.state.objects.get(ObjectKey("Service", "default", name))
    assert isinstance(one, Service)
    return one.spec.cluster_ip


def test_each_service_has_one_of_its_own() -> None:
    engine = Engine(config())
    put(engine, service("a"), service("b"), service("n", type="NodePort"), service("h", cluster_ip="None"))
    put(engine, service("x", type="ExternalName", external_name="example.org"))
    found = [address(engine, name) for name in ("a", "b", "n", "h", "x")]
    assert found == ["10.96.1.0", "10.96.1.1", "10.96.1.2", "None", ""]


def test_it_stays_when_applied_again_and_after_a_restart_and_rests_when_given_back() -> None:
    engine = Engine(config())
    put(engine, service("gone"), service("web"))
    delete(engine, "gone")
    assert isinstance(put(engine, service("web")), ObjectsPut)
    put(engine, service("next"))
    assert (address(engine, "web"), address(engine, "next")) == ("10.96.1.1", "10.96.1.2")
    again = Engine(config(), ClusterState.load(engine.state.dump()))
    put(again, service("new"))
    assert len({address(again, name) for name in ("web", "next", "new")}) == 3
    assert address(again, "web") == "10.96.1.1"


def test_one_that_is_asked_for_is_given_and_cannot_change() -> None:
    engine = Engine(config())
    put(engine, service("web", cluster_ip="10.100.0.7"))
    assert address(engine, "web") == "10.100.0.7"
    refused = put(engine, service("web", cluster_ip="10.100.0.8"))
    assert isinstance(refused, Rejected)
    assert "may not change once set" in refused.error


@pytest.mark.parametrize(
    ("cidr", "wanted", "why"),
    [
        ("10.96.0.0/12", "10.112.0.1", "not among the cluster's addresses"),
        ("10.96.0.0/12", "10.96.0.0", "not among the cluster's addresses"),
        ("10.96.0.0/12", "10.96.7.7", "taken already"),
        ("", "10.96.7.7", "gives Services no addresses"),
    ],
)
def test_one_that_cannot_be_is_refused(cidr: str, wanted: str, why: str) -> None:
    engine = Engine(config(cidr))
    put(engine, service("first", cluster_ip="10.96.7.7"))
    reply = put(engine, service("second", cluster_ip=wanted))
    assert isinstance(reply, Rejected)
    assert why in reply.error


def test_two_at_once_do_not_get_the_same() -> None:
    engine = Engine(config())
    reply = put(engine, service("a", cluster_ip="10.96.7.7"), service("b", cluster_ip="10.96.7.7"))
    assert isinstance(reply, Rejected)
    assert (reply.index, "taken" in reply.error) == (1, True)


def test_a_full_range_says_so_until_one_is_given_back() -> None:
    engine = Engine(config("10.96.0.0/28"))
    put(engine, *(service(f"s{number}") for number in range(14)))
    assert len({address(engine, f"s{number}") for number in range(14)}) == 14
    reply = put(engine, service("more"))
    assert isinstance(reply, Rejected)
    assert "range is full" in reply.error
    delete(engine, "s3")
    assert isinstance(put(engine, service("more")), ObjectsPut)
    assert address(engine, "more")


def test_clusters_of_one_machine_begin_elsewhere() -> None:
    found = set()
    for directory in ("/tmp/one", "/tmp/two", "/var/lib/corral"):
        engine = Engine(config(directory=directory))
        put(engine, service("a"))
        found.add(address(engine, "a"))
    assert len(found) == 3


def test_another_range_gives_others() -> None:
    engine = Engine(config())
    put(engine, service("a"))
    engine.configure(config("10.200.0.0/16"), 20.0, engine.tick(20.0))
    engine.tick(21.0)
    assert address(engine, "a").startswith("10.200.")


# -- what agents are told


def beat(c: object, version: str | None) -> list[TellAddresses]:
    c.report(rp.Heartbeat(agent="agent", nodes=("n1",), addresses=version))  # type: ignore[attr-defined]
    return c.orders(TellAddresses)  # type: ignore[attr-defined, no-any-return]


def test_an_agent_that_can_translate_is_told_what_changes_and_nothing_twice() -> None:
    c = cluster(nodes("n1"))
    assert beat(c, "") == []
    c.ask(PutObjects(objects=(service("web"),)), OPERATOR)
    assert c.orders(TellAddresses) == []  # no gateway
    c.now += 10
    c.ask(GATEWAY, OPERATOR)
    (first,) = c.orders(TellAddresses)
    assert (first.host, first.network, first.base) == ("192.0.2.1", "10.96.0.0/12", "")
    assert first.routes == (AddressRoute("web.default", "10.96.1.0", ((80, 22000),)),)
    assert first.shared == "8080,22000:24999,30000:32767"
    c.ask(GATEWAY, OPERATOR)
    assert c.orders(TellAddresses) == []
    assert beat(c, first.version) == []
    c.now += 10
    c.ask(PutObjects(objects=(service("api"),)), OPERATOR)
    c.ask(DeleteObjects(keys=(ObjectKey("Service", "default", "web"),)), OPERATOR)
    second, *more = c.orders(TellAddresses)
    assert second.base == first.version
    assert [route.name for route in second.routes] == ["api.default"]
    c.now += 10
    c.tick()
    (third,) = more or c.orders(TellAddresses)
    assert (third.base, third.removed) == (second.version, ("web.default",))


def test_an_agent_that_knows_something_else_is_told_everything() -> None:
    c = cluster(nodes("n1"))
    c.ask(PutObjects(objects=(service("web"),)), OPERATOR)
    c.ask(GATEWAY, OPERATOR)
    (told,) = beat(c, "what was long ago")
    assert (told.base, len(told.routes)) == ("", 1)
    assert beat(c, "what was long ago") == []  # it may be under way
    c.now += 20
    assert len(beat(c, "what was long ago")) == 1
    assert beat(c, None) == []


def test_a_version_is_the_same_after_a_restart() -> None:
    c = cluster(nodes("n1"))
    c.ask(PutObjects(objects=(service("web"), service("api"))), OPERATOR)
    c.ask(GATEWAY, OPERATOR)
    (told,) = beat(c, "")
    again = Engine(c.engine.config, ClusterState.load(c.engine.state.dump()), term=2)
    again.handle(GATEWAY, 20.0, OPERATOR)
    again.handle(rp.AgentRegistered(agent="agent", instance="i", nodes=(), steps=()), 20.0)
    sends = again.handle(rp.Heartbeat(agent="agent", nodes=("n1",), addresses=told.version), 21.0).sends
    assert not [order for _, order in sends if isinstance(order, TellAddresses)]


def test_each_agent_keeps_to_one_of_several_gateways_that_live() -> None:
    c = cluster(nodes("n1"))
    c.ask(PutObjects(objects=(service("web"),)), OPERATOR)
    other = msgspec.structs.replace(GATEWAY, gateway="h", host="192.0.2.2")
    c.ask(GATEWAY, OPERATOR)
    c.ask(other, OPERATOR)
    (told,) = beat(c, "")
    left = other if told.host == GATEWAY.host else GATEWAY
    c.now += 60
    c.ask(left, OPERATOR)
    (told,) = c.orders(TellAddresses)
    assert told.host == left.host


def test_pods_that_a_headless_service_means_have_addresses_of_their_own() -> None:
    """Each its own, told while it runs, ready or not; those of others are not told."""
    c = cluster(nodes("n1", address="10.0.0.1"))
    c.ask(GATEWAY, OPERATOR)
    beat(c, "")
    for name, app in (("db-0", "db"), ("db-1", "db"), ("web", "web")):
        ports = (ContainerPort(container_port=5432),)
        spec = PodSpec(containers=(Container(name="main", command=("serve",), ports=ports),))
        c.ask(
            PutObjects(
                objects=(Pod(metadata=ObjectMeta(name=name, namespace="default", labels={"app": app}), spec=spec),)
            ),
            OPERATOR,
        )
    c.ask(PutObjects(objects=(service("db", cluster_ip="None", selector={"app": "db"}),)), OPERATOR)
    c.now += 10
    c.cycle()
    c.now += 1
    c.tick()
    told = {route.name: route for order in c.orders(TellAddresses) for route in order.routes}
    assert sorted(told) == ["pod/db-0.default", "pod/db-1.default"]
    found = [told[name] for name in sorted(told)]
    assert [(one.host, one.ports[0][0]) for one in found] == [("10.0.0.1", 5432)] * 2
    assert len({one.address for one in found}) == 2
    c.ask(DeleteObjects(keys=(ObjectKey("Service", "default", "db"),)), OPERATOR)
    c.now += 10
    c.tick()
    assert sorted(name for order in c.orders(TellAddresses) for name in order.removed) == sorted(told)


def test_services_of_a_record_that_knows_no_addresses_get_some() -> None:
    old = Engine(config(""))
    put(old, service("a"), service("b"))
    assert [address(old, name) for name in ("a", "b")] == ["", ""]
    engine = Engine(config(), ClusterState.load(old.state.dump()))
    engine.tick(20.0)
    assert len({address(engine, "a"), address(engine, "b"), ""}) == 3


def test_those_that_were_given_back_do_not_pile_up() -> None:
    ctx = Engine(config()).ctx
    pods = [Pod(metadata=ObjectMeta(name=f"p{index}", namespace="default")) for index in range(3000)]
    assert len({clusterips.for_pod(ctx, pod) for pod in pods}) == 3000  # none of them is there when the next one comes
    assert len(ctx.service_addresses or {}) < 1100
