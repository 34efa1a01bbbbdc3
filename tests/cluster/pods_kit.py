"""Pods of a real cluster, by Kubernetes' own paths."""

import http.client
import json
import socket
import urllib.request
from typing import Any

from tests.cluster.live import LiveCluster, wait_until

BASE = "/api/v1/namespaces/default/pods"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("corral")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Pods:
    def __init__(self, cluster: LiveCluster | str) -> None:
        """Of a cluster, or of one at this endpoint."""
        endpoint = cluster if isinstance(cluster, str) else cluster.endpoint
        self._socket = endpoint.removeprefix("unix://")

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = _Connection(self._socket)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, body=text, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def put(self, name: str, *containers: dict[str, Any], **spec: Any) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": containers, **spec},
        }
        status, said = self.ask("POST", BASE, body)
        assert status == 201, said

    def get(self, name: str) -> dict[str, Any] | None:
        status, found = self.ask("GET", f"{BASE}/{name}")
        return found if status == 200 else None

    def delete(self, name: str, grace: int | None = None) -> None:
        query = "" if grace is None else f"?gracePeriodSeconds={grace}"
        status, said = self.ask("DELETE", f"{BASE}/{name}{query}")
        assert status in (200, 202), said

    def status(self, name: str) -> dict[str, Any]:
        found = self.get(name)
        assert found is not None, f"there is no Pod {name}"
        status: dict[str, Any] = found["status"]
        return status

    def container(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.status(name).get("containerStatuses", [{}])[0]
        return found

    def is_ready(self, name: str) -> bool:
        conditions = self.status(name).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def wait_ready(self, *names: str) -> None:
        for name in names:
            wait_until(
                lambda name=name: self.is_ready(name),
                what=lambda name=name: f"Pod {name} is ready: {self.status(name)}",
            )  # type: ignore[misc]

    def wait_phase(self, name: str, phase: str) -> None:
        wait_until(
            lambda: self.status(name)["phase"] == phase, what=lambda: f"Pod {name} is {phase}: {self.status(name)}"
        )

    def wait_gone(self, name: str) -> None:
        wait_until(lambda: self.get(name) is None, what=f"Pod {name} is gone")


def fetched(port: int, path: str = "/") -> int:
    """The status of an HTTP request to a port of this machine; 0: nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
