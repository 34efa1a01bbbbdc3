"""What becomes of an object when a patch or a changed manifest is laid over it: JSON merge, strategic merge, three-way?

A strategic merge knows which lists are keyed maps (containers by name). Three-way: what a manifest said when it was last applied and says
no longer goes; what it says holds; what only the cluster or somebody else has set (an autoscaler's replicas) stays.
"""

from typing import Any

Json = Any

#: Lists whose items are known by a key, by the field's name. All other lists are replaced as a whole.
KEYS = {
    "containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath",
    "conditions": "type", "ownerReferences": "uid", "hostAliases": "ip", "imagePullSecrets": "name",
    "topologySpreadConstraints": "topologyKey",
}  # fmt: skip
#: Lists of plain values that are sets.
SETS = frozenset({"finalizers"})
#: Mappings of which only the keys that the patch names stay.
RETAINED = frozenset({"strategy", "volumes"})
#: Deeper than this no honest manifest is.
DEEPEST = 100


class BadPatch(ValueError):
    """The patch makes no sense; the text says where."""


def key_of(field: str, items: list[Json]) -> str | None:
    """The key of a list's items; None where the list is one value."""
    if field == "ports":  # of a container, or of a Service
        return "containerPort" if any(isinstance(one, dict) and "containerPort" in one for one in items) else "port"
    return KEYS.get(field)


def merge_patch(current: Json, patch: Json) -> Json:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


# -- strategic merge patch


def strategic(current: Json, patch: Json, path: str = "") -> Json:
    """With its directives: $patch, $retainKeys, $deleteFromPrimitiveList, $setElementOrder."""
    if not isinstance(patch, dict):
        return patch
    kind = patch.get("$patch", "merge")
    if kind == "delete":
        return {}
    if kind == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if kind != "merge":
        raise BadPatch(f"{path or 'the patch'}: $patch: not merge, replace or delete: {kind!r}")
    merged = dict(current) if isinstance(current, dict) else {}
    orders: dict[str, list[Json]] = {}
    for name, value in patch.items():
        if name == "$retainKeys":
            kept = _list(value, path, name)
            merged = {one: item for one, item in merged.items() if one in kept}
        elif name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            gone = _list(value, path, name)
            if isinstance(merged.get(field), list):
                merged[field] = [one for one in merged[field] if one not in gone]
        elif name.startswith("$setElementOrder/"):
            orders[name.partition("/")[2]] = _list(value, path, name)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        place = f"{path}.{name}" if path else name
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, list):
            merged[name] = _merged_list(name, merged.get(name), value, place)
        else:
            merged[name] = strategic(merged.get(name), value, place)
    for name, order in orders.items():
        if isinstance(merged.get(name), list):
            merged[name] = _ordered(name, merged[name], order)
    return merged


def _list(value: Json, path: str, name: str) -> list[Json]:
    if not isinstance(value, list):
        raise BadPatch(f"{path or 'the patch'}: {name}: a list is needed")
    return value


def _merged_list(name: str, current: Json, patch: list[Json], path: str) -> list[Json]:
    old = current if isinstance(current, list) else []
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [one for one in patch if not (isinstance(one, dict) and "$patch" in one)]
    if name in SETS:
        return [*old, *(one for one in patch if one not in old)]
    key = key_of(name, [*old, *patch])
    if key is None:
        return patch
    merged = list(old)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadPatch(f"{path}: each item of the patch needs its {key}")
        at = next((i for i, one in enumerate(merged) if isinstance(one, dict) and one.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del merged[at]
        elif at is None:
            merged.append(strategic({}, item, path))
        else:
            merged[at] = strategic(merged[at], item, path)
    return merged


def _ordered(name: str, items: list[Json], order: list[Json]) -> list[Json]:
    """Those that are named in the order named; what is not named stays after what it stood after."""
    key = key_of(name, items)

    def place(one: Json) -> int | None:
        for at, wanted in enumerate(order):
            if one == wanted or (
                key and isinstance(one, dict) and isinstance(wanted, dict) and one.get(key) == wanted.get(key)
            ):
                return at
        return None

    placed = [(place(one), one) for one in items]
    named = sorted((one for one in placed if one[0] is not None), key=lambda one: one[0] or 0)
    found, waiting = [], iter(named)
    for at, one in placed:
        found.append(one if at is None else next(waiting)[1])
    return found


# -- three-way


def three_way(
    original: Json, modified: Json, current: Json, *, keyed: bool = True, field: str = "", depth: int = 0
) -> Json:
    """The new object. `keyed`: lists are merged by their keys, as for the kinds that Kubernetes has; else they are one value."""
    if depth > DEEPEST:
        raise BadPatch(f"nested deeper than {DEEPEST} levels")
    if isinstance(modified, dict):
        merged = dict(current) if isinstance(current, dict) else {}
        before = original if isinstance(original, dict) else {}
        for name in before:
            if modified.get(name) is None:
                merged.pop(name, None)
        if keyed and field in RETAINED:
            merged = {name: value for name, value in merged.items() if name in modified}
        for name, value in modified.items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = three_way(
                    before.get(name), value, merged.get(name), keyed=keyed, field=name, depth=depth + 1
                )
        return merged
    if isinstance(modified, list) and keyed:
        return _three_way_list(original, modified, current, field, depth)
    return modified


def _three_way_list(original: Json, modified: list[Json], current: Json, field: str, depth: int) -> list[Json]:
    before = original if isinstance(original, list) else []
    now = current if isinstance(current, list) else []
    if field in SETS:
        return [*modified, *(one for one in now if one not in modified and one not in before)]
    key = key_of(field, [*modified, *now])
    if key is None or not all(isinstance(one, dict) and key in one for one in modified):
        return modified
    by_key = {one[key]: one for one in now if isinstance(one, dict) and _hashable(one.get(key))}
    said = {one[key]: one for one in before if isinstance(one, dict) and _hashable(one.get(key))}
    merged = []
    for one in modified:
        if not _hashable(one[key]):
            return modified
        merged.append(
            three_way(said.get(one[key]), one, by_key.get(one[key]), field=field, depth=depth + 1)
        )  # fmt: skip
    wanted = {one[key] for one in modified}
    return [*merged, *(one for name, one in by_key.items() if name not in wanted and name not in said)]


def _hashable(value: Json) -> bool:
    return isinstance(value, (str, int))
