"""Do volumes have one source each, and do mounts name volumes that are there?"""

from corral.model.kube.pod import (
    Container,
    DownwardAPIFile,
    KeyToPath,
    ProjectedVolume,
    ServiceAccountTokenProjection,
    Volume,
)
from corral.services.manifests.checks import claims, environment
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames, quantity

#: What a file of downwardAPI may hold.
_DOWNWARD = ("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations")
_TYPES = ("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")


def check(volumes: tuple[Volume, ...], containers: frozenset[str], path: str, problems: Problems) -> None:
    """`containers`: their names."""
    names: set[str] = set()
    for index, one in enumerate(volumes):
        place = f"{path}[{index}]"
        if why := kubenames.label(one.name):
            problems.invalid(f"{place}.name", one.name, why)
        elif one.name in names:
            problems.duplicate(f"{place}.name", one.name)
        names.add(one.name)
        if sum(getattr(one, name) is not None for name in one.__struct_fields__ if name != "name") > 1:
            problems.forbidden(place, "may not specify more than 1 volume type")
        _check_source(one, place, problems)
        if one.downward_api is not None:
            _check_mode(one.downward_api.default_mode, f"{place}.downwardAPI.defaultMode", problems)
            _check_downward(one.downward_api.items, containers, f"{place}.downwardAPI.items", problems)
        if one.projected is not None:
            _check_projected(one.projected, containers, f"{place}.projected", problems)


def _check_source(one: Volume, path: str, problems: Problems) -> None:
    if one.host_path is not None:
        if not one.host_path.path:
            problems.required(f"{path}.hostPath.path")
        elif ".." in one.host_path.path.split("/"):
            problems.invalid(f"{path}.hostPath.path", one.host_path.path, "must not contain '..'")
        elif not one.host_path.path.startswith("/"):
            problems.invalid(f"{path}.hostPath.path", one.host_path.path, "must be an absolute path")
        if one.host_path.type not in _TYPES:
            problems.choice(f"{path}.hostPath.type", one.host_path.type, _TYPES)
    if one.persistent_volume_claim is not None and (why := kubenames.subdomain(one.persistent_volume_claim.claim_name)):
        problems.invalid(f"{path}.persistentVolumeClaim.claimName", one.persistent_volume_claim.claim_name, why)
    if one.ephemeral is not None:
        place = f"{path}.ephemeral.volumeClaimTemplate"
        if one.ephemeral.volume_claim_template.metadata.name:
            problems.forbidden(f"{place}.metadata.name", "the claim is named after its Pod and the volume")
        claims.claim_spec(one.ephemeral.volume_claim_template.spec, f"{place}.spec", problems)
    if one.nfs is not None:
        if not one.nfs.server:
            problems.required(f"{path}.nfs.server")
        if not one.nfs.path.startswith("/") or ".." in one.nfs.path.split("/"):
            problems.invalid(f"{path}.nfs.path", one.nfs.path, "must be an absolute path without '..'")
    if one.empty_dir is not None:
        if one.empty_dir.medium.startswith("HugePages"):
            problems.unsupported(f"{path}.emptyDir.medium", "huge pages are the node's; use Memory")
        elif one.empty_dir.medium not in ("", "Memory"):
            problems.choice(f"{path}.emptyDir.medium", one.empty_dir.medium, ("", "Memory"))
        limit = one.empty_dir.size_limit
        if limit is not None and quantity.nanos(limit) < 0:
            problems.invalid(f"{path}.emptyDir.sizeLimit", limit, "must be greater than or equal to 0")
    for wire, found, name in (
        ("configMap", one.config_map, one.config_map.name if one.config_map else ""),
        ("secret", one.secret, one.secret.secret_name if one.secret else ""),
    ):
        if found is not None:
            field = f"{path}.{wire}.{'name' if wire == 'configMap' else 'secretName'}"
            if why := kubenames.subdomain(name):
                problems.invalid(field, name, why)
            _check_mode(found.default_mode, f"{path}.{wire}.defaultMode", problems)
            _check_items(found.items, f"{path}.{wire}.items", problems)


def _check_downward(items: tuple[DownwardAPIFile, ...], names: frozenset[str], path: str, problems: Problems) -> None:
    for index, one in enumerate(items):
        place = f"{path}[{index}]"
        if not one.path:
            problems.required(f"{place}.path")
        _check_inner(one.path, f"{place}.path", problems)
        if one.mode is not None:
            _check_mode(one.mode, f"{place}.mode", problems)
        if (one.field_ref is None) == (one.resource_field_ref is None):
            problems.invalid(place, "", "must have exactly one of fieldRef and resourceFieldRef")
        environment.check_field(one.field_ref, _DOWNWARD, f"{place}.fieldRef", problems)
        if (amount := one.resource_field_ref) is not None:
            if not amount.container_name:
                problems.required(f"{place}.resourceFieldRef.containerName")
            elif amount.container_name not in names:
                problems.missing(f"{place}.resourceFieldRef.containerName", amount.container_name)
            if amount.resource not in environment.RESOURCES:
                problems.choice(f"{place}.resourceFieldRef.resource", amount.resource, environment.RESOURCES)


def _check_projected(one: ProjectedVolume, names: frozenset[str], path: str, problems: Problems) -> None:
    _check_mode(one.default_mode, f"{path}.defaultMode", problems)
    paths: set[str] = set()
    for index, source in enumerate(one.sources):
        place = f"{path}.sources[{index}]"
        if sum(getattr(source, name) is not None for name in source.__struct_fields__) != 1:
            problems.forbidden(place, "must have exactly one source")
        for wire, named in (("configMap", source.config_map), ("secret", source.secret)):
            if named is not None:
                if why := kubenames.subdomain(named.name):
                    problems.invalid(f"{place}.{wire}.name", named.name, why)
                _check_items(named.items, f"{place}.{wire}.items", problems)
        if source.downward_api is not None:
            _check_downward(source.downward_api.items, names, f"{place}.downwardAPI.items", problems)
        parts = [part for part in (source.config_map, source.secret, source.downward_api) if part is not None]
        given = [item.path for part in parts for item in part.items]
        if (token := source.service_account_token) is not None:
            _check_token(token, f"{place}.serviceAccountToken", problems)
            given.append(token.path)
        for inner in given:
            if inner in paths:
                problems.invalid(place, inner, "conflicting duplicate paths")
            paths.add(inner)


def _check_token(one: ServiceAccountTokenProjection, path: str, problems: Problems) -> None:
    if not one.path:
        problems.required(f"{path}.path")
    _check_inner(one.path, f"{path}.path", problems)
    if one.expiration_seconds < 600:
        why = "may not specify a duration less than 10 minutes"
        problems.invalid(f"{path}.expirationSeconds", one.expiration_seconds, why)
    elif one.expiration_seconds > 1 << 32:
        why = "may not specify a duration larger than 2^32 seconds"
        problems.invalid(f"{path}.expirationSeconds", one.expiration_seconds, why)


def _check_items(items: tuple[KeyToPath, ...], path: str, problems: Problems) -> None:
    for index, one in enumerate(items):
        if why := kubenames.config_key(one.key):
            problems.invalid(f"{path}[{index}].key", one.key, why)
        _check_inner(one.path, f"{path}[{index}].path", problems)
        if not one.path:
            problems.required(f"{path}[{index}].path")
        if one.mode is not None:
            _check_mode(one.mode, f"{path}[{index}].mode", problems)


def _check_inner(inner: str, path: str, problems: Problems) -> None:
    if inner.startswith("/"):
        problems.invalid(path, inner, "must be a relative path")
    elif ".." in inner.split("/"):
        problems.invalid(path, inner, "must not contain '..'")


def _check_mode(mode: int, path: str, problems: Problems) -> None:
    if not 0 <= mode <= 0o777:
        problems.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def check_mounts(one: Container, names: set[str], path: str, problems: Problems) -> None:
    places: set[str] = set()
    for index, mount in enumerate(one.volume_mounts):
        place = f"{path}.volumeMounts[{index}]"
        if not mount.name:
            problems.required(f"{place}.name")
        elif mount.name not in names:
            problems.missing(f"{place}.name", mount.name)
        if not mount.mount_path:
            problems.required(f"{place}.mountPath")
        elif not mount.mount_path.startswith("/"):
            problems.invalid(f"{place}.mountPath", mount.mount_path, "must be an absolute path")
        elif ":" in mount.mount_path:
            problems.invalid(f"{place}.mountPath", mount.mount_path, "must not contain ':'")
        elif mount.mount_path in places:
            problems.invalid(f"{place}.mountPath", mount.mount_path, "must be unique")
        places.add(mount.mount_path)
        _check_inner(mount.sub_path, f"{place}.subPath", problems)
        _check_inner(mount.sub_path_expr, f"{place}.subPathExpr", problems)
        if mount.sub_path and mount.sub_path_expr:
            problems.invalid(
                f"{place}.subPathExpr", mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive"
            )
