"""When must a Pod leave its node because of a NoExecute taint?"""

import math

from corral.engine.context import Context
from corral.model.kube.pod import Pod, Toleration
from corral.model.podplace import Taint, Tolerated


def leaves_at(ctx: Context, pod: Pod) -> float:
    """Infinity = it may stay. Who tolerates a taint for some seconds goes when they are over; with several the fewest count."""
    node = ctx.state.nodes.get(pod.status.node)
    taints = [one for one in node.offered.taints if one.effect == "NoExecute"] if node is not None else []
    if node is None or not taints:
        return math.inf
    since = max(node.taints_since, pod.status.start_time)
    return min(since + _tolerated(taint, pod.spec.tolerations) for taint in taints)


def _tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> float:
    """For so many seconds."""
    found = [
        math.inf if one.toleration_seconds is None else max(0, one.toleration_seconds)
        for one in tolerations
        if Tolerated(one.key, one.operator, one.value, one.effect).covers(taint)
    ]
    return min(found, default=0.0)
