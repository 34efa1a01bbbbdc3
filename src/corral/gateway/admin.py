"""How is Caddy spoken to? HTTP over the unix socket of its admin interface."""

import asyncio
from pathlib import Path

#: Seconds that an answer may take. Loading a configuration of thousands of services takes some.
PATIENCE = 60.0


class CaddyAway(Exception):
    """It does not answer."""


async def request(socket: Path, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                head = f"{method} {path} HTTP/1.0\r\nHost: caddy\r\n"
                if body or method != "GET":
                    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                writer.write(head.encode() + b"\r\n" + body)
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise CaddyAway(str(error)) from None
    head_bytes, _, content = answer.partition(b"\r\n\r\n")
    words = head_bytes.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise CaddyAway("it closed the connection")
    return int(words[1]), content
