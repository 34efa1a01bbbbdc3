"""What of a node changes when somebody patches it as a Kubernetes object: its labels, its taints, and whether it takes Pods?"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from corral.controller import kubenodes
from corral.controller.api.kube import bodies, objects, patches
from corral.controller.api.kube.reads import answer_one, anything
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.status import KubeError, invalid, of_rejected
from corral.controller.api.kube.writes import check_validation, is_dry
from corral.controller.api.service import Service
from corral.model.node import CORDONED
from corral.model.podplace import LABEL_NAME, LABEL_VALUE, Taint, taint_of
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller, UpdateNodes
from corral.scheduler.nodewords import HOSTNAME

FEATURE = "feature.corral.dev/"
#: Kubernetes puts this one on a node that takes no Pods; here that is its being drained.
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


async def patch(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    check_validation(request)
    dry = is_dry(request)
    kind = patches.kind_of(request)
    if kind == "apply":
        raise KubeError("UnsupportedMediaType", "nodes are patched by JSON merge, strategic merge or JSON patch")
    given = await bodies.value(request)
    old = anything(service, caller, address)
    assert isinstance(old, kubenodes.Node)
    shown = objects.shown(address.resource, old)
    new = patches.patched(address, kind, shown, given)
    for message in changes(address, shown, new) if not dry else ():
        reply = await service.loop.ask(message, caller)
        if isinstance(reply, Rejected):
            raise of_rejected(reply, address.resource, address.name)
    return answer_one(service, request, address, anything(service, caller, address))


def changes(address: Address, old: dict[str, Any], new: dict[str, Any]) -> list[UpdateNodes]:
    causes: list[tuple[str, str, str]] = []
    for word in sorted(old.keys() | new.keys()):
        if word not in ("metadata", "spec") and old.get(word) != new.get(word):
            causes.append(("FieldValueForbidden", word, "it is what the cluster says of the node"))
    labels = _labels(_part(old, "metadata", "labels"), _part(new, "metadata", "labels"), causes)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    for word in sorted(spec.keys() - {"taints", "unschedulable"}):
        causes.append(("FieldValueForbidden", f"spec.{word}", "of a node only taints and unschedulable can be changed"))
    taints = _taints(spec.get("taints") or [], causes) if spec.get("taints") != before.get("taints") else None
    drained, was = bool(spec.get("unschedulable")), bool(before.get("unschedulable"))
    if causes:
        raise invalid(address.resource, address.name, causes)
    found = []
    if labels or taints is not None:
        found.append(UpdateNodes(nodes=address.name, labels=labels, taints=taints))
    if drained != was:
        found.append(
            UpdateNodes(nodes=address.name, state="drain" if drained else "undrain", reason=CORDONED if drained else "")
        )
    return found


def _part(document: dict[str, Any], *names: str) -> dict[str, Any]:
    found: Any = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _labels(old: dict[str, Any], new: dict[str, Any], causes: list[tuple[str, str, str]]) -> dict[str, str | None]:
    changed: dict[str, str | None] = {}
    for name in sorted(old.keys() | new.keys()):
        value = new.get(name)
        if old.get(name) == value:
            continue
        if name == HOSTNAME or name.startswith((kubenodes.PARTITION, FEATURE)):
            causes.append(
                (
                    "FieldValueForbidden",
                    f"metadata.labels[{name}]",
                    "it says what the node is: scontrol and corral.toml change that",
                )
            )
        elif not LABEL_NAME.fullmatch(name) or not (
            value is None or (isinstance(value, str) and LABEL_VALUE.fullmatch(value))
        ):
            causes.append(("FieldValueInvalid", f"metadata.labels[{name}]", f"{value!r} is no value of a label"))
        else:
            changed[name] = value
    return changed


def _taints(given: Any, causes: list[tuple[str, str, str]]) -> tuple[Taint, ...]:
    found = []
    for index, one in enumerate(given if isinstance(given, list) else [given]):
        try:
            key, value, effect = one["key"], one.get("value", ""), one["effect"]
            if key != _UNSCHEDULABLE:
                found.append(taint_of(f"{key}={value}:{effect}" if value else f"{key}:{effect}"))
        except (KeyError, TypeError, AttributeError):
            causes.append(("FieldValueInvalid", f"spec.taints[{index}]", "a taint has key, effect and perhaps value"))
        except ValueError as error:
            causes.append(("FieldValueInvalid", f"spec.taints[{index}]", str(error)))
    return tuple(found)
