"""What does a LimitRange add to a new Pod, and does a Pod or a claim keep within it?

Kubernetes' rules and words. Defaults are for containers alone; `max` is the default limit where none is named, the default limit the
default request, then `min`.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from corral.model.kube.config import LimitRange, LimitRangeItem
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Container, Pod, Quantity, ResourceRequirements
from corral.model.kube.storage import PersistentVolumeClaim
from corral.services.quotas import most_at_once
from corral.syntax import quantity

_Amounts = Mapping[str, Quantity]


def with_defaults(one: LimitRangeItem) -> LimitRangeItem:
    """As Kubernetes fills them in."""
    if one.type != "Container":
        return one
    default = {**one.max, **one.default}
    return msgspec.structs.replace(one, default=default, default_request={**one.min, **default, **one.default_request})


def defaulted(pod: Pod, ranges: Iterable[LimitRange]) -> Pod:
    """A new Pod, with what its containers do not say."""
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}
    for item in _items(ranges, "Container"):
        whole = with_defaults(item)
        limits, requests = {**whole.default, **limits}, {**whole.default_request, **requests}
    if not limits and not requests:
        return pod

    def filled(one: Container) -> Container:
        own = one.resources
        asked = {**requests, **own.limits, **own.requests}
        return msgspec.structs.replace(
            one, resources=ResourceRequirements(limits={**limits, **own.limits}, requests=asked)
        )

    spec = msgspec.structs.replace(
        pod.spec,
        containers=tuple(map(filled, pod.spec.containers)),
        init_containers=tuple(map(filled, pod.spec.init_containers)),
    )
    return pod if spec == pod.spec else msgspec.structs.replace(pod, spec=spec)


def refusal(one: AnyObject, ranges: Iterable[LimitRange]) -> str:
    """Why it may not be; "" = it keeps within all of them."""
    told = list(dict.fromkeys(_told(one, list(ranges))))
    return told[0] if len(told) == 1 else f"[{', '.join(told)}]" if told else ""


def _items(ranges: Iterable[LimitRange], kind: str) -> Iterator[LimitRangeItem]:
    for one in ranges:
        yield from (item for item in one.spec.limits if item.type == kind)


def _told(one: AnyObject, ranges: list[LimitRange]) -> Iterator[str]:
    if isinstance(one, PersistentVolumeClaim):
        for item in _items(ranges, "PersistentVolumeClaim"):
            yield from _of_request(item, one.spec.resources.requests)
    if not isinstance(one, Pod):
        return
    for item in _items(ranges, "Container"):
        for part in (*one.spec.init_containers, *one.spec.containers):
            yield from _of_both(item, {**part.resources.limits, **part.resources.requests}, part.resources.limits)
    for item in _items(ranges, "Pod"):
        names = {*item.max, *item.min, *item.max_limit_request_ratio}
        yield from _of_both(item, _sum(one, "requests", names), _sum(one, "limits", names))


def _sum(pod: Pod, which: str, names: Iterable[str]) -> dict[str, Quantity]:
    """What the Pod has as a whole; of a limit only if all its containers have one."""
    found: dict[str, Quantity] = {}
    for name in names:
        parts = (*pod.spec.init_containers, *pod.spec.containers)
        amounts = {part.name: _amount(part, which, name) for part in parts}
        if which == "limits" and any(amounts[part.name] is None for part in pod.spec.containers):
            continue
        whole = most_at_once(pod.spec, {part: amount or 0 for part, amount in amounts.items()})
        found[name] = quantity.written(whole, "binary" if name == "memory" else "decimal")
    return found


def _amount(part: Container, which: str, name: str) -> int | None:
    table = part.resources.limits if which == "limits" else {**part.resources.limits, **part.resources.requests}
    return quantity.nanos(table[name]) if name in table else None


def _of_request(item: LimitRangeItem, requests: _Amounts) -> Iterator[str]:
    yield from _too_little(item, requests)
    for name in item.max:
        yield from _too_much(item, name, requests)


def _too_little(item: LimitRangeItem, requests: _Amounts) -> Iterator[str]:
    for name, least in item.min.items():
        if name not in requests:
            yield f"minimum {name} usage per {item.type} is {least}. No request is specified"
        elif quantity.nanos(requests[name]) < quantity.nanos(least):
            yield f"minimum {name} usage per {item.type} is {least}, but request is {requests[name]}"


def _too_much(item: LimitRangeItem, name: str, requests: _Amounts) -> Iterator[str]:
    if name in requests and quantity.nanos(requests[name]) > quantity.nanos(item.max[name]):
        yield f"maximum {name} usage per {item.type} is {item.max[name]}, but request is {requests[name]}"


def _of_both(item: LimitRangeItem, requests: _Amounts, limits: _Amounts) -> Iterator[str]:
    yield from _too_little(item, requests)
    for name, most in item.max.items():
        if name not in limits:
            yield f"maximum {name} usage per {item.type} is {most}. No limit is specified"
        elif quantity.nanos(limits[name]) > quantity.nanos(most):
            yield f"maximum {name} usage per {item.type} is {most}, but limit is {limits[name]}"
        else:
            yield from _too_much(item, name, requests)
    for name, ratio in item.max_limit_request_ratio.items():
        asked, limit = quantity.nanos(requests.get(name, 0)), quantity.nanos(limits.get(name, 0))
        if not asked:
            yield f"{name} max limit to request ratio per {item.type} is {ratio}, but no request is specified or request is 0"
        elif not limit:
            yield f"{name} max limit to request ratio per {item.type} is {ratio}, but no limit is specified or limit is 0"
        elif limit * 10**9 > quantity.nanos(ratio) * asked:
            yield f"{name} max limit to request ratio per {item.type} is {ratio}, but provided ratio is {limit / asked:f}"
