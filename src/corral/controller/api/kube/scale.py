"""How many replicas: the subresource /scale (autoscaling/v1)?"""

from typing import Any

import msgspec

from corral.controller.api.kube.status import KubeError
from corral.model.kube.meta import LabelSelector
from corral.model.kube.objects import AnyObject
from corral.model.kube.workload import Deployment, ReplicaSet, StatefulSet

_MOST = (1 << 31) - 1


def of(one: AnyObject) -> dict[str, Any]:
    assert isinstance(one, (Deployment, ReplicaSet, StatefulSet))
    meta = one.metadata
    metadata = {
        "name": meta.name, "namespace": meta.namespace, "uid": meta.uid, "resourceVersion": meta.resource_version,
    }  # fmt: skip
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {"replicas": one.spec.replicas},
        "status": {"replicas": one.status.replicas, "selector": selector_text(one.spec.selector)},
    }  # fmt: skip


def scaled(one: AnyObject, body: dict[str, Any]) -> AnyObject:
    """The object with the Scale's number of replicas."""
    assert isinstance(one, (Deployment, ReplicaSet, StatefulSet))
    if body.get("kind") != "Scale":
        raise KubeError("BadRequest", f"a Scale of autoscaling/v1 is needed, not {body.get('kind')!r}")
    spec = body.get("spec")
    count = (spec or {}).get("replicas", 0) if isinstance(spec or {}, dict) else None
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST:
        raise KubeError("BadRequest", f"spec.replicas: a whole number of 0 or more is needed, not {count!r}")
    metadata = body.get("metadata")
    version = str(metadata.get("resourceVersion") or "") if isinstance(metadata, dict) else ""
    return msgspec.structs.replace(
        one,
        spec=msgspec.structs.replace(one.spec, replicas=count),
        metadata=msgspec.structs.replace(one.metadata, resource_version=version),
    )


def selector_text(selector: LabelSelector | None) -> str:
    """As -l has it."""
    if selector is None:
        return ""
    words = [f"{name}={value}" for name, value in sorted(selector.match_labels.items())]
    for one in selector.match_expressions:
        values = ",".join(one.values)
        word = {
            "In": f"{one.key} in ({values})", "NotIn": f"{one.key} notin ({values})",
            "Exists": one.key, "DoesNotExist": f"!{one.key}",
        }[one.operator]  # fmt: skip
        words.append(word)
    return ",".join(words)
