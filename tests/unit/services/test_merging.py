"""What becomes of an object under a patch, or under a manifest that has changed?"""

import pytest

from corral.services.manifests import merging


def containers(*names: str) -> dict:
    return {"containers": [{"name": name} for name in names]}


@pytest.mark.parametrize(
    ("current", "patch", "new"),
    [
        ({"a": 1, "b": 2}, {"b": None, "c": 3}, {"a": 1, "c": 3}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
        (containers("a"), {"containers": [{"name": "a", "image": "x"}]}, {"containers": [{"name": "a", "image": "x"}]}),
        (containers("a", "b"), {"containers": [{"name": "a", "$patch": "delete"}]}, containers("b")),
        (containers("a", "b"), {"containers": [{"name": "c"}, {"$patch": "replace"}]}, containers("c")),
        ({"a": {"x": 1}}, {"a": {"$patch": "replace", "y": 1}}, {"a": {"y": 1}}),
        ({"s": {"type": "A", "old": {}}}, {"s": {"$retainKeys": ["type"], "type": "B"}}, {"s": {"type": "B"}}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        ({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}),
        (containers("a", "b"), {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}, containers("b", "a")),
        ({"ports": [{"containerPort": 1}]}, {"ports": [{"containerPort": 2}]}, {"ports": [{"containerPort": 1}, {"containerPort": 2}]}),
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 2}]}, {"ports": [{"port": 1}, {"port": 2}]}),
    ],
)  # fmt: skip
def test_a_strategic_merge_patch(current, patch, new):
    assert merging.strategic(current, patch) == new


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({"containers": [{"image": "x"}]}, "containers: each item of the patch needs its name"),
        ({"a": {"$patch": "melt"}}, "a: $patch"),
        ({"$retainKeys": "a"}, "$retainKeys: a list is needed"),
    ],
)
def test_a_patch_that_makes_no_sense_is_refused(patch, named):
    with pytest.raises(merging.BadPatch, match=named.replace("$", r"\$")):
        merging.strategic(containers("a") | {"a": {}}, patch)


@pytest.mark.parametrize(
    ("before", "manifest", "current", "new"),
    [
        ({"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}),
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 3}, {"a": 2}, {"a": 3}),
        ({"l": {"x": "1"}}, {"l": {}}, {"l": {"x": "1", "y": "2"}}, {"l": {"y": "2"}}),
        (containers("a", "b"), containers("a"), containers("a", "b", "c"), containers("a", "c")),
        (containers("a"), containers("b"), containers("a"), containers("b")),
        ({"args": [1]}, {"args": [2]}, {"args": [1, 3]}, {"args": [2]}),
        ({}, {"strategy": {"type": "A"}}, {"strategy": {"type": "B", "rollingUpdate": {}}}, {"strategy": {"type": "A"}}),
    ],
)  # fmt: skip
def test_what_left_the_manifest_goes_what_others_set_stays(before, manifest, current, new):
    assert merging.three_way(before, manifest, current) == new


def test_of_kinds_that_kubernetes_has_not_lists_are_one_value():
    assert merging.three_way({}, containers("a"), containers("b"), keyed=False) == containers("a")
