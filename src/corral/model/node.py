"""What is a node: what it has, and which state it is in?"""

import enum

import msgspec

from corral.model.gres import GresDevice
from corral.model.podplace import Labels, Taint


class NodeState(enum.StrEnum):
    """What is left when flags are taken off. IDLE, MIXED and ALLOCATED follow from what is allocated and are never stored."""

    UNKNOWN = "UNKNOWN"
    DOWN = "DOWN"
    IDLE = "IDLE"
    MIXED = "MIXED"
    ALLOCATED = "ALLOCATED"


class DrainOwner(enum.StrEnum):
    """Who drained a node: none clears another's drain."""

    ADMIN = "admin"
    HEALTH = "health"
    POWER = "power"


#: Why a node is drained of which only new work is kept away: `kubectl cordon`. Its Pods stay.
CORDONED = "cordoned"


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    owner: DrainOwner
    reason: str
    since: float
    by: str = "root"
    fails: bool = False  #: Slurm's FAIL in place of DRAIN: it is expected to fail soon


class Reboot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A boot of the node that somebody has asked for (scontrol reboot)."""

    reason: str
    since: float
    by: str = "root"
    asap: bool = False  #: it takes nothing new until then
    next_state: str = ""  #: after it: "resume": whatever it was before, it is used again; "down"; "" = as it was
    issued: float = 0.0  #: when its agent was told; 0 = what runs there comes first


class NodeInventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent found on its node (or claims, for a virtual one)."""

    name: str
    cpus: int = 1
    boards: int = 1
    sockets: int = 1
    cores_per_socket: int = 1
    threads_per_core: int = 1
    memory_mb: int = 1
    tmp_disk_mb: int = 0
    gres: tuple[GresDevice, ...] = ()
    features: tuple[str, ...] = ()
    hostname: str = ""
    address: str = ""
    arch: str = ""
    os: str = ""
    version: str = ""
    boot_time: float = 0.0
    boot_id: str = ""  #: another one after every boot of the machine
    agent_start_time: float = 0.0
    virtual: bool = False
    unenforced: tuple[
        str, ...
    ] = ()  #: limits this node cannot hold ("memory", "devices", ...): shown by `corral status`
    partitions: tuple[str, ...] = ()
    labels: Labels = ()  #: Pods ask for them
    taints: tuple[Taint, ...] = ()  #: Pods that do not tolerate them stay away


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node's record. What is free on it is worked out from the allocations, not stored."""

    inventory: NodeInventory
    agent: str = ""  #: which agent speaks for it
    up: bool = False  #: an agent has registered it and is heard
    down_reason: str = ""  #: why it is DOWN; "" = it is not
    down_since: float = 0.0
    down_by: str = ""
    admin_down: bool = False  #: set DOWN by an administrator: stays so until `resume`
    drains: tuple[Drain, ...] = ()
    reboot: Reboot | None = None
    last_heard: float = 0.0  #: kept in memory only; an event does not carry each heartbeat
    weight: int = 1
    comment: str = ""
    load: float = 0.0
    gpus_memory_mb: tuple[int, ...] = ()  #: in use; likewise
    gpus_busy: tuple[int, ...] = ()  #: percent of each GPU, as last heard; -1 = it cannot tell. Kept in memory only
    free_memory_mb: int = 0
    labels: tuple[
        tuple[str, str | None], ...
    ] = ()  #: what an operator has set since, beside the configuration's; None = not that one
    taints: tuple[Taint, ...] | None = None  #: likewise; None = those of the configuration
    taints_since: float = 0.0  #: when they were changed last

    @property
    def name(self) -> str:
        return self.inventory.name

    @property
    def offered(self) -> NodeInventory:
        """What it has, with what an operator has said of it since."""
        if not self.labels and self.taints is None:
            return self.inventory
        own: dict[str, str | None] = {**dict(self.inventory.labels), **dict(self.labels)}
        return msgspec.structs.replace(
            self.inventory,
            labels=tuple(sorted((name, value) for name, value in own.items() if value is not None)),
            taints=self.inventory.taints if self.taints is None else self.taints,
        )

    @property
    def is_usable(self) -> bool:
        """May new work be placed here?"""
        boots = self.reboot is not None and (self.reboot.asap or self.is_booting)
        return self.up and not self.down_reason and not self.drains and not boots

    @property
    def is_booting(self) -> bool:
        return self.reboot is not None and self.reboot.issued > 0
