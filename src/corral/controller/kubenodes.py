"""How do nodes look as Kubernetes' objects? Read from their records, never kept: labels, taints, capacity, conditions."""

from collections.abc import Iterable, Iterator

from corral.engine.partitions import partition_rows
from corral.engine.state import ClusterState
from corral.model.kube.meta import Condition, KubeObject, ObjectMeta, Schema
from corral.model.node import Node as Record
from corral.model.podplace import Effect
from corral.scheduler.nodewords import labels_of_node


class Taint(Schema, frozen=True, kw_only=True):
    key: str
    value: str = ""
    effect: Effect


class NodeSpec(Schema, frozen=True, kw_only=True):
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False


class NodeAddress(Schema, frozen=True, kw_only=True):
    type: str
    address: str


class NodeSystemInfo(Schema, frozen=True, kw_only=True):
    architecture: str = ""
    operating_system: str = "linux"
    os_image: str = ""
    kernel_version: str = ""
    kubelet_version: str = ""
    container_runtime_version: str = ""
    boot_id: str = ""


class NodeStatus(Schema, frozen=True, kw_only=True):
    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()
    node_info: NodeSystemInfo = NodeSystemInfo()


class Node(KubeObject, frozen=True, kw_only=True):
    """A node (v1). What can be changed of it: labels, taints, unschedulable (drained)."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def is_ready(self) -> bool:
        return self.status.conditions[0].status == "True"


#: In each of its partitions a node has a label that begins so.
PARTITION = "partition.corral.dev/"


def shown(record: Record, partitions: Iterable[str]) -> Node:
    inventory = record.offered
    labels = labels_of_node(inventory) | {f"{PARTITION}{name}": "true" for name in partitions}
    amounts = {"cpu": str(inventory.cpus), "memory": f"{inventory.memory_mb * 1024}Ki"}
    if gpus := sum(device.count for device in inventory.gres if device.name == "gpu"):
        amounts["nvidia.com/gpu"] = str(gpus)
    if inventory.tmp_disk_mb:
        amounts["ephemeral-storage"] = f"{inventory.tmp_disk_mb * 1024}Ki"
    why = record.down_reason or ("" if record.up else "it does not answer")
    ready = Condition(
        type="Ready", status="False" if why else "True", reason="NodeDown" if why else "AgentReady",
        message=why or "the agent is heard", last_transition_time=record.down_since if why else inventory.boot_time,
    )  # fmt: skip
    address = inventory.address or inventory.hostname or inventory.name
    return Node(
        metadata=ObjectMeta(
            name=inventory.name, uid=f"node-{inventory.name}", labels=labels,
            creation_timestamp=inventory.agent_start_time or inventory.boot_time or 1.0,
            annotations={"corral.dev/drain-reason": "; ".join(one.reason for one in record.drains)} if record.drains else {},
        ),
        spec=NodeSpec(
            taints=tuple(Taint(key=one.key, value=one.value, effect=one.effect) for one in inventory.taints),
            unschedulable=bool(record.drains),
        ),
        status=NodeStatus(
            capacity=amounts, allocatable=amounts, conditions=(ready,),
            addresses=(NodeAddress(type="InternalIP", address=address), NodeAddress(type="Hostname", address=inventory.name)),
            node_info=NodeSystemInfo(
                architecture=labels.get("kubernetes.io/arch", ""), os_image=inventory.os, kernel_version=inventory.os,
                kubelet_version=f"corral-{inventory.version}" if inventory.version else "", boot_id=inventory.boot_id,
            ),
        ),
    )  # fmt: skip


def all_nodes(state: ClusterState) -> Iterator[Node]:
    rows = {one.name: partition_rows(state, one, state.ledger) for one in state.partitions.values()}
    for row, name in enumerate(state.ledger.names):
        if (record := state.nodes.get(name)) is not None:
            yield shown(record, [part for part, inside in rows.items() if inside[row]])
