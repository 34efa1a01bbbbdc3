"""What do jobs and Pods read as their /etc/resolv.conf? names.py says what for."""

import os

import msgspec

from corral.protocol.orders import Names

MACHINES = "/etc/resolv.conf"
#: Of jobs, which have none of their own.
_NAMESPACE = "default"
_KUBERNETES = "svc.cluster.local", "cluster.local"


def directory_of(agents: str) -> str:
    """Below an agent's directory."""
    return f"{agents}/names"


def addresses_of(directory: str) -> list[str]:
    """Where the name server of this node answers: for jobs, and for Pods with a network of their own. [] = there is none."""
    try:
        with open(f"{directory}/ready", encoding="utf-8") as file:
            return file.read().split()
    except OSError:
        return []


def address_for(directory: str, *, is_apart: bool) -> str:
    """ "" = it cannot be asked from there."""
    found = addresses_of(directory)
    return next(iter(found[1:] if is_apart else found), "")


def domain_of(directory: str) -> str:
    try:
        with open(f"{directory}/table", "rb") as file:
            return msgspec.json.decode(file.read(), type=Names).domain
    except (OSError, msgspec.DecodeError):
        return ""


def jobs_text(machines: str, address: str, domain: str) -> str:
    """The machine's file with our name server. What the machine searches comes first: no service takes the name of a host."""
    kept = [line for line in machines.splitlines() if line.split()[:1] not in (["nameserver"], ["search"], ["domain"])]
    search = " ".join([*_searched(machines), f"{_NAMESPACE}.{domain}", domain])
    return "".join(f"{line}\n" for line in [*kept, f"nameserver {address}", f"search {search}"])


def pods_text(address: str, domain: str, namespace: str) -> str:
    """As Kubernetes writes it for dnsPolicy ClusterFirst: short names are services' first."""
    try:
        with open(MACHINES, encoding="utf-8", errors="replace") as file:
            machines = _searched(file.read())
    except OSError:
        machines = []
    own = [f"{namespace}.{domain}", domain] if domain else []
    search = [f"{namespace}.{_KUBERNETES[0]}", *_KUBERNETES, *own, *machines]
    return f"nameserver {address}\nsearch {' '.join(search)}\noptions ndots:5\n"


def _searched(text: str) -> list[str]:
    """Where it says nothing, the domain of the machine is."""
    found = [os.uname().nodename.partition(".")[2]]
    for line in text.splitlines():
        words = line.split()
        if words[:1] in (["search"], ["domain"]):
            found = words[1:]
    return list(filter(None, found))
