"""A LimitRange fills in what containers do not say, and refuses what is beyond it, in Kubernetes' words."""

from typing import Any

from tests.unit.services.manifests.manifests import problems

from corral.model.kube.config import LimitRange
from corral.model.kube.pod import Pod
from corral.services import limitranges
from corral.services.manifests.reading import parse


def limits(*items: dict[str, Any]) -> list[LimitRange]:
    found = parse(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": list(items)}},
        "default",
    )
    assert isinstance(found, LimitRange)
    return [found]


def pod(*resources: dict[str, Any]) -> Pod:
    containers = [{"name": f"c{number}", "image": "nginx", "resources": one} for number, one in enumerate(resources)]
    found = parse(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}}, "default"
    )
    assert isinstance(found, Pod)
    return found


def test_the_default_limit_is_the_default_request_and_max_the_default_limit() -> None:
    item = limits({"type": "Container", "max": {"cpu": "800m"}, "min": {"cpu": "200m", "memory": "1Mi"}})[
        0
    ].spec.limits[0]
    assert item.default == {"cpu": "800m"}
    assert item.default_request == {"cpu": "800m", "memory": "1Mi"}


def test_what_a_container_does_not_say_is_filled_in() -> None:
    ranges = limits({"type": "Container", "default": {"memory": "512Mi"}, "defaultRequest": {"memory": "256Mi"}})
    one = limitranges.defaulted(pod({}, {"limits": {"memory": "1Gi"}}, {"requests": {"memory": "128Mi"}}), ranges)
    assert [(each.resources.limits, each.resources.requests) for each in one.spec.containers] == [
        ({"memory": "512Mi"}, {"memory": "256Mi"}),
        ({"memory": "1Gi"}, {"memory": "1Gi"}),
        ({"memory": "512Mi"}, {"memory": "128Mi"}),
    ]


def test_what_is_beyond_it_is_refused_in_kubernetes_words() -> None:
    ranges = limits({"type": "Container", "max": {"memory": "1Gi"}, "min": {"memory": "500Mi"}})
    beyond = pod({"limits": {"memory": "1.5Gi"}, "requests": {"memory": "800Mi"}})
    assert limitranges.refusal(beyond, ranges) == "maximum memory usage per Container is 1Gi, but limit is 1536Mi"
    below = pod({"limits": {"memory": "800Mi"}, "requests": {"memory": "100Mi"}})
    assert limitranges.refusal(below, ranges) == "minimum memory usage per Container is 500Mi, but request is 100Mi"
    assert limitranges.refusal(pod({"limits": {"memory": "800Mi"}}), ranges) == ""


def test_the_pod_as_a_whole_and_the_ratio_are_bounded() -> None:
    ranges = limits({"type": "Pod", "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "2"}})
    half = {"limits": {"cpu": "1500m"}, "requests": {"cpu": "500m"}}
    told = limitranges.refusal(pod(half, half), ranges)
    assert "maximum cpu usage per Pod is 2, but limit is 3" in told
    assert "cpu max limit to request ratio per Pod is 2, but provided ratio is 3.0" in told


def test_claims_are_bounded() -> None:
    ranges = limits({"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}, "min": {"storage": "1Gi"}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    one = parse(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": claim}, "default"
    )
    assert (
        limitranges.refusal(one, ranges) == "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"
    )


def test_a_range_that_contradicts_itself_is_refused() -> None:
    item = {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}
    told = problems({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [item]}})
    assert 'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1' in told
