"""Does gRPC work as elsewhere, and are all kinds of probes asked? grpcio's own server and client, a real cluster with its gateway."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cluster.live import LiveCluster
from tests.cluster.pods_kit import Pods
from tests.ports import free_port
from tests.waiting import wait_until

grpc = pytest.importorskip("grpc")

#: Says by the health protocol that it serves when there is a file `serving`.
_SERVER = """
import os, sys
from concurrent import futures
import grpc
def check(request, context):
    open(sys.argv[1] + "/asked", "w").close()
    return b"\\x08\\x01" if os.path.exists(sys.argv[1] + "/serving") else b"\\x08\\x02"
def upper(request, context):
    if request == b"fail":
        context.abort(grpc.StatusCode.NOT_FOUND, "there is no such thing")
    return request.upper()
def count(request, context):
    for number in range(int(request)):
        yield b"%d" % number
def chat(requests, context):
    for one in requests:
        yield one[::-1]
def service(name, **methods):
    return grpc.method_handlers_generic_handler(name, methods)
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((
    service("grpc.health.v1.Health", Check=grpc.unary_unary_rpc_method_handler(check)),
    service("test.Words", Upper=grpc.unary_unary_rpc_method_handler(upper), Count=grpc.unary_stream_rpc_method_handler(count),
            Chat=grpc.stream_stream_rpc_method_handler(chat)),
))
server.add_insecure_port("0.0.0.0:" + os.environ["PORT"])
server.start()
server.wait_for_termination()
"""
#: Listens when there is a file `listening`, with TLS where a certificate is given; is ready when there is a file `ready`.
_ANSWERS = """
import http.server, os, ssl, sys, time
here = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(here + "/asked-over-tls", "w").close()
        self.send_response(200 if os.path.exists(here + "/ready") else 503)
        self.end_headers()
while not os.path.exists(here + "/listening"):
    time.sleep(0.02)
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler)
if sys.argv[2:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LiveCluster]:
    """A new one each time: files say in what state its programs are."""
    keys = f"[gateway]\nhttp_port = {free_port()}\nhttps_port = {free_port()}\n"
    one = LiveCluster(tmp_path / "grpc", keys)
    one.up("--nodes=1", "--cpus=8")
    try:
        yield one
    finally:
        one.down()


def container(cluster: LiveCluster, program: str, *arguments: str, **probe: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "command": [sys.executable, "-c", program, str(cluster.work), *arguments],
        "ports": [{"containerPort": 8000, "name": "main"}],
        "readinessProbe": {"periodSeconds": 1, "failureThreshold": 1, **probe},
    }


def apply(cluster: LiveCluster, *manifests: dict[str, Any]) -> None:
    path = cluster.work / "manifests.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    cluster.run("corral", "apply", "-f", str(path))


def test_grpc_through_the_gateway_with_and_without_tls(cluster: LiveCluster) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "words", "labels": {"app": "words"}},
        "spec": {"containers": [container(cluster, _SERVER, grpc={"port": 8000})]},
    }  # fmt: skip
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "words"},
        "spec": {"selector": {"app": "words"}, "ports": [{"port": 50051, "targetPort": 8000, "appProtocol": "grpc"}]},
    }  # fmt: skip
    backend = {"service": {"name": "words", "port": {"number": 50051}}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "words"},
        "spec": {
            "tls": [{"hosts": ["words.example.org"]}],
            "rules": [{"host": "words.example.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    }  # fmt: skip
    apply(cluster, pod, service, ingress)
    pods = Pods(cluster)
    wait_until((cluster.work / "asked").exists, what="the probe is told no")
    assert not pods.is_ready("words")
    (cluster.work / "serving").touch()
    pods.wait_ready("words")
    address = cluster.text("corral", "get", "service", "words", "-o", "jsonpath={.status.url}")
    with grpc.insecure_channel(urlsplit(address).netloc) as channel:
        speak(channel)
    authority = wait_until(lambda: authority_of(cluster), what="the cluster's authority has a certificate")
    shown = ("corral", "get", "ingress", "words", "-o", "jsonpath={.status.url}")
    port = wait_until(lambda: urlsplit(cluster.text(*shown)).port, what="the Ingress says where it is reached")
    options = [("grpc.ssl_target_name_override", "words.example.org")]
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(authority), options) as channel:
        speak(channel)


def authority_of(cluster: LiveCluster) -> bytes:
    path = cluster.directory / "gateway-ca.crt"
    return path.read_bytes() if path.exists() else b""


def speak(channel: Any) -> None:
    """One answer, many, many for many, an error with its words, and a question that is given up."""
    upper: Callable[..., Any] = channel.unary_unary("/test.Words/Upper")
    assert upper(b"hello", wait_for_ready=True, timeout=60) == b"HELLO"
    assert list(channel.unary_stream("/test.Words/Count")(b"1000", timeout=60)) == [b"%d" % one for one in range(1000)]
    said: list[bytes] = []

    def words() -> Iterator[bytes]:
        for word in (b"abc", b"def"):
            before = len(said)
            yield word
            wait_until(lambda before=before: len(said) > before)  # type: ignore[misc]

    for answer in channel.stream_stream("/test.Words/Chat")(words(), timeout=60):
        said.append(answer)
    assert said == [b"cba", b"fed"]
    for _ in range(20):  # such an answer is nothing but a head
        with pytest.raises(grpc.RpcError) as caught:
            upper(b"fail", timeout=60)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "there is no such thing")


def test_a_tcp_probe_connects(cluster: LiveCluster) -> None:
    pods = Pods(cluster)
    pods.put("plain", container(cluster, _ANSWERS, tcpSocket={"port": "main"}))
    wait_until(lambda: pods.status("plain")["phase"] == "Running")
    assert not pods.is_ready("plain")
    (cluster.work / "listening").touch()
    pods.wait_ready("plain")


def test_an_https_probe_asks_over_tls_whoever_the_certificate_is_of(cluster: LiveCluster, tmp_path: Path) -> None:
    pair = tmp_path / "pair.pem"
    cluster.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-keyout", str(pair), "-out", str(tmp_path / "crt.pem"), "-subj", "/CN=somebody-else",
    )  # fmt: skip
    pair.write_text(pair.read_text() + (tmp_path / "crt.pem").read_text())
    (cluster.work / "listening").touch()
    pods = Pods(cluster)
    pods.put("secure", container(cluster, _ANSWERS, str(pair), httpGet={"port": 8000, "scheme": "HTTPS"}))
    wait_until((cluster.work / "asked-over-tls").exists)
    assert not pods.is_ready("secure")
    (cluster.work / "ready").touch()
    pods.wait_ready("secure")
