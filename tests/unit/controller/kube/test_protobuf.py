"""Is Kubernetes' protobuf read as its JSON would say it?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.controller.api.kube import protobuf


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def body(version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


#: As Go writes metadata: what is not set is there all the same, empty.
META = (
    field(1, "x")
    + field(2, "")
    + field(3, "")
    + field(5, "")
    + field(7, 0)
    + field(8, b"")
    + field(11, field(1, "a") + field(2, "b"))
)


def test_a_config_map():
    raw = field(1, META) + field(2, field(1, "k") + field(2, "v")) + field(3, field(1, "n") + field(2, b"\0\xff"))
    assert protobuf.decode(body("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {"a": "b"}}, "data": {"k": "v"},
        "binaryData": {"n": "AP8="},
    }  # fmt: skip


def test_a_deployment_of_no_replicas_with_ports_probes_and_volumes():
    port = field(1, "") + field(2, 0) + field(3, 8080) + field(4, "TCP") + field(5, "")
    get = field(1, "/") + field(2, field(1, 0) + field(2, 8080) + field(3, "")) + field(3, "") + field(4, "")
    probe = field(1, field(2, get)) + field(2, 0) + field(3, 5)
    volume = field(1, "data") + field(2, field(2, b""))
    container = (
        field(1, "c")
        + field(2, "image")
        + field(3, "sleep")
        + field(6, port)
        + field(8, b"")
        + field(11, probe)
        + field(16, 0)
    )
    pod = field(1, volume) + field(2, container) + field(3, "Never")
    selector = field(1, field(1, "a") + field(2, "b"))
    spec = (
        field(1, 0)
        + field(2, selector)
        + field(3, field(1, META) + field(2, pod))
        + field(4, field(1, ""))
        + field(5, 0)
    )
    found = protobuf.decode(body("apps/v1", "Deployment", field(1, META) + field(2, spec) + field(3, b"")))
    assert found["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {
                "volumes": [{"name": "data", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "c", "image": "image", "command": ["sleep"],
                        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "timeoutSeconds": 5},
                    }
                ],
                "restartPolicy": "Never",
            },
        },
    }  # fmt: skip


def test_json_in_the_envelope_is_json():
    data = (
        b"k8s\0"
        + field(1, field(1, "v1") + field(2, "X"))
        + field(2, json.dumps({"a": 1}))
        + field(4, "application/json")
    )
    assert protobuf.decode(data) == {"a": 1}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "does not begin"),
        (body("v1", "Node", b""), "Node of v1 is not read as protobuf: send JSON"),
        (body("v1", "ConfigMap", field(1, META)[:-3]), "cut off"),
        (body("v1", "ConfigMap", varint(1 << 3 | 3)), "a field of kind 3"),
        (body("v1", "ConfigMap", field(1, 5)), "a number where"),
        (body("v1", "ConfigMap", b"\xff" * 30), "too long"),
    ],
)
def test_what_is_none_is_refused(data, why):
    with pytest.raises(protobuf.NotProtobuf, match=why):
        protobuf.decode(data)


@given(
    st.sampled_from(["v1 ConfigMap", "v1 Pod", "apps/v1 Deployment", "batch/v1 CronJob", "v1 DeleteOptions"]),
    st.binary(max_size=200),
)
def test_whatever_comes_it_is_read_or_refused(kind, raw):
    try:
        protobuf.decode(body(*kind.split(" "), raw))
    except protobuf.NotProtobuf:
        pass
