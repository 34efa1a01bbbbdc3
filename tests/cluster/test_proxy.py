"""`corral proxy`: a job's HTTP port in a browser, at an address of the controller."""

import base64
import hashlib
import http.client
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.cluster.live import LiveCluster, wait_until

SERVER = r"""
import base64, hashlib, http.server, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, data, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/away":
            return self.say(b"", 302, Location="/there", Set_Cookie="own=1; Path=/")
        if self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: one\n\n")
            self.rfile.read(1)  # until the browser goes
            self.close_connection = True
            return
        if self.path == "/socket":
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
            self.end_headers()
            self.close_connection = True
            while True:
                head = self.rfile.read(2)
                if len(head) < 2 or head[0] & 15 == 8:
                    return
                mask, data = self.rfile.read(4), self.rfile.read(head[1] & 127)
                data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
                self.wfile.write(bytes([0x81, len(data)]) + data.upper())
        self.say(f"{self.path} {self.headers['Cookie']} {self.headers['Origin']} {self.headers['Authorization']}".encode())

    def do_POST(self):
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.say(hashlib.sha256(data).hexdigest().encode())

    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Page(NamedTuple):
    """A job's port, as a browser has it open."""

    cluster: LiveCluster
    job: str
    port: str
    host: str
    path: str
    login: str

    def get(
        self, path: str = "", method: str = "GET", body: object = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, self.path + path, body=body, headers=named, encode_chunked=True)  # type: ignore[arg-type]
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def cookie(self) -> str:
        status, headers, _ = self.get(f"?corral_login={self.login}")
        assert (status, headers["Location"]) == (303, self.path)
        assert "HttpOnly" in headers["Set-Cookie"]
        assert f"Path={self.path};" in headers["Set-Cookie"]
        return headers["Set-Cookie"].partition(";")[0]


@pytest.fixture
def page(cluster: LiveCluster) -> Iterator[Page]:
    (cluster.work / "server.py").write_text(SERVER)
    job = cluster.submit("-o", f"{cluster.work}/port-%j", "--wrap", f"exec python3 -u {cluster.work}/server.py")
    told = Path(cluster.work / f"port-{job}")
    port = wait_until(lambda: told.exists() and told.read_text().strip())
    yield asked(cluster, job, str(port))
    cluster.run("scancel", job, check=False)


def asked(cluster: LiveCluster, job: str, port: str) -> Page:
    url = cluster.text("corral", "proxy", "--path", job, port)
    found = re.fullmatch(rf"http://(127\.0\.0\.1:\d+)(/proxy/{job}/{port}/)\?corral_login=(\S+)", url)
    assert found, url
    return Page(cluster, job, port, found[1], found[2], found[3])


def test_a_browser_is_logged_in_once_and_the_job_sees_none_of_it(page: Page) -> None:
    assert page.get()[0] == 403
    cookie = page.cookie()
    assert page.get(f"?corral_login={page.login}")[0] == 403
    status, _, body = page.get("x?y=1", Cookie=f"{cookie}; a=b; corral-proxy-9-9=other", Origin=f"http://{page.host}")
    assert (status, body.decode()) == (200, f"/x?y=1 a=b http://localhost:{page.port} None")
    assert page.get(Cookie=cookie, Origin="https://evil.example")[0] == 403
    other = page._replace(path=page.path.replace(f"/{page.port}/", "/1/"))
    assert other.get(Cookie=cookie)[0] == 403
    assert page._replace(path="/v1/jobs").get(Cookie=cookie)[0] == 404


def test_a_job_has_a_host_name_of_its_own_where_its_cookies_stay(page: Page) -> None:
    url = page.cluster.text("corral", "proxy", page.job, page.port)
    found = re.fullmatch(rf"http://({page.job}-{page.port}\.localhost):(\d+)/\?corral_login=(\S+)", url)
    assert found, url
    own = page._replace(host=f"127.0.0.1:{found[2]}", path="/", login=found[3])
    name = {"Host": f"{found[1]}:{found[2]}"}
    status, headers, _ = own.get(f"?corral_login={own.login}", **name)
    assert (status, headers["Location"]) == (303, f"http://{name['Host']}/")
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert "Domain" not in headers["Set-Cookie"]
    answer = own.get("proxy/1/2/x?y=1", Cookie=f"{cookie}; a=b", Origin=f"http://{name['Host']}", **name)
    assert (answer[0], answer[2].decode()) == (200, f"/proxy/1/2/x?y=1 a=b http://localhost:{page.port} None")
    status, headers, _ = own.get("away", Cookie=cookie, **name)
    assert (status, headers["Location"], headers["Set-Cookie"]) == (302, "/there", "own=1; Path=/")
    foreign = {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}
    assert own.get(Cookie=cookie, **foreign, **name)[0] == 403, "a page of another job asks"
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert own.get(Cookie=cookie, **link, **name)[0] == 200, "a link leads here"
    assert own.get(Cookie=cookie, Host=f"{page.job}-1.localhost")[0] == 403
    assert own.get(Cookie=cookie, Host=f"{page.job}-{page.port}.elsewhere.org")[0] == 404


def test_redirects_streams_and_bodies_in_chunks(page: Page) -> None:
    cookie = page.cookie()
    status, headers, _ = page.get("away", Cookie=cookie)
    assert (status, headers["Location"], headers["Set-Cookie"]) == (
        302,
        f"{page.path}there",
        f"own=1; Path={page.path}",
    )
    data = os.urandom(3_000_000)
    pieces = [data[at : at + 70_000] for at in range(0, len(data), 70_000)]
    status, _, body = page.get("x", "POST", iter(pieces), Cookie=cookie, Transfer_Encoding="chunked")
    assert (status, body.decode()) == (200, hashlib.sha256(data).hexdigest())
    connection = http.client.HTTPConnection(page.host, timeout=60)
    connection.request("GET", f"{page.path}events", headers={"Cookie": cookie})
    assert connection.getresponse().read(11) == b"data: one\n\n"  # though the answer never ends
    connection.close()


def test_what_could_be_read_in_two_ways_is_refused(page: Page) -> None:
    host, _, port = page.host.partition(":")
    cookie = page.cookie()
    for head, body in (
        ("Host: a\r\nHost: b", ""),
        ("Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked", ""),
        ("Host: a\r\nTransfer-Encoding: chunked", "zz\r\n"),
        ("Host: a\r\nX : y", ""),
    ):
        with socket.create_connection((host, int(port)), 60) as sock:
            sock.sendall(f"POST {page.path}x HTTP/1.1\r\nCookie: {cookie}\r\n{head}\r\n\r\n{body}".encode())
            assert sock.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"


def test_a_websocket_speaks_both_ways(page: Page) -> None:
    host, _, port = page.host.partition(":")
    with socket.create_connection((host, int(port)), 60) as sock:
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(
            f"GET {page.path}socket HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.cookie()}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nOrigin: http://{page.host}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = sock.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while stream.readline() != b"\r\n":
            pass
        for word in (b"hello", b"again"):
            mask = os.urandom(4)
            sock.sendall(
                struct.pack("!BB", 0x81, 0x80 | len(word)) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(word))
            )
            assert stream.read(2 + len(word)) == bytes([0x81, len(word)]) + word.upper()


def test_tokens_are_for_programs_and_only_of_the_owner(page: Page) -> None:
    own, other = (page.cluster.text("corral", "token", "user", name) for name in ("root", "nobody"))
    assert page.get(Authorization=f"Bearer {own}")[2] == b"/ None None None"
    assert page.get(X_Corral_Token=own, Authorization="token jupyter")[2] == b"/ None None token jupyter"
    assert page.get(Authorization=f"Bearer {other}")[0] == 404
    assert page.get(Authorization="Bearer corral1.made.up")[0] == 403


def test_it_outlives_the_controller_and_ends_with_the_job(page: Page) -> None:
    cookie = page.cookie()
    page.cluster.kill("controller.lock")
    page.cluster.up("--nodes=10", "--cpus=16", "--mem=64000", "--gpus=8", "--gpu-type=v100", "--prefix=dgx0180")

    def works() -> bool:
        try:
            return page.get(Cookie=cookie)[0] == 200
        except OSError:
            return False

    wait_until(works)
    page.cluster.run("scancel", page.job)
    page.cluster.wait_for(page.job, "CANCELLED")
    wait_until(lambda: page.get(Cookie=cookie)[0] == 410)
    refused = page.cluster.run("corral", "proxy", page.job, page.port, check=False)
    assert (refused.returncode, "does not run" in refused.stderr) == (1, True)


def test_where_nobody_listens_it_says_so(page: Page) -> None:
    nobody = asked(page.cluster, page.job, "9")
    status, _, body = nobody.get(Cookie=nobody.cookie())
    assert (status, b"Nothing answers HTTP at port 9" in body) == (502, True)
    assert (
        page.cluster.run("corral", "proxy", "9999", "80", check=False).stderr
        == "corral: error: 9999: Invalid job id specified\n"
    )
