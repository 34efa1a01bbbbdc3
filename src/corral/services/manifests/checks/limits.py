"""Does a LimitRange say what can be kept?"""

from collections.abc import Iterator

from corral.model.kube.config import LimitRange, LimitRangeItem
from corral.model.kube.pod import Quantity
from corral.services.limitranges import with_defaults
from corral.services.manifests.checks.amounts import GPUS, PLAIN
from corral.services.manifests.problems import Problems
from corral.syntax import quantity


def _tables(one: LimitRangeItem) -> Iterator[tuple[str, dict[str, Quantity]]]:
    yield from (
        ("min", one.min), ("max", one.max), ("default", one.default), ("defaultRequest", one.default_request),
        ("maxLimitRequestRatio", one.max_limit_request_ratio),
    )  # fmt: skip


def check(one: LimitRange, problems: Problems) -> None:
    if not one.spec.limits:
        problems.required("spec.limits")
    for index, item in enumerate(one.spec.limits):
        path = f"spec.limits[{index}]"
        known = ("storage",) if item.type == "PersistentVolumeClaim" else (*PLAIN, *GPUS)
        for wire, table in _tables(item):
            for name in table:
                place = f"{path}.{wire}[{name}]"
                if name.endswith("ephemeral-storage"):
                    problems.unsupported(place, "local disk space is not counted; limit an emptyDir by its sizeLimit")
                elif name not in known:
                    problems.choice(place, name, known)
                elif quantity.nanos(table[name]) < 0:
                    problems.invalid(place, table[name], "must be greater than or equal to 0")
        if item.type != "Container":
            for wire, table in (("default", item.default), ("defaultRequest", item.default_request)):
                if table:
                    problems.forbidden(f"{path}.{wire}", f"may not be specified when `type` is '{item.type}'")
        if item.type == "PersistentVolumeClaim" and not item.min and not item.max:
            problems.required(
                f"{path}", "either minimum or maximum storage value is required, but neither was provided"
            )
        if not problems.at(path):
            _check_order(with_defaults(item), path, problems)


def _check_order(one: LimitRangeItem, path: str, problems: Problems) -> None:
    """min <= defaultRequest <= default <= max"""
    chain = [("min", one.min), ("defaultRequest", one.default_request), ("default", one.default), ("max", one.max)]
    for at, (lower, less) in enumerate(chain):
        for upper, more in chain[at + 1 :]:
            for name in less.keys() & more.keys():
                if quantity.nanos(less[name]) > quantity.nanos(more[name]):
                    problems.invalid(
                        f"{path}.{lower}[{name}]",
                        less[name],
                        f"{lower} value {less[name]} is greater than {upper} value {more[name]}",
                    )
    for name, ratio in one.max_limit_request_ratio.items():
        if quantity.nanos(ratio) < 10**9:
            problems.invalid(f"{path}.maxLimitRequestRatio[{name}]", ratio, "ratio is less than 1")
