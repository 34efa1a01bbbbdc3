"""Which nodes have the labels that a Pod asks for, and no taint that it does not tolerate?

Looked up once for each way to ask, until a node changes.
"""

import numpy as np

from corral.model.node import NodeInventory
from corral.model.podplace import PodWords, Requirement, Taint, Tolerated
from corral.scheduler.nodetable import BoolColumn, NodeTable

HOSTNAME = "kubernetes.io/hostname"


def labels_of_node(node: NodeInventory) -> dict[str, str]:
    """Those that it has by itself, and those that it was given."""
    found = {HOSTNAME: node.name}
    if node.arch:
        found["kubernetes.io/arch"] = {"x86_64": "amd64", "aarch64": "arm64"}.get(node.arch, node.arch)
    if node.os:
        found["kubernetes.io/os"] = node.os.split()[0].lower()
    gpus = [device for device in node.gres if device.name == "gpu"]
    if gpus:
        found["nvidia.com/gpu.count"] = str(sum(device.count for device in gpus))
        if gpus[0].type:
            found["nvidia.com/gpu.product"] = gpus[0].type
    found |= {f"feature.corral.dev/{feature}": "true" for feature in node.features}
    return found | dict(node.labels)


def labels_of(table: NodeTable) -> list[dict[str, str]]:
    """Of each row."""
    known = table.words.get("labels")
    if known is None:
        known = table.words["labels"] = [labels_of_node(node) for node in table.inventories]
    found: list[dict[str, str]] = known
    return found


def has_taints(table: NodeTable) -> bool:
    known = table.words.get("taints")
    if known is None:
        known = table.words["taints"] = any(node.taints for node in table.inventories)
    return bool(known)


def rows_matching(table: NodeTable, wanted: tuple[Requirement, ...]) -> BoolColumn:
    """Nodes whose labels meet all of these."""
    rows: BoolColumn | None = table.words.get(wanted)
    if rows is None:
        found = labels_of(table)
        rows = np.array([all(one.holds(labels.get(one.key)) for one in wanted) for labels in found], np.bool_)
        table.words[wanted] = rows
    return rows


def by_selector(table: NodeTable, words: PodWords) -> BoolColumn:
    rows = rows_matching(table, words.selected) if words.selected else np.ones(len(table), np.bool_)
    if words.required:
        rows = rows & np.logical_or.reduce([rows_matching(table, term) for term in words.required])
    return rows


def by_taints(table: NodeTable, words: PodWords) -> BoolColumn:
    """Nodes all of whose taints it tolerates."""
    if not has_taints(table):
        return np.ones(len(table), np.bool_)
    question = ("taints", words.tolerated)
    rows: BoolColumn | None = table.words.get(question)
    if rows is None:
        found = (_intolerable(one.taints, words.tolerated) for one in table.inventories)
        rows = table.words[question] = np.array([taint is None for taint in found], np.bool_)
    return rows


def _intolerable(taints: tuple[Taint, ...], tolerated: tuple[Tolerated, ...]) -> Taint | None:
    for taint in taints:
        if taint.effect != "PreferNoSchedule" and not any(one.covers(taint) for one in tolerated):
            return taint
    return None


def static(table: NodeTable, words: PodWords) -> BoolColumn:
    """Where it may be, whoever else is there."""
    return by_selector(table, words) & by_taints(table, words)
