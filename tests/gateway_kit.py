"""A controller's side for a gateway under test, with Pods that are real local servers; and a generator of load."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.ports import free_port as free_port
from tests.waiting import PATIENCE
from tests.waiting import wait_until as wait_until

from corral.controller.api.server import HttpServer
from corral.controller.routing import RoutingTable
from corral.controller.watchers import Published
from corral.engine.kubeobjects import Objects
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.network import (
    HTTPIngressPath,
    HTTPIngressRule,
    Ingress,
    IngressBackend,
    IngressBackendPort,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    Service,
    ServicePort,
    ServicePortStatus,
    ServiceSpec,
    ServiceStatus,
)
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod, PodStatus, PortAddress
from corral.protocol.events import ObjectsChanged
from corral.protocol.requests import ReportLoad
from corral.protocol.routes import Routes


def service(
    name: str = "web", *, port: int, number: int = 80, port_name: str = "http", annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Service:  # fmt: skip
    """`port`: the gateway's, which the engine would have given it."""
    spec.setdefault("selector", {"app": name})
    return Service(
        metadata=ObjectMeta(name=name, namespace="default", uid=f"s-{name}", annotations=annotations or {}),
        spec=ServiceSpec(ports=(ServicePort(port=number, name=port_name, target_port=8000),), **spec),
        status=ServiceStatus(ports=(ServicePortStatus(port=number, gateway_port=port),)),
    )


def ingress(
    name: str,
    host: str,
    *paths: str,
    kind: str = "Prefix",
    to: str = "web",
    secret: str | None = None,
    created: float = 0.0,
) -> Ingress:
    """`secret`: with TLS; "" = by the cluster's own authority."""
    backend = IngressBackend(service=IngressServiceBackend(name=to, port=IngressBackendPort(number=80)))
    rules = tuple(HTTPIngressPath(path=path, path_type=kind, backend=backend) for path in paths or ("/",))
    tls = () if secret is None else (IngressTLS(hosts=(host,), secret_name=secret),)
    return Ingress(
        metadata=ObjectMeta(name=name, namespace="default", uid=f"i-{name}", creation_timestamp=created),
        spec=IngressSpec(rules=(IngressRule(host=host, http=HTTPIngressRule(paths=rules)),), tls=tls),
    )


def pod(
    name: str, port: int, *, app: str = "web", ready: bool = True, annotations: dict[str, str] | None = None
) -> Pod:
    return Pod(
        metadata=ObjectMeta(
            name=name, namespace="default", uid=f"p-{name}", labels={"app": app}, annotations=annotations or {}
        ),
        status=PodStatus(
            phase="Running",
            ready_since=1.0 if ready else 0.0,
            addresses=(PortAddress(port=8000, name="http", host="127.0.0.1", host_port=port),),
        ),
    )


class ControlSide:
    """The routing table of made-up objects, served as the controller serves it; in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "corral.sock"
        self.loads: list[tuple[float, ReportLoad]] = []
        self.objects = Objects()
        self.users: dict[str, str] = {}  #: by token
        self.term = 0
        self._thread: threading.Thread
        self.start()

    def start(self) -> None:
        """Also again, as a controller that has been started anew."""
        self.term += 1
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(PATIENCE)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.table = RoutingTable(lambda: self.objects, self.term)
        routes = [
            Route("/v1/gateway/routes", self._routes),
            Route("/v1/gateway/login", self._login, methods=["POST"]),
            Route("/v1/requests", self._request, methods=["POST"]),
        ]
        server = HttpServer(Starlette(routes=routes))
        self.socket.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(self.socket))
        sock.listen(100)
        await server.listen(sock)
        self._up.set()
        await self._stopping.wait()
        await server.close(0.1)

    async def _routes(self, request: Request) -> Response:
        after = request.query_params.get("after", "")
        ends = monotonic() + float(request.query_params["timeout"])
        while (found := self.table.since(after)) is None:
            if monotonic() > ends:
                found = Routes(version=after)
                break
            await self.table.wait(ends - monotonic())
        return Response(msgspec.json.encode(found), media_type="application/json")

    async def _login(self, request: Request) -> Response:
        user = self.users.get(msgspec.json.decode(await request.body())["token"], "")
        answer = {"user": user} if user else {"error": "nobody's"}
        return Response(msgspec.json.encode(answer), 200 if user else 403, media_type="application/json")

    async def _request(self, request: Request) -> Response:
        self.loads.append((monotonic(), msgspec.json.decode(await request.body(), type=ReportLoad)))
        return Response(b'{"type":"Done"}', media_type="application/json")

    def held(self, name: str) -> int:
        """As the gateway has said last."""
        return next((one.held for _, load in self.loads[-1:] for one in load.services if one.service == name), 0)

    def put(self, *objects: AnyObject, removed: Iterable[ObjectKey] = ()) -> float:
        """Commit them; when."""
        done = threading.Event()
        event = ObjectsChanged(time=1.0, objects=objects, removed=tuple(removed), version=self.objects.version + 1)

        def apply() -> None:
            self.objects.apply(event)
            self.objects.dirty.clear()
            self.table.put(Published(1, event))
            done.set()

        self._loop.call_soon_threadsafe(apply)
        assert done.wait(PATIENCE)
        return monotonic()


class Backend:
    """One replica: a server that says its name, slowly if asked to, or not before it may `go_on`; and counts."""

    def __init__(self, name: str, port: int = 0, seconds: float = 0.0, *, holds: bool = False) -> None:
        self.name, self.seconds, self.holds = name, seconds, holds
        self.requests = self.in_flight = self.most = 0
        self.heads: list[bytes] = []
        self._up = threading.Event()
        self._want = port
        self.port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(PATIENCE)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._go_on = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._on_connection, "127.0.0.1", self._want, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stopping.wait()
        server.close()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
                self.heads = [*self.heads[-20:], head]
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                if head.startswith(b"GET /ws "):
                    writer.write(
                        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                    )
                    while data := await reader.read(1000):
                        writer.write(data)
                    return
                if head.startswith(b"GET /events "):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                    await self._go_on.wait()
                    writer.write(b"data: 2\n\n")
                    return
                if self.holds:
                    await self._go_on.wait()
                if self.seconds:
                    await asyncio.sleep(self.seconds)
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                self.in_flight -= 1
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    def go_on(self) -> None:
        """With the events, and with what is held."""
        self._loop.call_soon_threadsafe(self._go_on.set)

    def stop(self) -> None:
        """All its connections are cut."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(PATIENCE)


class GatewayProcess:
    def __init__(self, directory: Path, endpoint: str, config: str = "") -> None:
        self.directory = directory
        (directory / "corral.toml").write_text(config)
        self._endpoint = endpoint
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "corral.gateway", "--dir", str(self.directory), "--endpoint", self._endpoint]
        self.process = subprocess.Popen(command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def caddy_pid(self) -> int:
        return self.pid_of("caddy")

    def pid_of(self, program: str) -> int:
        try:
            return int((self.directory / "gateway" / f"{program}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def stop(self) -> None:
        """With its Caddy."""
        self.kill()
        for pid in (self.caddy_pid, self.pid_of("pointers")):
            if pid:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
