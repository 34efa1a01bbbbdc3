"""From a manifest to a record: types, unknown and refused fields, each with its path."""

import copy

import pytest

from corral.errors import InvalidManifest
from corral.services.manifests.reading import parse
from corral.services.manifests.writing import to_manifest

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.14.2", "ports": [{"containerPort": 80}]}]},
        },
    },
}


def changed(path, value, document=DEPLOYMENT):
    """The manifest with another value at a path such as spec.template.spec.containers.0.image."""
    document = copy.deepcopy(document)
    *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    place = document
    for word in way:
        place = place[word]
    place[last] = value
    return document


def problems(document):
    with pytest.raises(InvalidManifest) as caught:
        parse(document, "default")
    return [str(one) for one in caught.value.problems]


def test_a_deployment_is_read():
    web = parse(DEPLOYMENT, "lab")
    assert (web.key.kind, web.key.namespace, web.key.name) == ("Deployment", "lab", "web")
    assert web.spec.template.spec.containers[0].ports[0].container_port == 80
    assert parse(to_manifest(web), "other") == web


def test_what_the_cluster_says_of_an_object_is_passed_over():
    document = changed("metadata.uid", "1-2-3")
    document["metadata"] |= {"generation": 7, "creationTimestamp": None, "managedFields": [{"manager": "kubectl"}]}
    document["status"] = {"replicas": 9}
    assert parse(document, "default") == parse(DEPLOYMENT, "default")


def test_an_unknown_field_is_refused_and_a_near_one_named():
    assert problems(changed("spec.replicass", 3)) == ['unknown field "spec.replicass" (did you mean "replicas"?)']
    assert problems(changed("creator", {"uid": 0})) == ['unknown field "creator"']


def test_a_value_of_the_wrong_type_is_told_with_its_path():
    assert problems(changed("spec.template.spec.containers.0.ports.0.containerPort", "80")) == [
        'spec.template.spec.containers[0].ports[0].containerPort: Invalid value: "80": must be a whole number'
    ]
    assert problems(changed("spec.template.spec.containers.0.env", [{"name": "N", "value": 5}])) == [
        'spec.template.spec.containers[0].env[0].value: Invalid value: 5: must be a string (in quotes: "5")'
    ]
    assert problems(changed("spec.paused", "yes")) == ['spec.paused: Invalid value: "yes": must be true or false']
    assert problems(changed("spec.replicas", 1 << 31)) == [
        "spec.replicas: Invalid value: 2147483648: must be a whole number of 32 bits"
    ]


def test_all_problems_are_told_at_once():
    document = changed("spec.paused", 1)
    document["spec"]["template"]["spec"]["hostPID"] = True
    document["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes"
    assert len(problems(document)) == 3


def test_a_field_that_is_not_here_is_refused_with_the_reason_unless_it_says_what_is_so_anyway():
    assert parse(changed("spec.template.spec.hostPID", False), "default") == parse(DEPLOYMENT, "default")
    (told,) = problems(changed("spec.template.spec.hostPID", True))
    assert told.startswith("spec.template.spec.hostPID: not supported by Corral: ")


def test_a_kind_that_is_not_here_is_refused_with_what_to_do_instead():
    (told,) = problems(
        {"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "data"}}
    )
    assert (
        told
        == 'kind: "VolumeSnapshot" is not supported by Corral: volumes are directories: use a PersistentVolumeClaim, '
        "or a hostPath volume on a shared file system"
    )
    (told,) = problems({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "web"}})
    assert told == 'apiVersion: no matches for kind "Deployment" in version "extensions/v1beta1": write apps/v1'


def test_a_quantity_is_kept_in_its_canonical_form():
    web = parse(changed("spec.template.spec.containers.0.resources", {"limits": {"cpu": 0.5}}), "default")
    assert web.spec.template.spec.containers[0].resources.limits == {"cpu": "500m"}


@pytest.mark.parametrize(
    "document", [{}, {"kind": 5, "apiVersion": None}, {"apiVersion": "v1", "kind": "Pod", "metadata": []}]
)
def test_what_is_no_manifest_is_refused(document):
    assert problems(document)


@pytest.mark.parametrize("path", ["metadata.name", "spec.template.spec.containers.0.image", "metadata.annotations"])
def test_halves_of_characters_are_refused(path):
    half = "\ud800"
    (told, *_) = problems(changed(path, {half: "x"} if path.endswith("annotations") else half))
    told.encode()
