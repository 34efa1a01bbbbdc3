"""Can a program do with objects what a user does with `corral apply` and the others?"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.controller.running import running

import corral
from corral.client.client import ClusterClient
from corral.errors import NotFound, Refused

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, labels: {app: web}}\ndata: {a: '1'}\n"
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, command: [sleep, "9"]}]}}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ClusterClient]:
    with running(tmp_path, nodes=()) as controller, corral.Client(controller.endpoint) as one:
        yield one


def test_apply_get_and_list(client, tmp_path):
    (tmp_path / "b.yaml").write_text(MAP.replace("NAME", "b"))
    applied = client.apply([MAP.replace("NAME", "a"), tmp_path / "b.yaml"])
    assert [one["metadata"]["name"] for one in applied] == ["a", "b"]
    assert client.get("cm", "a")["data"] == {"a": "1"}
    assert [one["metadata"]["name"] for one in client.objects("configmaps", labels="app=web")] == ["a", "b"]
    assert len(client.objects("cm", "")) == 2
    assert client.objects("cm", "other") == []


def test_scale_wait_and_delete(client):
    client.apply(WEB)
    client.wait_for("deployment", "web", "Available", timeout=60)
    client.scale("deploy", "web", 2)
    assert client.get("deployment", "web")["spec"]["replicas"] == 2
    client.scale("deploy", "web", 0)
    client.delete("deployment", "web", wait=10)
    with pytest.raises(NotFound):
        client.get("deployment", "web")


def test_a_watch_begins_with_what_there_is(client):
    client.apply(MAP.replace("NAME", "a"))
    first = next(client.watch("configmaps"))
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")


def test_what_goes_wrong_is_raised(client):
    with pytest.raises(Refused, match='unknown field "dada"'):
        client.apply(MAP.replace("\ndata", "\ndada").replace("NAME", "a"))
    with pytest.raises(NotFound, match="widgets"):
        client.get("widgets", "a")
    client.apply(MAP.replace("NAME", "a"))
    with pytest.raises(TimeoutError):
        client.wait_for("cm", "a", "Ready", timeout=0)
