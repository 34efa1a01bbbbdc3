"""What is wrong in a Pod is told in Kubernetes' words, with its path."""

import pytest
from tests.unit.services.manifests.manifests import manifest, problems, read, wrong

C = "spec.containers.0."
AT = "spec.containers[0]."


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("metadata.name", "Web_1", "metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain must consist of"),
        ("metadata.name", None, "metadata.name: Required value: name or generateName is required"),
        ("metadata.name", "a" * 254, "metadata.name: Invalid value: "),
        ("metadata.labels", {"a/b/c": "x"}, "metadata.labels: Invalid value: \"a/b/c\": prefix part a lowercase RFC 1123"),
        ("metadata.labels", {"app": "a b"}, "metadata.labels: Invalid value: \"a b\": a valid label must be"),
        ("metadata.labels", {"app": 1}, 'metadata.labels[app]: Invalid value: 1: must be a string (in quotes: "1")'),
        ("spec.containers", [], "spec.containers: Required value"),
        (C + "name", "Web", AT + "name: Invalid value: \"Web\": a lowercase RFC 1123 label"),
        (C + "image", "", AT + "image: Required value: or a command"),
        (C + "imagePullPolicy", "Sometimes", AT + 'imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", '),
        (C + "ports", [{"containerPort": 0}], AT + "ports[0].containerPort: Invalid value: 0: must be between 1 and 65535, inclusive"),
        (C + "ports", [{"containerPort": 80, "name": "a_b"}], AT + "ports[0].name: Invalid value: \"a_b\": must contain only alpha-num"),
        (C + "ports", [{"containerPort": 80, "name": "x" * 16}], AT + "ports[0].name: Invalid value: \"xxxxxxxxxxxxxxxx\": must be no mor"),
        (C + "ports", [{"containerPort": 53, "protocol": "UDP"}], AT + "ports[0].protocol: not supported by Corral: ports of"),
        (C + "ports", [{"containerPort": 80, "hostIP": "127.0.0.1"}], AT + "ports[0].hostIP: not supported by Corral: ports are"),
        (C + "ports", [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}], AT + 'ports[1].name: Duplicate value: "a"'),
        (C + "env", [{"name": "1A"}], AT + "env[0].name: Invalid value: \"1A\": a valid environment variable name must"),
        (C + "env", [{"name": "A", "valueFrom": {}}], AT + "env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`"),
        (C + "env", [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
         AT + "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"),
        (C + "env", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}],
         AT + "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"spec.nope\": supported values: \"metadata.name\""),
        (C + "envFrom", [{}], AT + "envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"),
        (C + "resources", {"limits": {"cpu": "lots"}}, AT + "resources.limits[cpu]: Invalid value: \"lots\": not a quantity"),
        (C + "resources", {"limits": {"cpu": "-1"}}, AT + "resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to"),
        (C + "resources", {"limits": {"cpu": 1}, "requests": {"cpu": 2}},
         AT + "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"),
        (C + "resources", {"requests": {"nvidia.com/gpu": 1}}, AT + "resources.limits: Required value: a limit must be set for nvidia"),
        (C + "resources", {"limits": {"nvidia.com/gpu": "500m"}}, AT + "resources.limits[nvidia.com/gpu]: Invalid value: \"500m\": must b"),
        (C + "resources", {"limits": {"example.com/fpga": 1}}, AT + "resources.limits[example.com/fpga]: not supported by Corral: there a"),
        (C + "resources", {"limits": {"ephemeral-storage": "1Gi"}}, AT + "resources.limits[ephemeral-storage]: not supported by Corral: l"),
        (C + "volumeMounts", [{"name": "data", "mountPath": "/data"}], AT + 'volumeMounts[0].name: Not found: "data"'),
        (C + "livenessProbe", {}, AT + "livenessProbe: Required value: must specify a handler type"),
        (C + "livenessProbe", {"exec": {"command": ["a"]}, "tcpSocket": {"port": 80}}, AT + "livenessProbe: Forbidden: may not specify mo"),
        (C + "livenessProbe", {"tcpSocket": {"port": 80}, "successThreshold": 2}, AT + "livenessProbe.successThreshold: Invalid value: 2:"),
        (C + "livenessProbe", {"httpGet": {"port": 0}}, AT + "livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535"),
        (C + "readinessProbe", {"tcpSocket": {"port": 80}, "periodSeconds": -1}, AT + "readinessProbe.periodSeconds: Invalid value: -1: m"),
        (C + "lifecycle", {"preStop": {"sleep": {"seconds": 31}}}, AT + "lifecycle.preStop.sleep.seconds: Invalid value: 31: must be non-"),
        (C + "restartPolicy", "Always", AT + "restartPolicy: Forbidden: may not be set for non-init containers"),
        (C + "securityContext", {"privileged": True}, AT + "securityContext.privileged: not supported by Corral: a Pod has no more"),
        (C + "securityContext", {"runAsUser": -1}, AT + "securityContext.runAsUser: Invalid value: -1: must be between 0 and"),
        ("spec.initContainers", [{"name": "web", "image": "b:1"}], 'spec.containers[0].name: Duplicate value: "web"'),
        ("spec.initContainers", [{"name": "i", "image": "b:1", "readinessProbe": {"tcpSocket": {"port": 1}}}],
         "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"),
        ("spec.volumes", [{"name": "v", "csi": {"driver": "d"}}],
         "spec.volumes[0].csi: not supported by Corral: use a persistentVolumeClaim"),
        ("spec.volumes", [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}], "spec.volumes[0]: Forbidden: may not specify more t"),
        ("spec.volumes", [{"name": "v"}, {"name": "v"}], 'spec.volumes[1].name: Duplicate value: "v"'),
        ("spec.volumes", [{"name": "v", "hostPath": {"path": "/a/../b"}}], "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": mu"),
        ("spec.volumes", [{"name": "v", "configMap": {"name": "c", "defaultMode": 4095}}], "spec.volumes[0].configMap.defaultMode: Invali"),
        ("spec.restartPolicy", "Often", 'spec.restartPolicy: Unsupported value: "Often": supported values: "Always", "Never", "OnFailure"'),
        ("spec.terminationGracePeriodSeconds", -1, "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or"),
        ("spec.activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
        ("spec.hostname", "a.b", "spec.hostname: Invalid value: \"a.b\": a lowercase RFC 1123 label"),
        ("spec.schedulerName", "volcano", "spec.schedulerName: not supported by Corral: there is one scheduler"),
        ("spec.dnsPolicy", "None", "spec.dnsPolicy: not supported by Corral: "),
        ("spec.serviceAccountName", "Builder_1", 'spec.serviceAccountName: Invalid value: "Builder_1"'),
        ("spec.runtimeClassName", "gvisor", "spec.runtimeClassName: not supported by Corral: "),
        ("spec.nodeSelector", {"disk": "a b"}, "spec.nodeSelector: Invalid value: \"a b\": a valid label"),
        ("spec.tolerations", [{"operator": "Equal", "value": "x"}], "spec.tolerations[0].operator: Invalid value: \"Equal\": operator mus"),
        ("spec.tolerations", [{"key": "k", "operator": "Exists", "value": "x"}], "spec.tolerations[0].operator: Invalid value: \"Exists"),
        ("spec.tolerations", [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                                 "tolerationSeconds": 9}],
         "spec.tolerations[0].tolerationSeconds: not supported by Corral: a Pod whose node is lost"),
        ("spec.tolerations", [{"key": "k", "effect": "Sometimes"}], 'spec.tolerations[0].effect: Unsupported value: "Sometimes"'),
        ("spec.topologySpreadConstraints", [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
         "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"),
        ("spec.affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
         "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least"),
        ("spec.affinity", {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "preference": {}}]}},
         "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-"),
        ("spec.affinity", {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ""}]}},
         "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_pod_is_told(field, value, told):
    assert wrong("Pod", (field, value)).startswith(told)


def test_two_mounts_may_not_be_at_one_path():
    mounts = [{"name": "v", "mountPath": "/data"}, {"name": "v", "mountPath": "/data"}]
    told = wrong("Pod", ("spec.volumes", [{"name": "v"}]), (C + "volumeMounts", mounts))
    assert told == 'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/data": must be unique'


def test_all_that_is_wrong_is_told_together():
    told = problems(manifest("Pod", (C + "name", "A"), (C + "ports", [{"containerPort": 0}]), ("spec.hostname", "B")))
    assert [one.partition(":")[0] for one in told] == [
        "spec.containers[0].name", "spec.containers[0].ports[0].containerPort", "spec.hostname",
    ]  # fmt: skip


def test_defaults_are_those_of_kubernetes():
    pod = read("Pod", (C + "resources", {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}),
               ("spec.volumes", [{"name": "v"}]), (C + "livenessProbe", {"httpGet": {"port": 80}, "timeoutSeconds": 0}))  # fmt: skip
    (container,) = pod.spec.containers
    assert container.image_pull_policy == "IfNotPresent"
    assert container.resources.requests == {"cpu": "500m", "memory": "1Gi"}
    assert container.liveness_probe.timeout_seconds == 1
    assert pod.spec.volumes[0].empty_dir is not None


@pytest.mark.parametrize(
    ("image", "policy"),
    [("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1.2", "IfNotPresent"), ("reg:5000/nginx", "Always"),
     ("reg:5000/nginx:1", "IfNotPresent"), ("nginx@sha256:ab", "IfNotPresent")],
)  # fmt: skip
def test_an_image_that_may_change_is_always_pulled(image, policy):
    assert read("Pod", (C + "image", image)).spec.containers[0].image_pull_policy == policy


def test_a_container_without_an_image_is_a_program_of_the_node():
    pod = read("Pod", ("spec.containers", [{"name": "web", "command": ["python3", "-m", "http.server"]}]))
    assert pod.spec.containers[0].image_pull_policy == ""


def test_with_the_nodes_network_a_port_is_the_nodes_port():
    pod = read("Pod", ("spec.hostNetwork", True), (C + "ports", [{"containerPort": 8000}]))
    assert pod.spec.containers[0].ports[0].host_port == 8000


def test_an_account_may_be_named_by_the_fields_older_name_too():
    assert read("Pod", ("spec.serviceAccount", "robot")).spec.service_account_name == "robot"
    assert wrong("Pod", ("spec.serviceAccount", "robot"), ("spec.serviceAccountName", "other")) == (
        'spec.serviceAccount: Invalid value: "robot": must be as serviceAccountName, or be left out'
    )
