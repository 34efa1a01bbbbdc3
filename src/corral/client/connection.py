"""How does a program reach the controller? One HTTP/1.1 request after another over a unix socket, or TLS with a token.

Only what Python has loaded anyway is imported (`_socket` instead of `socket`, no `json`, `corral.errors` by who fails): a command
starts in a few milliseconds. A request is sent again when the controller was not there or went away in the middle, if that can do no harm:
GET always, others when they carry an idempotency key, by which the controller knows what it has done already.
"""

from __future__ import annotations

import _socket
import os
import time

from corral.client import quickjson

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from corral.errors import Refused, Unreachable

    Json = Any

CONNECT_TIMEOUT = 10.0
#: While a controller is being restarted, requests wait so long before they give up.
RETRY_SECONDS = 10.0
_CHUNK = 1 << 18


def state_dir() -> str:
    """Where the default cluster of this user has its state."""
    if os.geteuid() == 0:
        return "/var/lib/corral"
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "corral")


def default_endpoint() -> str:
    """CORRAL_ENDPOINT; else the socket of the user's own cluster; else, if there is one, of the machine's."""
    given = os.environ.get("CORRAL_ENDPOINT")
    if given:
        return given
    own = os.path.join(state_dir(), "corral.sock")
    machine = "/var/lib/corral/corral.sock"
    return f"unix://{machine if not os.path.exists(own) and os.path.exists(machine) else own}"


def new_key() -> str:
    """An idempotency key: no other request has it."""
    return os.urandom(16).hex()


class ConnectionBroken(Exception):
    """The connection ended before the whole answer was there."""


class Response:
    """Status and head are read; the body is read when asked for."""

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers

    def chunks(self) -> Iterator[bytes]:
        yield from self._connection._body(self.headers)

    def read(self) -> bytes:
        return b"".join(self.chunks())


class Connection:
    """To one controller; kept open between requests. Not for several threads at once."""

    def __init__(self, endpoint: str = "", token: str = "", timeout: float | None = None) -> None:
        self.endpoint = endpoint or default_endpoint()
        self._token = token
        self.timeout = timeout
        self._socket: Any = None
        self.may_be_heard = False  #: what was asked last, by a controller that was there
        self._buffer = bytearray()
        self._is_json = False
        self._accept = self._content_type = ""  #: of the request under way, where they are not JSON
        scheme, _, place = self.endpoint.partition("://")
        self._path = self._host = ""
        if scheme == "unix":
            self._path = place
        elif scheme == "https" and place:
            self._host = place.rstrip("/")
        else:
            from corral.errors import Unreachable

            raise Unreachable(endpoint=self.endpoint, reason="not unix:///path or https://host:port")

    def request(
        self, method: str, path: str, body: Json = None, *, key: str = "", raw: bytes | None = None,
        retry_seconds: float = RETRY_SECONDS, accept: str = "", content_type: str = "",
    ) -> Json:  # fmt: skip
        """The decoded answer (text, where it is not JSON). Refused when the controller says no, Unreachable without one."""
        data = raw if raw is not None else b"" if body is None else _bytes_of(quickjson.encode(body))
        try:
            answer = self.call(
                method, path, data, key=key, retry_seconds=retry_seconds, accept=accept, content_type=content_type
            )
        except Exception as refusal:
            from corral.client.skew import without_unknown
            from corral.errors import Refused

            if not isinstance(refusal, Refused):
                raise
            smaller = without_unknown(body, str(refusal.fields.get("error", "")))
            if smaller is None or smaller == body:
                raise
            return self.request(method, path, smaller, key=key, retry_seconds=retry_seconds)
        content = answer.decode("utf-8", "replace")
        if b"\xf4\x8f" in answer:
            from corral.syntax.rawbytes import restored

            content = restored(content)
        return quickjson.decode(content) if self._is_json else content

    def call(
        self, method: str, path: str, data: bytes = b"", *, key: str = "", retry_seconds: float = RETRY_SECONDS,
        accept: str = "", content_type: str = "",
    ) -> bytes:  # fmt: skip
        """The same in bytes."""
        self._accept, self._content_type = accept, content_type

        def once() -> bytes:
            response = self.send(method, path, data, key)
            content = response.read()
            if response.headers.get("connection") == "close":
                self.close()
            self._is_json = response.headers.get("content-type", "").startswith("application/json")
            if response.status >= 400:
                raise _refusal(response.status, content)
            return content

        return self._again_until(once, method == "GET" or bool(key), retry_seconds)

    def chunks(self, path: str) -> Iterator[bytes]:
        """What is answered, as it comes."""
        response = self.send("GET", path, b"", "")
        if response.status >= 400:
            raise _refusal(response.status, response.read())
        try:
            yield from response.chunks()
        finally:
            self.close()

    def stream(self, path: str, accept: str = "") -> Iterator[Json]:
        """The lines of an NDJSON answer, as they come."""
        self._accept = accept
        try:
            response = self.send("GET", path, b"", "")
        finally:
            self._accept = ""
        if response.status >= 400:
            raise _refusal(response.status, response.read())
        rest = b""
        try:
            for chunk in response.chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield quickjson.decode(line.decode())
        finally:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer.clear()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one request

    def send(self, method: str, path: str, data: bytes, key: str) -> Response:
        """Send once and read the answer's head. OSError or ConnectionBroken when it did not work."""
        if self._socket is None:
            self._connect()
        accept = self._accept or "application/json"
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host or 'corral'}\r\nAccept: {accept}\r\n"
        if data or method != "GET":
            kind = self._content_type or "application/json"
            head += f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        if key:
            head += f"Idempotency-Key: {key}\r\n"
        if self._host:
            head += f"Authorization: Bearer {self._token or _token(self.endpoint)}\r\n"
        self.may_be_heard = True
        self._socket.sendall(head.encode() + b"\r\n" + data)
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        try:
            status = int(lines[0].split(" ", 2)[1])
        except (IndexError, ValueError):
            raise ConnectionBroken(f"not HTTP: {lines[0][:80]!r}") from None
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return Response(self, status, headers)

    def _connect(self) -> None:
        self._buffer.clear()
        self.may_be_heard = False
        if self._path:
            connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            connection.settimeout(CONNECT_TIMEOUT)
            try:
                connection.connect(self._path)
            except BaseException:
                connection.close()
                raise
        else:
            connection = _tls(self._host)
        connection.settimeout(self.timeout)
        self._socket = connection

    def _receive(self) -> None:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionBroken("the controller closed the connection")
        self._buffer += data

    def _until(self, mark: bytes) -> bytes:
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark))
            self._receive()
        return self._take(at + len(mark))[: -len(mark)]

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _body(self, headers: dict[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._until(b"\r\n").partition(b";")[0], 16):
                yield self._take(size)
                self._take(2)
            self._until(b"\r\n")
        else:
            yield self._take(int(headers.get("content-length") or 0))

    # -- what becomes of it

    def _again_until(self, once: Callable[[], bytes], may_repeat: bool, seconds: float) -> bytes:
        deadline, pause = time.monotonic() + seconds, 0.02
        was_kept_open = self._socket is not None
        while True:
            try:
                return once()
            except (FileNotFoundError, PermissionError) as error:
                # No socket: nothing is being restarted here. (A killed controller leaves its socket behind.)
                self.close()
                raise self._unreachable(error) from None
            except (OSError, ConnectionBroken) as error:
                was_connected = self._socket is not None
                self.close()
                is_timeout = isinstance(error, TimeoutError)
                if is_timeout or (was_connected and not may_repeat) or time.monotonic() + pause > deadline:
                    raise self._unreachable(error) from None
                if was_kept_open:  # it had only been closed while idle: try at once
                    was_kept_open = False
                    continue
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)

    def _unreachable(self, error: Exception) -> Unreachable:
        from corral.errors import Unreachable

        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Unreachable(endpoint=self.endpoint, reason=reason)


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        from corral.syntax.rawbytes import carried

        return carried(text).encode()


def _refusal(status: int, content: bytes) -> Refused:
    from corral.errors import Refused

    text = content.decode("utf-8", "replace")
    try:
        answer = quickjson.decode(text)
        if answer.get("kind") == "Status":  # of Kubernetes' paths
            answer = {"error": answer["message"], "code": answer.get("reason") or "invalid"}
        error, code = answer["error"], answer.get("code", "invalid")
    except (ValueError, KeyError, TypeError, AttributeError):
        answer, error, code = {}, text or f"HTTP status {status}", "invalid"
    return Refused(error=error, code=code, detail=answer.get("detail", ""), index=answer.get("index", 0), status=status)


def request(method: str, path: str, body: Json = None, *, key: str = "") -> Json:
    """One request to the default cluster: what most commands need."""
    with Connection() as connection:
        return connection.request(method, path, body, key=key)


def _token(endpoint: str) -> str:
    token = os.environ.get("CORRAL_TOKEN") or os.environ.get(
        "SLURM_JWT", ""
    )  # the latter by `export $(scontrol token)`
    if token and ("CORRAL_TOKEN" in os.environ or token.startswith("corral1.")):
        return token
    path = os.environ.get("CORRAL_TOKEN_FILE") or os.path.expanduser("~/.config/corral/token")
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        from corral.errors import Unreachable

        raise Unreachable(endpoint=endpoint, reason=f"no token in CORRAL_TOKEN nor in {path}") from None


def _tls(host: str) -> Any:
    import socket
    import ssl

    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    name, port = (name, port) if name else (host, "443")
    authority = os.environ.get("CORRAL_CA")
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:  # a bad file is an SSLError, which is one
        from corral.errors import Unreachable

        problem = error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "no certificate in PEM"
        raise Unreachable(endpoint=f"https://{host}", reason=f"CORRAL_CA: {authority}: {problem}") from None
    plain = socket.create_connection((name.strip("[]"), int(port)), CONNECT_TIMEOUT)
    return context.wrap_socket(plain, server_hostname=name.strip("[]"))
