"""Has every Service an address of its own, whatever happens?"""

from hypothesis import given, settings
from hypothesis import strategies as st

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig, KubernetesConfig
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
#: 14 addresses for 20 names: it fills, and what has been given back is given again.
RANGES = ("10.96.0.0/28", "10.97.0.0/28")
NAMES = st.sampled_from([f"s{number}" for number in range(20)])
WANTED = st.sampled_from(["", "", "", "None", *(f"10.96.0.{number}" for number in range(17)), "10.97.0.3"])
ACTS = st.one_of(
    st.tuples(st.just("put"), st.lists(st.tuples(NAMES, WANTED), min_size=1, max_size=3, unique_by=lambda one: one[0])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("range"), st.sampled_from(RANGES)),
)


def config(cidr: str) -> ClusterConfig:
    return ClusterConfig(kubernetes=KubernetesConfig(service_cidr=cidr))


def service(name: str, address: str) -> Service:
    spec = ServiceSpec(ports=(ServicePort(port=80),), cluster_ip=address)
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_no_two_services_have_one_address_and_none_changes_but_with_the_range(acts: list) -> None:
    cidr, now = RANGES[0], 10.0
    engine = Engine(config(cidr))
    before: dict[str, str] = {}
    for what, given_to in acts:
        now += 1
        moved = False
        if what == "put":
            objects = tuple(service(*one) for one in given_to)
            reply = engine.handle(PutObjects(objects=objects), now, ANN).reply
            for name, wanted in [] if isinstance(reply, Rejected) else given_to:
                found = engine.state.objects.get(ObjectKey("Service", "default", name))
                assert isinstance(found, Service)
                assert wanted in ("", found.spec.cluster_ip)
        elif what == "delete":
            engine.handle(DeleteObjects(keys=(ObjectKey("Service", "default", given_to),)), now, ANN)
        elif what == "restart":
            engine = Engine(config(cidr), ClusterState.load(engine.state.dump()))
            engine.tick(now)
        else:
            moved, cidr = given_to != cidr, given_to
            engine.configure(config(cidr), now, engine.tick(now))
            engine.tick(now)
        after = {one.metadata.name: one.spec.cluster_ip for one in engine.state.objects.everywhere("Service")}
        given_out = [address for address in after.values() if address not in ("", "None")]
        assert len(set(given_out)) == len(given_out)
        assert all(address.startswith(cidr.removesuffix("0/28")) for address in given_out)
        if not moved:
            assert all(after[name] == address for name, address in before.items() if address and name in after)
        before = after
