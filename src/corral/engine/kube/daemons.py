"""On which nodes does a DaemonSet mean to have a Pod, and what follows from that?"""

import numpy as np

from corral.engine import podwords
from corral.engine.context import Context
from corral.engine.partitions import partition_rows
from corral.engine.podjob import ANNOTATIONS
from corral.errors import UsageError
from corral.model.kube.meta import ObjectMeta
from corral.model.kube.pod import Pod
from corral.model.kube.workload import DaemonSet
from corral.scheduler import nodewords
from corral.scheduler.nodetable import BoolColumn
from corral.services import daemonset
from corral.services.changes import Change
from corral.services.daemonset import Places

_PARTITION = next(name for name, field in ANNOTATIONS.items() if field == "partition")


def changes_for(ctx: Context, one: DaemonSet, now: float) -> list[Change]:
    return daemonset.reconcile(one, places_of(ctx, one), ctx.state.objects, now)


def places_of(ctx: Context, one: DaemonSet) -> Places:
    """Nodes of its Pods' partitions whose labels its template selects and whose taints it tolerates."""
    table, template = ctx.state.ledger, one.spec.template
    spec = template.spec.__class__(
        node_selector=template.spec.node_selector,
        affinity=template.spec.affinity,
        tolerations=daemonset.tolerations(one),
    )
    pod = Pod(metadata=ObjectMeta(namespace=one.metadata.namespace), spec=spec)
    try:
        given, words = podwords.partitions_of(podwords.words_of(pod))
    except UsageError:
        return Places(wanted=(), kept=())  # its Pods would be refused
    rows = nodewords.static(table, words) & _in_partitions(
        ctx, given or template.metadata.annotations.get(_PARTITION, "")
    )
    names = sorted(table.names[row] for row in np.flatnonzero(rows))
    if template.spec.node_name:
        names = [name for name in names if name == template.spec.node_name]
    nodes = [ctx.state.nodes[name] for name in names if name in ctx.state.nodes]
    return Places(
        wanted=tuple(node.name for node in nodes if node.is_usable),
        kept=tuple(node.name for node in nodes if node.up and not node.is_usable),
    )


def _in_partitions(ctx: Context, names: str) -> BoolColumn:
    state, table = ctx.state, ctx.state.ledger
    wanted = names.split(",") if names else [one.name for one in state.partitions.values() if one.default]
    found = [partition_rows(state, state.partitions[name], table) for name in wanted if name in state.partitions]
    rows = np.zeros(len(table), np.bool_)
    for one in found:
        rows = rows | one
    return rows
