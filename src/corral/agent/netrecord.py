"""Which network has a Pod here? What its agent has left word of; all that shepherds need of it."""

import msgspec

from corral.agent.boxes import of_job


class Net(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network that is there."""

    path: str  #: of its namespace
    users: str = ""  #: of the user namespace that it belongs to; "" = the machine's
    name: str = ""
    index: int = -1  #: of its address in the pool
    address: str = ""  #: by which this machine reaches it; "" = by the node's ports alone
    ports: tuple[tuple[str, int, int], ...] = ()  #: protocol, the node's port, its own
    pids: tuple[tuple[int, str], ...] = ()  #: processes that keep it up, and when they began


def net_of(boxes: str, node: str, job: int, restart: int) -> Net | None:
    """None: its tasks are in the node's network."""
    try:
        with open(f"{of_job(boxes, node, job, restart)}/.net", "rb") as file:
            return msgspec.json.decode(file.read(), type=Net)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
