"""Where does a Service lead: which of its Pods take traffic, at which addresses, for each of its ports?

As Kubernetes' EndpointSlices: Pods that the selector means and that are ready; a port is that of the Pod whose number or name is the
targetPort. Where a Pod's port is reached is only ever what its status says.
"""

from collections.abc import Iterable

from corral.model.kube.network import Service, ServicePort
from corral.model.kube.pod import Pod, PortAddress
from corral.protocol.routes import PortRoute, ServiceRoute, Speech, Target
from corral.services.balancing import traffic_of_service

#: What appProtocol and the names of ports (http, http-metrics) say. What they don't say is HTTP: that is what services here mostly are.
_BY_WORD: dict[str, Speech] = {
    "http": "http", "ws": "http", "http2": "h2c", "h2c": "h2c", "grpc": "h2c", "https": "https", "wss": "https",
}  # fmt: skip
#: Ports of protocols that are no HTTP, in which often the server speaks first: manifests seldom name them.
_OTHER_PORTS = frozenset(
    (22, 25, 587, 1433, 1521, 1883, 2181, 3306, 4222, 4444, 5432, 5672, 6379, 9042, 9092, 9300, 11211, 27017)
)
_OTHERS = frozenset({"tcp", "tls", "mongo", "mysql", "postgres", "postgresql", "redis", "amqp", "nats", "ssh"})
#: So many parts of the traffic are a replica's, unless it says otherwise.
WEIGHT = "corral.dev/weight"


def speech_of(port: ServicePort) -> Speech:
    """By its appProtocol, else by the first word of its name, else by its number, else HTTP."""
    if port.app_protocol:
        word = port.app_protocol.lower().rpartition("/")[2]
        return _BY_WORD.get(word, "tcp")
    word = port.name.partition("-")[0]
    if word in _BY_WORD:
        return _BY_WORD[word]
    is_other = word in _OTHERS or port.port in _OTHER_PORTS or port.target_port in _OTHER_PORTS
    return "tcp" if is_other else "http"


def route(
    service: Service, pods: Iterable[Pod], tokens: tuple[str, ...] = (), *, is_shared: bool = False
) -> ServiceRoute:
    """`pods`: those that its selector means. `tokens`: that let in, where one is needed. `is_shared`: who makes objects in
    its namespace has been given the right to.
    """
    spec = service.spec
    found = [] if spec.external_name or not spec.selector else sorted(pods, key=lambda pod: pod.metadata.name)
    taking = [pod for pod in found if takes_traffic(service, pod, is_shared=is_shared)]
    listening = {one.port: one.gateway_port for one in service.status.ports}
    return ServiceRoute(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        external=spec.type == "ExternalName",
        external_name=spec.external_name if spec.type == "ExternalName" else "",
        traffic=traffic_of_service(service, tokens),
        ports=tuple(
            PortRoute(
                port=port.port,
                name=port.name,
                speech=speech_of(port),
                listen=listening.get(port.port, 0),
                targets=_targets(service, port, taking),
            )
            for port in spec.ports
            if port.protocol == "TCP"
        ),
    )


def takes_traffic(service: Service, pod: Pod, *, is_shared: bool = False) -> bool:
    """Is it ready, or does the service not mind?"""
    if not may_lead_to(service, pod, is_shared=is_shared):
        return False
    return pod.is_ready or service.spec.publish_not_ready_addresses


def may_lead_to(service: Service, pod: Pod, *, is_shared: bool = False) -> bool:
    """Once it is ready."""
    return not pod.has_ended and bool(pod.status.addresses) and (is_shared or _is_same_users(service, pod))


def _is_same_users(service: Service, pod: Pod) -> bool:
    """Labels are no fences between users: nobody's Pod gets another's traffic by having its labels. Root's may."""
    if service.creator is None or pod.creator is None:
        return True
    return pod.creator.uid in (0, service.creator.uid) or service.creator.uid == 0


def _targets(service: Service, port: ServicePort, pods: list[Pod]) -> tuple[Target, ...]:
    if service.spec.type == "ExternalName":
        return (Target(service.spec.external_name, _number(port)),)
    found = []
    for pod in pods:
        address = address_of(pod, port)
        if address is not None:
            own = own_address(pod) if service.spec.cluster_ip == "None" else ""
            own_port = address.port if own else 0
            found.append(Target(address.host, address.host_port, weight_of(pod), pod.metadata.name, own, own_port))
    return tuple(found)


def _number(port: ServicePort) -> int:
    return port.target_port if isinstance(port.target_port, int) and port.target_port else port.port


def address_of(pod: Pod, port: ServicePort) -> PortAddress | None:
    """Where the Pod's port behind this one is reached; None = it has no such port."""
    for address in pod.status.addresses:
        if address.protocol != port.protocol:
            continue
        if isinstance(port.target_port, str):
            if address.name == port.target_port:
                return address
        elif address.port == _number(port):
            return address
    return None


def own_address(pod: Pod) -> str:
    """By which nodes lead to it; "" = they cannot, since its node is known by another name than an IPv4 address."""
    numbers = all(one.host.replace(".", "").isdigit() for one in pod.status.addresses)
    return pod.status.own_ip if numbers and not pod.has_ended else ""


def weight_of(pod: Pod) -> int:
    text = pod.metadata.annotations.get(WEIGHT, "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
