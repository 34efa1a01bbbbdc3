"""What is said to a container that is asked by HTTP, and what does the first line of its answer mean?"""

from corral.agent.unwell import NotWell
from corral.protocol.pods import Check

_AGENT = "kube-probe/1.30"
#: Of an answer that is none.
_MOST_SHOWN = 200


def request(wanted: Check, host: str, port: int) -> bytes:
    given = {name.lower() for name, _ in wanted.headers}
    lines = [f"GET {wanted.path if wanted.path.startswith('/') else '/' + wanted.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in wanted.headers]
    for name, value in (("Host", f"{host}:{port}"), ("User-Agent", _AGENT), ("Accept", "*/*"), ("Connection", "close")):
        if name.lower() not in given:
            lines.append(f"{name}: {value}")
    return ("\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines) + "\r\n\r\n").encode()


def status_of(line: bytes) -> int:
    """Of the first line of an answer. Raises NotWell."""
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        shown = line[:_MOST_SHOWN].decode(errors="replace").strip()
        raise NotWell(f"no answer of HTTP: {shown!r}" if line else "the connection was closed without an answer")
    return int(words[1])
