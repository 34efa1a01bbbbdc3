"""Is a gRPC service serving? One call of grpc.health.v1.Health/Check. Needs the package h2."""

import asyncio
import struct

import h2.config
import h2.connection
import h2.events

from corral.agent.unwell import NotWell

_SERVING = 1
_STATES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


async def serving(host: str, port: int, service: str) -> None:
    """Raises NotWell, OSError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        connection.initiate_connection()
        stream = connection.get_next_available_stream_id()
        headers = [
            (":method", "POST"), (":scheme", "http"), (":authority", f"{host}:{port}"), (":path", "/grpc.health.v1.Health/Check"),
            ("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "corral"),
        ]  # fmt: skip
        connection.send_headers(stream, headers)
        connection.send_data(stream, framed(service), end_stream=True)
        writer.write(connection.data_to_send())
        status, body = await _answer(connection, reader, writer)
    finally:
        writer.close()
    if status != "0":
        raise NotWell(f"service unhealthy: the health service answered with gRPC status {status or 'none'}")
    state = state_of(body)
    if state != _SERVING:
        name = _STATES[state] if state < len(_STATES) else str(state)
        raise NotWell(f"service unhealthy (responded with {name!r})")


async def _answer(
    connection: h2.connection.H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[str, bytes]:
    """Its gRPC status and its message."""
    status, body = "", b""
    while True:
        data = await reader.read(65536)
        if not data:
            raise NotWell("the connection was closed without an answer")
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                for name, value in event.headers or ():
                    if name == b"grpc-status":
                        status = value.decode(errors="replace")
            elif isinstance(event, h2.events.DataReceived):
                body += event.data or b""
            elif isinstance(event, h2.events.StreamEnded):
                return status, body
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise NotWell("the server ended the call")
        writer.write(connection.data_to_send())


def framed(service: str) -> bytes:
    """A HealthCheckRequest (field 1: the service's name) as gRPC frames it."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return struct.pack(">BI", 0, len(message)) + message


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))


def state_of(body: bytes) -> int:
    """Of a HealthCheckResponse (field 1: an enumeration)."""
    message = body[5:]
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0
