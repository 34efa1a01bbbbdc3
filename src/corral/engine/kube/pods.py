"""How does a Pod become a job, and its containers steps of it?"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.model.kube.pod import Pod
from corral.protocol.events import ObjectsChanged


def reconcile(ctx: Context, pod: Pod, now: float, out: Effects) -> None:
    """What is to be done about this Pod?"""
    if pod.metadata.deletion_timestamp and not pod.status.job:
        version = ctx.state.objects.version + 1
        ctx.record(ObjectsChanged(time=now, removed=(pod.key,), version=version), out)
