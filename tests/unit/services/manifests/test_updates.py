"""What does not change any more once an object is there."""

import msgspec
import pytest
from tests.unit.services.manifests.manifests import read

from corral.model.kube.meta import LabelSelector
from corral.services.manifests import updates

LABELS = {"app": "web", "v": "2"}
RELABELLED = (("spec.selector", {"matchLabels": LABELS}), ("spec.template.metadata.labels", LABELS))


def indexed(count):
    return (("spec.completions", count), ("spec.parallelism", count), ("spec.completionMode", "Indexed"))


C = "spec.containers.0."


@pytest.mark.parametrize(
    ("kind", "before", "after", "told"),
    [
        ("Deployment", (), RELABELLED, ["spec.selector: Invalid value: "]),
        ("Deployment", (), (("spec.replicas", 5), ("spec.template.spec.containers.0.image", "nginx:2")), []),
        ("StatefulSet", (), (("spec.serviceName", "other"),), ["spec: Forbidden: updates to statefulset spec for fields other than"]),
        ("StatefulSet", (), (("spec.replicas", 5),), []),
        ("Job", (), (("spec.template.spec.containers.0.image", "ruby"),), ["spec.template: Invalid value: field is immutable"]),
        ("Job", (("spec.completions", 3),), (("spec.completions", 4),), ["spec.completions: Invalid value: 4: field is immutable"]),
        ("Job", (("spec.completions", 3),), (("spec.completions", 3), ("spec.parallelism", 2), ("spec.suspend", True)), []),
        ("Job", indexed(3),
         indexed(5), []),
        ("Pod", (), ((C + "image", "nginx:2"),), ["spec: Forbidden: pod updates may not change fields other than"]),
        ("Pod", (), (("metadata.labels", {"a": "b"}), ("spec.tolerations", [{"operator": "Exists"}])), []),
        ("Pod", (("spec.activeDeadlineSeconds", 9),), (("spec.activeDeadlineSeconds", 10),),
         ["spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value"]),
        ("Service", (("spec.clusterIP", "None"),), (("spec.clusterIP", "10.1.1.1"),), ["spec.clusterIP: Invalid value"]),
        ("ConfigMap", (("immutable", True), ("data", {"a": "1"})), (("immutable", True), ("data", {"a": "2"})),
         ["data: Forbidden: field is immutable when `immutable` is set"]),
        ("ConfigMap", (("immutable", True),), (), ["immutable: Forbidden: field is immutable when `immutable` is set"]),
        ("ConfigMap", (("data", {"a": "1"}),), (("immutable", True), ("data", {"a": "2"})), []),
        ("Secret", (), (("type", "example.com/mine"),), ["type: Invalid value: \"example.com/mine\": field is immutable"]),
        ("PriorityClass", (("value", 5),), (("value", 6), ("description", "more")), ["value: Forbidden: may not be changed in an update."]),
    ],
)  # fmt: skip
def test_some_fields_stay_as_they_are(kind, before, after, told):
    found = updates.check(read(kind, *after), read(kind, *before)).found
    assert len(found) == len(told)
    assert all(str(one).startswith(text) for one, text in zip(found, told, strict=True))


def test_a_headless_service_stays_so():
    old = read("Service", ("spec.clusterIP", "None"))
    assert updates.with_kept(read("Service"), old) == old


def test_a_job_keeps_the_selector_that_it_was_given():
    new = read("Job")
    old = msgspec.structs.replace(
        new, spec=msgspec.structs.replace(new.spec, selector=LabelSelector(match_labels={"a": "b"}))
    )
    assert updates.with_kept(new, old) == old
    assert not updates.check(updates.with_kept(new, old), old)
