"""A controller in this process: the real engine, loop, API and socket; a store in memory, and an agent that plays along."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any

import msgspec
from tests.waiting import PATIENCE, wait_until

from corral.bus import subjects
from corral.bus.credentials import ClusterKeys
from corral.bus.memory import MemoryBroker, MemoryBus
from corral.client.connection import Connection
from corral.controller.api.app import make_app
from corral.controller.api.server import HttpServer
from corral.controller.api.service import Service
from corral.controller.loop import Loop
from corral.controller.mail import Mail
from corral.controller.perform import BlobCache, Performer
from corral.controller.recovery import recover
from corral.controller.watchers import Watchers
from corral.daemon.logs import Log
from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig
from corral.model.gres import GresDevice
from corral.model.job import ExitStatus
from corral.model.node import NodeInventory
from corral.model.step import TaskExit
from corral.protocol import codec, orders, reports
from corral.scheduler.cycle import schedule_in_steps
from corral.store.memory import MemoryStore

AGENT = "agent"


class FakeAgent:
    """Takes every launch, and ends it when told to, or at once."""

    def __init__(self, bus: MemoryBus, cluster: str, nodes: tuple[str, ...]) -> None:
        self.bus, self.cluster, self.nodes = bus, cluster, nodes
        self.launched: list[orders.LaunchStep] = []
        self.orders: list[Any] = []
        self.unacknowledged: dict[int, Any] = {}
        self.ends_at_once = True
        self.status = ExitStatus()
        self._sequence = 0

    async def start(self) -> None:
        for node in self.nodes:
            await self.bus.subscribe(subjects.orders(self.cluster, node), self.on_order)
        await self.bus.subscribe(subjects.acks(self.cluster, AGENT), self.on_ack)
        await self.bus.connect()
        await self.register()

    async def register(self) -> None:
        inventories = tuple(
            NodeInventory(name=node, cpus=16, memory_mb=64000, gres=(GresDevice(name="gpu", type="v100", count=8),))
            for node in self.nodes
        )
        await self.say(reports.AgentRegistered(agent=AGENT, instance="1", nodes=inventories))

    async def say(self, *many: Any) -> None:
        await self.bus.publish(subjects.reports(self.cluster, AGENT, self.nodes), codec.encode_reports(list(many)))

    async def report(self, report: Any) -> None:
        self._sequence += 1
        report = self.unacknowledged[self._sequence] = msgspec.structs.replace(report, sequence=self._sequence)
        await self.say(report)

    async def on_order(self, subject: str, payload: bytes) -> None:
        order = codec.decode_order(payload)
        self.orders.append(order)
        if isinstance(order, orders.LaunchStep):
            self.launched.append(order)
            if self.ends_at_once:
                await self.end(order)
        elif isinstance(order, orders.EndJob):
            for launch in [one for one in self.launched if one.key.job == order.job]:
                await self.end(launch)
            await self.report(reports.JobCleaned(agent=AGENT, node=order.node, job=order.job, restart=order.restart))

    async def end(self, order: orders.LaunchStep) -> None:
        self.launched.remove(order)
        tasks = tuple(TaskExit(task.rank, self.status, time()) for task in order.tasks)
        await self.report(
            reports.StepFinished(agent=AGENT, node=order.node, key=order.key, tasks=tasks, started=time(), ended=time())
        )

    async def on_ack(self, subject: str, payload: bytes) -> None:
        order = codec.decode_order(payload)
        if isinstance(order, orders.ReportsCommitted):
            for sequence in order.sequences:
                self.unacknowledged.pop(sequence, None)
        elif isinstance(order, orders.SendInventory):
            await self.register()
            await self.say(*self.unacknowledged.values())


class RunningController:
    """Serves in a thread of its own until stopped."""

    def __init__(
        self, directory: Path, store: MemoryStore | None = None, config: ClusterConfig | None = None,
        nodes: tuple[str, ...] = ("n1", "n2"), engine: Callable[..., Any] = Engine,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.store = store or MemoryStore()
        self.config = config or ClusterConfig()
        self.endpoint = f"unix://{directory}/corral.sock"
        self._nodes = nodes
        self._engine = engine
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(PATIENCE)
        if self._failure:
            raise self._failure
        if nodes:
            wait_until(lambda: len(self.loop.state.nodes) == len(nodes))

    async def _serve(self) -> None:
        try:
            await self._start()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._up.set()
        await self._stopping.wait()
        await self._server.close(0.2)
        self.loop.stop()
        await self._running
        self._performing.cancel()

    async def _start(self) -> None:
        self.event_loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        broker = MemoryBroker()
        bus = MemoryBus(broker)
        self.log_path = self.directory / "controller.log"
        log = Log(self.log_path, "debug")
        self.watchers = Watchers()
        term = self.store.next_term()
        self.performer = Performer(
            cluster="corral", term=term, bus=bus, keys=ClusterKeys.create("corral"), url=lambda: "nats://127.0.0.1:4222",
            blobs=BlobCache(self.store.blob), watchers=self.watchers, mail=Mail("", dict, log), log=log,
            agents=lambda: {AGENT},
        )  # fmt: skip
        self.loop = Loop(
            store=self.store, recover=lambda: recover(self.store),
            make_engine=lambda recovered: self._engine(self.config, recovered.state, term),
            schedule=schedule_in_steps, outside=self.performer, log=log, cycle_interval=0.001,
        )  # fmt: skip
        service = self.service = Service(
            config=self.config, loop=self.loop, store=self.store, watchers=self.watchers, performer=self.performer,
            log=log, token_key=b"k" * 32, facts=lambda: {"cluster": "corral", "term": term, "bus_connected": True},
        )  # fmt: skip
        self._server = HttpServer(make_app(service))
        sock = socket.socket(socket.AF_UNIX)
        (self.directory / "corral.sock").unlink(missing_ok=True)
        sock.bind(str(self.directory / "corral.sock"))
        sock.listen(100)
        await self._server.listen(sock)
        self.plain = socket.create_server(("127.0.0.1", 0))
        self.port = self.plain.getsockname()[1]
        await self._server.listen(self.plain)
        await bus.connect()
        await bus.subscribe(
            subjects.all_reports("corral"),
            lambda subject, data: self.loop.report(subjects.reporter(subject)[0], codec.decode_reports(data)),
        )
        self._running = asyncio.create_task(self.loop.run())
        self._performing = asyncio.create_task(self.performer.run())
        self.agent = FakeAgent(MemoryBus(broker), "corral", self._nodes)
        await self.agent.start()

    def connection(self) -> Connection:
        return Connection(self.endpoint)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something in the controller's thread."""

        async def do() -> Any:
            result = function(*arguments)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(do(), self.event_loop).result(PATIENCE)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.event_loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(PATIENCE)


@contextlib.contextmanager
def running(directory: Path, **options: Any) -> Iterator[RunningController]:
    controller = RunningController(directory, **options)
    try:
        yield controller
    finally:
        controller.stop()
