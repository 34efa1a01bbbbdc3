"""Are the variables of a container's environment named well, and does each have one source?"""

import re

from corral.model.kube.pod import EnvFromSource, EnvVar, EnvVarSource, KeySelector, ObjectFieldSelector
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

#: What valueFrom.fieldRef may name.
FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
RESOURCES = ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory")


def check(env: tuple[EnvVar, ...], env_from: tuple[EnvFromSource, ...], path: str, problems: Problems) -> None:
    for index, one in enumerate(env):
        place = f"{path}.env[{index}]"
        if why := kubenames.variable(one.name):
            problems.invalid(f"{place}.name", one.name, why)
        if one.value_from is not None:
            if one.value:
                problems.invalid(f"{place}.valueFrom", "", "may not be specified when `value` is not empty")
            _check_source(one.value_from, f"{place}.valueFrom", problems)
    for index, source in enumerate(env_from):
        place = f"{path}.envFrom[{index}]"
        if source.prefix and (why := kubenames.variable(source.prefix)):
            problems.invalid(f"{place}.prefix", source.prefix, why)
        named = [
            (name, ref)
            for name, ref in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref))
            if ref
        ]
        if not named:
            problems.invalid(place, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(named) > 1:
            problems.invalid(place, "", "may not have more than one field specified at a time")
        for wire, ref in named:
            if why := kubenames.subdomain(ref.name):
                problems.invalid(f"{place}.{wire}.name", ref.name, why)


def _check_source(source: EnvVarSource, path: str, problems: Problems) -> None:
    given = [name for name in source.__struct_fields__ if getattr(source, name) is not None]
    if not given:
        problems.invalid(
            path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )
    elif len(given) > 1:
        problems.invalid(path, "", "may not have more than one field specified at a time")
    _check_key(source.config_map_key_ref, f"{path}.configMapKeyRef", problems)
    _check_key(source.secret_key_ref, f"{path}.secretKeyRef", problems)
    check_field(source.field_ref, FIELDS, f"{path}.fieldRef", problems)
    if (amount := source.resource_field_ref) is not None and amount.resource not in RESOURCES:
        problems.choice(f"{path}.resourceFieldRef.resource", amount.resource, RESOURCES)


def check_field(field: ObjectFieldSelector | None, known: tuple[str, ...], path: str, problems: Problems) -> None:
    if field is None:
        return
    if field.api_version != "v1":
        problems.choice(f"{path}.apiVersion", field.api_version, ("v1",))
    found = _SUBSCRIPT.fullmatch(field.field_path)
    if found is not None:
        if why := kubenames.label_key(found[2].lower()):
            problems.invalid(f"{path}.fieldPath", found[2], why)
    elif field.field_path not in known:
        more = ("metadata.labels['<KEY>']", "metadata.annotations['<KEY>']")
        problems.choice(f"{path}.fieldPath", field.field_path, (*known, *more))


def _check_key(given: KeySelector | None, path: str, problems: Problems) -> None:
    if given is None:
        return
    if why := kubenames.subdomain(given.name):
        problems.invalid(f"{path}.name", given.name, why)
    if why := kubenames.config_key(given.key):
        problems.invalid(f"{path}.key", given.key, why)
