"""Do claims ask for what a directory can be, and do classes and volumes say where directories are?"""

from corral.model.kube.claim import ClaimTemplate
from corral.model.kube.storage import BY_HAND, DIRECTORY, PersistentVolume, PersistentVolumeClaim, StorageClass
from corral.services.manifests.checks import claims, metadata, placement
from corral.services.manifests.problems import Problems
from corral.services.storage import LIKE_DIRECTORY
from corral.syntax import kubenames

_KNOWN = (DIRECTORY, BY_HAND, *LIKE_DIRECTORY)
_PARAMETERS = {"path": "", "scope": "shared"}
_SCOPES = ("shared", "node")


def storage_class(one: StorageClass, problems: Problems) -> None:
    if not one.provisioner:
        problems.required("provisioner")
    elif one.provisioner not in _KNOWN:
        problems.unsupported(
            "provisioner",
            f"volumes are directories: {DIRECTORY} makes one for each claim, in parameters.path; of {BY_HAND} they are made by hand",
        )
    if one.provisioner == DIRECTORY:
        _parameters(one.parameters, problems)
    elif one.provisioner == BY_HAND and one.parameters:
        problems.unsupported("parameters", f"{BY_HAND} makes nothing")
    if (
        one.provisioner == DIRECTORY
        and one.parameters.get("scope") == "node"
        and one.volume_binding_mode == "Immediate"
    ):
        problems.invalid(
            "volumeBindingMode", "Immediate",
            "which node has the directory is known when the Pod has its node: WaitForFirstConsumer",
        )  # fmt: skip


def _parameters(given: dict[str, str], problems: Problems) -> None:
    for name in given:
        if name not in _PARAMETERS:
            problems.choice("parameters", name, _PARAMETERS)
    path = given.get("path", "")
    if not path:
        problems.required("parameters[path]", "the directory in which those of claims are made")
    else:
        _absolute(path, "parameters[path]", problems)
    if given.get("scope", "shared") not in _SCOPES:
        problems.choice("parameters[scope]", given["scope"], _SCOPES)


def _absolute(path: str, field: str, problems: Problems) -> None:
    if not path.startswith("/"):
        problems.invalid(field, path, "must be an absolute path")
    elif ".." in path.split("/"):
        problems.invalid(field, path, "must not contain '..'")


def claim(one: PersistentVolumeClaim, problems: Problems) -> None:
    claims.claim_spec(one.spec, "spec", problems)


def templates(found: tuple[ClaimTemplate, ...], path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, one in enumerate(found):
        place = f"{path}[{index}]"
        name = one.metadata.name
        if why := kubenames.label(name):
            problems.invalid(f"{place}.metadata.name", name, why)
        elif name in names:
            problems.duplicate(f"{place}.metadata.name", name)
        names.add(name)
        if one.kind not in ("", "PersistentVolumeClaim") or one.api_version not in ("", "v1"):
            problems.choice(f"{place}.kind", one.kind, ("PersistentVolumeClaim",))
        metadata.labels(one.metadata.labels, f"{place}.metadata.labels", problems)
        metadata.annotations(one.metadata.annotations, f"{place}.metadata.annotations", problems)
        claims.claim_spec(one.spec, f"{place}.spec", problems)


def volume(one: PersistentVolume, problems: Problems) -> None:
    spec = one.spec
    claims.modes(spec.access_modes, "spec.accessModes", problems)
    claims.storage(spec.capacity, "spec.capacity", problems)
    sources = [name for name in ("host_path", "local", "nfs") if getattr(spec, name) is not None]
    if not sources:
        problems.required("spec", "must specify a volume type: hostPath, local or nfs")
    elif len(sources) > 1:
        problems.forbidden("spec", "may not specify more than 1 volume type")
    for wire, path in (
        ("hostPath", spec.host_path.path if spec.host_path else None),
        ("local", spec.local.path if spec.local else None),
        ("nfs", spec.nfs.path if spec.nfs else None),
    ):
        if path == "":
            problems.required(f"spec.{wire}.path")
        elif path is not None:
            _absolute(path, f"spec.{wire}.path", problems)
    if spec.nfs is not None and not spec.nfs.server:
        problems.required("spec.nfs.server")
    if spec.local is not None and (spec.node_affinity is None or spec.node_affinity.required is None):
        problems.required("spec.nodeAffinity", "Local volume requires node affinity")
    if spec.node_affinity is not None:
        if spec.node_affinity.required is None:
            problems.required("spec.nodeAffinity.required")
        else:
            placement.check_terms(
                spec.node_affinity.required.node_selector_terms,
                "spec.nodeAffinity.required.nodeSelectorTerms",
                problems,
            )
    if spec.volume_mode != "Filesystem":
        problems.unsupported("spec.volumeMode", claims.BLOCK)
    if spec.storage_class_name and (why := kubenames.subdomain(spec.storage_class_name)):
        problems.invalid("spec.storageClassName", spec.storage_class_name, why)
