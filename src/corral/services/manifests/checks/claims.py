"""Does a claim ask for what a directory can be?"""

from corral.model.kube.claim import PersistentVolumeClaimSpec
from corral.model.kube.pod import Quantity
from corral.services.manifests.checks import selectors
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames, quantity

BLOCK = "volumes are directories: Filesystem"


def storage(found: dict[str, Quantity], field: str, problems: Problems) -> None:
    for name in found:
        if name != "storage":
            problems.choice(field, name, ("storage",))
    if "storage" not in found:
        problems.required(f"{field}[storage]")
    elif quantity.nanos(found["storage"]) <= 0:
        problems.invalid(f"{field}[storage]", found["storage"], "must be greater than zero")


def modes(modes: tuple[str, ...], field: str, problems: Problems) -> None:
    if not modes:
        problems.required(field, "at least 1 access mode is required")
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        problems.forbidden(field, "may not use ReadWriteOncePod with other access modes")


def claim_spec(spec: PersistentVolumeClaimSpec, path: str, problems: Problems) -> None:
    modes(spec.access_modes, f"{path}.accessModes", problems)
    storage(spec.resources.requests, f"{path}.resources.requests", problems)
    if spec.storage_class_name and (why := kubenames.subdomain(spec.storage_class_name)):
        problems.invalid(f"{path}.storageClassName", spec.storage_class_name, why)
    if spec.volume_name and (why := kubenames.subdomain(spec.volume_name)):
        problems.invalid(f"{path}.volumeName", spec.volume_name, why)
    if spec.volume_mode != "Filesystem":
        problems.unsupported(f"{path}.volumeMode", BLOCK)
    selectors.check(spec.selector, f"{path}.selector", problems)
