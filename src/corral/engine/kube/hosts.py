"""Whose is a host of the gateway? That of the namespace whose Ingress has named it first.

Nobody else's Ingress may lead a part of it elsewhere, or show a certificate for it. A wildcard host is all hosts that it means, unless they
were somebody's before.
"""

from corral.engine.context import Context
from corral.model.kube.network import Ingress
from corral.model.kube.objects import AnyObject
from corral.protocol.replies import Rejected


def refusal(ctx: Context, one: AnyObject, old: AnyObject | None) -> Rejected | None:
    """A host that is another namespace's."""
    if not isinstance(one, Ingress):
        return None
    new = hosts_of(one) - (hosts_of(old) if isinstance(old, Ingress) else set())
    if not new:
        return None
    for other in ctx.state.objects.everywhere("Ingress"):
        if not isinstance(other, Ingress) or other.metadata.namespace == one.metadata.namespace:
            continue
        theirs = hosts_of(other)
        for host in sorted(new):
            if host in theirs or _wildcard(host) in theirs:
                return Rejected(
                    error=f"ingress {one.metadata.name!r}: the host {host} is another namespace's",
                    detail=f"An Ingress of {other.metadata.namespace} has it. Take another host, or let that one go first.",
                )
    return None


def hosts_of(one: Ingress) -> set[str]:
    """In rules and for certificates."""
    named = [rule.host for rule in one.spec.rules] + [host for tls in one.spec.tls for host in tls.hosts]
    return {host.lower() for host in named} - {""}


def _wildcard(host: str) -> str:
    """That means it."""
    return f"*.{host.partition('.')[2]}"
