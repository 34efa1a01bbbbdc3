"""How many replicas does each ReplicaSet of a Deployment have next?

Kubernetes' rules. Never more than `replicas` + maxSurge are there, never fewer than `replicas` - maxUnavailable available: first the new
set grows as far as the surge lets it, then the old ones shrink by what is not available anyway, then by what can be missed. When the
number of replicas changes amid that, all sets change in proportion.
"""

import functools
import math

from corral.model.kube.pod import IntOrString
from corral.model.kube.workload import Deployment, ReplicaSet, RollingUpdateDeployment
from corral.services.revisions import DESIRED, MOST
from corral.services.view import View

Sizes = dict[str, int]  #: by the name of the ReplicaSet


def bounds(one: Deployment) -> tuple[int, int]:
    """maxSurge and maxUnavailable in replicas: percents of it round up and down."""
    if one.spec.strategy.type == "Recreate":
        return 0, 0
    rolling = one.spec.strategy.rolling_update or RollingUpdateDeployment()
    surge = share_of(rolling.max_surge, one.spec.replicas, up=True)
    unavailable = share_of(rolling.max_unavailable, one.spec.replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # else nothing would ever change
    return surge, min(unavailable, one.spec.replicas)


@functools.lru_cache(4096)
def share_of(given: IntOrString, of: int, *, up: bool) -> int:
    """3, "3", or a share of `of`: "25%"."""
    text = str(given)
    if text.endswith("%") and text[:-1].isascii() and text[:-1].isdigit():
        exact = int(text[:-1]) * of
        return -(-exact // 100) if up else exact // 100
    return max(int(text), 0)


def available(one: ReplicaSet) -> int:
    """What of it is so, and is not going to be ended."""
    return min(one.status.available_replicas, one.spec.replicas)


def is_scaled(one: Deployment, sets: list[ReplicaSet]) -> bool:
    """Was its number of replicas changed since the sets got theirs?"""
    return any(
        found.spec.replicas
        and found.metadata.annotations.get(DESIRED, str(one.spec.replicas)) != str(one.spec.replicas)
        for found in sets
    )


def rolling(one: Deployment, new: ReplicaSet, olds: list[ReplicaSet], target: int) -> Sizes:
    """The next step towards `target` replicas of the new set, and the others of the old ones."""
    surge, unavailable = bounds(one)
    wanted = one.spec.replicas
    sizes = {found.metadata.name: found.spec.replicas for found in (*olds, new)}
    name = new.metadata.name
    room = wanted + surge - sum(sizes.values())
    sizes[name] = min(target, sizes[name] + max(room, 0))
    least = wanted - unavailable
    old_total = sum(old.spec.replicas for old in olds)
    most = old_total - max(wanted - target, 0)  # so many old ones may go at all
    unhealthy = min(most, old_total + available(new) - least)
    for old in olds:
        gone = max(min(old.spec.replicas - available(old), unhealthy), 0)
        sizes[old.metadata.name] -= gone
        unhealthy -= gone
        most -= gone
    missed = min(most, available(new) + sum(min(available(old), sizes[old.metadata.name]) for old in olds) - least)
    for old in olds:
        gone = max(min(sizes[old.metadata.name], missed), 0)
        sizes[old.metadata.name] -= gone
        missed -= gone
    return sizes


def recreated(one: Deployment, new: ReplicaSet, olds: list[ReplicaSet], view: View) -> Sizes:
    """None of the old ones may be there when the first new one begins."""
    sizes = {old.metadata.name: 0 for old in olds}
    sizes[new.metadata.name] = new.spec.replicas if is_running(olds, view) else one.spec.replicas
    return sizes


def is_running(olds: list[ReplicaSet], view: View) -> bool:
    """Is there a Pod of these that has not ended?"""
    return any(not pod.has_ended for old in olds for pod in view.pods_of(old.metadata.uid))


def proportional(one: Deployment, new: ReplicaSet | None, olds: list[ReplicaSet]) -> Sizes:
    """The number of replicas has changed, or the rollout is paused: the shares of the sets stay."""
    sets = [*olds, new] if new is not None else list(olds)
    sizes = {found.metadata.name: found.spec.replicas for found in sets}
    active = [found for found in sets if found.spec.replicas]
    if len(active) <= 1:
        if sets:
            sizes[(active or sets[-1:])[0].metadata.name] = one.spec.replicas
        return sizes
    if new is not None and _is_saturated(one, new):
        return {**{old.metadata.name: 0 for old in olds}, new.metadata.name: new.spec.replicas}
    if one.spec.strategy.type == "Recreate":
        return sizes
    surge, _ = bounds(one)
    allowed = one.spec.replicas + surge if one.spec.replicas else 0
    to_add = allowed - sum(sizes.values())
    # The larger first; of equal ones the newest when they grow, the oldest when they shrink.
    order = sorted(reversed(active) if to_add > 0 else active, key=lambda found: -found.spec.replicas)
    added = 0
    for found in order:
        share = _fraction(one, found, allowed)
        share = min(share, to_add - added) if to_add > 0 else max(share, to_add - added)
        sizes[found.metadata.name] += share
        added += share
    largest = order[0].metadata.name
    sizes[largest] = max(sizes[largest] + to_add - added, 0)
    return _kept_available(one, active, sizes) if to_add < 0 else sizes


def _kept_available(one: Deployment, active: list[ReplicaSet], sizes: Sizes) -> Sizes:
    """When all shrink, what is available stays as far as it is needed, and more of the rest goes. (Kubernetes does not look at that.)"""
    _, unavailable = bounds(one)
    have = {found.metadata.name: available(found) for found in active}
    least = min(one.spec.replicas - unavailable, sum(have.values()))
    lacking = least - sum(min(have[name], sizes[name]) for name in have)
    for found in reversed(active):
        name = found.metadata.name
        back = max(min(have[name] - sizes[name], lacking), 0)
        for other in active:
            spare = max(min(sizes[other.metadata.name] - have[other.metadata.name], back), 0)
            sizes[other.metadata.name] -= spare
            sizes[name] += spare
            back -= spare
            lacking -= spare
    return sizes


def _is_saturated(one: Deployment, new: ReplicaSet) -> bool:
    return new.spec.replicas == one.spec.replicas == new.status.available_replicas and new.metadata.annotations.get(
        DESIRED
    ) == str(one.spec.replicas)


def _fraction(one: Deployment, found: ReplicaSet, allowed: int) -> int:
    size = found.spec.replicas
    text = found.metadata.annotations.get(MOST, "")
    before = int(text) if text.isascii() and text.isdigit() and int(text) else one.status.replicas
    return math.floor(size * allowed / before + 0.5) - size if before and allowed else -size
