"""Which hosts and paths lead to which Services? Ingress as Kubernetes reads it."""

from collections.abc import Callable

from corral.model.kube.network import Ingress, IngressBackend
from corral.protocol.routes import Certificate, IngressRoute, PathRoute
from corral.services.balancing import traffic_of

#: The values of a Secret, in plain text; None = there is none of this name.
Opened = Callable[[str], dict[str, str] | None]


def route(one: Ingress, opened: Opened, tokens: tuple[str, ...] = ()) -> IngressRoute:
    paths = [
        _path(path.backend, rule.host, path.path or "/", path.path_type == "Exact")
        for rule in one.spec.rules
        if rule.http is not None
        for path in rule.http.paths
    ]
    if one.spec.default_backend is not None:
        # A rule without paths leads there as well.
        paths += [
            _path(one.spec.default_backend, rule.host, "/", False) for rule in one.spec.rules if rule.http is None
        ]
        paths.append(_path(one.spec.default_backend, "", "", False))
    return IngressRoute(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        paths=tuple(paths),
        certificates=tuple(_certificates(one, opened)),
        traffic=traffic_of(one.metadata.annotations, tokens),
        created=one.metadata.creation_timestamp,
    )


def _path(backend: IngressBackend, host: str, path: str, exact: bool) -> PathRoute:
    to = backend.service
    return PathRoute(
        service=to.name, port=to.port.number, port_name=to.port.name, host=host.lower(), path=path, exact=exact
    )


def _certificates(one: Ingress, opened: Opened) -> list[Certificate]:
    """The cluster's own where the Secret has none."""
    everywhere = tuple(dict.fromkeys(rule.host.lower() for rule in one.spec.rules if rule.host))
    found = []
    for tls in one.spec.tls:
        hosts = tuple(host.lower() for host in tls.hosts) or everywhere
        values = (opened(tls.secret_name) if tls.secret_name else None) or {}
        pair = (values.get("tls.crt", ""), values.get("tls.key", ""))
        certificate, key = pair if all(pair) else ("", "")
        found.append(Certificate(hosts=hosts, certificate=certificate, key=key))
    return found


def secrets_of(one: Ingress) -> list[str]:
    return [tls.secret_name for tls in one.spec.tls if tls.secret_name]
