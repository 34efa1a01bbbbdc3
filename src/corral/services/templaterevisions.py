"""Which templates has a StatefulSet or DaemonSet had? Kept as Kubernetes' ControllerRevisions."""

from collections.abc import Callable
from typing import Any

import msgspec

from corral.model.kube.meta import ObjectMeta
from corral.model.kube.pod import PodTemplateSpec
from corral.model.kube.workload import ControllerRevision, DaemonSet, StatefulSet
from corral.services import podset
from corral.services.changes import Change, Put, Remove
from corral.services.selectors import owner_reference
from corral.services.view import View

REVISION_LABEL = "controller-revision-hash"


def of(one: StatefulSet | DaemonSet, view: View) -> tuple[list[ControllerRevision], ControllerRevision, list[Change]]:
    """All that are kept, that of its template, and what keeping it changes. A template it had before gets the newest number."""
    kept = [found for found in view.owned(one.metadata.uid) if isinstance(found, ControllerRevision)]
    kept = [found for found in kept if not found.metadata.deletion_timestamp]
    newest = max((found.revision for found in kept), default=0)
    data = _data(one.spec.template)
    same = next((found for found in kept if found.data == data), None)
    if same is not None:
        if same.revision == newest:
            return kept, same, []
        renewed = msgspec.structs.replace(same, revision=newest + 1)
        return [renewed if found is same else found for found in kept], renewed, [Put(renewed)]
    digest = podset.digest(one.spec.template)
    made = ControllerRevision(
        metadata=ObjectMeta(
            name=f"{one.metadata.name}-{digest}",
            namespace=one.metadata.namespace,
            labels={**one.spec.template.metadata.labels, REVISION_LABEL: digest},
            owner_references=(owner_reference(one),),
        ),
        creator=one.creator,
        data=data,
        revision=newest + 1,
    )
    return [*kept, made], made, [Put(made)]


def _data(template: PodTemplateSpec) -> dict[str, Any]:
    """As Kubernetes writes it: a patch of whose it is. As it is read back from the record, so that it is the same after a restart."""
    said = msgspec.json.decode(msgspec.json.encode(template, order="deterministic"))
    return {"spec": {"template": {**said, "$patch": "replace"}}}


def template_of(one: ControllerRevision) -> PodTemplateSpec:
    said = {name: value for name, value in one.data["spec"]["template"].items() if name != "$patch"}
    return msgspec.convert(said, PodTemplateSpec)


def beyond_limit(
    kept: list[ControllerRevision], limit: int, is_used: Callable[[ControllerRevision], bool]
) -> list[Change]:
    """More than are to be kept of those that no Pod has, the oldest first."""
    idle = sorted((found for found in kept if not is_used(found)), key=lambda found: found.revision)
    return [Remove(found.key) for found in idle[: max(len(idle) - limit, 0)]]
