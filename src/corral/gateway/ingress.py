"""What do the shared servers do? Hosts and paths, the most exact first; what has TLS is sent there; certificates. Pure."""

from typing import Any

from corral.gateway import certificates
from corral.gateway.proxying import Settings, escaped, gate, server_name
from corral.protocol.routes import Certificate, IngressRoute, PathRoute, PortRoute, ServiceRoute

Handle = list[dict[str, Any]]
Routes = list[dict[str, Any]]

#: So many routes are gone through one by one. With more than a hundred hosts Caddy searches instead.
_FEW = 128


class Shared:
    """Collects what the services and Ingresses say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_name: list[tuple[list[str], Routes]] = []
        self._services: dict[tuple[str, str], tuple[ServiceRoute, dict[PortRoute, Handle]]] = {}
        self.named: dict[
            str, dict[str, Any]
        ] = {}  #: how a request goes on to a port of a service, for all routes to it
        self._paths: list[tuple[IngressRoute, PathRoute]] = []
        self._ingresses: list[IngressRoute] = []

    def add_service(self, service: ServiceRoute, by_port: dict[PortRoute, dict[str, Any]], hosts: list[str]) -> None:
        """`by_port`: the handler that sends a request on to a replica."""
        there: dict[PortRoute, Handle] = {}
        for port, proxy in by_port.items():
            name = server_name(service, port)
            self.named[name] = {"handle": [proxy]}
            # Below others Caddy's metrics count what is named, and nothing else.
            there[port] = [*gate(service.traffic, self._settings), {"handler": "invoke", "name": name}]
        self._services[service.namespace, service.name] = service, there
        if there:
            first = next(iter(there.values()))
            self._by_name.append((hosts, [{"handle": first, "terminal": True}]))

    def add_ingress(self, ingress: IngressRoute) -> None:
        self._ingresses.append(ingress)
        self._paths += [(ingress, path) for path in ingress.paths]

    @property
    def has_tls(self) -> bool:
        return any(one.certificates for one in self._ingresses)

    def plain(self) -> list[dict[str, Any]]:
        """The routes of the server without TLS."""
        return [*by_host(self._by_name), *self._redirects(), *self._rules(), _nothing_there()]

    def secure(self) -> list[dict[str, Any]]:
        return [*by_host(self._by_name), *self._rules(), _nothing_there()]

    def tls(self) -> dict[str, Any]:
        """Certificates that were given, and the hosts for which the cluster's authority makes some."""
        given: list[dict[str, Any]] = []
        own: list[str] = []
        for ingress in self._ingresses:
            for one in ingress.certificates:
                if _is_given(one):
                    given.append({"certificate": one.certificate, "key": one.key, "tags": [_tag(ingress)]})
                else:
                    own += one.hosts
        subjects = sorted(set(own) | {self._settings.config.host or self._settings.config.listen})
        policy = {"subjects": subjects, "issuers": [{"module": "internal"}]}
        found: dict[str, Any] = {"automation": {"policies": [policy]}, "certificates": {"automate": subjects}}
        if given:
            found["certificates"]["load_pem"] = given
        return found

    def policies(self) -> list[dict[str, Any]]:
        """Each host has the certificate that its own Ingress gives, whatever hosts others' are made out for."""
        found: list[dict[str, Any]] = []
        for ingress in self._ingresses:
            hosts = sorted({host for one in ingress.certificates if _is_given(one) for host in one.hosts})
            if hosts:
                chosen = {"any_tag": [_tag(ingress)]}
                found.append({"match": {"sni": hosts}, "certificate_selection": chosen})
        return [*found, {}]

    def _redirects(self) -> list[dict[str, Any]]:
        hosts = sorted(
            {
                host
                for ingress in self._ingresses
                if ingress.traffic.redirects
                for certificate in ingress.certificates
                for host in certificate.hosts
            }
        )
        port = self._settings.https_port
        if not hosts or not port:
            return []
        place = "https://{http.request.host}" + ("" if port == 443 else f":{port}") + "{http.request.uri}"
        handler = {"handler": "static_response", "status_code": "308", "headers": {"Location": [place]}}
        return [{"match": [{"host": hosts}], "handle": [handler], "terminal": True}]

    def _rules(self) -> list[dict[str, Any]]:
        ordered = sorted(self._paths, key=lambda one: _precedence(one[1]))
        owners = {(path.host, ingress.namespace) for ingress, path in self._paths if path.host}
        found: dict[str, Routes] = {}  # exact hosts first, then wildcards
        for ingress, path in ordered:
            route: dict[str, Any] = {"handle": [*gate(ingress.traffic, self._settings), *self._backend(ingress, path)]}
            match = _match(path)
            if not path.host:
                own = {host for host, namespace in owners if namespace == ingress.namespace}
                if others := sorted({host for host, _ in owners} - own):
                    match["not"] = [{"host": others}]
            if match:
                route["match"] = [match]
            found.setdefault(path.host, []).append({**route, "terminal": True})
        anywhere = found.pop("", [])
        return [*by_host([([host], routes) for host, routes in found.items()]), *anywhere]

    def _backend(self, ingress: IngressRoute, path: PathRoute) -> Handle:
        service, by_port = self._services.get((ingress.namespace, path.service), (None, {}))
        if service is None:
            return [_says("503", f"There is no service {ingress.namespace}/{path.service}.\n")]
        for port, handle in by_port.items():
            if (path.port and port.port == path.port) or (path.port_name and port.name == path.port_name):
                return handle
        port_text = path.port_name or path.port
        return [_says("503", f"Service {ingress.namespace}/{path.service} has no HTTP port {port_text}.\n")]


def by_host(entries: list[tuple[list[str], Routes]]) -> Routes:
    """The routes of each of these hosts.

    Caddy goes through routes one by one: those of one host cost others nothing; and whether a host is among a hundred it finds at once.
    """
    if len(entries) <= _FEW:
        return [_below(hosts, routes) for hosts, routes in entries]
    parts = [entries[at : at + _FEW] for at in range(0, len(entries), _FEW)]
    return [_below([host for hosts, _ in part for host in hosts], by_host(part)) for part in parts]


def _below(hosts: list[str], routes: Routes) -> dict[str, Any]:
    """What none of them means goes on to the next."""
    return {"match": [{"host": hosts}], "handle": [{"handler": "subroute", "routes": routes}]}


def _is_given(certificate: Certificate) -> bool:
    return bool(certificate.certificate) and certificates.is_usable(certificate.certificate, certificate.key)


def _tag(ingress: IngressRoute) -> str:
    return f"{ingress.namespace}/{ingress.name}"


def _precedence(path: PathRoute) -> tuple[object, ...]:
    """Exact hosts, then wildcards, then any; the longest path first, an exact one before a prefix."""
    host = 0 if path.host and not path.host.startswith("*") else 1 if path.host else 2
    return host, -len(path.host), not path.path, -len(path.path.rstrip("/")), not path.exact


def _match(path: PathRoute) -> dict[str, Any]:
    """With regard to case, which Caddy's own matching of paths has not. The host has been looked at."""
    found: dict[str, Any] = {}
    text = path.path if path.exact else path.path.rstrip("/")
    if path.exact:
        found["path_regexp"] = {"pattern": f"^{escaped(text)}$"}
    elif text:
        found["path_regexp"] = {"pattern": f"^{escaped(text)}(/.*)?$"}
    return found


def _nothing_there() -> dict[str, Any]:
    return {"handle": [_says("404", "Nothing is served under the name {http.request.host} and this path here.\n")]}


def _says(status: str, body: str) -> dict[str, Any]:
    return {"handler": "static_response", "status_code": status, "body": body}
