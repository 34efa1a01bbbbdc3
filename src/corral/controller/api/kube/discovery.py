"""What does a client learn of the API before it asks: groups, versions, resources?"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.http import encode
from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.resources import ABSENT, GROUPS, METRICS, OLDER, RESOURCES, Resource
from corral.controller.api.kube.status import REFUSED_PLURALS, no_such_path
from corral.controller.facts import VERSION
from corral.services.manifests.kinds import REFUSED_KINDS

#: The version of Kubernetes whose API this is.
MAJOR, MINOR = "1", "32"
_AGGREGATED = "as=APIGroupDiscoveryList"
_STREAMS = dict.fromkeys(("attach", "exec", "portforward"), ("get", "create")) | {
    "log": ("get",), "eviction": ("create",), "token": ("create",),
}  # fmt: skip
_SUB_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "eviction": ("policy", "v1", "Eviction"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}

#: Kinds that are refused and often applied, in groups that are here.
_REFUSED_SHORT: dict[str, tuple[str, ...]] = {
    "networkpolicies": ("netpol",), "ingressclasses": (), "podtemplates": (),
}  # fmt: skip

Json = dict[str, Any]


def version() -> Json:
    return {
        "major": MAJOR, "minor": MINOR, "gitVersion": f"v{MAJOR}.{MINOR}.0+corral.{VERSION}", "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
    }  # fmt: skip


def kinds() -> Json:
    """What `corral get` knows; of Kubernetes' other kinds, why they are not here."""
    listed = [
        {
            "kind": one.kind, "group": one.group, "version": one.version, "plural": one.plural, "short": list(one.short),
            "namespaced": one.namespaced, "categories": list(one.categories), "subresources": list(one.subresources),
        }
        for one in RESOURCES.values()
        if one not in OLDER and one not in METRICS and one not in ABSENT
    ]  # fmt: skip
    return {"kinds": listed, "refused": {kind: why for kind, (_, why) in REFUSED_KINDS.items()}}


def _of_group(group: str, version: str) -> list[Resource]:
    """Kinds that are refused are among them: who makes one is told why, and not that nobody has heard of it."""
    found = [one for one in RESOURCES.values() if (one.group, one.version) == (group, version)]
    known = {one.kind for one in found}
    if version == "v1":
        for plural, (kind, of, _) in REFUSED_PLURALS.items():
            if of == group and kind not in known and plural in _REFUSED_SHORT:
                short = _REFUSED_SHORT[plural]
                found.append(
                    Resource(
                        kind=kind, group=group, version=version, plural=plural, short=short, verbs=("create",),
                        subresources=(), namespaced=plural not in ("ingressclasses",),
                    )
                )  # fmt: skip
    return found


def resource_list(group: str, version: str) -> Json:
    """APIResourceList."""
    found = _of_group(group, version)
    if not found:
        raise no_such_path()
    listed: list[Json] = []
    for one in found:
        entry: Json = {
            "name": one.plural, "singularName": one.singular, "namespaced": one.namespaced, "kind": one.kind,
            "verbs": list(one.verbs),
        }  # fmt: skip
        if one.short:
            entry["shortNames"] = list(one.short)
        if one.categories:
            entry["categories"] = list(one.categories)
        listed.append(entry)
        for sub in one.subresources:
            sub_group, sub_version, kind = _SUB_KINDS.get(sub, (one.group, one.version, one.kind))
            entry = {
                "name": f"{one.plural}/{sub}", "singularName": "", "namespaced": one.namespaced, "kind": kind,
                "verbs": _verbs(sub),
            }  # fmt: skip
            if sub in _SUB_KINDS:
                entry |= {"group": sub_group, "version": sub_version}
            listed.append(entry)
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


def _verbs(sub: str) -> list[str]:
    return list(_STREAMS.get(sub, ("get", "patch", "update") if sub == "scale" else ("get",)))


def _group(group: str) -> Json:
    versions = [{"groupVersion": f"{group}/{one}", "version": one} for one in GROUPS[group]]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def groups() -> Json:
    found = [_group(group) for group in GROUPS if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(name: str) -> Json:
    if not name or name not in GROUPS:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}


def core_versions() -> Json:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _aggregated(names: list[str]) -> Json:
    """APIGroupDiscoveryList (apidiscovery.k8s.io/v2): all in one answer."""
    items = []
    for group in names:
        versions = []
        for version in GROUPS[group]:
            resources = [_discovered(one) for one in _of_group(group, version)]
            versions.append({"version": version, "resources": resources, "freshness": "Current"})
        metadata: Json = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
        items.append({"metadata": metadata, "versions": versions})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered(one: Resource) -> Json:
    found: Json = {
        "resource": one.plural, "responseKind": _kind(one.group, one.version, one.kind),
        "scope": "Namespaced" if one.namespaced else "Cluster", "singularResource": one.singular, "verbs": list(one.verbs),
    }  # fmt: skip
    if one.short:
        found["shortNames"] = list(one.short)
    if one.categories:
        found["categories"] = list(one.categories)
    if one.subresources:
        found["subresources"] = [
            {
                "subresource": sub, "responseKind": _kind(*_SUB_KINDS.get(sub, (one.group, one.version, one.kind))),
                "verbs": _verbs(sub),
            }
            for sub in one.subresources
        ]  # fmt: skip
    return found


def _kind(group: str, version: str, kind: str) -> Json:
    return {"group": group, "version": version, "kind": kind}


def answer_root(request: Request, core: bool) -> Response:
    """/api and /apis: aggregated where the client can read that."""
    if _AGGREGATED in request.headers.get("accept", "") and "v=v2;" in request.headers.get("accept", "") + ";":
        body = _aggregated([""] if core else [one for one in GROUPS if one])
        kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        return Response(encode(body), media_type=kind)
    return Form(request).write(core_versions() if core else groups())
