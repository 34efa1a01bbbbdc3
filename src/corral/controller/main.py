"""How does a controller start and end? Everything is wired here, and only here."""

import argparse
import asyncio
import math
import os
import pwd
import resource
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from corral.auth import tokens
from corral.auth.sealing import Sealer, load_keys
from corral.bus import subjects
from corral.bus.credentials import ClusterKeys
from corral.bus.nats import NatsBus
from corral.client.connection import state_dir
from corral.config import files
from corral.config.cluster import load
from corral.controller.api.app import make_app
from corral.controller.api.server import HttpServer
from corral.controller.api.service import Service
from corral.controller.facts import VERSION
from corral.controller.gatewaykeeper import GatewayKeeper
from corral.controller.jobtokens import JobTokens, authority
from corral.controller.loop import Loop
from corral.controller.mail import Mail
from corral.controller.measuring import Measuring
from corral.controller.nats import NatsKeeper
from corral.controller.perform import BlobCache, Performer
from corral.controller.proxykeeper import ProxyKeeper
from corral.controller.reconfigure import Reconfigurer
from corral.controller.recovery import recover
from corral.controller.secretkeeper import SecretKeeper
from corral.controller.watchers import Watchers
from corral.daemon import clock, lockfile, memory
from corral.daemon.logs import Log
from corral.daemon.ready import tell_ready
from corral.daemon.signals import on_stop
from corral.engine.engine import Engine
from corral.engine.kube.volumes import VOLUMES
from corral.errors import CorralError, StoreUnavailable
from corral.model.cluster import ClusterConfig
from corral.model.job import Job, JobId
from corral.protocol import codec
from corral.protocol.reports import AgentRegistered, AnyReport, Heartbeat
from corral.scheduler.cycle import schedule_in_steps
from corral.store.choice import open_store
from corral.store.sql import SqlStore


class AlreadyRunning(CorralError):
    """Another controller works in {directory} (process {pid})."""


class Controller:
    """One cluster's controller, in one state directory."""

    def __init__(self, config: ClusterConfig, directory: Path, config_path: Path | None = None) -> None:
        self.config = config
        self.directory = directory
        self.config_path = config_path
        self.started = clock.now()
        self.term = 0
        self.stopping = asyncio.Event()
        self._lock = -1
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        directory = self.directory
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._take_lock()
        if not self.config.storage_class:  # of the class "standard" (engine/kube/volumes.py)
            (directory / VOLUMES).mkdir(mode=0o755, exist_ok=True)
        self.log = Log(directory / "controller.log", self.config.log_level, pid=os.getpid())
        listening = self._listen()  # from now on clients wait instead of failing
        on_stop(self.stopping.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.start_nothing_more)
        store = await self._open_store()
        if store is None:
            return
        self._build(store)
        memory.collect_seldom()
        server = HttpServer(make_app(self.service))
        self._start(self.loop.run(), "loop")
        for sock, tls in listening:
            await server.listen(sock, tls)
        self.log.info(
            "started", version=VERSION, term=self.term, jobs=len(self.loop.state.jobs),
            seconds=round(clock.now() - self.started, 3),
        )  # fmt: skip
        for work, name in (
            (self._message_plane(), "bus"),
            (self.performer.run(), "perform"),
            (self.mail.run(), "mail"),
            (self.service.purger.run(), "purge"),
            (self.gateway.run(), "gateway"),
            (self.measuring.run(), "measure"),
            (self.secrets.seal_anew(self.loop), "secrets"),
            (self.proxy.run(), "proxy"),
        ):
            self._start(work, name)
        await self.stopping.wait()
        await self._end(server, store)

    # -- the parts

    def _take_lock(self) -> None:
        try:
            self._lock = lockfile.hold(self.directory / "controller.lock")
        except lockfile.Held as other:
            raise AlreadyRunning(directory=self.directory, pid=other.pid) from None

    @property
    def socket_path(self) -> Path:
        return Path(self.config.api.socket or self.directory / "corral.sock")

    def _listen(self) -> list[tuple[socket.socket, Any]]:
        path = self.socket_path
        # Bound under another name and moved: the name is never without a socket. Anyone may connect: the kernel says who it is.
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unix.bind(str(temporary))
        os.chmod(temporary, 0o666)
        unix.listen(4096)
        os.replace(temporary, path)
        found: list[tuple[socket.socket, Any]] = [(unix, None)]
        if self.config.api.listen:
            import ssl

            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.config.api.certificate, self.config.api.key)
            host, _, port = self.config.api.listen.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            found.append((socket.create_server((host.strip("[]"), int(port)), family=family, backlog=1024), context))
        return found

    async def _open_store(self) -> SqlStore | None:
        """The store, with a new term in it. A full disk, or a database that is away, is waited for."""
        path = self.directory / "corral.db"
        while not self.stopping.is_set():
            try:
                store = open_store(self.config.store.url, path)
                self.term = store.next_term(int(clock.now()))
                return store
            except StoreUnavailable as error:
                self.log.error("the store cannot be opened", error)
                try:
                    await asyncio.wait_for(self.stopping.wait(), 1.0)
                except TimeoutError:
                    pass
        return None

    def _build(self, store: SqlStore) -> None:
        config, directory, log = self.config, self.directory, self.log
        keys = ClusterKeys.load_or_create(directory / "keys", config.cluster)
        token_key = tokens.load_key(directory / "api.key")
        self.secrets = SecretKeeper(Sealer(load_keys(directory / "secrets.keys")), log)
        self.keeper = NatsKeeper(config.nats, directory / "nats", keys, log)
        self.watchers = Watchers()
        self.mail = Mail(config.programs.sendmail, lambda: self.loop.state.specs, log, self._array)
        self.bus = NatsBus(self.keeper.url or "nats://127.0.0.1:1", keys.controller_jwt)
        self.performer = Performer(
            cluster=config.cluster,
            term=self.term, bus=self.bus, keys=keys, url=lambda: self.keeper.advertised,
            blobs=BlobCache(store.blob), watchers=self.watchers, mail=self.mail, log=log, agents=self._agents,
            job_tokens=JobTokens(config.api, token_key, authority(config)) if config.api.listen else None, ca=config.nats.ca,
            secrets=self.secrets,
        )  # fmt: skip
        self.loop = Loop(
            store=store, recover=lambda: recover(store),
            make_engine=lambda recovered: Engine(self.config, recovered.state, self.term),
            schedule=schedule_in_steps, outside=self.performer, log=log,
            cycle_interval=config.scheduling.cycle_interval, snapshot_events=config.store.snapshot_events,
            sealed=self.secrets.sealed,
        )  # fmt: skip
        self.watchers.last_seq = self.loop.seq
        self.service = Service(
            config=config, loop=self.loop, store=store, watchers=self.watchers, performer=self.performer, log=log,
            token_key=token_key, facts=self.facts, secrets=self.secrets,
        )  # fmt: skip
        self.gateway = GatewayKeeper(
            lambda: self.config.gateway, lambda: self.loop.state.objects, directory, self.config_path,
            f"unix://{self.socket_path}", log,
        )  # fmt: skip
        self.measuring = Measuring(self.loop, self.service.samples, config.autoscaling, log)
        self.proxy = self.service.proxy = ProxyKeeper(
            lambda: self.config, directory, self.config_path, f"unix://{self.socket_path}", log
        )
        self.service.reconfigure = Reconfigurer(self.config_path, self.service, self._take_over).reconfigure

    def _array(self, number: int) -> list[Job]:
        state = self.loop.state
        return [state.jobs[member] for member in state.array_members.get(JobId(number), ())]

    def start_nothing_more(self) -> None:
        """The cluster is about to be stopped: what waits goes on waiting."""
        self.loop.cycles.postpone(math.inf)

    def _take_over(self, config: ClusterConfig) -> None:
        self.config = self.service.config = config
        self.measuring.config = config.autoscaling

    def _agents(self) -> set[str]:
        return {node.agent for node in self.loop.state.nodes.values() if node.agent}

    def facts(self) -> dict[str, Any]:
        return {
            "cluster": self.config.cluster,
            "term": self.term,
            "pid": os.getpid(),
            "version": VERSION,
            "config": str(self.config_path or ""),
            "user": f"{pwd.getpwuid(os.geteuid()).pw_name}({os.geteuid()})",
            "host": socket.gethostname(),
            "started": self.started,
            "uptime": clock.now() - self.started,
            "state_dir": str(self.directory),
            "endpoint": f"unix://{self.socket_path}",
            "nats_url": self.keeper.advertised,
            "bus_connected": self.bus.is_connected,
        }

    # -- the bus

    async def _message_plane(self) -> None:
        await self.keeper.start()
        # Kept from now on: a server that dies before the first connection would be waited for in vain.
        self._start(self.keeper.run(), "nats")
        self.bus = NatsBus(
            lambda: self.keeper.url,
            ClusterKeys.load(self.directory / "keys").controller_jwt,
            name="controller",
            ca_file=self.config.nats.ca,
            on_change=self._on_bus,
        )
        self.performer.use(self.bus)
        self.bus.on_reconnect(self.performer.recovered)
        await self.bus.subscribe(subjects.all_reports(self.config.cluster), self._on_reports)
        await self.bus.connect()
        self.performer.recovered()
        self._write_ready()

    def _on_bus(self, problem: str) -> None:
        if problem:
            self.log.warning("no message server", problem=problem)
        else:
            self.log.info("bus connected", url=self.keeper.url)

    def _on_reports(self, subject: str, payload: bytes) -> None:
        agent, mark = subjects.reporter(subject)
        try:
            reports = codec.decode_reports(payload)
        except (msgspec.DecodeError, UnicodeError) as error:
            self.log.warning("reports that cannot be read", agent=agent, error=str(error))
            return
        honest = [report for report in reports if report.agent == agent and self._speaks_for(agent, mark, report)]
        if len(honest) != len(reports):
            self.log.warning(
                "reports in another agent's name, or of other nodes than its credentials are for, were dropped",
                agent=agent,
            )
        rest = self.service.images.taken_from(self.service.samples.taken_from(honest))
        self.loop.report(agent, self.service.pod_logs.taken_from(rest))

    def _speaks_for(self, agent: str, mark: str, report: AnyReport) -> bool:
        """An agent registers the nodes that its credentials are for; what it says of another counts for nothing."""
        if isinstance(report, AgentRegistered | Heartbeat):
            names = (node if isinstance(node, str) else node.name for node in report.nodes)
            return subjects.mark_of(names) == mark
        name = getattr(report, "node", "")
        node = self.loop.state.nodes.get(name)
        return not name or node is None or node.agent == agent

    def _write_ready(self) -> None:
        path = self.directory / "controller.ready"
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(self.facts()) + b"\n")
        os.replace(temporary, path)
        tell_ready()

    # -- start and end

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_task_done)
        self._tasks.append(task)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Better dead and started again by whoever watches us than half alive.
            self.log.error("a part of the controller failed", error, part=task.get_name())
            self.stopping.set()

    async def _end(self, server: HttpServer, store: SqlStore) -> None:
        self.log.info("stopping")
        (self.directory / "controller.ready").unlink(missing_ok=True)
        await server.close()
        self.loop.stop()
        try:
            await asyncio.wait_for(asyncio.shield(self._tasks[0]), 20.0)
        except Exception as error:
            self.log.error("the loop did not end orderly", error)
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self.bus.close()
        store.close()
        self.log.info("stopped")


def main(argv: list[str] | None = None) -> int:
    """`corral controller` in the foreground."""
    parser = argparse.ArgumentParser(prog="corral controller", description="Run the controller in the foreground.")
    parser.add_argument("--config", type=Path, help="corral.toml")
    parser.add_argument("--dir", type=Path, help="state directory (default: state_dir of the configuration)")
    arguments = parser.parse_args(argv)
    memory.be_frugal()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each waiting srun holds a connection
    try:
        path = arguments.config or files.find(None, arguments.dir or state_dir())
        config = load(path)
        directory = (arguments.dir or Path(config.state_dir or state_dir())).absolute()
        config = msgspec.structs.replace(config, state_dir=str(directory))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

            async def go() -> None:
                await Controller(config, directory, path).run()

            runner.run(go())
    except CorralError as error:
        print(f"corral: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
