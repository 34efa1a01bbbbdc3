"""By which variables does a program find the services: CORRAL_SERVICE_NAME_URL, _HOST, _PORT, and in Pods Kubernetes' own?"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from corral.protocol.orders import ServicePlace


def service_variables(
    places: Iterable[ServicePlace], *, of_pod: bool = False, host: str = "", translated: frozenset[str] = frozenset()
) -> dict[str, str]:
    """`host`: the gateway's, where it is another from there than for everybody. `translated`: the addresses by which this node reaches
    services at their own ports, which Kubernetes' variables then say.
    """
    found: dict[str, str] = {}
    for place in places:
        name = _word(place.name)
        at = host or place.host
        url = place.url.replace(f"//{_bracketed(place.host)}:", f"//{_bracketed(at)}:")
        port = str(place.port)
        if place.port_name:
            found[f"CORRAL_SERVICE_{name}_PORT_{_word(place.port_name)}"] = port
        if place.is_first:
            found[f"CORRAL_SERVICE_{name}_HOST"], found[f"CORRAL_SERVICE_{name}_PORT"] = at, port
            if url:
                found[f"CORRAL_SERVICE_{name}_URL"] = url
        if not of_pod:
            continue
        if place.address in translated:
            at, port = place.address, str(place.service_port)
        if place.is_first:
            found[f"{name}_SERVICE_HOST"], found[f"{name}_SERVICE_PORT"] = at, port
            found[f"{name}_PORT"] = f"tcp://{_bracketed(at)}:{port}"
        if place.port_name:
            found[f"{name}_SERVICE_PORT_{_word(place.port_name)}"] = port
        link = f"{name}_PORT_{place.service_port}_TCP"
        found[link] = f"tcp://{_bracketed(at)}:{port}"
        found[f"{link}_ADDR"], found[f"{link}_PORT"], found[f"{link}_PROTO"] = at, port, "tcp"
    return found


def api_variables(url: str, *, own_network: bool) -> dict[str, str]:
    """Where a Pod's programs find the API, as Kubernetes tells them. Nothing of one that its own network does not reach."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", str(parts.port or 443)
    if not host or (own_network and _is_loopback(host)):
        return {}
    return {
        "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "KUBERNETES_SERVICE_PORT_HTTPS": port,
        "KUBERNETES_PORT": f"tcp://{_bracketed(host)}:{port}",
    }  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def service_names(places: Iterable[ServicePlace], namespace: str, host: str = "") -> list[tuple[str, str]]:
    """For /etc/hosts: where NAME.NAMESPACE.corral is, as a number. The port is the gateway's, as in the variables."""
    found = []
    for place in places:
        address = _number(host or place.host) if place.is_first else ""
        if address:
            found.append((address, f"{place.name}.{namespace}.corral"))
    return found


def _number(host: str) -> str:
    """ "" = nobody knows it."""
    if ":" in host or host.replace(".", "").isdigit():
        return host
    try:
        return socket.gethostbyname(host)
    except OSError:
        return ""


def _word(name: str) -> str:
    return name.upper().replace("-", "_").replace(".", "_")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
