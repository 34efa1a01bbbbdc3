"""Who has applied what of an object? Kept in its annotations: kubectl's own, and one for each other manager (server-side apply)."""

import functools
import re
from typing import Any

import msgspec

from corral.services.manifests import fieldowners

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Who writes with the annotation of kubectl's own; what each other manager has applied is kept in one of its own.
_CLIENTS = frozenset({"", "kubectl", "kubectl-client-side-apply", "corral-apply"})
_RECORD = re.compile(r"corral\.dev/(.+)\.last-applied-configuration")

Json = dict[str, Any]


def record_of(manager: str) -> str:
    """The annotation in which it is kept what this manager has applied."""
    if manager in _CLIENTS:
        return LAST_APPLIED
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", manager)[:40].strip("-_.")
    return f"corral.dev/{name or 'other'}.last-applied-configuration"


def applied_by(annotations: dict[str, str], without: str = "") -> dict[str, Json]:
    """What each manager has applied, but for one, by the annotations in which that is kept."""
    found: dict[str, Json] = {}
    for name, text in annotations.items():
        if name != without and (name == LAST_APPLIED or _RECORD.fullmatch(name)):
            try:
                manifest = msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue
            if isinstance(manifest, dict):
                found[name] = manifest
    return found


def manager_of(record: str) -> str:
    known = _RECORD.fullmatch(record)
    return known[1] if known is not None else "kubectl"


def managed_fields(annotations: dict[str, str]) -> list[Json]:
    """metadata.managedFields, by the names of the managers."""
    found = [
        _entry(manager_of(name), text)
        for name, text in annotations.items()
        if name == LAST_APPLIED or _RECORD.fullmatch(name)
    ]
    return sorted((one for one in found if one is not None), key=lambda one: str(one["manager"]))


@functools.lru_cache(maxsize=4096)
def _entry(manager: str, text: str) -> Json | None:
    try:
        manifest = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return fieldowners.managed(manager, manifest) if isinstance(manifest, dict) else None
