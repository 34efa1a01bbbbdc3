"""Do Services and Ingresses say whom they reach, and where?"""

import ipaddress
import re

from corral.model.kube.network import ClientIPConfig, Ingress, IngressBackend, Service, ServicePort
from corral.services import balancing
from corral.services.manifests.checks import metadata, probes
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

_OTHERS = (
    "nginx.ingress.kubernetes.io",
    "nginx.org",
    "traefik.ingress.kubernetes.io",
    "haproxy.org",
    "alb.ingress.kubernetes.io",
)
#: What ingressClassName may be.
CLASS = "corral"


def service(one: Service, problems: Problems) -> None:
    spec = one.spec
    _annotations(balancing.problems(one.metadata.annotations), problems)
    metadata.labels(spec.selector, "spec.selector", problems)
    if spec.type == "ExternalName":
        if not spec.external_name:
            problems.required("spec.externalName")
        elif why := kubenames.subdomain(spec.external_name.rstrip(".").lower()):
            problems.invalid("spec.externalName", spec.external_name, why)
        if spec.cluster_ip:
            problems.forbidden("spec.clusterIP", "may not be set for ExternalName services")
    else:
        if spec.external_name:
            problems.forbidden("spec.externalName", "may only be set when `type` is 'ExternalName'")
        if not spec.ports and spec.cluster_ip != "None":
            problems.required("spec.ports")
    if spec.cluster_ip == "None" and spec.type in ("NodePort", "LoadBalancer"):
        problems.invalid("spec.clusterIP", "None", f"may not be set to 'None' for {spec.type} services")
    elif spec.cluster_ip not in ("", "None") and not _is_address(spec.cluster_ip):
        problems.invalid("spec.clusterIP", spec.cluster_ip, "must be empty, 'None', or a valid IP address")
    elif ":" in spec.cluster_ip:
        problems.unsupported("spec.clusterIP", "Services' addresses are of IPv4")
    if len(spec.cluster_ips) > 1:
        problems.unsupported("spec.clusterIPs", "a Service has one address, of IPv4: name one, or none")
    elif spec.cluster_ips and spec.cluster_ips != (spec.cluster_ip,):
        problems.invalid("spec.clusterIPs", list(spec.cluster_ips), "first value must match `clusterIP`")
    if spec.session_affinity_config is not None:
        _sticky(one, problems)
    _ports(one, problems)


def _sticky(one: Service, problems: Problems) -> None:
    path = "spec.sessionAffinityConfig"
    given = one.spec.session_affinity_config
    if one.spec.session_affinity == "None":
        problems.forbidden(path, "must not be set when session affinity is None")
    elif given is not None and given.client_ip is not None:
        seconds = given.client_ip.timeout_seconds
        if not 1 <= seconds <= 86400:
            problems.invalid(
                f"{path}.clientIP.timeoutSeconds", seconds, "must be greater than 0 and less than or equal to 86400"
            )
        elif seconds != ClientIPConfig().timeout_seconds:
            problems.unsupported(
                f"{path}.clientIP.timeoutSeconds", "a client stays with its Pod for as long as the same Pods are there"
            )


def _ports(one: Service, problems: Problems) -> None:
    names: set[str] = set()
    numbers: set[tuple[str, int]] = set()
    nodes: set[int] = set()
    for index, port in enumerate(one.spec.ports):
        place = f"spec.ports[{index}]"
        _port_name(port, len(one.spec.ports) > 1, names, place, problems)
        if why := kubenames.port(port.port):
            problems.invalid(f"{place}.port", port.port, why)
        elif (port.protocol, port.port) in numbers:
            problems.duplicate(place, {"protocol": port.protocol, "port": port.port})
        numbers.add((port.protocol, port.port))
        if port.protocol != "TCP":
            problems.unsupported(f"{place}.protocol", "the gateway passes on TCP, and HTTP over it")
        if port.target_port:
            probes.check_port(port.target_port, f"{place}.targetPort", problems)
        if port.app_protocol and (why := kubenames.label_key(port.app_protocol)):
            problems.invalid(f"{place}.appProtocol", port.app_protocol, why)
        if port.node_port:
            if one.spec.type not in ("NodePort", "LoadBalancer"):
                problems.forbidden(f"{place}.nodePort", f"may not be used when `type` is '{one.spec.type}'")
            elif why := kubenames.port(port.node_port):
                problems.invalid(f"{place}.nodePort", port.node_port, why)
            elif port.node_port in nodes:
                problems.duplicate(f"{place}.nodePort", port.node_port)
            nodes.add(port.node_port)


def _port_name(port: ServicePort, needed: bool, names: set[str], path: str, problems: Problems) -> None:
    if not port.name:
        if needed:
            problems.required(f"{path}.name")
        return
    if why := kubenames.label(port.name):
        problems.invalid(f"{path}.name", port.name, why)
    elif port.name in names:
        problems.duplicate(f"{path}.name", port.name)
    names.add(port.name)


def _annotations(found: list[tuple[str, str]], problems: Problems) -> None:
    for key, why in found:
        problems.unsupported(f"metadata.annotations[{key}]", why)


def ingress(one: Ingress, problems: Problems) -> None:
    spec = one.spec
    _annotations(balancing.problems(one.metadata.annotations, of_ingress=True), problems)
    for key in one.metadata.annotations:
        prefix = key.partition("/")[0]
        if prefix in _OTHERS or key == "kubernetes.io/ingress.class":
            problems.unsupported(
                f"metadata.annotations[{key}]",
                "it speaks to another ingress controller; see corral.dev/... in docs/reference/services.md",
            )
    if spec.ingress_class_name not in ("", CLASS):
        problems.unsupported("spec.ingressClassName", f"there is one gateway: leave it out, or write {CLASS}")
    if not spec.rules and spec.default_backend is None:
        problems.invalid("spec", "", "either `defaultBackend` or `rules` must be specified")
    if spec.default_backend is not None:
        _backend(spec.default_backend, "spec.defaultBackend", problems)
    for index, rule in enumerate(spec.rules):
        place = f"spec.rules[{index}]"
        _host(rule.host, f"{place}.host", problems)
        if rule.http is None:
            continue
        if not rule.http.paths:
            problems.required(f"{place}.http.paths")
        for number, path in enumerate(rule.http.paths):
            spot = f"{place}.http.paths[{number}]"
            if not path.path.startswith("/"):
                problems.invalid(f"{spot}.path", path.path, "must be an absolute path")
            elif path.path_type != "ImplementationSpecific" and re.search(r"//|/\.\.?(/|$)|%2f|%5c", path.path, re.I):
                problems.invalid(f"{spot}.path", path.path, "must not contain '//', '/./', '/../', '%2f' or '%5c'")
            _backend(path.backend, f"{spot}.backend", problems)
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            _host(host, f"spec.tls[{index}].hosts[{number}]", problems)
        if tls.secret_name and (why := kubenames.subdomain(tls.secret_name)):
            problems.invalid(f"spec.tls[{index}].secretName", tls.secret_name, why)


def _host(host: str, path: str, problems: Problems) -> None:
    if not host:
        return
    if _is_address(host):
        problems.invalid(path, host, "must be a DNS name, not an IP address")
    elif why := kubenames.subdomain(host.removeprefix("*.")):
        problems.invalid(path, host, why)


def _backend(backend: IngressBackend, path: str, problems: Problems) -> None:
    name, port = backend.service.name, backend.service.port
    if why := kubenames.label_1035(name):
        problems.invalid(f"{path}.service.name", name, why)
    if port.name and port.number:
        problems.invalid(f"{path}.service.port", port.name, "cannot set both port name & port number")
    elif port.name:
        if why := kubenames.label(port.name):
            problems.invalid(f"{path}.service.port.name", port.name, why)
    elif not port.number:
        problems.required(f"{path}.service.port", "port name or number is required")
    elif why := kubenames.port(port.number):
        problems.invalid(f"{path}.service.port.number", port.number, why)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return False
