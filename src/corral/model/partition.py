"""What is a partition: a named set of nodes with limits?"""

import enum

import msgspec

from corral.model.job import UNLIMITED


class PartitionState(enum.StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    DRAIN = "DRAIN"
    INACTIVE = "INACTIVE"


class Partition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    name: str
    nodes: str = "ALL"  #: a hostlist, or ALL: every node that registers
    default: bool = False
    state: PartitionState = PartitionState.UP
    max_time: int = UNLIMITED  #: seconds
    default_time: int | None = None  #: seconds; None = max_time
    max_nodes: int | None = None
    min_nodes: int = 0
    max_cpus_per_node: int | None = None
    default_memory_per_cpu_mb: int | None = None
    default_memory_per_node_mb: int | None = None
    max_memory_per_node_mb: int | None = None
    allow_groups: tuple[str, ...] = ()
    allow_accounts: tuple[str, ...] = ()
    allow_qos: tuple[str, ...] = ()
    deny_accounts: tuple[str, ...] = ()
    priority_tier: int = 1
    priority_job_factor: int = 1
    root_only: bool = False
    hidden: bool = False
    exclusive_user: bool = False
    oversubscribe: str = "NO"
    grace_time: int = 0
    preempt_mode: str = "OFF"
    lln: bool = False
