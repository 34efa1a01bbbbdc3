"""Does a command reach its controller, say why when it cannot, and never do a thing twice?"""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from corral.client import connection as module
from corral.client.connection import Connection, default_endpoint
from corral.errors import Refused, Unreachable

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'


class Server:
    """Answers each connection with the next script: bytes to send, or None to hang up when the request is there."""

    def __init__(self, path: Path, *answers: bytes | None) -> None:
        self.requests: list[bytes] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(10)
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for answer in self._answers:
            connection, _ = self._listening.accept()
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            self.requests.append(data)
            if answer:
                connection.sendall(answer)
            connection.close()
        self._listening.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "corral.sock"


def connect(path) -> Connection:
    return Connection(f"unix://{path}")


def test_an_answer_is_decoded(path):
    server = Server(path, OK)
    assert connect(path).request("GET", "/v1/ping") == {"a": 1}
    assert server.requests[0].startswith(b"GET /v1/ping HTTP/1.1\r\n")


def test_a_chunked_answer_in_small_pieces(path):
    Server(
        path,
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n',
    )
    assert connect(path).request("GET", "/") == {"a": 1}


def test_a_refusal_carries_code_and_detail(path):
    body = b'{"type":"Rejected","error":"Invalid partition name specified","code":"invalid","detail":"Known: batch"}'
    Server(path, b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with pytest.raises(Refused, match="Invalid partition name specified") as caught:
        connect(path).request("POST", "/v1/requests", {})
    assert caught.value.fields["detail"] == "Known: batch"


def refused(text: str) -> bytes:
    body = f'{{"type":"Rejected","error":"{text}"}}'.encode()
    return b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_what_an_older_controller_does_not_know_is_left_out_if_it_changes_nothing(path):
    """The fields that commands send always, one after another."""
    answers = [
        refused(f"not a valid request: Object contains unknown field `{name}` - at `$.jobs[0].spec`")
        for name in ("asks_programs", "submit_line")
    ]
    server = Server(path, *answers, OK)
    spec = {"ntasks": 2, "submit_line": "srun -n2", "step": {"asks_programs": True, "submit_line": "srun -n2"}}
    environment = {"submit_line": "a variable"}
    body = {"jobs": [{"spec": spec, "environment": environment}]}
    assert connect(path).request("POST", "/v1/requests", body, key="k") == {"a": 1}
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    assert json.loads(bodies[2]) == {"jobs": [{"spec": {"ntasks": 2, "step": {}}, "environment": environment}]}


def test_what_the_user_has_asked_for_is_never_left_out(path):
    Server(path, refused("not a valid request: Object contains unknown field `ntasks` - at `$.jobs[0].spec`"))
    with pytest.raises(Refused, match="unknown field `ntasks`"):
        connect(path).request("POST", "/v1/requests", {"jobs": [{"spec": {"ntasks": 2}}]})


def test_without_a_socket_it_says_how_to_start_a_cluster(path):
    with pytest.raises(Unreachable, match="corral up"):
        connect(path).request("GET", "/")


def test_a_get_is_sent_again_when_the_controller_went_away(path):
    server = Server(path, None, OK)
    assert connect(path).request("GET", "/") == {"a": 1}
    assert len(server.requests) == 2


def test_a_change_is_not_sent_again(path):
    server = Server(path, None, OK)
    with pytest.raises(Unreachable):
        connect(path).request("POST", "/v1/requests", {})
    assert len(server.requests) == 1


def test_a_change_with_a_key_is_sent_again_with_the_same_key(path):
    server = Server(path, None, OK)
    assert connect(path).request("POST", "/v1/requests", {}, key="k1") == {"a": 1}
    assert [b"Idempotency-Key: k1\r\n" in request for request in server.requests] == [True, True]


def test_a_dead_controllers_socket_is_tried_until_another_comes(path, tmp_path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()

    def come_back():
        path.unlink()
        Server(path, OK)

    threading.Timer(0.1, come_back).start()
    connection = connect(path)
    assert connection.request("POST", "/", {}) == {"a": 1}


def test_it_gives_up_after_a_while(path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with pytest.raises(Unreachable, match="refused"):
        connect(path).request("GET", "/", retry_seconds=0.1)


def test_the_endpoint_of_the_environment_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("CORRAL_ENDPOINT", "unix:///run/x.sock")
    assert default_endpoint() == "unix:///run/x.sock"


def test_an_ordinary_users_cluster_is_in_its_state_home(monkeypatch, tmp_path):
    monkeypatch.delenv("CORRAL_ENDPOINT", raising=False)
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "corral").mkdir()
    (tmp_path / "corral" / "corral.sock").touch()
    assert default_endpoint() == f"unix://{tmp_path}/corral/corral.sock"


def test_a_strange_endpoint_is_refused():
    with pytest.raises(Unreachable, match="not unix:"):
        Connection("ftp://x")


def test_a_token_is_taken_from_the_environment_or_a_file(monkeypatch, tmp_path):
    monkeypatch.delenv("CORRAL_TOKEN", raising=False)
    monkeypatch.setenv("CORRAL_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(Unreachable, match="no token"):
        module._token("https://x")
    (tmp_path / "token").write_text("from-file\n")
    assert module._token("https://x") == "from-file"
    monkeypatch.setenv("CORRAL_TOKEN", "from-environment")
    assert module._token("https://x") == "from-environment"


def test_nothing_heavy_is_imported():
    code = "import sys; import corral.client.connection; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"json", "re", "socket", "ssl", "typing", "asyncio", "msgspec", "http", "urllib", "dataclasses"}
    if (
        "typing"
        in subprocess.run(
            [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True
        ).stdout.split()
    ):
        pytest.skip("this interpreter imports it anyway")
    assert not heavy & set(loaded)


def test_an_authority_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for file, problem in (
        (f"{tmp_path}/none.pem", "No such file or directory"),
        (f"{tmp_path}/empty.pem", "no certificate in PEM"),
    ):
        monkeypatch.setenv("CORRAL_CA", file)
        with pytest.raises(Unreachable, match=f"CORRAL_CA: {file}: {problem}"):
            Connection("https://127.0.0.1:1", token="t").request("GET", "/v1/jobs")
