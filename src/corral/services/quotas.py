"""How much of a namespace's quota is used, and does a new object fit into what is left?

Kubernetes' rules: Pods that have ended count no more, except under count/pods; a Pod asks for as much as its containers together,
or as one of those that run before them, whichever is more. A quota of CPUs or memory needs every container to say how much it wants.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from corral.model.kube.config import ResourceQuota, ResourceQuotaStatus
from corral.model.kube.network import Service
from corral.model.kube.objects import KINDS, AnyObject
from corral.model.kube.pod import Container, Pod, PodSpec
from corral.model.kube.storage import PersistentVolumeClaim
from corral.syntax import quantity

_ONE = 10**9
_GPUS = ("nvidia.com/gpu", "amd.com/gpu")
#: What a quota may name, besides count/<plural>.<group>.
COUNTED = (
    "pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory", "requests.nvidia.com/gpu",
    "requests.amd.com/gpu", "requests.storage", "persistentvolumeclaims",
    "services", "services.nodeports", "services.loadbalancers", "configmaps", "secrets", "resourcequotas",
)  # fmt: skip
_PLURALS = {
    kind.plural + (f".{kind.group}" if kind.group else ""): kind.name for kind in KINDS.values() if kind.namespaced
}
_PLAIN = {
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "services": "Service",
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "resourcequotas": "ResourceQuota",
}
_OF_CLASS = ".storageclass.storage.k8s.io/"
_CLAIMED = ("requests.storage", "persistentvolumeclaims")
#: What every container has to say where a quota names it.
_NEEDED = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def counted_kind(name: str) -> str | None:
    """count/deployments.apps -> Deployment"""
    return _PLURALS.get(name.removeprefix("count/")) if name.startswith("count/") else None


def counted_class(name: str) -> str:
    """fast.storageclass.storage.k8s.io/requests.storage -> fast; "" = it counts no class's claims."""
    group, slash, what = name.partition(_OF_CLASS)
    return group if slash and what in _CLAIMED else ""


def amounts_of(one: AnyObject) -> dict[str, int]:
    """What an object counts under each name that a quota may have; in billionths."""
    kind = KINDS[type(one).__name__]
    found = {"count/" + kind.plural + (f".{kind.group}" if kind.group else ""): _ONE}
    if isinstance(one, Pod):
        if not one.has_ended:
            found |= pod_amounts(one.spec)
    elif kind.plural in _PLAIN:
        found[kind.plural] = _ONE
    if isinstance(one, PersistentVolumeClaim):
        found["requests.storage"] = quantity.nanos(one.spec.resources.requests.get("storage", 0))
        if group := one.spec.storage_class_name:
            found |= {f"{group}{_OF_CLASS}{what}": found[what] for what in _CLAIMED}
    if isinstance(one, Service):
        ports = len(one.spec.ports) * _ONE
        found["services.nodeports"] = ports if one.spec.type in ("NodePort", "LoadBalancer") else 0
        found["services.loadbalancers"] = _ONE if one.spec.type == "LoadBalancer" else 0
    return found


def pod_amounts(spec: PodSpec) -> dict[str, int]:
    found = {"pods": _ONE}
    for name in ("cpu", "memory", *_GPUS):
        wanted = _most(
            spec, [_asked(one, name) for one in spec.init_containers], [_asked(one, name) for one in spec.containers]
        )
        found[f"requests.{name}"] = wanted
        if name not in _GPUS:
            found[name] = wanted
            found[f"limits.{name}"] = _most(
                spec,
                [_limit(one, name) for one in spec.init_containers],
                [_limit(one, name) for one in spec.containers],
            )
    return found


def most_at_once(spec: PodSpec, amounts: Mapping[str, int]) -> int:
    """Of what each container has, by its name, the most that is used at one time."""
    inits = [amounts[one.name] for one in spec.init_containers]
    return _most(spec, inits, [amounts[one.name] for one in spec.containers])


def _most(spec: PodSpec, inits: list[int], others: list[int]) -> int:
    beside = most = 0
    for one, wanted in zip(spec.init_containers, inits, strict=True):
        most = max(most, beside + wanted)
        beside += wanted if one.restart_policy == "Always" else 0
    return max(most, beside + sum(others))


def _asked(one: Container, name: str) -> int:
    return quantity.nanos(one.resources.requests.get(name, one.resources.limits.get(name, 0)))


def _limit(one: Container, name: str) -> int:
    return quantity.nanos(one.resources.limits.get(name, 0))


class Used(Protocol):
    """By the name of what is counted, in billionths."""

    def get(self, name: str, default: int = 0, /) -> int: ...


def refusal(one: AnyObject, old: AnyObject | None, known: Iterable[ResourceQuota], used: Used) -> str:
    """Why the object may not be there, in the place of `old`; "" = it may. `used` is without what is new about it."""
    for quota in known:
        if (why := _refusal(one, old, quota, used)) != "":
            return why
    return ""


def _refusal(one: AnyObject, old: AnyObject | None, quota: ResourceQuota, used: Used) -> str:
    name = quota.metadata.name
    hard = quota.spec.hard
    if isinstance(one, Pod) and old is None:
        unsaid = list(_unsaid(one.spec, hard))
        if unsaid:
            return f"failed quota: {name}: must specify {'; '.join(unsaid)}"
    wanted, before = amounts_of(one), amounts_of(old) if old is not None else {}
    beyond = [
        key
        for key in sorted(hard)
        if (more := wanted.get(key, 0) - before.get(key, 0)) > 0 and used.get(key, 0) + more > quantity.nanos(hard[key])
    ]
    if not beyond:
        return ""
    asked = ",".join(f"{key}={shown(key, wanted.get(key, 0) - before.get(key, 0), hard)}" for key in beyond)
    taken = ",".join(f"{key}={shown(key, used.get(key, 0), hard)}" for key in beyond)
    most = ",".join(f"{key}={hard[key]}" for key in beyond)
    return f"exceeded quota: {name}, requested: {asked}, used: {taken}, limited: {most}"


class Counted(Protocol):
    """What is used, by namespace."""

    used: dict[str, dict[str, int]]


def counted(quota: ResourceQuota, counts: Counted) -> ResourceQuota:
    """With what is used of it in its status."""
    used, hard = counts.used.get(quota.metadata.namespace, {}), quota.spec.hard
    status = ResourceQuotaStatus(hard=hard, used={name: shown(name, used.get(name, 0), hard) for name in hard})
    return msgspec.structs.replace(quota, status=status)


def _unsaid(spec: PodSpec, hard: Mapping[str, object]) -> Iterator[str]:
    """Kubernetes' words: requests.cpu for: web,log"""
    for key in _NEEDED:
        if key in hard:
            what, _, name = key.rpartition(".")
            silent = [
                one.name
                for one in (*spec.init_containers, *spec.containers)
                if name not in one.resources.limits and (what == "limits" or name not in one.resources.requests)
            ]
            if silent:
                yield f"{key} for: {','.join(sorted(silent))}"


def shown(key: str, amount: int, hard: Mapping[str, str | int | float]) -> str:
    """In the style of the limit: 512Mi beside 1Gi."""
    style = "binary" if key.endswith(("memory", "storage")) else quantity.style_of(hard[key])
    return quantity.written(amount, style)
