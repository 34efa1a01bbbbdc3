"""Does Kubernetes' Python client work with a cluster: typed, watching, logs, exec?"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

client = pytest.importorskip("kubernetes.client")
config = pytest.importorskip("kubernetes.config")
stream = pytest.importorskip("kubernetes.stream")
watch = pytest.importorskip("kubernetes.watch")


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of its own, that serves HTTPS."""
    directory = tmp_path_factory.mktemp("kubernetes")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    certificate, key = directory / "cert.pem", directory / "key.pem"
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(
        ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    state = directory / "state"
    state.mkdir()
    (state / "corral.toml").write_text(
        f'[api]\nlisten = "127.0.0.1:{port}"\ncertificate = "{certificate}"\nkey = "{key}"\n[gateway]\nstart = false\n'
    )
    subprocess.run(["corral", "up", "--dir", str(state), "--nodes=2"], check=True, stdout=subprocess.DEVNULL)
    try:
        found = subprocess.run(
            ["corral", "kubeconfig", "--dir", str(state)], check=True, capture_output=True, text=True
        )
        (directory / "kubeconfig").write_text(found.stdout)
        config.load_kube_config(str(directory / "kubeconfig"))
        yield
    finally:
        subprocess.run(["corral", "down", "--dir", str(state)], check=True, stdout=subprocess.DEVNULL)


def test_a_deployment_from_its_creation_to_its_end() -> None:
    apps, core = client.AppsV1Api(), client.CoreV1Api()
    labels = {"app": "web"}
    container = client.V1Container(name="main", command=["sh", "-c", "echo hello; exec sleep 600"])
    pod = client.V1PodSpec(containers=[container], termination_grace_period_seconds=1)
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels), spec=pod)
    spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template)
    apps.create_namespaced_deployment(
        "default", client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec)
    )
    watching = watch.Watch()
    for event in watching.stream(
        apps.list_namespaced_deployment, "default", field_selector="metadata.name=web", timeout_seconds=60
    ):
        if event["object"].status.available_replicas == 2:
            watching.stop()
    pods = core.list_namespaced_pod("default", label_selector="app=web").items
    assert [one.status.phase for one in pods] == ["Running", "Running"]
    name = pods[0].metadata.name
    assert (
        stream.stream(core.connect_get_namespaced_pod_exec, name, "default", command=["echo", "hi"], stdout=True)
        == "hi\n"
    )
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 1}})
    found = apps.read_namespaced_deployment("web", "default")
    assert found.spec.replicas == 1
    found.spec.replicas = 0
    assert apps.replace_namespaced_deployment("web", "default", found).spec.replicas == 0
    apps.delete_namespaced_deployment("web", "default")
    with pytest.raises(client.ApiException) as caught:
        core.read_namespaced_pod("none", "default")
    assert caught.value.status == 404


def test_secrets_and_config_maps() -> None:
    core = client.CoreV1Api()
    meta = client.V1ObjectMeta(name="settings")
    core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=meta, data={"a": "b"}))
    core.create_namespaced_secret("default", client.V1Secret(metadata=meta, string_data={"a": "b"}))
    assert core.read_namespaced_secret("settings", "default").data == {"a": "Yg=="}
    assert [one.metadata.name for one in core.list_namespaced_config_map("default").items] == ["settings"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_pod_finds_the_api_by_its_own_account() -> None:
    core, rbac = client.CoreV1Api(), client.RbacAuthorizationV1Api()
    meta = client.V1ObjectMeta(name="robot")
    core.create_namespaced_service_account("default", client.V1ServiceAccount(metadata=meta))
    subject = client.RbacV1Subject(kind="ServiceAccount", name="robot", namespace="default")
    ref = client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="view")
    binding = client.V1RoleBinding(metadata=meta, role_ref=ref, subjects=[subject])
    rbac.create_namespaced_role_binding("default", binding)
    program = (
        "from kubernetes import client, config; config.load_incluster_config(); core = client.CoreV1Api();"
        "print([one.metadata.name for one in core.list_namespaced_pod('default', field_selector='metadata.name=asks').items])"
    )
    container = client.V1Container(name="main", command=[sys.executable, "-c", program])
    spec = client.V1PodSpec(
        containers=[container], restart_policy="Never", service_account_name="robot", host_network=True
    )
    core.create_namespaced_pod("default", client.V1Pod(metadata=client.V1ObjectMeta(name="asks"), spec=spec))
    watching = watch.Watch()
    for event in watching.stream(
        core.list_namespaced_pod, "default", field_selector="metadata.name=asks", timeout_seconds=60
    ):
        if event["object"].status.phase in ("Succeeded", "Failed"):
            watching.stop()
    assert core.read_namespaced_pod_log("asks", "default") == "['asks']\n"
