"""Who applies parts of an object together with others: contradictions are told, and nobody takes away what another one says."""

from corral.services.manifests import fieldowners


def deployment(replicas=None, image="a", **labels):
    spec = {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"kind": "Deployment", "metadata": {"name": "web", "labels": labels}, "spec": spec}


def test_another_value_of_somebody_elses_field_is_a_conflict():
    found = fieldowners.conflicts(deployment(3, "b"), {"ops": deployment(2, "a"), "same": deployment(3, "b")})
    assert [(manager, fieldowners.text_of(path)) for manager, path in found] == [
        ("ops", '.spec.template.spec.containers[name="web"].image'), ("ops", ".spec.replicas"),
    ]  # fmt: skip


def test_what_is_said_no_longer_goes_unless_another_one_says_it():
    before, now = deployment(3, tier="front", app="web"), deployment(app="web")
    assert fieldowners.dropped(before, now, {}) == {("spec", "replicas"), ("metadata", "labels", "tier")}
    assert fieldowners.dropped(before, now, {"ops": {"spec": {"replicas": 3}}}) == {("metadata", "labels", "tier")}


def test_what_is_empty_without_it_goes_too_and_items_of_lists_with_all_their_fields():
    whole = deployment(3, tier="front")
    whole["spec"]["template"]["spec"]["containers"].append({"name": "log", "image": "l"})
    gone = {path for path in fieldowners.fields(whole) if '[name="log"]' in path} | {("metadata", "labels", "tier")}
    left = fieldowners.without(whole, gone)
    assert left["metadata"] == {"name": "web"}
    assert left["spec"] == deployment(3)["spec"]


def test_who_has_applied_what_is_shown_as_kubernetes_shows_it():
    manifest = deployment(3, app="web")
    manifest["spec"]["template"]["spec"]["containers"][0] |= {"args": ["a"], "ports": [{"containerPort": 80}]}
    manifest["apiVersion"] = "apps/v1"
    assert fieldowners.managed("ops", manifest) == {
        "manager": "ops", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {
                    ".": {}, "f:args": {}, "f:image": {}, "f:name": {},
                    "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                }}}},
            },
        },
    }  # fmt: skip
