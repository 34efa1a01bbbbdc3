"""How do orders come in and reports go out?"""

import asyncio
import os

import msgspec

from corral.agent import podroom
from corral.agent.addresses import NodeAddresses
from corral.agent.control import Executed, Sample, Sampled, Started, encode_command
from corral.agent.endings import Endings
from corral.agent.gpuwatch import NVIDIAS_RULES, GpuWatch, Look
from corral.agent.imagekeeper import ImageKeeper
from corral.agent.images import Images
from corral.agent.inventory import free_memory_mb
from corral.agent.launch import Launcher, LaunchHead
from corral.agent.mps import Mps
from corral.agent.names import NodeNames
from corral.agent.outbox import Outbox
from corral.agent.podlogs import PodLogs
from corral.agent.podnet import PodNetworks
from corral.agent.rebooting import Rebooting
from corral.agent.recovery import recover, sweep
from corral.agent.shepherds import Shepherds
from corral.agent.spawner import SpawnerDied
from corral.agent.spool import Spool, job_name
from corral.agent.volumekeeper import ClaimDirectories, VolumeFiles
from corral.agent.xid import Rules
from corral.bus import subjects
from corral.bus.interface import Bus
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.model.gres import GresDevice
from corral.model.node import NodeInventory
from corral.protocol.orders import (
    EndJob,
    FetchImage,
    ForgetPod,
    ListImages,
    NotifyStep,
    ReadLog,
    RebootNode,
    RemoveDirectory,
    RemoveImage,
    ReportsCommitted,
    SampleSteps,
    SendInventory,
    ShutDown,
    SignalTasks,
    SuspendJob,
    TellAddresses,
    TellNames,
    WriteFiles,
)
from corral.protocol.reports import AgentRegistered, Heartbeat, JobCleaned, NodeFailed, StepFinished, StepSampled

_decode_order = msgspec.msgpack.Decoder(
    LaunchHead
    | EndJob
    | SignalTasks
    | SuspendJob
    | NotifyStep
    | SampleSteps
    | FetchImage
    | ListImages
    | RemoveImage
    | ReadLog
    | ForgetPod
    | WriteFiles
    | RemoveDirectory
    | RebootNode
    | TellNames
    | TellAddresses
    | ReportsCommitted
    | SendInventory
    | ShutDown
).decode

#: Seconds that `corral down` waits for killed jobs, and for their ends to be acknowledged.
SHUTDOWN_WAIT = 10.0


class AgentLoop:
    """One agent: its nodes, its steps, its connection."""

    def __init__(
        self,
        *,
        agent: str,
        cluster: str,
        nodes: tuple[NodeInventory, ...],
        bus: Bus,
        spool: Spool,
        shepherds: Shepherds,
        log: Log,
        heartbeat: float = 5.0,
        epilog_timeout: float = 300.0,
        endpoint: str = "",
        images: Images | None = None,
        networks: PodNetworks | None = None,
        names: NodeNames | None = None,
        addresses: NodeAddresses | None = None,
        devices: tuple[GresDevice, ...] = (),
        mps: Mps | None = None,
        xids: Rules = NVIDIAS_RULES,
    ) -> None:
        """`devices`: real ones, which may fail."""
        self._agent, self._cluster, self._nodes = agent, cluster, nodes
        self._names = tuple(node.name for node in nodes)
        self._own = frozenset(self._names)
        self._bus, self._shepherds, self._log = bus, shepherds, log
        self._heartbeat = heartbeat
        self._spool = spool
        self._term = spool.read_term()
        self._instance = f"{os.getpid()}-{clock.now():.6f}"
        self._reports = subjects.reports(cluster, agent, self._names)
        # Above every number an earlier life used: it counts up from the clock, and no life makes a million reports a second.
        self._outbox = Outbox(self._publish, int(clock.now() * 1_000_000))
        self._launcher = Launcher(agent, spool, self._outbox, shepherds, log, endpoint, images, mps, networks, names)
        self._imagekeeper = ImageKeeper(agent, images, self._outbox, spool)
        self._podlogs = PodLogs(agent, str(spool.root / "pods"), self._outbox)
        self._volumefiles = VolumeFiles(agent, str(spool.root / "boxes"), self._outbox)
        self._claimdirs = ClaimDirectories(agent, self._outbox)
        self._rebooting = Rebooting(agent, self._outbox, log)
        self._endings = Endings(self._launcher, epilog_timeout)
        watch = GpuWatch(devices, self._on_bad_device, rules=xids)
        self._watch = watch if watch.is_needed() else None
        self._servicenames, self._addresses = names, addresses
        self._registration = 0
        self._stopping = asyncio.Event()
        self._shutdown: asyncio.Task[None] | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._shepherds.fileno(), self._on_notices)
        loop.add_reader(self._shepherds.spawner.fileno(), self._on_spawner)
        recover(self._launcher)
        if self._servicenames is not None:
            self._servicenames.resume()
        if self._addresses is not None:
            self._addresses.resume()
            if (networks := self._launcher.networks) is not None:
                networks.on_change = self._addresses.look_now
        for job in mps.jobs() if (mps := self._launcher.mps) is not None else ():
            if self._spool.is_buried(job_name(*job)):
                self._endings.leave_mps(job)
        self._bus.on_reconnect(self._on_connected)
        for name in self._names:
            await self._bus.subscribe(subjects.orders(self._cluster, name), self._on_order)
        await self._bus.subscribe(subjects.acks(self._cluster, self._agent), self._on_order)
        await self._connected()
        self._on_connected()
        shortening = asyncio.ensure_future(self._podlogs.keep_short())
        self._log.info("agent is up", nodes=len(self._names), steps=len(self._launcher.table), term=self._term)
        try:
            while not self._stopping.is_set():
                self._beat()
                try:
                    await asyncio.wait_for(self._stopping.wait(), self._heartbeat)
                except TimeoutError:
                    pass
        finally:
            shortening.cancel()
            await self._close()

    async def _connected(self) -> None:
        """Wait for the bus; steps end and are watched meanwhile, and `stop` is heard."""
        connecting = asyncio.ensure_future(self._bus.connect())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait((connecting,))
        else:
            connecting.result()

    def stop(self) -> None:
        """End the agent; its steps run on."""
        self._stopping.set()

    # ------------------------------------------------------------------ out

    async def _publish(self, batch: bytes) -> None:
        await self._bus.publish(self._reports, batch)

    def _on_connected(self) -> None:
        self._register()
        self._outbox.send_all()

    def _register(self) -> None:
        self._outbox.drop(self._registration)
        registered = AgentRegistered(
            agent=self._agent, instance=self._instance, nodes=self._nodes, steps=self._launcher.table.known(),
            highest_job=self._spool.highest_job,
        )  # fmt: skip
        self._registration = self._outbox.report(registered).sequence

    def _beat(self) -> None:
        sweep(self._launcher, self._heartbeat)
        self._endings.kill_what_does_not_end(clock.monotonic())
        if self._servicenames is not None:
            self._servicenames.refresh()
        if self._addresses is not None:
            self._addresses.look()
        seen = self._watch.turn() if self._watch is not None else Look()
        if self._bus.is_connected:
            self._tell_inventory(seen)

    def _on_bad_device(self, reason: str) -> None:
        self._log.error("a device has failed", reason=reason)
        self._outbox.report(NodeFailed(agent=self._agent, node=self._names[0], reason=reason))

    def _tell_inventory(self, seen: Look) -> None:
        self._outbox.tell(
            Heartbeat(
                agent=self._agent,
                nodes=self._names,
                steps=self._launcher.table.known(),
                load=round(os.getloadavg()[0], 2),
                free_memory_mb=free_memory_mb(),
                gpus=seen.busy,
                gpus_memory_mb=seen.memory_mb,
                names=self._servicenames.known if self._servicenames is not None else None,
                addresses=self._addresses.version if self._addresses is not None else None,
            )
        )

    # ------------------------------------------------------------------ in

    def _on_order(self, subject: str, data: bytes) -> None:
        try:
            order = _decode_order(data)
        except msgspec.DecodeError as error:
            self._log.error("an order is not readable", error, subject=subject)
            return
        if order.term < self._term:
            self._log.warning(
                "order of an earlier controller", term=order.term, seen=self._term, kind=type(order).__name__
            )
            return
        if order.term > self._term:
            self._take_term(order.term)
        try:
            self._obey(order, data)
        except OSError as error:
            # A full disk: the order counts as never heard, and the controller says it again.
            self._log.error("an order could not be obeyed", error, kind=type(order).__name__)

    def _take_term(self, term: int) -> None:
        self._term = term
        try:
            self._spool.write_term(term)
        except OSError as error:
            # A full disk must not keep orders away that may make room. This life knows the term; the next one asks.
            self._log.error("the term cannot be kept", error, term=term)

    def _obey(self, order: object, data: bytes) -> None:
        match order:
            case LaunchHead():
                if order.node in self._own and self._shutdown is None:
                    self._launcher.on_launch(order, data)
            case ReportsCommitted():
                self._on_committed(order)
            case SignalTasks():
                self._endings.on_signal(order)
            case EndJob():
                self._endings.on_end_job(order)
            case SuspendJob():
                self._endings.on_suspend(order)
            case NotifyStep():
                self._endings.on_notify(order)
            case SampleSteps():
                for key in order.keys:
                    self._shepherds.control(order.node, key, encode_command(Sample(query=order.query)))
            case FetchImage() | ListImages() | RemoveImage():
                self._imagekeeper.obey(order)
            case ReadLog() | ForgetPod():
                self._podlogs.obey(order)
            case RemoveDirectory():
                self._claimdirs.obey(order)
            case RebootNode():
                self._rebooting.obey(order)
            case TellNames():
                if self._servicenames is not None:
                    self._servicenames.take(order.names)
            case TellAddresses():
                if self._addresses is not None:
                    self._addresses.take(order)
            case WriteFiles():
                self._volumefiles.obey(order)
            case SendInventory():
                self._on_connected()
            case ShutDown():
                self._begin_shutdown(order.kill_jobs)

    def _on_committed(self, order: ReportsCommitted) -> None:
        for sequence in order.sequences:
            match self._outbox.acknowledged(sequence):
                case StepFinished() as report:
                    self._launcher.on_finish_committed(report)
                case JobCleaned() as report:
                    self._endings.on_cleaned_committed(report)

    def _on_notices(self) -> None:
        for notice in self._shepherds.notices():
            if isinstance(notice, Sampled):
                self._outbox.tell(
                    StepSampled(
                        agent=self._agent, node=notice.node, key=notice.key, query=notice.query, used=notice.used,
                        pids=notice.pids,
                    )
                )  # fmt: skip
            elif isinstance(notice, Executed):
                self._launcher.pods.executed(notice)
            elif isinstance(notice, Started):
                self._launcher.on_started(notice.node, notice.key, notice.time)
            else:
                self._launcher.on_finished(notice.node, notice.key, notice.record)

    def _on_spawner(self) -> None:
        try:
            for node, key, number in self._shepherds.spawner.failures():
                self._launcher.on_fork_failed(node, key, number)
        except SpawnerDied:
            self._log.error("the spawner died")
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._shepherds.spawner.fileno())
            self._shepherds.spawner.close()
            self._shepherds.respawn()
            loop.add_reader(self._shepherds.spawner.fileno(), self._on_spawner)
            self._launcher.on_new_spawner()

    # ------------------------------------------------------------------ ending

    def end_all(self) -> None:
        """End all steps, then the agent."""
        self._begin_shutdown(True)

    def _begin_shutdown(self, kill_jobs: bool) -> None:
        if self._shutdown is None:
            self._shutdown = asyncio.get_running_loop().create_task(self._shut_down(kill_jobs))

    async def _shut_down(self, kill_jobs: bool) -> None:
        if kill_jobs:
            self._endings.end_everything("shutdown")
            deadline = clock.monotonic() + SHUTDOWN_WAIT
            while len(self._launcher.table) and clock.monotonic() < deadline:  # noqa: ASYNC110 - seldom, and short
                await asyncio.sleep(0.02)
            for job in mps.jobs() if (mps := self._launcher.mps) is not None else ():
                self._endings.leave_mps(job)
            await self._endings.left_mps()
            if self._launcher.networks is not None:
                await self._launcher.networks.clear_all()
            if self._servicenames is not None:
                self._servicenames.end()
            if self._addresses is not None:
                await self._addresses.end()
            podroom.unmount_all(str(self._launcher.spool.root / "boxes"))
        self.stop()

    async def _close(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._shepherds.fileno())
        loop.remove_reader(self._shepherds.spawner.fileno())
        if self._bus.is_connected:
            await self._outbox.flush()
        self._outbox.close()
        await self._bus.close()
        self._log.info("agent ends", steps=len(self._launcher.table))
