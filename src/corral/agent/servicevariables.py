"""By which variables does a program find the services: CORRAL_SERVICE_NAME_URL, _HOST, _PORT, and in Pods Kubernetes' own?"""

import socket
from collections.abc import Iterable

from corral.protocol.orders import ServicePlace


def service_variables(places: Iterable[ServicePlace], *, of_pod: bool = False, host: str = "") -> dict[str, str]:
    """`host`: the gateway's, where it is another from there than for everybody."""
    found: dict[str, str] = {}
    for place in places:
        name = _word(place.name)
        at = host or place.host
        url = place.url.replace(f"//{_bracketed(place.host)}:", f"//{_bracketed(at)}:")
        port = str(place.port)
        if place.is_first:
            found[f"CORRAL_SERVICE_{name}_HOST"], found[f"CORRAL_SERVICE_{name}_PORT"] = at, port
            if url:
                found[f"CORRAL_SERVICE_{name}_URL"] = url
            if of_pod:
                found[f"{name}_SERVICE_HOST"], found[f"{name}_SERVICE_PORT"] = at, port
                found[f"{name}_PORT"] = f"tcp://{_bracketed(at)}:{port}"
        if place.port_name:
            found[f"CORRAL_SERVICE_{name}_PORT_{_word(place.port_name)}"] = port
            if of_pod:
                found[f"{name}_SERVICE_PORT_{_word(place.port_name)}"] = port
        if of_pod:
            link = f"{name}_PORT_{place.service_port}_TCP"
            found[link] = f"tcp://{_bracketed(at)}:{port}"
            found[f"{link}_ADDR"], found[f"{link}_PORT"], found[f"{link}_PROTO"] = at, port, "tcp"
    return found


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
