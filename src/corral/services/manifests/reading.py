"""Which object does a manifest describe? All that is wrong in it is told at once, with its path.

First its JSON becomes a record (typed.py: types, unknown and refused fields), then defaults are filled in as Kubernetes does (defaults.py),
then its rules are checked (checks/).
"""

from typing import Any

from corral.model.kube.objects import AnyObject
from corral.services.manifests.checks.every import check
from corral.services.manifests.defaults import defaulted
from corral.services.manifests.kinds import kind_of
from corral.services.manifests.older import present
from corral.services.manifests.problems import Problems
from corral.services.manifests.typed import record_of

#: What the cluster alone says of an object: passed over in a manifest, as Kubernetes does.
_SERVERS = frozenset(
    ("uid", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink")
)  # fmt: skip


def parse(document: dict[str, Any], namespace: str) -> AnyObject:
    """`namespace` is where it goes when it does not say so itself. Raises InvalidManifest."""
    meta = document.get("metadata")
    given = meta.get("name") if isinstance(meta, dict) else None
    name = given if isinstance(given, str) else ""
    kind = kind_of(document, name, namespace)
    problems = Problems()
    document = present(document)
    body = {wire: value for wire, value in document.items() if wire not in ("apiVersion", "kind", "status")}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        body["metadata"] = {
            "namespace": namespace if kind.namespaced else "",
            **{wire: value for wire, value in metadata.items() if wire not in _SERVERS and value is not None},
        }
    elif metadata is None:
        problems.required("metadata.name", "name or generateName is required")
    read: AnyObject | None = record_of(kind.type, body, "", problems)
    if read is not None and not problems:
        read = defaulted(read, body)
        check(read, problems)
    if read is None or problems:
        problems.refuse(kind.name, name, namespace if kind.namespaced else "")
    return read
