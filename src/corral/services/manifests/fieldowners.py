"""Who has said which field of an object, when several apply parts of it: do they contradict each other, and what goes with whom?

As in Kubernetes' server-side apply: who says another value than somebody else's manifest is told of the conflict, unless that is what is
wanted (force); a field that a manager says no longer goes, unless another one says it too. A field is a value that is no mapping, and no
list whose items have a key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from corral.services.manifests.merging import key_of

Json = Any
#: Names of fields; of an item of a keyed list [name="web"].
Path = tuple[str, ...]
#: What names the object, or is the record itself.
_IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}


def fields(manifest: Json) -> dict[Path, Json]:
    return {path: value for path, value in _fields(manifest, (), "") if path not in _IDENTITY}


def _fields(value: Json, path: Path, name: str) -> Iterator[tuple[Path, Json]]:
    if isinstance(value, dict) and value:
        for field, inner in value.items():
            yield from _fields(inner, (*path, field), field)
    elif isinstance(value, list) and (key := _key(name, value)):
        for item in value:
            yield from _fields(item, (*path, _item(key, item)), "")
    else:
        yield path, value


def _key(name: str, items: list[Json]) -> str:
    """ "" = the list is one value."""
    key = key_of(name, items) if items else None
    return key if key is not None and all(isinstance(one, dict) and key in one for one in items) else ""


def _item(key: str, item: Json) -> str:
    value = item[key]
    return f'[{key}="{value}"]' if isinstance(value, str) else f"[{key}={value}]"


def text_of(path: Path) -> str:
    return "".join(part if part.startswith("[") else f".{part}" for part in path)


def conflicts(mine: Json, others: Mapping[str, Json]) -> list[tuple[str, Path]]:
    """Whose manifest says something else, and of which field."""
    own = fields(mine)
    return [
        (manager, path)
        for manager, manifest in sorted(others.items())
        for path, value in fields(manifest).items()
        if path in own and own[path] != value
    ]


def dropped(before: Json, mine: Json, others: Mapping[str, Json]) -> set[Path]:
    """What a manager has said and says no longer, and nobody else does."""
    kept = set(fields(mine)).union(*(fields(manifest) for manifest in others.values()))
    return set(fields(before)) - kept


def without(manifest: Json, gone: set[Path]) -> Json:
    """What is empty without these goes too."""
    return _without(manifest, gone, (), "")


def _without(value: Json, gone: set[Path], path: Path, name: str) -> Json:
    if isinstance(value, dict):
        left = {}
        for field, inner in value.items():
            place = (*path, field)
            if place in gone:
                continue
            kept = _without(inner, gone, place, field)
            if kept not in ({}, []) or inner in ({}, []):
                left[field] = kept
        return left
    if isinstance(value, list) and (key := _key(name, value)):
        items = [_without(item, gone, (*path, _item(key, item)), "") for item in value]
        return [item for item in items if item]
    return value


# ---------------------------------------------------------------------- as Kubernetes shows it


def managed(manager: str, manifest: Json) -> Json:
    """An entry of metadata.managedFields: who has applied this, and which fields that is (FieldsV1)."""
    document = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind", "status")}
    metadata = {
        name: value
        for name, value in (document.pop("metadata", None) or {}).items()
        if name not in ("name", "namespace")
    }
    fields = {**(_shown_fields(metadata, "metadata", "f:metadata") if metadata else {}), **_of_mapping(document)}
    return {
        "manager": manager, "operation": "Apply", "apiVersion": manifest.get("apiVersion", "v1"), "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }  # fmt: skip


def _of_mapping(value: dict[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in sorted(value):
        found |= _shown_fields(value[name], name, f"f:{name}")
    return found


def _shown_fields(value: Json, name: str, label: str) -> dict[str, Json]:
    if isinstance(value, dict) and value:
        return {label: _of_mapping(value)}
    if isinstance(value, list) and (key := _key(name, value)):
        return {label: {_item_label(name, key, item): {".": {}, **_of_mapping(item)} for item in value}}
    return {label: {}}


def _item_label(name: str, key: str, item: Json) -> str:
    """Ports are told apart by their protocol too."""
    words = {key: item[key], **({"protocol": item.get("protocol", "TCP")} if name == "ports" else {})}
    return "k:" + msgspec.json.encode(words, order="sorted").decode()
