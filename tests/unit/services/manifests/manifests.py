"""Small manifests, and what is said about changed ones."""

import copy

import pytest
import yaml

from corral.errors import InvalidManifest
from corral.services.manifests.reading import parse

CONTAINER = {"name": "web", "image": "nginx:1.14.2"}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}}
SELECTED = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
ONCE = {"spec": {"containers": [{"name": "pi", "image": "perl"}], "restartPolicy": "Never"}}

_SPECS = {
    "Pod": ("v1", {"containers": [CONTAINER]}),
    "Deployment": ("apps/v1", {"replicas": 3, **SELECTED}),
    "ReplicaSet": ("apps/v1", SELECTED),
    "StatefulSet": ("apps/v1", {"serviceName": "web", **SELECTED}),
    "Job": ("batch/v1", {"template": ONCE}),
    "CronJob": ("batch/v1", {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": ONCE}}}),
    "Service": ("v1", {"selector": {"app": "web"}, "ports": [{"port": 80}]}),
    "Ingress": (
        "networking.k8s.io/v1",
        {
            "rules": [
                {
                    "host": "web.example.com",
                    "http": {
                        "paths": [
                            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
                        ]
                    },
                }
            ]
        },
    ),
    "HorizontalPodAutoscaler": (
        "autoscaling/v2", {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 10}
    ),
    "ResourceQuota": ("v1", {"hard": {"pods": 4}}),
    "PodDisruptionBudget": ("policy/v1", {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}),
    "Pipeline": ("corral.dev/v1", {"steps": [{"name": "train", "script": "#!/bin/sh\ntrue\n"}]}),
}  # fmt: skip


def manifest(kind, *changes):
    """The smallest one of a kind. A change is a path and a value: ("spec.template.spec.containers.0.image", "nginx")."""
    version, spec = _SPECS.get(kind, ("scheduling.k8s.io/v1" if kind == "PriorityClass" else "v1", None))
    found = {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}}
    if spec is not None:
        found["spec"] = copy.deepcopy(spec)
    for path, value in changes:
        *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        place = found
        for word in way:
            place = place[word] if isinstance(word, int) else place.setdefault(word, {})
        place[last] = value
    return found


def read(kind, *changes):
    return parse(manifest(kind, *changes), "default")


def problems(document):
    with pytest.raises(InvalidManifest) as caught:
        parse(document, "default")
    return [str(one) for one in caught.value.problems]


def wrong(kind, *changes):
    """The one thing that is wrong in it."""
    (told,) = problems(manifest(kind, *changes))
    return told


def written(text):
    """Read from YAML."""
    return parse(yaml.safe_load(text), "default")
