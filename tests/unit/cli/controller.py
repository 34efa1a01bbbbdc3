"""A controller for tests of the commands: answers on a unix socket what the test has told it to, and notes what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

Answer = tuple[int, Any]


class FakeController:
    """`answers` maps "METHOD path" (the query left out), or a request's type, to an answer, or to a function of the body."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "corral.sock"
        self.answers: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"unix://{self.path}"

    def of_type(self, name: str) -> list[dict[str, Any]]:
        return [request for request in self.requests if request["type"] == name]

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            self._converse(connection)
        except OSError:
            pass  # the command has gone

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while line := stream.readline():
                method, target, _ = line.decode().split(" ")
                length = 0
                while (header := stream.readline().strip()) != b"":
                    name, _, value = header.decode().partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                status, answer = self._answer(method, target, json.loads(stream.read(length)) if length else {})
                body = json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                stream.write(head.encode() + body)
                stream.flush()

    def _answer(self, method: str, target: str, body: dict[str, Any]) -> Answer:
        self.asked.append(f"{method} {target}")
        key = f"{method} {target.partition('?')[0]}"
        if "type" in body:
            self.requests.append(body)
            key = body["type"]
        found = self.answers.get(key, (404, {"type": "Rejected", "error": f"no answer for {key}", "code": "not_found"}))
        if callable(found):
            found = found(body)
        return found if isinstance(found, tuple) else (200, found)


def row(**fields: Any) -> dict[str, Any]:
    """A table of one row."""
    return {"type": "JobRows", "fields": list(fields), "rows": [list(fields.values())]}


def refused(error: str, code: str = "invalid", detail: str = "") -> Answer:
    status = {"invalid": 400, "denied": 403, "not_found": 404, "busy": 409}[code]
    return status, {"type": "Rejected", "error": error, "code": code, "detail": detail}
