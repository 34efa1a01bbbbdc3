"""Whatever is shown of an object is read as the same object: all kinds, any of their fields."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.services.manifests.manifests import manifest

from corral.model.kube.objects import KINDS
from corral.services.manifests.reading import parse
from corral.services.manifests.writing import to_manifest

names = st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
labels = st.dictionaries(names, names, max_size=3)
numbers = st.integers(0, 1000)
ports = st.integers(1, 65535)
cpus = st.one_of(st.integers(1, 64), st.integers(1, 9999).map(lambda m: f"{m}m"), st.sampled_from(["0.5", "1e0", "2"]))
memory = st.one_of(
    st.integers(1, 1 << 40), st.integers(1, 999).map(lambda m: f"{m}Mi"), st.sampled_from(["1.5Gi", "1e9", "128M"])
)


def some(**fields):
    """Any of these."""
    return st.fixed_dictionaries({}, optional=fields)


probes = st.fixed_dictionaries(
    {},
    optional={
        "initialDelaySeconds": numbers,
        "timeoutSeconds": numbers,
        "periodSeconds": numbers,
        "failureThreshold": numbers,
    },
).flatmap(
    lambda times: st.one_of(
        st.builds(lambda port, path: {**times, "httpGet": {"port": port, "path": f"/{path}"}}, ports, names),
        st.builds(lambda port: {**times, "tcpSocket": {"port": port}}, ports),
        st.builds(lambda words: {**times, "exec": {"command": words}}, st.lists(texts, min_size=1, max_size=3)),
    )
)
variables = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": names, "value": texts}),
        st.fixed_dictionaries(
            {"name": names, "valueFrom": st.builds(lambda n, k: {"secretKeyRef": {"name": n, "key": k}}, names, names)}
        ),
        st.fixed_dictionaries({"name": names, "valueFrom": st.just({"fieldRef": {"fieldPath": "status.podIP"}})}),
        st.fixed_dictionaries(
            {"name": names, "valueFrom": st.just({"resourceFieldRef": {"resource": "limits.cpu", "divisor": 0}})}
        ),
    ),
    max_size=3,
)
containers = st.fixed_dictionaries(
    {"image": st.sampled_from(["nginx", "nginx:1.2", "reg:5000/a/b@sha256:ab"])},
    optional={
        "command": st.lists(texts, max_size=3), "args": st.lists(texts, max_size=3), "env": variables, "workingDir": st.just("/srv"),
        "ports": st.lists(ports, unique=True, max_size=3).map(lambda found: [{"containerPort": port} for port in found]),
        "resources": some(limits=some(cpu=cpus, memory=memory)), "livenessProbe": probes, "readinessProbe": probes,
        "securityContext": some(runAsUser=numbers, readOnlyRootFilesystem=st.booleans(), runAsNonRoot=st.none()),
        "lifecycle": some(preStop=st.just({"sleep": {"seconds": 1}})),
    },
)  # fmt: skip
pod_specs = st.builds(
    lambda found, rest: {**rest, "containers": [{"name": f"c{number}", **one} for number, one in enumerate(found)]},
    st.lists(containers, min_size=1, max_size=2),
    some(
        terminationGracePeriodSeconds=numbers.map(lambda n: n + 1), nodeSelector=labels, hostname=names, hostNetwork=st.just(False),
        securityContext=some(fsGroup=numbers), priorityClassName=names, enableServiceLinks=st.booleans(),
        tolerations=st.lists(st.builds(lambda k: {"key": k, "operator": "Exists"}, names), max_size=2),
        volumes=st.lists(
            st.one_of(
                st.just({}), st.just({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}), st.just({"hostPath": {"path": "/data"}}),
                names.map(lambda name: {"configMap": {"name": name}}),
                names.map(lambda name: {"secret": {"secretName": name, "defaultMode": 256}}),
            ), max_size=3,
        ).map(lambda found: [{"name": f"v{number}", **one} for number, one in enumerate(found)]),
        affinity=some(podAntiAffinity=st.builds(lambda key, chosen: {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 5, "podAffinityTerm": {"topologyKey": key, "labelSelector": {"matchLabels": chosen}}}]}, names, labels)),
        topologySpreadConstraints=st.builds(
            lambda key: [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}], names
        ),
    ),
)  # fmt: skip
templates = pod_specs.map(lambda spec: {"metadata": {"labels": {"app": "web", "tier": "x"}}, "spec": spec})
once = pod_specs.map(lambda spec: {"spec": {**spec, "restartPolicy": "OnFailure"}})
shares = st.one_of(numbers, st.integers(1, 100).map(lambda n: f"{n}%"))
selected = {"matchLabels": {"app": "web"}}
plain = st.dictionaries(names, st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode()), max_size=3)
jobs = some(
    parallelism=numbers, completions=numbers, backoffLimit=numbers, ttlSecondsAfterFinished=numbers, suspend=st.booleans(),
    activeDeadlineSeconds=numbers,
)  # fmt: skip

CHANGED = {
    "Pod": st.builds(lambda spec: {"spec": spec}, pod_specs),
    "Deployment": st.builds(
        lambda spec, template, rolling: {"spec": {**spec, "selector": selected, "template": template, **rolling}},
        some(replicas=numbers, minReadySeconds=st.integers(0, 5), paused=st.booleans(), revisionHistoryLimit=numbers), templates,
        st.one_of(
            st.just({}), st.just({"strategy": {"type": "Recreate"}}),
            st.builds(
                lambda a, b: {"strategy": {"rollingUpdate": {"maxSurge": a, "maxUnavailable": b}}}, st.integers(1, 9), st.integers(0, 9)
            ),
        ),
    ),
    "ReplicaSet": st.builds(lambda n, template: {"spec": {"replicas": n, "selector": selected, "template": template}}, numbers, templates),
    "StatefulSet": st.builds(
        lambda spec, template: {"spec": {**spec, "selector": selected, "template": template}},
        some(replicas=numbers, serviceName=names, ordinals=some(start=numbers), updateStrategy=some(rollingUpdate=some(partition=numbers)),
             podManagementPolicy=st.sampled_from(["OrderedReady", "Parallel"])), templates,
    ),
    "Job": st.builds(lambda spec, template: {"spec": {**spec, "template": template}}, jobs, once),
    "CronJob": st.builds(
        lambda spec, job, template: {"spec": {"schedule": "*/5 1 * * mon", **spec, "jobTemplate": {"spec": {**job, "template": template}}}},
        some(timeZone=st.just("Europe/Berlin"), suspend=st.booleans(), startingDeadlineSeconds=numbers, failedJobsHistoryLimit=numbers,
             concurrencyPolicy=st.sampled_from(["Allow", "Forbid", "Replace"])), jobs, once,
    ),
    "Service": st.builds(
        lambda spec, found, chosen: {"spec": {**spec, "selector": chosen, "ports": [{"name": f"p{port}", "port": port} for port in found]}},
        some(sessionAffinity=st.sampled_from(["None", "ClientIP"]), publishNotReadyAddresses=st.booleans(),
             type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"])), st.lists(ports, min_size=1, max_size=3, unique=True), labels,
    ),
    "ConfigMap": some(data=st.dictionaries(names, texts, max_size=3), immutable=st.booleans()),
    "Secret": some(data=plain, stringData=st.dictionaries(names, texts, max_size=3), immutable=st.booleans()),
    "HorizontalPodAutoscaler": st.builds(
        lambda least, behavior: {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": least,
                                          "maxReplicas": least + 1, **behavior}},
        st.integers(0, 50),
        some(behavior=some(scaleUp=some(selectPolicy=st.just("Min")), scaleDown=some(stabilizationWindowSeconds=numbers))),
    ),
    "ResourceQuota": some(spec=some(hard=st.dictionaries(st.sampled_from(["pods", "count/jobs.batch", "services"]), numbers))),
    "PodDisruptionBudget": st.builds(lambda share: {"spec": {"selector": selected, "maxUnavailable": share}}, shares),
    "PriorityClass": some(value=st.integers(-(1 << 31), 10**9), globalDefault=st.booleans(), description=texts),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(KINDS.keys() & CHANGED.keys()))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_shown_is_read_as_the_same_object(kind, data):
    document = manifest(kind) | data.draw(CHANGED[kind])
    document["metadata"] = {"name": "web", "labels": data.draw(labels), "annotations": data.draw(labels)}
    one = parse(document, "lab")
    shown = to_manifest(one)
    assert parse(shown, "elsewhere") == one
    assert to_manifest(parse(shown, "elsewhere")) == shown
