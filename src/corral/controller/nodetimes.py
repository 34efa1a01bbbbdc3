"""Since when has a node so much, and since when is it up or down? What sreport needs beside what jobs have used."""

from collections.abc import Iterable

from corral.controller import values
from corral.model.node import Node
from corral.protocol.events import AnyEvent, NodeChanged, NodeRemoved
from corral.store.rollup import NodeChange


class NodeTimes:
    """The last change of each node."""

    def __init__(self, changes: Iterable[NodeChange]) -> None:
        self._last: dict[str, NodeChange] = {}
        for change in changes:  # by node and time
            self._last[change.node] = change

    def seen(self, event: AnyEvent) -> NodeChange | None:
        """A change, if this event makes one."""
        match event:
            case NodeChanged(time=time, node=node):
                return self.of(node, time)
            case NodeRemoved(time=time, name=name):
                return self._changed(NodeChange(name, time, "gone", "")) if name in self._last else None
        return None

    def of(self, node: Node, time: float) -> NodeChange | None:
        gres: dict[str, int] = {}
        for device in node.inventory.gres:
            gres[device.name] = gres.get(device.name, 0) + device.count
        tres = values.tres_text(node.inventory.cpus, node.inventory.memory_mb, 1, gres)
        return self._changed(NodeChange(node.name, time, "up" if node.is_usable else "down", tres))

    def _changed(self, change: NodeChange) -> NodeChange | None:
        last = self._last.get(change.node)
        if last is not None and (last.kind, last.tres) == (change.kind, change.tres):
            return None
        if last is not None and change.time <= last.time:  # a clock that was set back: the order stays
            change = NodeChange(change.node, last.time + 0.001, change.kind, change.tres)
        self._last[change.node] = change
        return change
