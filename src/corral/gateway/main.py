"""How does a gateway start and end, and how does what the controller tells become traffic?"""

import argparse
import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import uvloop

from corral.client.connection import Connection, default_endpoint, state_dir
from corral.config import files
from corral.config.cluster import load
from corral.daemon import clock, lockfile, memory
from corral.daemon.logs import Log
from corral.daemon.process import ProgramFailed
from corral.daemon.signals import on_stop
from corral.errors import CorralError, Refused, Unreachable
from corral.gateway import generations, proxying, routes
from corral.gateway.activator import Activator
from corral.gateway.admin import CaddyAway
from corral.gateway.caddy import Caddy, socket_directory
from corral.gateway.caddy import Refused as CaddyRefused
from corral.gateway.load import Sampler
from corral.gateway.login import Login
from corral.gateway.names import Names
from corral.gateway.pointing import Pointing
from corral.gateway.ports import Ports, can_bind
from corral.gateway.proxying import Settings
from corral.gateway.relay import Relays
from corral.gateway.table import Table
from corral.gateway.unfit import Unfit
from corral.gateway.waiting import Waiting
from corral.model.cluster import ClusterConfig
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import IngressRoute, PortRoute, Routes, ServiceRoute

#: A question for changes is answered after so many seconds, if there are none.
_POLL_SECONDS = 30.0
_FIRST_SECONDS = 5.0  #: for the first answer; what was saved holds when it does not come
_AGAIN_SECONDS = 0.5
_SAVE_SECONDS = 0.5
#: Where the shared port is another's, the next ones are tried.
_NEXT_PORTS = 20

_decode = msgspec.json.Decoder(Routes).decode


class AlreadyRunning(CorralError):
    """Another gateway works in {directory} (process {pid})."""


class Gateway:
    """One gateway, in one state directory."""

    def __init__(self, config: ClusterConfig, directory: Path, endpoint: str, name: str) -> None:
        self.config = config
        self.home = directory / "gateway"
        self.name = name
        self._endpoint = endpoint
        self._lock = -1
        self._tasks: list[asyncio.Task[None]] = []
        self._changed, self._unsaved, self._pointed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._shapes: dict[ObjectKey, tuple[ServiceRoute, object]] = {}
        self._told: object = None  #: what Caddy's configuration was made of
        self.stopping = asyncio.Event()
        self.http_port = self.https_port = 0
        self.is_serving = False

    async def run(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        self.log = Log(self.home / "gateway.log", self.config.log_level, pid=os.getpid())
        on_stop(self.stopping.set)
        self.table = Table(self.home / "routes.json")
        self.table.load()
        self.sockets = socket_directory(self.home)
        self.pointing = Pointing(self.home, self.sockets, self.log)
        self.ports = Ports(self.pointing.copies, self.log)
        self.pointing.on_start = self.ports.deposit
        self.caddy = Caddy(self.home, self.sockets, self.log, self.ports, self._given)
        self.caddy.on_start = self._changed.set
        self.login = Login(self.sockets / "login.sock", self._endpoint)
        gateway = self.config.gateway
        self.waiting = Waiting(gateway.held_requests, gateway.held_seconds, lambda: self.sampler.hurry())
        self.relays = Relays(self.waiting, self.log)
        self.activator = Activator(self.sockets / "waiting", self.waiting, self.log)
        self.names = Names(self.config, lambda: self.table.services, self.log, lambda: self.sampler.hurry())
        self.sampler = Sampler(
            self.name, self._endpoint, self.caddy, self.relays, self.waiting, self.log, self.table.services.values,
            lambda: routes.names(self.table.services.values(), self.table.ingresses.values(), self.config.gateway),
            self._reported,
        )  # fmt: skip
        self.unfit = Unfit(self.caddy, self.log)
        await self._take_over()
        self.log.info("started", endpoint=self._endpoint, services=len(self.table.services))
        self._start(self._follow(), "routes")
        self._start(self._whenever(self._changed, self._apply), "apply")
        self._start(self._whenever(self._pointed, self._load), "configuration")
        self._start(self.caddy.run(), "caddy")
        self._start(self.sampler.run(), "load")
        self._start(self._save(), "save")
        await self.stopping.wait()
        self.log.info("stopped")

    async def _take_over(self) -> None:
        """The Caddy of the gateway before us, if it runs."""
        if not self.caddy.adopt():
            return
        servers = self.ports.take_back(await self.caddy.listening())
        if servers is None:  # whoever connects to a socket that is nobody's would wait for ever
            self.log.warning("caddy is started anew: the sockets that it listens on are lost")
            await self.caddy.program.end()
            return
        self.http_port, self.https_port = servers.get(routes.SHARED, 0), servers.get(routes.SHARED_TLS, 0)
        self.log.info("took over caddy", ports=len(servers))

    def _take_lock(self) -> None:
        try:
            self._lock = lockfile.hold(self.home / "lock")
        except lockfile.Held as other:
            raise AlreadyRunning(directory=self.home, pid=other.pid) from None

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_task_done)
        self._tasks.append(task)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("a part of the gateway failed", error, part=task.get_name())
            self.stopping.set()

    # -- from the controller

    async def _follow(self) -> None:
        """Ask for what has changed, for ever.

        Nothing is done before the first answer, or until it is clear that none comes: a Caddy that was taken over may know
        more than what was saved.
        """
        connection = Connection(self._endpoint, timeout=_FIRST_SECONDS)
        seconds, is_away = 0.0, False
        while True:
            asked = urlencode({"after": self.table.version, "timeout": seconds})
            try:
                answer = await asyncio.to_thread(
                    connection.call, "GET", f"/v1/gateway/routes?{asked}", retry_seconds=0.0
                )
                told = _decode(answer)
            except (Unreachable, Refused, OSError, msgspec.DecodeError) as error:
                if not is_away:
                    self.log.warning("no controller answers", error=str(error))
                    if self.table.version:
                        self._changed.set()
                is_away = True
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if is_away:
                self.log.info("the controller answers again")
            is_away = False
            if self.table.take(told) or not seconds:
                self._changed.set()
            if not seconds:
                seconds, connection = _POLL_SECONDS, Connection(self._endpoint, timeout=_POLL_SECONDS + 15)

    # -- to Caddy

    async def _whenever(self, told: asyncio.Event, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """What is new goes to Caddy, all that has come meanwhile at once."""
        while True:
            await told.wait()
            told.clear()
            try:
                await work()
            except (CaddyAway, ProgramFailed, CaddyRefused, OSError) as error:
                self.log.error("the routes have not been taken over", error)
                self._told = None
                await asyncio.sleep(_AGAIN_SECONDS)
                told.set()

    async def _apply(self) -> None:
        """All that holds at once. A new configuration takes its time."""
        services, ingresses = list(self.table.services.values()), list(self.table.ingresses.values())
        if not services and not ingresses and not self.caddy.is_running:
            return
        began = clock.monotonic()
        if not self.is_serving:
            self.is_serving = True
            await self.pointing.start()
            self._start(self.pointing.run(), "pointers")
        tcp: dict[int, tuple[ServiceRoute, PortRoute]] = {}
        http: dict[str, tuple[ServiceRoute, PortRoute]] = {}
        for service in services:
            for port in service.ports:
                if port.speech != "tcp":
                    http[proxying.key_of(service, port)] = service, port
                elif port.listen:
                    tcp[port.listen] = service, port
        await self.pointing.point(proxying.pointed_at(services))
        await self.activator.set(http)
        await self.relays.set(tcp, self._addresses())
        await self.names.answer_at(self._addresses())
        if any(one.auth == "login" for one in [one.traffic for one in services] + [one.traffic for one in ingresses]):
            await self.login.open()
        self._unsaved.set()
        self._pointed.set()
        seconds = round(clock.monotonic() - began, 4)
        self.log.debug("routes", services=len(services), version=self.table.version, seconds=seconds)

    async def _load(self) -> None:
        """A new configuration, where one is needed."""
        began = clock.monotonic()
        services, ingresses = list(self.table.services.values()), self.unfit.without(self.table.ingresses.values())
        settings = self._settings(services, ingresses)
        shape = [self._shape(one) for one in services], ingresses, settings, self.caddy.program.pid
        if shape == self._told:
            return
        await self.sampler.count()
        has_clients = self.sampler.is_busy or generations.has_clients(self.ports.told)
        try:
            await self.caddy.load(routes.caddy_config(services, ingresses, settings), has_clients)
        except CaddyRefused:
            if not await self.unfit.find(ingresses, lambda some: routes.caddy_config(services, some, settings)):
                raise
            self._told = None
            self._pointed.set()
            return
        self._told = *shape[:-1], self.caddy.program.pid
        self.ports.keep()
        self._show_authority()
        seconds = round(clock.monotonic() - began, 4)
        self.log.debug("configuration", services=len(services), seconds=seconds)

    def _shape(self, service: ServiceRoute) -> object:
        known = self._shapes.get(service.key)
        if known is None or known[0] is not service:
            known = self._shapes[service.key] = service, proxying.shape_of(service)
        return known[1]

    async def _save(self) -> None:
        """What is known goes to disk, but not each change of it."""
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(_SAVE_SECONDS)
            self._unsaved.clear()
            for key in [key for key in self._shapes if key not in self.table.services]:
                del self._shapes[key]
            try:
                self.table.save()
            except OSError as error:
                self.log.error("the routes cannot be saved", error)

    def _show_authority(self) -> None:
        """Everybody may read the certificate of the cluster's authority."""
        made = self.home / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        shown = self.home.parent / "gateway-ca.crt"
        if made.exists() and not (shown.exists() and shown.read_bytes() == made.read_bytes()):
            shown.write_bytes(made.read_bytes())
            shown.chmod(0o644)

    def _given(self, is_bare: bool) -> list[int]:
        return self.ports.to_give(self._addresses(), is_bare=is_bare)

    def _reported(self) -> dict[str, object]:
        ports = {"http_port": self.http_port, "https_port": self.https_port}
        unusable = tuple(sorted(self.ports.unusable | self.relays.unusable))
        return {"unusable_ports": unusable, **ports, **self.names.reported()}

    def _settings(self, services: list[ServiceRoute], ingresses: list[IngressRoute]) -> Settings:
        """With the ports that can be had: Caddy takes all of a configuration or nothing."""
        addresses = self._addresses()
        config = self.config.gateway
        self.http_port = self.http_port or self._shared_port(config.http_port)
        if any(one.certificates for one in ingresses):
            self.https_port = self.https_port or self._shared_port(config.https_port)
        settings = Settings(
            config=config, caddy=self.caddy.socket, pointers=self.pointing.socket, waiting=self.activator.directory,
            login=self.login.socket, http_port=self.http_port, https_port=self.https_port,
            access_log=str(self.home / "access.log") if config.access_log else "", addresses=addresses,
        )  # fmt: skip
        wanted = routes.listeners(services, settings)
        return msgspec.structs.replace(
            settings, listen=self.ports.open(wanted, addresses, is_running=self.caddy.is_running)
        )

    def _shared_port(self, wanted: int) -> int:
        """This one, or one of the next; 0 = none."""
        if not wanted:
            return 0
        ports = range(wanted, min(wanted + _NEXT_PORTS, 65536))
        found = next((port for port in ports if self.ports.is_free(port, self._addresses())), 0)
        if found != wanted:
            self.log.warning("the shared port is another's", port=wanted, instead=found)
        return found

    def _addresses(self) -> tuple[str, ...]:
        """The configured one, and the one by which Pods with a network of their own see this machine, once that is there."""
        found = [self.config.gateway.listen]
        if (more := self.config.host_for_pods) and can_bind(more, 0):
            found.append(more)
        return tuple(found)


def main(argv: list[str] | None = None) -> int:
    """`corral gateway` in the foreground."""
    parser = argparse.ArgumentParser(prog="corral gateway", description="Run the gateway in the foreground.")
    parser.add_argument("--config", type=Path, help="corral.toml")
    parser.add_argument("--dir", type=Path, help="state directory (default: state_dir of the configuration)")
    parser.add_argument("--endpoint", default="", help="the controller's address")
    parser.add_argument("--name", default=socket.gethostname().partition(".")[0], help="of this gateway")
    arguments = parser.parse_args(argv)
    memory.be_frugal()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        config = load(arguments.config or files.find(None, arguments.dir or state_dir()))
        directory = (arguments.dir or Path(config.state_dir or state_dir())).absolute()
        endpoint = arguments.endpoint or default_endpoint()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

            async def go() -> None:
                await Gateway(config, directory, endpoint, arguments.name).run()

            runner.run(go())
    except CorralError as error:
        print(f"corral: error: {error}", file=sys.stderr)
        return 1
    return 0
