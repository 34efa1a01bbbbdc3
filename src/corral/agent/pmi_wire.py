"""How are the requests of PMI-1 and PMI-2 read, and the answers written?

Both are MPICH's "simple" protocols on an inherited descriptor. A client begins with a line that names its version. PMI-1 goes on
with lines, "cmd=put kvsname=3.0 key=K value=V"; PMI-2 with messages behind their length in six columns, "cmd=kvs-put;key=K;value=V;",
where a semicolon within a value is written twice.
"""

_LENGTH = 6
#: No honest request is longer.
LONGEST = 64 * 1024

Request = dict[str, str]


class BadRequest(Exception):
    """What the client says is not the protocol."""


class Decoder:
    """The bytes of one client, taken apart."""

    def __init__(self) -> None:
        self.version = 0  #: 1 or 2 once the client has said so
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are complete now. A PMI-1 "mcmd=" comes as one, with its lines merged (the last of a name counts)."""
        self._data += data
        if len(self._data) > LONGEST and self.version != 2 and b"\n" not in self._data:
            raise BadRequest("a line without an end")
        requests = []
        while (request := self._next()) is not None:
            requests.append(request)
        return requests

    def _next(self) -> Request | None:
        if self.version == 2:
            return self._next_message()
        if self._data.startswith(b"mcmd="):
            end = self._data.find(b"endcmd\n")
            if end < 0:
                if len(self._data) > LONGEST:
                    raise BadRequest("a command without an end")
                return None
            lines = self._take(end + 7).splitlines()[:-1]
            return {name: value for name, _, value in (line.partition("=") for line in lines)}
        end = self._data.find(b"\n")
        if end < 0:
            return None
        request = _pairs(self._take(end + 1).split())
        if not self.version:
            if request.get("cmd") != "init":
                raise BadRequest("it does not begin with init")
            self.version = 2 if request.get("pmi_version") == "2" else 1
        return request

    def _next_message(self) -> Request | None:
        if len(self._data) < _LENGTH:
            return None
        try:
            length = int(self._data[:_LENGTH])
        except ValueError:
            raise BadRequest("a message without its length") from None
        if not 0 <= length <= LONGEST:
            raise BadRequest("a message too long")
        if len(self._data) < _LENGTH + length:
            return None
        return _pairs(_split(self._take(_LENGTH + length)[_LENGTH:]))

    def _take(self, count: int) -> str:
        data = bytes(self._data[:count])
        del self._data[:count]
        return data.decode("utf-8", "surrogateescape")


def _pairs(words: list[str]) -> Request:
    return {name: value for name, _, value in (word.partition("=") for word in words if word)}


def _split(text: str) -> list[str]:
    """At single semicolons; two are one that is meant."""
    return [part.replace("\0", ";") for part in text.replace(";;", "\0").split(";")]


def line(command: str, **fields: object) -> bytes:
    """An answer of PMI-1, and of both to init."""
    text = "".join(f" {name}={value}" for name, value in fields.items())
    return f"cmd={command}{text}\n".encode("utf-8", "surrogateescape")


def message(command: str, fields: dict[str, object]) -> bytes:
    """An answer of PMI-2."""
    text = f"cmd={command};" + "".join(f"{name}={str(value).replace(';', ';;')};" for name, value in fields.items())
    data = text.encode("utf-8", "surrogateescape")
    return f"{len(data):<{_LENGTH}}".encode() + data
