"""Do ConfigMaps and Secrets hold what may be held, and do quotas, budgets and priorities count what can be counted?"""

import base64
import binascii
import json

from corral.model.kube.config import ConfigMap, PodDisruptionBudget, PriorityClass, ResourceQuota, Secret
from corral.services.manifests.checks import selectors
from corral.services.manifests.checks.workload import amount
from corral.services.manifests.problems import Problems
from corral.services.quotas import COUNTED, counted_class, counted_kind
from corral.syntax import kubenames, quantity

_MOST_BYTES = 1 << 20
_MOST_PRIORITY = 1_000_000_000
#: Keys that a Secret of this type must have.
NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",), "kubernetes.io/dockercfg": (".dockercfg",),
}  # fmt: skip


def config_map(one: ConfigMap, problems: Problems) -> None:
    _keys(one.data, "data", problems)
    _keys(one.binary_data, "binaryData", problems)
    for key in one.binary_data:
        if key in one.data:
            problems.invalid(f"binaryData[{key}]", key, "duplicate of key present in data")
    plain = _decoded(one.binary_data, "binaryData", problems)
    size = sum(len(value.encode()) for value in one.data.values()) + sum(map(len, plain.values()))
    if size > _MOST_BYTES:
        problems.long("", "", _MOST_BYTES)


def secret(one: Secret, problems: Problems) -> None:
    """Its values are in base64 still."""
    _keys(one.data, "data", problems)
    plain = _decoded(one.data, "data", problems)
    if sum(map(len, plain.values())) > _MOST_BYTES:
        problems.long("data", "", _MOST_BYTES)
    if one.type == "kubernetes.io/service-account-token":
        problems.unsupported("type", "tokens are asked for: a projected volume, or `kubectl create token NAME`")
    for key in NEEDED.get(one.type, ()):
        if key not in one.data:
            problems.required(f"data[{key}]", f"a Secret of type {one.type} needs it")
    if one.type == "kubernetes.io/basic-auth" and not one.data.keys() & {"username", "password"}:
        problems.required("data[username]", f"a Secret of type {one.type} needs username or password")
    if one.type in ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"):
        (key,) = NEEDED[one.type]
        if key in plain and not _is_json_object(plain[key]):
            problems.invalid(f"data[{key}]", "<secret contents redacted>", "must be a JSON object")


def _keys(data: dict[str, str], path: str, problems: Problems) -> None:
    for key in data:
        if why := kubenames.config_key(key):
            problems.invalid(f"{path}[{key}]", key, why)


def _decoded(data: dict[str, str], path: str, problems: Problems) -> dict[str, bytes]:
    plain = {}
    for key, value in data.items():
        try:
            plain[key] = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            problems.add(f"{path}[{key}]", "FieldValueInvalid", "Invalid value: must be base64")
    return plain


def _is_json_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def quota(one: ResourceQuota, problems: Problems) -> None:
    for name, most in one.spec.hard.items():
        path = f"spec.hard[{name}]"
        if name in ("ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage", "storage"):
            problems.unsupported(path, "local disk space is not counted; requests.storage counts claims")
        elif name not in COUNTED and counted_kind(name) is None and not counted_class(name):
            problems.invalid(path, name, f"must be one of {', '.join(COUNTED)}, or count/<plural>[.<group>]")
        elif quantity.nanos(most) < 0:
            problems.invalid(path, most, "must be greater than or equal to 0")
        elif not name.endswith(("cpu", "memory", "requests.storage")) and quantity.nanos(most) % 10**9:
            problems.invalid(path, most, "must be an integer")


def budget(one: PodDisruptionBudget, problems: Problems) -> None:
    spec = one.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        problems.invalid("spec", "", "minAvailable and maxUnavailable cannot be both set")
    for wire, value in (("minAvailable", spec.min_available), ("maxUnavailable", spec.max_unavailable)):
        if value is not None:
            amount(value, f"spec.{wire}", problems)
            if isinstance(value, str) and kubenames.is_percent(value) and int(value[:-1]) > 100:
                problems.invalid(f"spec.{wire}", value, "must not be greater than 100%")
    selectors.check(spec.selector, "spec.selector", problems)


def priority(one: PriorityClass, problems: Problems) -> None:
    if one.metadata.name.startswith("system-"):
        problems.forbidden(
            "metadata.name", "priority class names with 'system-' prefix are reserved for system use only"
        )
    if one.value > _MOST_PRIORITY:
        problems.forbidden("value", f"maximum allowed value of a user defined priority is {_MOST_PRIORITY}")
    if one.preemption_policy not in ("PreemptLowerPriority", "Never"):
        problems.choice("preemptionPolicy", one.preemption_policy, ("Never", "PreemptLowerPriority"))
