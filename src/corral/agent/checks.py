"""Does a container answer: to HTTP, to a connection, to gRPC's health protocol? As the kubelet asks."""

import asyncio
import ssl

from corral.agent.httpwords import request, status_of
from corral.agent.unwell import NotWell
from corral.protocol.pods import Check


class Reached:
    """Where the ports of a Pod are reached from this machine."""

    def __init__(self, address: str, ports: dict[int, int] | None = None) -> None:
        """ports: by which port of `address` each is reached; None: by its own."""
        self._address, self._ports = address, ports

    def of(self, port: int) -> tuple[str, int]:
        """Raises NotWell."""
        if not port:
            raise NotWell("the container has no port of that name")
        if self._ports is None:
            return self._address, port
        if port not in self._ports:
            raise NotWell(f"port {port} is none of the Pod's ports: here only those that it declares can be reached")
        return self._address, self._ports[port]


async def check(wanted: Check, reached: Reached) -> None:
    """Raises NotWell, OSError."""
    host, port = (wanted.host, wanted.port) if wanted.host else reached.of(wanted.port)
    if wanted.how == "tcp":
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
    elif wanted.how == "grpc":
        await _grpc(wanted, host, port)
    else:
        await _http(wanted, host, port)


async def _http(wanted: Check, host: str, port: int) -> None:
    secure = _trusting() if wanted.how == "https" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=secure)
    try:
        writer.write(request(wanted, host, port))
        line = await reader.readline()
    finally:
        writer.close()
    status = status_of(line)
    if not 200 <= status < 400:
        raise NotWell(f"HTTP probe failed with statuscode: {status}")


def _trusting() -> ssl.SSLContext:
    """As Kubernetes: who a container says that it is, is not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _grpc(wanted: Check, host: str, port: int) -> None:
    try:
        from corral.agent.grpchealth import serving
    except ImportError:
        raise NotWell("gRPC probes need the Python package h2 on the node: pip install 'corral[grpc]'") from None
    await serving(host, port, wanted.service)
