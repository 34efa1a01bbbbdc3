"""Where Services lead, as Kubernetes' Endpoints and EndpointSlices."""

import msgspec
from tests.kube import meta

from corral.controller import kubeendpoints
from corral.engine.kubeobjects import Objects
from corral.model.job import Owner
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.model.kube.pod import Pod, PodStatus, PortAddress

OWNER = Owner(uid=1000, gid=1000, user="ann", group="ann")


def pod(name: str, host_port: int, *, is_ready: bool = True) -> Pod:
    status = PodStatus(
        phase="Running", node="n1", ready_since=1.0 if is_ready else 0.0,
        addresses=(PortAddress(port=8080, host_port=host_port, host="10.0.0.1", name="http"),),
    )  # fmt: skip
    return Pod(metadata=meta(name, labels={"app": "web"}, uid=f"uid-{name}"), status=status, creator=OWNER)


def world(*pods: Pod) -> Objects:
    spec = ServiceSpec(selector={"app": "web"}, ports=(ServicePort(port=80, name="http", target_port="http"),))
    service = Service(metadata=meta("web", uid="12345678-web"), spec=spec, creator=OWNER)
    objects = Objects()
    for one in (service, *pods):
        objects.put(one)
    return objects


def test_each_pod_is_reached_at_its_node_by_a_port_of_its_own() -> None:
    objects = world(pod("a", 25000), pod("b", 25001, is_ready=False))
    (found,) = kubeendpoints.all_endpoints(objects, False)
    assert found.key.name == "web"
    ready, other = found.subsets
    assert [(one.ip, ready.ports[0].port) for one in ready.addresses] == [("10.0.0.1", 25000)]
    assert (other.addresses, other.not_ready_addresses[0].ip, other.ports[0].port) == ((), "10.0.0.1", 25001)
    slices = list(kubeendpoints.all_slices(objects, False))
    assert [one.endpoints[0].conditions.ready for one in slices] == [True, False]
    assert {one.metadata.labels["kubernetes.io/service-name"] for one in slices} == {"web"}


def test_another_users_pod_is_no_endpoint_whatever_its_labels_are() -> None:
    eve = msgspec.structs.replace(pod("eve", 25002), creator=Owner(uid=1001, gid=1001, user="eve", group="eve"))
    assert not list(kubeendpoints.all_slices(world(eve), False))
