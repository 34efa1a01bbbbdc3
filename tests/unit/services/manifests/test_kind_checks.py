"""What is wrong in the other kinds is told in Kubernetes' words, with its path."""

import base64

import pytest
from tests.unit.services.manifests.manifests import TEMPLATE, manifest, problems, read, wrong

POD = "spec.template.spec."
ROLL = "spec.strategy.rollingUpdate"
JOB = "spec.jobTemplate.spec.template.spec."
PATH = "spec.rules.0.http.paths.0."


def b64(text):
    return base64.b64encode(text.encode()).decode()


CLAIM = {
    "metadata": {"name": "Data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.mark.parametrize(
    ("kind", "field", "value", "told"),
    [
        ("Deployment", "spec.replicas", -1, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ("Deployment", "spec.selector", None, "spec.selector: Required value"),
        ("Deployment", "spec.selector", {"matchLabels": {"app": "other"}},
         'spec.template.metadata.labels: Invalid value: {"app": "web"}: `selector` does not match template `labels`'),
        ("Deployment", "spec.selector", {"matchExpressions": [{"key": "app", "operator": "In"}]},
         "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"),
        ("Deployment", POD + "restartPolicy", "Never", 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values:'),
        ("Deployment", POD + "activeDeadlineSeconds", 5, "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in D"),
        ("Deployment", ROLL, {"maxSurge": 0, "maxUnavailable": "0%"},
         'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'),
        ("Deployment", ROLL, {"maxSurge": "x"}, "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": must be an integer or perc"),
        ("Deployment", ROLL, {"maxUnavailable": "101%"}, "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not b"),
        ("Deployment", "spec.strategy", {"type": "Recreate", "rollingUpdate": {}}, "spec.strategy.rollingUpdate: Forbidden: may not be sp"),
        ("Deployment", "spec.strategy", {"type": "Canary"}, "spec.strategy.canary: Required value"),
        ("Deployment", "spec.strategy", {"type": "Canary", "canary": [{"weight": 50}, {"weight": 10}]},
         "spec.strategy.canary[1].weight: Invalid value: 10: must be greater than that of the step before"),
        ("Deployment", "spec.progressDeadlineSeconds", 0, "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadyS"),
        ("StatefulSet", "spec.volumeClaimTemplates", [CLAIM], "spec.volumeClaimTemplates[0].metadata.name: Invalid value"),
        ("StatefulSet", "spec.updateStrategy", {"type": "OnDelete", "rollingUpdate": {"partition": 1}}, "spec.updateStrategy.rollingUpdat"),
        ("StatefulSet", "spec.podManagementPolicy", "Random", 'spec.podManagementPolicy: Unsupported value: "Random": supported values:'),
        ("Job", POD + "restartPolicy", "Always", 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
                ("Job", "spec.backoffLimit", -1, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        ("Job", "spec.selector", {"matchLabels": {"a": "b"}}, "spec.selector: Invalid value: {\"a\": \"b\"}: `selector` will be auto-gene"),
        ("Job", "spec.podFailurePolicy", {"rules": []}, "spec.podFailurePolicy: not supported by Corral: each failed Pod counts"),
        ("CronJob", "spec.schedule", "every day", "spec.schedule: Invalid value: \"every day\": five fields"),
        ("CronJob", "spec.schedule", "61 * * * *", "spec.schedule: Invalid value: \"61 * * * *\": "),
        ("CronJob", "spec.schedule", "@often", "spec.schedule: Unsupported value: \"@often\": supported values: \"@annually\""),
        ("CronJob", "spec.schedule", "TZ=UTC * * * * *", "spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ"),
        ("CronJob", "spec.timeZone", "Mars/Base", "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone"),
        ("CronJob", "spec.timeZone", "../../etc/passwd", "spec.timeZone: Invalid value"),
        ("CronJob", "metadata.name", "a" * 53, "metadata.name: Invalid value"),
        ("CronJob", JOB + "restartPolicy", "Always", "spec.jobTemplate.spec.template.spec.restartPolicy: Required value"),
        ("Service", "metadata.name", "1web", "metadata.name: Invalid value: \"1web\": a DNS-1035 label"),
        ("Service", "spec.ports", [], "spec.ports: Required value"),
        ("Service", "spec.ports", [{"port": 80, "name": "a"}, {"port": 81}], "spec.ports[1].name: Required value"),
        ("Service", "spec.ports", [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}], "spec.ports[1]: Duplicate value: "),
        ("Service", "spec.ports", [{"port": 53, "protocol": "UDP"}], "spec.ports[0].protocol: not supported by Corral: the gateway"),
        ("Service", "spec.ports", [{"port": 80, "nodePort": 30080}], "spec.ports[0].nodePort: Forbidden: may not be used when `type` is"),
        ("Service", "spec.ports", [{"port": 80, "targetPort": "not a name"}], "spec.ports[0].targetPort: Invalid value: \"not a name\""),
        ("Service", "spec.type", "ExternalName", "spec.externalName: Required value"),
        ("Service", "spec.clusterIP", "10.0.0.300", "spec.clusterIP: Invalid value: \"10.0.0.300\": must be empty, 'None', or a valid IP"),
        ("Service", "spec.externalIPs", ["1.2.3.4"], "spec.externalIPs: not supported by Corral"),
        ("Service", "spec.sessionAffinityConfig", {"clientIP": {}}, "spec.sessionAffinityConfig: Forbidden: must not be set when session"),
        ("Ingress", "spec", {}, "spec: Invalid value: \"\": either `defaultBackend` or `rules` must be specified"),
        ("Ingress", "spec.ingressClassName", "nginx", "spec.ingressClassName: not supported by Corral: there is one gateway"),
        ("Ingress", "metadata.annotations", {"nginx.ingress.kubernetes.io/rewrite-target": "/"}, "metadata.annotations[nginx.ingress"),
        ("Ingress", "spec.rules.0.host", "1.2.3.4", "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP addres"),
        ("Ingress", PATH + "path", "web", "spec.rules[0].http.paths[0].path: Invalid value: \"web\": must be an absolute path"),
        ("Ingress", PATH + "path", "/a/../b", "spec.rules[0].http.paths[0].path: Invalid value: \"/a/../b\": must not contain"),
        ("Ingress", PATH + "backend.service.port", {}, "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or nu"),
        ("Ingress", PATH + "backend", {"resource": {}}, None),
        ("HorizontalPodAutoscaler", "spec.maxReplicas", 0, "spec.maxReplicas: Invalid value: 0: must be greater than 0"),
        ("HorizontalPodAutoscaler", "spec.minReplicas", 11, "spec.maxReplicas: Invalid value: 10: must be greater than or equal to `minRe"),
        ("HorizontalPodAutoscaler", "spec.scaleTargetRef.kind", "Job", 'spec.scaleTargetRef.kind: Unsupported value: "Job": supported val'),
        ("HorizontalPodAutoscaler", "spec.metrics", [{"type": "Resource"}], "spec.metrics[0].resource: Required value: must populate"),
        ("HorizontalPodAutoscaler", "spec.metrics",
         [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageValue": 1}}}], None),
        ("HorizontalPodAutoscaler", "spec.behavior", {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}},
         "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be between 1 and 1800"),
        ("ConfigMap", "data", {"a b": "x"}, "data[a b]: Invalid value: \"a b\": a valid config key"),
        ("ConfigMap", "data", {"n": 5}, 'data[n]: Invalid value: 5: must be a string (in quotes: "5")'),
        ("ConfigMap", "binaryData", {"n": "%"}, "binaryData[n]: Invalid value: must be base64"),
        ("ConfigMap", "data", {"n": "x" * (1 << 20) + "x"}, "Too long: may not be more than 1048576 bytes"),
        ("Secret", "data", {"p": "not base64!"}, "data[p]: Invalid value: must be base64"),
        ("Secret", "type", "kubernetes.io/tls", None),
        ("Secret", "type", "kubernetes.io/basic-auth", "data[username]: Required value: a Secret of type kubernetes.io/basic-auth needs"),
        ("Secret", "type", "kubernetes.io/service-account-token", "type: not supported by Corral: tokens are asked for"),
        ("Namespace", "metadata.name", "a.b", "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label"),
        ("Namespace", "metadata.namespace", "x", "metadata.namespace: Forbidden: not allowed on this type"),
        ("ResourceQuota", "spec.hard", {"wishes": 3}, "spec.hard[wishes]: Invalid value: \"wishes\": must be one of pods, "),
        ("ResourceQuota", "spec.hard", {"pods": -3}, "spec.hard[pods]: Invalid value: \"-3\": must be greater than or equal to 0"),
        ("ResourceQuota", "spec.hard", {"storage": "1Gi"}, "spec.hard[storage]: not supported by Corral"),
        ("PodDisruptionBudget", "spec.maxUnavailable", 1, "spec: Invalid value: \"\": minAvailable and maxUnavailable cannot be both set"),
        ("PodDisruptionBudget", "spec.minAvailable", "150%", "spec.minAvailable: Invalid value: \"150%\": must not be greater than 100%"),
        ("PriorityClass", "value", 2_000_000_000, "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"),
        ("PriorityClass", "metadata.name", "system-x", "metadata.name: Forbidden: priority class names with 'system-' prefix"),
        ("Pipeline", "spec.steps.0.needs", ["nobody"], 'spec.steps[0].needs[0]: Not found: "nobody"'),
        ("Pipeline", "spec.steps.0.needs", ["train"], "spec.steps: Invalid value: \"train -> train\": steps need one another in a circle"),
        ("Pipeline", "spec.steps.0.script", "run $(params.speed)", 'spec.steps[0]: Invalid value: "$(params.speed)": there is no such'),
        ("Pipeline", "spec.steps.0.script", "run $(run.user)", "spec.steps[0]: Invalid value: \"$(run.user)\": there are $(run.name)"),
        ("Pipeline", "spec.steps.0.options", ["--mem=4G"], "spec.steps[0].options: Forbidden: sbatch's options are read by `corral"),
        ("Pipeline", "spec.steps.0.job", {"spec": {"memory": 4}}, 'unknown field "spec.steps[0].job.spec.memory"'),
        ("Pipeline", "spec.timeZone", "Mars/Base", "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone"),
        ("Pipeline", "spec.steps.0.script", "", "spec.steps[0]: Invalid value: \"train\": must have exactly one of `script` and `apply`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(kind, field, value, told):
    if told is None:
        assert problems(manifest(kind, (field, value)))
    else:
        assert wrong(kind, (field, value)).startswith(told)


def test_a_job_that_says_nothing_runs_once_and_one_with_parallelism_alone_is_a_work_queue():
    assert read("Job").spec.completions == 1
    assert read("Job", ("spec.parallelism", 1)).spec.completions is None
    assert read("CronJob").spec.job_template.spec.completions == 1


def test_an_indexed_job_needs_its_number_of_completions():
    told = wrong("Job", ("spec.completionMode", "Indexed"), ("spec.parallelism", 2))
    assert told == "spec.completions: Required value: when completion mode is Indexed"


def test_a_services_target_is_its_port_unless_it_says_so():
    assert read("Service").spec.ports[0].target_port == 80
    assert read("Service", ("spec.ports.0.targetPort", "http")).spec.ports[0].target_port == "http"


def test_an_autoscaler_without_metrics_looks_at_cpus():
    (metric,) = read("HorizontalPodAutoscaler").spec.metrics
    assert (metric.resource.name, metric.resource.target.average_utilization) == ("cpu", 80)


def test_a_secrets_plain_text_becomes_base64_and_wins():
    secret = read("Secret", ("stringData", {"user": "me"}), ("data", {"user": b64("you"), "key": b64("x")}))
    assert secret.data == {"user": b64("me"), "key": b64("x")}
    assert secret.string_data == {}


def test_registry_credentials_are_json():
    kind = "kubernetes.io/dockerconfigjson"
    assert read("Secret", ("type", kind), ("data", {".dockerconfigjson": b64('{"auths": {}}')}))
    told = wrong("Secret", ("type", kind), ("data", {".dockerconfigjson": b64("hunter2")}))
    assert told == 'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be a JSON object'
    assert "hunter2" not in told


def test_a_rolling_update_has_kubernetes_shares():
    rolling = read("Deployment").spec.strategy.rolling_update
    assert (rolling.max_surge, rolling.max_unavailable) == ("25%", "25%")
    assert read("Deployment", ("spec.strategy", {"type": "Recreate"})).spec.strategy.rolling_update is None


def test_a_replica_set_selects_its_template_by_expressions_too():
    expressions = [
        {"key": "app", "operator": "In", "values": ["web", "api"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    assert read("ReplicaSet", ("spec.selector", {"matchExpressions": expressions}))
    assert TEMPLATE["metadata"]["labels"] == {"app": "web"}
