"""Are an object's name, labels and annotations such as Kubernetes takes?"""

import re
from collections.abc import Mapping

from corral.model.kube.meta import KubeObject, ObjectMeta
from corral.model.kube.objects import KINDS
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

_MOST_ANNOTATIONS = 256 << 10  # bytes, all together


def _cron_job_name(name: str) -> str:
    return kubenames.subdomain(name, 52)  # its Jobs' names have eleven characters more


def _path_segment(name: str) -> str:
    return "may not contain '/' or '%', nor be '.' or '..'" if re.search("[/%]", name) or name in (".", "..") else ""


_NAMES = {
    "Namespace": kubenames.label,
    "Service": kubenames.label_1035,
    "CronJob": _cron_job_name,
    "Pipeline": kubenames.label,
    "PipelineRun": kubenames.label,
    "Role": _path_segment,
    "ClusterRole": _path_segment,
    "RoleBinding": _path_segment,
    "ClusterRoleBinding": _path_segment,
}


def check(one: KubeObject, problems: Problems) -> None:
    meta: ObjectMeta = one.metadata
    kind = KINDS[type(one).__name__]
    rule = _NAMES.get(kind.name, kubenames.subdomain)
    if not meta.name and not meta.generate_name:
        problems.required("metadata.name", "name or generateName is required")
    elif meta.name and (why := rule(meta.name)):
        problems.invalid("metadata.name", meta.name, why)
    if meta.generate_name and (why := rule(meta.generate_name[:40].rstrip("-.") + "-abcde")):
        problems.invalid("metadata.generateName", meta.generate_name, why)
    if kind.namespaced:
        if why := kubenames.label(meta.namespace):
            problems.invalid("metadata.namespace", meta.namespace, why)
    elif meta.namespace:
        problems.forbidden("metadata.namespace", "not allowed on this type")
    labels(meta.labels, "metadata.labels", problems)
    annotations(meta.annotations, "metadata.annotations", problems)


def labels(given: Mapping[str, str], path: str, problems: Problems) -> None:
    for key, value in given.items():
        if why := kubenames.label_key(key):
            problems.invalid(path, key, why)
        if why := kubenames.label_value(value):
            problems.invalid(path, value, why)


def annotations(given: Mapping[str, str], path: str, problems: Problems) -> None:
    for key in given:
        if why := kubenames.label_key(key.lower()):
            problems.invalid(path, key, why)
    if sum(len(key) + len(value.encode()) for key, value in given.items()) > _MOST_ANNOTATIONS:
        problems.long(path, "", _MOST_ANNOTATIONS)
