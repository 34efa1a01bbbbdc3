"""Pods with real daemons: their containers run, are reached, and end."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.cluster.pods_kit import Pods, fetched

pytestmark = pytest.mark.skipif(
    not (os.geteuid() == 0 and shutil.which("ip") and shutil.which("iptables")) and not shutil.which("slirp4netns"),
    reason="no networks of Pods here",
)


@pytest.fixture
def pods(cluster: LiveCluster) -> Pods:
    return Pods(cluster)


def shell(text: str, **fields: Any) -> dict[str, Any]:
    return {"name": "main", "command": ["/bin/sh", "-c", text], **fields}


def log_of(cluster: LiveCluster, name: str, number: int = 0) -> str:
    (path,) = Path(cluster.directory).glob(f"agent/*/pods/*/default_{name}_*/main/{number}.log")
    return path.read_text()


def test_a_pod_runs_as_a_job_and_what_it_says_is_kept(cluster: LiveCluster, pods: Pods) -> None:
    pods.put(
        "hello",
        shell("echo hello $(WHO); echo again > /dev/stdout", env=[{"name": "WHO", "value": "world"}]),
        restartPolicy="Never",
    )
    pods.wait_phase("hello", "Succeeded")
    assert log_of(cluster, "hello") == "hello world\nagain\n"
    job = str(pods.status("hello")["job"])
    assert cluster.text("sacct", "-n", "-P", "-X", "-o", "jobname,state", "-j", job) == "hello|COMPLETED"


def test_two_replicas_with_one_port_run_on_one_node(cluster: LiveCluster, pods: Pods) -> None:
    server = {
        "name": "main",
        "command": [sys.executable, "-m", "http.server", "8000"],
        "ports": [{"containerPort": 8000}],
    }
    for name in ("one", "two"):
        pods.put(name, server, nodeName="dgx0180", terminationGracePeriodSeconds=1)
    pods.wait_ready("one", "two")
    ports = [_port(cluster, pods, name) for name in ("one", "two")]
    assert len(set(ports)) == 2
    for port in ports:
        wait_until(lambda port=port: fetched(port) == 200, what=f"port {port}")  # type: ignore[misc]
    for name in ("one", "two"):
        pods.delete(name)
        pods.wait_gone(name)
    assert [fetched(port) for port in ports] == [0, 0]


def _port(cluster: LiveCluster, pods: Pods, name: str) -> int:
    import msgspec

    job = pods.status(name)["job"]
    (path,) = Path(cluster.directory).glob(f"agent/*/boxes/*/{job}.0/.net")
    port: int = msgspec.json.decode(path.read_bytes())["ports"][0][1]
    return port


def test_a_failing_container_is_started_again_and_its_last_words_are_shown(pods: Pods) -> None:
    pods.put("crash", shell("echo no luck; exit 3"))
    wait_until(lambda: pods.container("crash").get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff")
    found = pods.container("crash")
    assert (found["restartCount"], found["lastState"]["terminated"]["exitCode"]) == (1, 3)
    assert found["state"]["waiting"]["message"].endswith("no luck")
    pods.delete("crash", grace=0)
    pods.wait_gone("crash")


def test_a_cancelled_job_leaves_a_pod_that_has_failed(cluster: LiveCluster, pods: Pods) -> None:
    pods.put("gone", shell("sleep 100"))
    pods.wait_ready("gone")
    cluster.run("scancel", str(pods.status("gone")["job"]))
    pods.wait_phase("gone", "Failed")
    assert pods.status("gone")["reason"] == "Evicted"
    pods.delete("gone")
    pods.wait_gone("gone")


SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if not os.path.exists(sys.argv[1] + self.path) else 503)
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("", 8000), Handler)
open(sys.argv[1] + "/listens", "w").close()
server.serve_forever()
"""


def test_probes_decide_on_readiness_and_life(cluster: LiveCluster, pods: Pods, tmp_path: Path) -> None:
    """A file makes the server say that it is not ready, or not alive."""
    probe = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 30}
    server = {
        "name": "main",
        "command": [sys.executable, "-c", SERVER, str(tmp_path)],
        "ports": [{"containerPort": 8000, "name": "http"}],
        "startupProbe": {"exec": {"command": ["test", "-e", f"{tmp_path}/listens"]}, **probe, "failureThreshold": 60},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, **probe},
        "livenessProbe": {"httpGet": {"path": "/alive", "port": 8000}, "terminationGracePeriodSeconds": 1, **probe},
    }
    (tmp_path / "ready").touch()
    pods.put("probed", server, terminationGracePeriodSeconds=1)
    wait_until(lambda: pods.container("probed").get("started"), what="it is started")
    assert not pods.is_ready("probed")
    (tmp_path / "ready").unlink()
    pods.wait_ready("probed")
    (tmp_path / "ready").touch()
    wait_until(lambda: not pods.is_ready("probed"), what="it is not ready")
    (tmp_path / "ready").unlink()
    (tmp_path / "alive").touch()
    wait_until(lambda: pods.container("probed")["restartCount"] > 0, what="it is started anew")
    (tmp_path / "alive").unlink()
    pods.wait_ready("probed")
    pods.delete("probed")
    pods.wait_gone("probed")


def test_hooks_run_inside_the_container_after_its_start_and_before_its_end(pods: Pods, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", f"echo begun $WHO >> {notes}"]}},
        "preStop": {"exec": {"command": ["sh", "-c", f"sleep 0.3; echo ends >> {notes}"]}},
    }
    listens = {"exec": {"command": ["test", "-e", f"{tmp_path}/listens"]}, "periodSeconds": 1}
    script = f"trap 'echo told >> {notes}; exit' TERM; touch {tmp_path}/listens; while :; do sleep 0.1; done"
    main = shell(script, lifecycle=hooks, readinessProbe=listens)
    pods.put("hooked", main | {"env": [{"name": "WHO", "value": "me"}]})
    pods.wait_ready("hooked")
    assert notes.read_text() == "begun me\n"
    pods.delete("hooked")
    pods.wait_gone("hooked")
    assert notes.read_text() == "begun me\nends\ntold\n"


def test_volumes_and_variables_come_from_configmaps_secrets_and_the_pod_itself(
    cluster: LiveCluster, pods: Pods
) -> None:
    base = "/api/v1/namespaces/default"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "conf"},
        "data": {"a.txt": "from a\n", "MODE": "fast"},
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"token": "s3cret"}}
    script = "cat /data/sub/x /etc/conf/a.txt /etc/key/t; echo $MODE $TOKEN $IP $(stat -Lc %a /etc/key/t) $ALL; cat /tmp/one.txt"
    main = shell(
        script,
        env=[
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ALL", "value": "$(MODE)-$(TOKEN)-$$(X)"},
        ],
        envFrom=[{"configMapRef": {"name": "conf"}}],
        volumeMounts=[
            {"name": "scratch", "mountPath": "/data"},
            {"name": "conf", "mountPath": "/etc/conf"},
            {"name": "key", "mountPath": "/etc/key"},
            {"name": "conf", "mountPath": "/tmp/one.txt", "subPath": "a.txt"},
        ],
    )
    first = {
        "name": "first",
        "command": ["sh", "-c", "mkdir /work/sub; echo shared > /work/sub/x"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/work"}],
    }
    pods.put(
        "volumes", main, initContainers=[first], restartPolicy="Never",
        volumes=[
            {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "10Mi"}},
            {"name": "conf", "configMap": {"name": "conf"}},
            {"name": "key", "secret": {"secretName": "key", "items": [{"key": "token", "path": "t", "mode": 0o400}]}},
        ],
    )  # fmt: skip
    wait_until(lambda: "not found" in str(pods.status("volumes")), what="it waits for the ConfigMap")
    assert pods.ask("POST", f"{base}/configmaps", config)[0] == 201
    assert pods.ask("POST", f"{base}/secrets", secret)[0] == 201
    pods.wait_phase("volumes", "Succeeded")
    said = log_of(cluster, "volumes")
    assert said == "shared\nfrom a\ns3cretfast s3cret volumes 400 fast-s3cret-$(X)\nfrom a\n"
    assert not Path("/data").exists()
    wait_until(lambda: not _leftovers(cluster), what="nothing of its volumes is left")


def _leftovers(cluster: LiveCluster) -> list[str]:
    mounted = Path("/proc/self/mounts").read_text()
    return [line for line in mounted.splitlines() if f"{cluster.directory}/" in line]


def test_a_command_goes_into_a_container_that_runs(cluster: LiveCluster, pods: Pods) -> None:
    volume = {"volumeMounts": [{"name": "own", "mountPath": "/own/place"}]}
    main = shell("echo here > /own/place/x; sleep 100", env=[{"name": "WHO", "value": "me"}], **volume)
    pods.put("entered", main, volumes=[{"name": "own", "emptyDir": {}}], terminationGracePeriodSeconds=1)
    pods.wait_ready("entered")
    job = str(pods.status("entered")["job"])
    said = cluster.text(
        "srun",
        f"--jobid={job}",
        "--overlap",
        "--container-name=main:exec",
        "sh",
        "-c",
        "cat /own/place/x; echo $WHO; hostname",
    )
    assert said == "here\nme\nentered"
    refused = cluster.run("srun", f"--jobid={job}", "--overlap", "--container-name=other:exec", "true", check=False)
    assert refused.returncode
    assert "container other does not run" in refused.stderr
    pods.delete("entered")
    pods.wait_gone("entered")


def test_what_a_pod_keeps_in_its_claim_is_there_for_the_next_one_and_goes_with_the_claim(
    cluster: LiveCluster, pods: Pods
) -> None:
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": spec}
    status, said = pods.ask("POST", claims, body)
    assert status == 201, said
    where = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "kept"}}], "restartPolicy": "Never"}
    for name in ("writer", "reader"):
        mounts = [{"name": "v", "mountPath": "/data/kept"}]
        pods.put(name, shell("cat /data/kept/words; echo from there > /data/kept/words", volumeMounts=mounts), **where)
        pods.wait_phase(name, "Succeeded")
    assert log_of(cluster, "reader").startswith("from there")
    volumes = Path(cluster.directory) / "volumes"
    assert [path.name.endswith("_default_kept") for path in volumes.iterdir()] == [True]
    pods.ask("DELETE", f"{claims}/kept")
    wait_until(lambda: not list(volumes.iterdir()), what="the claim's directory is removed")
    wait_until(lambda: not pods.ask("GET", "/api/v1/persistentvolumes")[1]["items"], what="the volume is gone")


def test_a_changed_config_map_reaches_a_pod_that_runs_and_its_log_has_times(cluster: LiveCluster, pods: Pods) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "live"}, "data": {"word": "old"}}
    assert pods.ask("POST", maps, body)[0] == 201
    look = "cat /etc/live/word; echo; until grep -q new /etc/live/word; do sleep 0.1; done; cat /etc/live/word; echo"
    volume = {"name": "v", "configMap": {"name": "live"}}
    pods.put(
        "live",
        shell(look, volumeMounts=[{"name": "v", "mountPath": "/etc/live"}]),
        volumes=[volume],
        restartPolicy="Never",
    )
    log = "agent/*/pods/*/default_live_*/main/0.log"
    wait_until(
        lambda: [path.read_text() for path in Path(cluster.directory).glob(log)] == ["old\n"], what="it has read it"
    )
    assert pods.ask("PUT", f"{maps}/live", {**body, "data": {"word": "new"}})[0] == 200
    pods.wait_phase("live", "Succeeded")
    lines = cluster.text("corral", "logs", "--timestamps", "live").splitlines()
    assert [line.split()[1] for line in lines] == ["old", "new"]
    first, second = (line.split()[0] for line in lines)
    assert first < second
    assert cluster.text("corral", "logs", f"--since-time={second}", "live") == "new"
    assert pods.ask("DELETE", f"{maps}/live")[0] == 200
