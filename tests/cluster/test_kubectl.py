"""Does the real kubectl work with a cluster, over HTTPS and with a token?"""

import json
import os
import shutil
import subprocess
import sys
import termios
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.ports import free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl command"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command"),
]

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, command: [sh, -c, "echo it says so; exec sleep 600"]}]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    directory = tmp_path_factory.mktemp("kubectl")
    port = free_port()
    certificate, key = directory / "cert.pem", directory / "key.pem"
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(["openssl", *words.split(), *names], check=True, capture_output=True)
    one = LiveCluster(
        directory,
        f'[api]\nlisten = "127.0.0.1:{port}"\ncertificate = "{certificate}"\nkey = "{key}"\n[gateway]\nstart = false\n',
    )
    try:
        one.up("--nodes=2", "--cpus=8")
        (one.work / "kubeconfig").write_text(one.text("corral", "kubeconfig"))
        one.environment["KUBECONFIG"] = str(one.work / "kubeconfig")
        yield one
    finally:
        one.down()


@pytest.fixture
def kubectl(cluster: LiveCluster) -> Kubectl:
    def call(*words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return cluster.run("kubectl", *words, check=check)

    return call


@pytest.fixture
def web(cluster: LiveCluster, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Deployment of the test's own, rolled out."""
    name = request.node.name.replace("_", "-")[5:35].strip("-")
    path = Path(cluster.work) / f"{name}.yaml"
    path.write_text(WEB.replace("NAME", name))
    kubectl("apply", "-f", str(path))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
    yield name
    kubectl("delete", "deployment", name)


def test_apply_again_changes_nothing_and_diff_says_so(cluster, kubectl, web):
    assert kubectl("apply", "-f", f"{web}.yaml").stdout == f"deployment.apps/{web} unchanged\n"
    assert kubectl("diff", "-f", f"{web}.yaml").stdout == ""
    path = cluster.work / f"{web}.yaml"
    path.write_text(path.read_text().replace("replicas: 2", "replicas: 1"))
    assert "+  replicas: 1" in kubectl("diff", "-f", f"{web}.yaml", check=False).stdout
    assert kubectl("apply", "-f", f"{web}.yaml").stdout == f"deployment.apps/{web} configured\n"


def test_get_describe_and_events(kubectl, web):
    lines = kubectl("get", "deployments", web).stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:4] == [web, "2/2", "2", "2"]
    assert f"Controlled By:  ReplicaSet/{web}-" in kubectl("describe", "pods", "-l", f"app={web}").stdout
    assert f"Scaled up replica set {web}-" in kubectl("describe", "deployment", web).stdout
    assert "Started container main" in kubectl("get", "events").stdout
    kubectl("expose", "deployment", web, "--port=80", "--target-port=8080")
    assert "Endpoints:         <none>" in kubectl("describe", "service", web).stdout  # it declares no port
    kubectl("delete", "service", web)


def test_scale_update_and_go_back(kubectl, web):
    assert kubectl("scale", f"deployment/{web}", "--replicas=3").stdout == f"deployment.apps/{web} scaled\n"
    kubectl("set", "env", f"deployment/{web}", "COLOUR=red")
    kubectl("rollout", "status", f"deployment/{web}", "--timeout=120s")
    assert [
        line.split()[0] for line in kubectl("rollout", "history", f"deployment/{web}").stdout.splitlines()[2:4]
    ] == ["1", "2"]
    kubectl("rollout", "undo", f"deployment/{web}")
    kubectl("rollout", "status", f"deployment/{web}", "--timeout=120s")
    found = json.loads(kubectl("get", "deployment", web, "-o", "json").stdout)
    assert found["spec"]["replicas"] == 3
    assert "env" not in found["spec"]["template"]["spec"]["containers"][0]


def test_logs_and_exec(cluster, kubectl, web):
    wait_until(lambda: "it says so" in kubectl("logs", f"deployment/{web}").stdout)
    done = kubectl("exec", f"deployment/{web}", "--", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "err\n" in done.stderr
    typed = subprocess.run(
        ["kubectl", "exec", "-i", f"deployment/{web}", "--", "wc", "-c"], input=b"x" * 3_000_000, capture_output=True,
        env=cluster.environment, timeout=120, check=True,
    )  # fmt: skip
    assert typed.stdout == b"3000000\n"
    refused = kubectl("exec", f"deployment/{web}", "-c", "none", "--", "true", check=False)
    assert "container none is not valid for pod" in refused.stderr


SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
TALKS = """
import http.server, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked for", self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "3000000")
        self.end_headers()
        self.wfile.write(b"x" * 3000000)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Page)
server.serve_forever()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="Pods have networks of their own as root")
@pytest.mark.parametrize("more", [{}, SPDY], ids=["websocket", "spdy"])
def test_ports_of_a_pod_are_reached_and_its_words_are_heard(cluster, kubectl, more):
    """By WebSockets, and as kubectl did before it had them."""
    environment = cluster.environment | more
    name = "talks-spdy" if more else "talks"
    container = {"name": "main", "command": [sys.executable, "-c", TALKS], "ports": [{"containerPort": 8080}]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    (cluster.work / "talks.json").write_text(json.dumps(pod))
    kubectl("apply", "-f", "talks.json")
    kubectl("wait", "--for=condition=ready", f"pod/{name}", "--timeout=60s")
    started = [
        subprocess.Popen(["kubectl", *words], stdout=subprocess.PIPE, text=True, env=environment)
        for words in (("attach", name), ("port-forward", name, ":8080"))
    ]
    attached, forwarded = started
    heard = []

    def listen():
        for line in attached.stdout:
            heard.append(line)

    try:
        assert forwarded.stdout is not None
        threading.Thread(target=listen, daemon=True).start()
        port = forwarded.stdout.readline().split(" -> ")[0].rpartition(":")[2]

        def page() -> bytes:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=30) as answer:
                    return answer.read()
            except OSError:
                return b""

        # What was said before it is attached is not heard.
        wait_until(lambda: page() == b"x" * 3_000_000 and "asked for /page\n" in heard)
        said = subprocess.run(
            ["kubectl", "exec", name, "--", "sh", "-c", "echo out; exit 3"], env=environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (said.returncode, said.stdout) == (3, "out\n")
    finally:
        for one in started:
            one.kill()
            one.wait()
    ours = ["corral", "port-forward", f"pod/{name}", "0:8080"]
    with subprocess.Popen(ours, stdout=subprocess.PIPE, text=True, env=environment) as one:
        assert one.stdout is not None
        port = one.stdout.readline().split(" -> ")[0].rpartition(":")[2]
        assert page() == b"x" * 3_000_000
        one.kill()
    kubectl("delete", "pod", name, "--wait=false")


def test_what_is_typed_comes_to_a_container_that_reads(cluster, kubectl):
    """As `kubectl run -i` does it: the program reads, and ends with what is typed."""
    command = ["sh", "-c", "while read word; do echo got $word; done; stty size; exit 3"]
    container = {"name": "main", "stdin": True, "stdinOnce": True, "command": command}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reads"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    (cluster.work / "reads.json").write_text(json.dumps(pod))
    kubectl("apply", "-f", "reads.json")
    kubectl("wait", "--for=condition=ready", "pod/reads", "--timeout=60s")
    typed = subprocess.run(
        ["kubectl", "attach", "-i", "reads"], input="a\nb\n", capture_output=True, text=True, env=cluster.environment,
        timeout=120, check=True,
    )  # fmt: skip
    assert typed.stdout.startswith("got a\ngot b\n")
    kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/reads", "--timeout=60s")
    container["tty"], container["command"] = True, ["sh", "-c", "read word; tty; stty size; echo $word"]
    pod["metadata"]["name"] = "shows"
    (cluster.work / "shows.json").write_text(json.dumps(pod))
    kubectl("apply", "-f", "shows.json")
    kubectl("wait", "--for=condition=ready", "pod/shows", "--timeout=60s")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, (33, 101))
    with subprocess.Popen(
        ["kubectl", "attach", "-it", "shows"], stdin=theirs, stdout=theirs, env=cluster.environment
    ) as one:
        os.close(theirs)
        os.write(ours, b"hello\r")
        said = bytearray()

        def ended() -> bool:
            try:
                said.extend(os.read(ours, 65536))
            except OSError:
                pass
            return one.poll() is not None

        wait_until(ended)
    os.close(ours)
    assert b"/dev/pts/" in said
    assert b"33 101" in said
    kubectl("delete", "pod", "reads", "shows", "--wait=false")


def test_a_watch_sees_what_happens(cluster, kubectl, web):
    watching = subprocess.Popen(
        ["kubectl", "get", "deployment", web, "-w", "--no-headers"],
        stdout=subprocess.PIPE,
        text=True,
        env=cluster.environment,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[1] == "2/2"
        kubectl("scale", f"deployment/{web}", "--replicas=1")
        wait_until(lambda: watching.stdout.readline().split()[1] == "1/1")
    finally:
        watching.kill()
        watching.wait()


def test_server_side_apply_and_patches(kubectl, web):
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", f"{web}.yaml").stdout
    kubectl("patch", "deployment", web, "-p", '{"spec":{"minReadySeconds":1}}')
    kubectl("patch", "deployment", web, "--type=json", "-p", '[{"op":"remove","path":"/spec/minReadySeconds"}]')
    assert kubectl("label", "deployment", web, "a=b").stdout == f"deployment.apps/{web} labeled\n"


def test_what_is_refused_is_told_in_its_words(cluster, kubectl):
    (cluster.work / "bad.yaml").write_text(WEB.replace("NAME", "bad").replace("replicas: 2", "replicas: two"))
    refused = kubectl("apply", "-f", "bad.yaml", check=False)
    assert refused.returncode == 1
    assert (
        'The Deployment "bad" is invalid: spec.replicas: Invalid value: "two": must be a whole number' in refused.stderr
    )
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}, "spec": {}}
    (cluster.work / "policy.json").write_text(json.dumps(policy))
    refused = kubectl("apply", "-f", "policy.json", check=False)
    assert "NetworkPolicy is not supported by Corral: traffic between Pods is not filtered" in refused.stderr
    (cluster.work / "unknown.json").write_text(json.dumps(policy | {"apiVersion": "example.com/v1", "kind": "Thing"}))
    assert 'no matches for kind "Thing"' in kubectl("apply", "-f", "unknown.json", check=False).stderr
    assert 'deployments.apps "none" not found' in kubectl("get", "deployment", "none", check=False).stderr


def test_what_has_left_the_manifests_is_pruned(cluster, kubectl):
    one, two = (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "p"}}} for name in "ab"
    )
    for items in ([one, two], [one]):
        (cluster.work / "set.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        done = kubectl("apply", "-f", "set.json", "--prune", "-l", "set=p")
    assert "configmap/b pruned" in done.stdout
    kubectl("delete", "configmap", "-l", "set=p")


def test_what_kubectl_makes_from_the_command_line(kubectl):
    for words in (
        ("configmap", "made", "--from-literal=a=b"), ("secret", "generic", "made", "--from-literal=a=b"),
        ("deployment", "made", "--image=x", "--replicas=0", "--", "sleep", "9"), ("service", "clusterip", "made", "--tcp=80:8080"),
        ("cronjob", "made", "--image=x", "--schedule=0 0 1 1 *", "--", "true"), ("ingress", "made", "--rule=a.example/=made:80"),
        ("poddisruptionbudget", "made", "--selector=app=made", "--min-available=1"), ("quota", "made", "--hard=pods=50"),
    ):  # fmt: skip
        assert kubectl("create", *words).stdout.endswith(" created\n")
    assert kubectl("autoscale", "deployment", "made", "--min=1", "--max=3", "--cpu-percent=50").stdout.endswith(
        " autoscaled\n"
    )
    assert "50%" in kubectl("get", "hpa", "made").stdout
    assert kubectl("get", "secret", "made", "-o", "jsonpath={.data.a}").stdout == "Yg=="
    kubectl("delete", "configmap,secret,deployment,service,cronjob,ingress,poddisruptionbudget,quota,hpa", "made")


ASKS = """
import json, os, ssl, urllib.request
place = "/var/run/secrets/kubernetes.io/serviceaccount"
server = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format(**os.environ)
namespace = open(f"{place}/namespace").read()
def asked(kind):
    token = {"Authorization": "Bearer " + open(f"{place}/token").read()}
    request = urllib.request.Request(f"{server}/api/v1/namespaces/{namespace}/{kind}", headers=token)
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=f"{place}/ca.crt")) as answer:
            return [one["metadata"]["name"] for one in json.load(answer)["items"]]
    except urllib.error.HTTPError as error:
        return json.load(error)["reason"]
print(asked("pods"), asked("secrets"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_pod_asks_the_api_by_the_token_of_its_account(cluster, kubectl):
    kubectl("create", "namespace", "robots")
    kubectl("create", "serviceaccount", "robot", "-n", "robots")
    kubectl("create", "role", "looks", "--verb=list", "--resource=pods", "-n", "robots")
    kubectl("create", "rolebinding", "looks", "--role=looks", "--serviceaccount=robots:robot", "-n", "robots")
    container = {"name": "main", "command": [sys.executable, "-c", ASKS]}
    spec = {"serviceAccountName": "robot", "restartPolicy": "Never", "hostNetwork": True, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks", "namespace": "robots"}, "spec": spec}
    (cluster.work / "asks.json").write_text(json.dumps(pod))
    kubectl("apply", "-f", "asks.json")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asks", "-n", "robots", "--timeout=60s")
    assert kubectl("logs", "asks", "-n", "robots").stdout == "['asks'] Forbidden\n"
    token = kubectl("create", "token", "robot", "-n", "robots").stdout.strip()
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": token}
    (cluster.work / "robot.kubeconfig").write_text(json.dumps(config))
    assert "system:serviceaccount:robots:robot" in kubectl("--kubeconfig=robot.kubeconfig", "auth", "whoami").stdout
    kubectl("delete", "namespace", "robots", "--wait=false")


@pytest.mark.skipif(os.geteuid() != 0, reason="tokens for others are given by an administrator")
def test_members_of_a_namespace_do_what_their_roles_say(cluster, kubectl):
    """daemon may edit, games may view, and nobody else is let in."""

    def as_user(user: str, *words: str) -> "subprocess.CompletedProcess[str]":
        config = json.loads(kubectl("config", "view", "--raw", "-o", "json").stdout)
        config["users"][0]["user"] = {"token": cluster.text("corral", "token", "user", user)}
        path = cluster.work / f"{user}.kubeconfig"
        path.write_text(json.dumps(config))
        return cluster.run("kubectl", "--kubeconfig", str(path), "-n", "shop", *words, check=False)

    kubectl("create", "namespace", "shop")
    kubectl("create", "rolebinding", "editors", "--clusterrole=edit", "--user=daemon", "-n", "shop")
    kubectl("create", "role", "looks", "--verb=get,list,watch", "--resource=pods,pods/log", "-n", "shop")
    kubectl("create", "rolebinding", "viewers", "--role=looks", "--user=games", "-n", "shop")
    (cluster.work / "said.yaml").write_text(WEB.replace("NAME", "said").replace("replicas: 2", "replicas: 1"))
    assert as_user("daemon", "apply", "-f", "said.yaml").stdout == "deployment.apps/said created\n"
    wait_until(lambda: as_user("games", "logs", "-l", "app=said").stdout == "it says so\n")
    assert as_user("games", "auth", "can-i", "delete", "pods").stdout == "no\n"
    assert as_user("daemon", "auth", "can-i", "delete", "pods").stdout == "yes\n"
    told = 'User "games" cannot delete resource "deployments" in API group "apps" in the namespace "shop"'
    assert told in as_user("games", "delete", "deployment", "said").stderr
    assert 'User "news" cannot list resource "pods"' in as_user("news", "get", "pods").stderr
    pod = as_user("daemon", "get", "pods", "-o", "name").stdout.strip()
    assert 'cannot create resource "pods/exec"' in as_user("games", "exec", pod, "--", "id", "-un").stderr
    assert as_user("daemon", "exec", pod, "--", "id", "-un").stdout == "daemon\n"
    kubectl("delete", "namespace", "shop", "--wait=false")
