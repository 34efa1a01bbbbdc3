"""Which resources are there at Kubernetes' paths, and which of them does a path mean?"""

import msgspec

from corral.model.kube.objects import KINDS

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_VERBS = ("get", "list", "watch")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    group: str
    version: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ("status",)
    categories: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """deployments.apps"""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_SUBRESOURCES = {
    "Deployment": ("scale", "status"),
    "ReplicaSet": ("scale", "status"),
    "StatefulSet": ("scale", "status"),
    "Pod": ("attach", "eviction", "exec", "log", "portforward", "status"),
    "ConfigMap": (),
    "Secret": (),
    "PriorityClass": (),
    "StorageClass": (),
    "LimitRange": (),
    "ServiceAccount": ("token",),
    "Namespace": ("status",),
    "ControllerRevision": (),
    "Role": (),
    "RoleBinding": (),
    "ClusterRole": (),
    "ClusterRoleBinding": (),
}
#: What the cluster alone makes.
_OURS = frozenset({"ControllerRevision"})
#: What `get all` shows.
_IN_ALL = frozenset(
    {
        "Pod",
        "Service",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "HorizontalPodAutoscaler",
    }
)

#: What users put.
OBJECTS: tuple[Resource, ...] = tuple(
    Resource(
        kind=kind.name,
        group=kind.group,
        version=kind.version,
        plural=kind.plural,
        short=kind.short,
        namespaced=kind.namespaced,
        verbs=READ_VERBS if kind.name in _OURS else ALL_VERBS,
        subresources=_SUBRESOURCES.get(kind.name, ("status",)),
        categories=("all",) if kind.name in _IN_ALL else (),
    )
    for kind in KINDS.values()
)

#: What the cluster writes.
EVENT = Resource(
    kind="Event", group="", version="v1", plural="events", short=("ev",), verbs=READ_VERBS, subresources=(),
)  # fmt: skip

#: Read and shown in the older version too: `kubectl autoscale` speaks it.
OLDER = tuple(msgspec.structs.replace(one, version="v1") for one in OBJECTS if one.kind == "HorizontalPodAutoscaler")

#: What is read from the nodes' records; labels, taints and unschedulable can be patched.
NODE = Resource(
    kind="Node", group="", version="v1", plural="nodes", short=("no",), namespaced=False,
    verbs=("get", "list", "patch", "watch"), subresources=(),
)  # fmt: skip

#: Where Services lead, read from their Pods.
ENDPOINTS = (
    Resource(kind="Endpoints", group="", version="v1", plural="endpoints", short=("ep",), verbs=READ_VERBS, subresources=()),
    Resource(
        kind="EndpointSlice", group="discovery.k8s.io", version="v1", plural="endpointslices", verbs=READ_VERBS, subresources=(),
    ),
)  # fmt: skip

#: What is measured when it is asked for (metrics.py).
METRICS = tuple(
    Resource(
        kind=kind, group="metrics.k8s.io", version="v1beta1", plural=plural, namespaced=plural == "pods", verbs=("get", "list"),
        subresources=(),
    )
    for kind, plural in (("PodMetrics", "pods"), ("NodeMetrics", "nodes"))
)  # fmt: skip

#: Kubernetes' own of which there never are any: kubectl's `--prune` and `cluster-info dump` list them, whatever there is.
ABSENT = tuple(
    Resource(kind=kind, group=group, version="v1", plural=plural, short=(short,), verbs=("create", *READ_VERBS), subresources=())
    for kind, group, plural, short in (
        ("ReplicationController", "", "replicationcontrollers", "rc"), ("DaemonSet", "apps", "daemonsets", "ds"),
    )
    if kind not in KINDS
)  # fmt: skip

#: All of them, by group, version and plural name.
RESOURCES: dict[tuple[str, str, str], Resource] = {
    (one.group, one.version, one.plural): one for one in (*OBJECTS, EVENT, NODE, *ENDPOINTS, *ABSENT, *OLDER, *METRICS)
}

#: Which versions a group has, in the order of discovery; "" is the core group.
GROUPS: dict[str, tuple[str, ...]] = {}
for _one in RESOURCES.values():
    if _one.version not in GROUPS.get(_one.group, ()):
        GROUPS[_one.group] = (*GROUPS.get(_one.group, ()), _one.version)


class Address(msgspec.Struct, frozen=True):
    """What a path means."""

    resource: Resource
    namespace: str = ""  #: "" = all, or of a kind that has none
    name: str = ""  #: "" = the collection
    subresource: str = ""


def address(group: str, version: str, rest: str) -> Address | None:
    """Of the path after its version; None: there is nothing."""
    words = rest.strip("/").split("/")
    namespace = ""
    if words[0] == "namespaces" and len(words) > 2 and not (group == "" and words[2] in ("status", "finalize")):
        namespace, words = words[1], words[2:]
        if not namespace:
            return None
    if not 1 <= len(words) <= 3 or not all(words):
        return None
    plural, name, subresource = (*words, "", "")[:3]
    found = RESOURCES.get((group, version, plural))
    if found is None or (namespace and not found.namespaced):
        return None
    if name and found.namespaced and not namespace:
        return None
    if subresource and subresource not in found.subresources:
        return None
    return Address(found, namespace, name, subresource)
