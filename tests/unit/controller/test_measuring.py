"""What is measured for autoscalers: Prometheus asked over HTTP, Pods by two looks."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from corral.controller.measuring import asked
from corral.model.cluster import AutoscalingConfig

ANSWERS: dict[str, tuple[int, Any]] = {
    "sum(queue)": (200, {"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, "41.5"]}]}}),
    "two": (200, {"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, "1"]}, {"value": [1, "2"]}]}}),
    "scalar(3)": (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}}),
    "none": (200, {"status": "success", "data": {"resultType": "vector", "result": []}}),
    "nan": (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "NaN"]}}),
    "up[5m]": (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}),
    "bad(": (400, {"status": "error", "error": "parse error: unclosed left parenthesis"}),
    "odd": (200, ["what"]),
}  # fmt: skip


class Prometheus(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        (query,) = parse_qs(urlparse(self.path).query)["query"]
        code, told = ANSWERS[query]
        body = json.dumps(told).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def config() -> Iterator[AutoscalingConfig]:
    server = HTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield AutoscalingConfig(prometheus=f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()


@pytest.mark.parametrize(("query", "value"), [("sum(queue)", 41.5), ("two", 3.0), ("scalar(3)", 3.0)])
def test_values_are_summed(config: AutoscalingConfig, query: str, value: float) -> None:
    assert asked(query, config).value == value


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("none", "gives nothing"), ("nan", "gives nan"), ("up[5m]", "a matrix"), ("bad(", "400: parse error: unclosed"),
        ("odd", "no result"),
    ],
)  # fmt: skip
def test_why_there_is_no_value(config: AutoscalingConfig, query: str, words: str) -> None:
    answer = asked(query, config)
    assert answer.value is None
    assert words in answer.problem


def test_no_server_and_none_that_answers() -> None:
    assert "[autoscaling] prometheus" in asked("up", AutoscalingConfig()).problem
    assert "http://127.0.0.1:1" in asked("up", AutoscalingConfig(prometheus="http://127.0.0.1:1")).problem
