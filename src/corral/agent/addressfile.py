"""Which addresses of Services are translated on this node now? What its agent has left word of; all that shepherds need of it."""

import json

import msgspec

from corral.protocol.orders import AddressRoute


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The rules are there as this says."""

    version: str
    network: str
    host: str
    shared: str = ""
    routes: tuple[AddressRoute, ...] = ()
    names: dict[str, str] = {}  #: NAME.NAMESPACE and its address: what the name server of the node reads


def path_in(agents: str) -> str:
    """Below an agent's directory."""
    return f"{agents}/addresses"


def translated(path: str) -> frozenset[str]:
    """Those addresses."""
    try:
        with open(path, encoding="utf-8") as file:
            return frozenset(json.load(file)["names"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return frozenset()
