"""What does /proxy/42/8888/lab mean, and what do job and browser see in the place of each other's addresses?

A job sees requests for http://localhost:8888/lab, as if from this machine. Where there are names for it, the browser sees a host of the
port's own, 42-8888.proxy.example.org: nothing that a page of another job may touch. Else it stays below /proxy/42/8888/, also with the
cookies that the job sets. Below /proxy/absolute/42/8888/ the path stays whole: for programs that write their base URL into pages.
"""

import re
from typing import NamedTuple

from corral.proxy.messages import Answer, Headers, Request, words

_PLACE = re.compile(
    rb"(?P<prefix>/proxy/(?P<absolute>absolute/)?(?P<job>[0-9]{1,10})(?:@(?P<node>[A-Za-z0-9._-]{1,255}))?/(?P<port>[0-9]{1,5}))(?P<rest>[/?].*)?\Z"
)

#: Of a port's own host: node names that could not be told from others stay below a path.
_LABEL = re.compile(
    rb"(?P<job>[1-9][0-9]{0,9})-(?P<port>[1-9][0-9]{0,4})(?:-(?P<node>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?))?\Z"
)

#: Of each hop alone (RFC 9110, 7.6.1).
_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"upgrade",
})  # fmt: skip
_FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix", b"x-real-ip"}
)

LOGIN = b"corral_login"
#: A token for programs that have no cookie and whose job wants an Authorization header of its own.
TOKEN_HEADER = b"x-corral-token"


class Place(NamedTuple):
    """A port of a job."""

    prefix: bytes  #: /proxy/42/8888; "" = it has a host name of its own
    job: int
    node: str  #: "" = its first
    port: int
    rest: bytes  #: path and query below it; "" = the slash is missing
    is_absolute: bool

    @property
    def cookie(self) -> bytes:
        return b"corral-proxy-%d-%d" % (self.job, self.port)

    @property
    def inner(self) -> bytes:
        """What the job is asked for."""
        return self.prefix + self.rest if self.is_absolute else self.rest


def place_of(target: bytes) -> Place | None:
    found = _PLACE.match(target)
    if found is None or not 0 < int(found["port"]) < 65536:
        return None
    rest = found["rest"] or b""
    return Place(
        found["prefix"], int(found["job"]), (found["node"] or b"").decode(), int(found["port"]),
        rest if rest.startswith(b"/") or not rest else b"/" + rest, found["absolute"] is not None,
    )  # fmt: skip


def place_at(host: bytes, target: bytes, domain: str) -> Place | None:
    """Of a request to a host of a port's own; None = to another one."""
    name, _, end = _without_port(host).lower().partition(b".")
    found = _LABEL.match(name) if domain and end == domain.encode() else None
    if found is None or int(found["port"]) > 65535 or not target.startswith(b"/"):
        return None
    return Place(b"", int(found["job"]), (found["node"] or b"").decode(), int(found["port"]), target, False)


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host


def cookies_of(headers: Headers) -> list[tuple[bytes, bytes]]:
    found = []
    for name, value in headers:
        if name.lower() == b"cookie":
            for part in value.split(b";"):
                key, _, text = part.strip().partition(b"=")
                if key:
                    found.append((key, text))
    return found


def login_in(place: Place) -> tuple[bytes, bytes]:
    """(the login in its query, what is left of path and query)."""
    path, _, query = place.rest.partition(b"?")
    login, kept = b"", []
    for part in query.split(b"&") if query else ():
        name, _, value = part.partition(b"=")
        if name == LOGIN:
            login = value
        else:
            kept.append(part)
    return login, path + (b"?" + b"&".join(kept) if kept else b"")


def is_upgrade(headers: Headers) -> bool:
    return b"upgrade" in words(headers, b"connection") and bool(words(headers, b"upgrade"))


class Translator:
    """Between the browser's view of a place (`origin`: https://head:8443) and the job's."""

    def __init__(self, place: Place, origin: bytes, peer: bytes) -> None:
        self.place, self.origin, self.peer = place, origin, peer
        self.host = b"localhost:%d" % place.port

    def request(self, request: Request, *, keeps_authorization: bool) -> bytes:
        """The head as the job gets it. Each request has a connection of its own."""
        lines = [b"%s %s HTTP/1.%d" % (request.method, self.place.inner or b"/", request.minor), b"Host: " + self.host]
        named = set(words(request.headers, b"connection"))
        for name, value in request.headers:
            small = name.lower()
            if small in _HOP or small in named or small in _FORWARDED or small in (b"host", TOKEN_HEADER, b"cookie"):
                continue
            if small == b"authorization" and not keeps_authorization:
                continue
            if small in (b"origin", b"referer"):
                value = self._inward(value)
            lines.append(name + b": " + value)
        own = [key + b"=" + text for key, text in cookies_of(request.headers) if not key.startswith(b"corral-proxy-")]
        if own:
            lines.append(b"Cookie: " + b"; ".join(own))
        scheme, _, host = self.origin.partition(b"://")
        lines += [b"X-Forwarded-For: " + self.peer, b"X-Forwarded-Host: " + host, b"X-Forwarded-Proto: " + scheme]
        if self.place.prefix and not self.place.is_absolute:
            lines.append(b"X-Forwarded-Prefix: " + self.place.prefix)
        if is_upgrade(request.headers):
            wanted = next(value for name, value in request.headers if name.lower() == b"upgrade")
            lines += [b"Connection: Upgrade", b"Upgrade: " + wanted]
        else:
            lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def answer(self, answer: Answer, *, closes: bool) -> bytes:
        """The head as the browser gets it."""
        lines = [answer.line]
        named = set(words(answer.headers, b"connection"))
        switches = answer.status == 101
        for name, value in answer.headers:
            small = name.lower()
            if (small in _HOP or small in named) and not (switches and small in (b"connection", b"upgrade")):
                continue
            if small in (b"location", b"content-location"):
                value = self._outward(value)
            elif small == b"set-cookie" and value.strip().startswith(b"corral-proxy-"):
                continue
            elif small == b"set-cookie":
                value = self._cookie(value)
            elif small == b"service-worker-allowed":
                value = self._outward(value)
            lines.append(name + b": " + value)
        if not switches and answer.status >= 200:
            lines.append(b"Connection: close" if closes else b"Connection: keep-alive")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _inward(self, value: bytes) -> bytes:
        """https://head:8443/proxy/42/8888/lab -> http://localhost:8888/lab; what is from elsewhere stays so."""
        if value != self.origin and not value.startswith(self.origin + b"/"):
            return value
        path = value[len(self.origin) :]
        if not self.place.is_absolute and path.startswith(self.place.prefix + b"/"):
            path = path[len(self.place.prefix) :]
        return b"http://" + self.host + path

    def _outward(self, value: bytes) -> bytes:
        for scheme in (b"http://", b"https://"):
            for host in (self.host, b"127.0.0.1:%d" % self.place.port, self.origin.partition(b"://")[2]):
                start = scheme + host
                if value == start or value.startswith((start + b"/", start + b"?")):
                    value = value[len(start) :] or b"/"
        if not value.startswith(b"/") or value.startswith(b"//") or self.place.is_absolute:
            return value
        return value if value.startswith(self.place.prefix + b"/") else self.place.prefix + value

    def _cookie(self, value: bytes) -> bytes:
        """It stays with this port: no other job and nothing else at this address gets it."""
        name, *attributes = value.split(b";")
        kept, path = [name.strip()], b"/"
        for attribute in attributes:
            key, _, text = attribute.strip().partition(b"=")
            if key.lower() == b"path":
                path = text.strip() or b"/"
            elif key and key.lower() != b"domain":
                kept.append(attribute.strip())
        if not (path == self.place.prefix or path.startswith(self.place.prefix + b"/")):
            path = self.place.prefix + (path if path.startswith(b"/") and not self.place.is_absolute else b"/")
        return b"; ".join([*kept, b"Path=" + path])
