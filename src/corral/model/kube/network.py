"""How is a service reached: Service, Ingress?"""

from typing import Literal

from corral.model.kube.meta import Condition, KubeObject, Schema
from corral.model.kube.pod import IntOrString


class ServicePort(Schema, frozen=True, kw_only=True):
    port: int
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    target_port: IntOrString = 0  #: 0 = as port
    node_port: int = 0
    app_protocol: str = ""


class ClientIPConfig(Schema, frozen=True, kw_only=True):
    timeout_seconds: int = 10800


class SessionAffinityConfig(Schema, frozen=True, kw_only=True):
    client_ip: ClientIPConfig | None = None


class ServiceSpec(Schema, frozen=True, kw_only=True):
    selector: dict[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = ""  #: of the cluster's service_cidr; "None" = headless
    cluster_ips: tuple[str, ...] = ()  #: the same once more
    external_name: str = ""
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    publish_not_ready_addresses: bool = False


class ServicePortStatus(Schema, frozen=True, kw_only=True):
    """Where one port of a Service is reached at the gateway."""

    port: int  #: as in the spec
    gateway_port: int
    url: str = ""  #: http://host:port/, tcp://host:port


class ServiceStatus(Schema, frozen=True, kw_only=True):
    url: str = ""  #: where its first HTTP port is reached
    ports: tuple[ServicePortStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Service(KubeObject, frozen=True, kw_only=True):
    """Equal Pods behind one name. Annotations corral.dev/... choose what Kubernetes has no word for (docs/reference/services.md)."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class IngressBackendPort(Schema, frozen=True, kw_only=True):
    number: int = 0
    name: str = ""


class IngressServiceBackend(Schema, frozen=True, kw_only=True):
    name: str
    port: IngressBackendPort = IngressBackendPort()


class IngressBackend(Schema, frozen=True, kw_only=True):
    service: IngressServiceBackend


class HTTPIngressPath(Schema, frozen=True, kw_only=True):
    backend: IngressBackend
    path: str = "/"
    path_type: Literal["Exact", "Prefix", "ImplementationSpecific"] = "Prefix"


class HTTPIngressRule(Schema, frozen=True, kw_only=True):
    paths: tuple[HTTPIngressPath, ...] = ()


class IngressRule(Schema, frozen=True, kw_only=True):
    host: str = ""
    http: HTTPIngressRule | None = None


class IngressTLS(Schema, frozen=True, kw_only=True):
    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Schema, frozen=True, kw_only=True):
    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class IngressStatus(Schema, frozen=True, kw_only=True):
    url: str = ""


class Ingress(KubeObject, frozen=True, kw_only=True):
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()
