"""How does an order to launch become a running step, once and only once?

An order's key is claimed by making its directory in the spool; whoever finds it there has a repeated order. The prolog, if there
is one, runs once per job and node, and all steps of the job wait for it. Then the spawner gets the order, and from there on the
shepherd answers for the step: it leaves an exit record and says `finished`. A step that never gets so far gets its
exit record from the agent, so that every end goes the same way: record, report, acknowledgement, tombstone, directory removed.
"""

import asyncio
import os
from collections.abc import Callable

import msgspec

from corral.agent.identity import Identity
from corral.agent.imageruntimes import CannotFetch, Reader
from corral.agent.images import Images
from corral.agent.mps import CannotServe, Mps
from corral.agent.names import NodeNames
from corral.agent.outbox import Outbox
from corral.agent.podnet import PodNetworks
from corral.agent.podwatch import PodWatch
from corral.agent.prolog import node_program_environment, run_program
from corral.agent.shepherds import Shepherds
from corral.agent.spool import Spool, job_name, step_name
from corral.agent.steps import LocalStep, Phase, StepTable
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.model.step import EndCause, StepKey
from corral.protocol.codec import decode_order, encode
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import PodRun
from corral.protocol.reports import NodeFailed, StepFinished

#: Seconds between two looks whether a step that waits for its image has been cancelled.
_LOOK_SECONDS = 0.2
#: The controller's record was restored from a backup that was made before.
_BEHIND = "this run of the step is over, and how it ended is not known any more"
_decode_finished = msgspec.msgpack.Decoder(StepFinished).decode


class LaunchHead(msgspec.Struct, frozen=True, kw_only=True, tag="LaunchStep"):
    """The little of a LaunchStep that the agent looks at; the rest is left to the shepherd."""

    term: int = 0
    node: str
    key: StepKey
    prolog: str = ""
    prolog_timeout: float = 300.0
    image: str = ""
    pod: PodRun | None = None
    mps: bool = False


class Launcher:
    """Owns the table of steps."""

    def __init__(
        self,
        agent: str,
        spool: Spool,
        outbox: Outbox,
        shepherds: Shepherds,
        log: Log,
        endpoint: str = "",
        images: Images | None = None,
        mps: Mps | None = None,
        networks: PodNetworks | None = None,
        names: NodeNames | None = None,
    ) -> None:
        self.agent, self.spool, self.outbox, self.shepherds, self.log = agent, spool, outbox, shepherds, log
        self.endpoint = endpoint
        self.images = images
        self.mps = mps
        self.networks = networks
        self.names = names
        self.pods = PodWatch(agent, outbox, spool, shepherds)
        self.table = StepTable()
        self.ending: set[tuple[str, int, int]] = (
            set()
        )  #: jobs whose end has been ordered: nothing starts there any more
        self.on_step_over: Callable[[LocalStep], None] = lambda step: None
        self._prologs: dict[tuple[str, int, int], asyncio.Task[str]] = {}
        self._preparing: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ orders

    def on_launch(self, order: LaunchHead, data: bytes) -> None:
        node, key = order.node, order.key
        if (known := self.table.get(node, key)) is not None:
            self._tell_again(known)
            return
        if self.spool.is_buried(step_name(node, key)):
            # Sent twice, and the controller has its end: then this changes nothing. Or its record is older than that end.
            self.log.debug("launch of a step that is over", step=str(key), node=node)
            over = StepFinished(
                agent=self.agent, node=node, key=key, tasks=(), cause=EndCause.LOST, message=f"{node}: {_BEHIND}"
            )
            self.outbox.report(over)
            return
        if not self.spool.claim(node, key, data):
            self.log.warning("launch of a step that is on disk and not in memory", step=str(key), node=node)
            return
        step = LocalStep(node, key, Phase.PREPARING, clock.monotonic())
        step.pod = order.pod
        self.table.add(step)
        job = (node, key.job, key.restart)
        if job in self.ending or self.spool.is_buried(job_name(*job)):
            self.end_unstarted(step, EndCause.CANCELLED, "the job has ended")
        else:
            self.prepare(step, order, data)

    def prepare(self, step: LocalStep, order: LaunchHead, data: bytes) -> None:
        """Prolog where there is one and it has not run for this job, MPS, the image of its container; then on to the spawner."""
        needs_prolog = order.prolog and self.spool.job_mark(step.node, step.key.job, step.key.restart, "prolog") is None
        has_mps = bool(order.mps and self.mps)
        if (
            not needs_prolog
            and not order.image
            and not has_mps
            and not self._needs_network(order)
            and not self._needs_names(order)
        ):
            self._spawn(step, data)
            return
        task = asyncio.get_running_loop().create_task(
            self._prepared(step, order, data, needs_prolog=bool(needs_prolog))
        )
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    def _spawn(self, step: LocalStep, data: bytes) -> None:
        step.phase, step.since = Phase.LAUNCHED, clock.monotonic()
        try:
            self.shepherds.launch(data)
        except OSError as error:
            # It is dead; its successor gets what it did not take.
            self.log.error("the spawner does not take orders", error, step=str(step.key))

    def spawn_again(self, step: LocalStep) -> None:
        """For a step that no shepherd has taken. Should one be on its way after all, the second finds the step taken."""
        data = self.spool.launch_order(step.node, step.key)
        if data is not None and not self.shepherds.has_begun(step.node, step.key):
            self._spawn(step, data)

    def on_new_spawner(self) -> None:
        for step in self.table:
            if step.phase is Phase.LAUNCHED:
                self.spawn_again(step)

    def on_fork_failed(self, node: str, key: StepKey, number: int) -> None:
        step = self.table.get(node, key)
        if step is not None and not step.is_over:
            self.end_unstarted(step, EndCause.LAUNCH_FAILED, f"{node}: cannot start a process: {os.strerror(number)}")

    async def _prepared(self, step: LocalStep, order: LaunchHead, data: bytes, *, needs_prolog: bool) -> None:
        job = (step.node, step.key.job, step.key.restart)
        problem = await self._after_prolog(step, order, data) if needs_prolog else ""
        if not problem and not step.cancelled and order.mps and self.mps is not None:
            problem = await self._enter_mps(self.mps, step, data)
        if not problem and not step.cancelled and self._needs_network(order):
            assert self.networks is not None
            assert order.pod is not None
            problem = await self.networks.ensure(*job, order.pod)
        if not problem and not step.cancelled and self._needs_names(order):
            assert self.names is not None
            await self.names.ensure()
        if not problem and not step.cancelled and order.image:
            await self._get_image(step, order, data)
        if step.cancelled or job in self.ending:
            self.end_unstarted(step, EndCause.CANCELLED, "")
        elif problem:
            self.end_unstarted(step, EndCause.LAUNCH_FAILED, problem)
        else:
            self._spawn(step, data)

    def _needs_network(self, order: LaunchHead) -> bool:
        return order.pod is not None and self.networks is not None and self.networks.is_wanted(order.pod)

    def _needs_names(self, order: LaunchHead) -> bool:
        return order.pod is not None and self.names is not None

    async def _after_prolog(self, step: LocalStep, order: LaunchHead, data: bytes) -> str:
        job = (step.node, step.key.job, step.key.restart)
        running = self._prologs.get(job)
        if running is None:
            running = self._prologs[job] = asyncio.get_running_loop().create_task(self._run_prolog(order, data))
        try:
            return await asyncio.shield(running)
        except Exception as error:
            self.log.error("the prolog could not be run", error, step=str(step.key))
            return f"{step.node}: the prolog could not be run: {error}"
        finally:
            self._prologs.pop(job, None)

    async def _enter_mps(self, mps: Mps, step: LocalStep, data: bytes) -> str:
        """What went wrong, or ""."""
        launch = decode_order(data)
        assert isinstance(launch, LaunchStep)
        try:
            await mps.enter((step.node, step.key.job, step.key.restart), launch.share.gres, launch.job.owner)
        except CannotServe as error:
            return f"{step.node}: {error}"
        except Exception as error:
            self.log.error("MPS could not be started", error, step=str(step.key))
            return f"{step.node}: MPS cannot be started: {error}"
        return ""

    async def _get_image(self, step: LocalStep, order: LaunchHead, data: bytes) -> None:
        """Note where it is, or why it is not to be had: the shepherd tells the user. A step that is cancelled does not wait for it."""
        launch = decode_order(data)
        assert isinstance(launch, LaunchStep)
        assert self.images is not None
        reader = Reader(Identity(launch.job.owner))
        fetching = asyncio.ensure_future(
            self.images.ensure(
                order.image,
                reader,
                _say_nothing,
                order.pod.pull if order.pod is not None else "",
                tuple(one.value for one in launch.pod.auths) if launch.pod is not None else (),
            )
        )
        while not fetching.done() and not step.cancelled:
            await asyncio.wait([fetching], timeout=_LOOK_SECONDS)
        if not fetching.done():
            fetching.cancel()
            return
        try:
            self.spool.write_image(step.node, step.key, fetching.result())
        except CannotFetch as error:
            said = f"cannot fetch {order.image}: {error}" if order.pod is not None else str(error)
            self.spool.write_image(step.node, step.key, "", said)
        except OSError as error:
            self.spool.write_image(step.node, step.key, "", f"cannot fetch {order.image}: {error.strerror}")
        except Exception as error:
            self.log.error("an image could not be fetched", error, step=str(step.key))
            self.spool.write_image(step.node, step.key, "", f"cannot fetch {order.image}: {error!r}")

    async def _run_prolog(self, order: LaunchHead, data: bytes) -> str:
        """What went wrong, or ""."""
        launch = decode_order(data)
        assert isinstance(launch, LaunchStep)
        environment = node_program_environment(launch.job, order.node, "prolog_slurmd", self.endpoint)
        status, words = await run_program(order.prolog, environment, order.prolog_timeout)
        key = order.key
        if status == 0:
            self.spool.mark_job(order.node, key.job, key.restart, "prolog", 0)
            return ""
        self.log.error("prolog failed", job=key.job, node=order.node, status=status, said=words)
        self.outbox.report(NodeFailed(agent=self.agent, node=order.node, reason="Prolog error"))
        return f"{order.node}: prolog failed: {words}"

    def _tell_again(self, step: LocalStep) -> None:
        """The controller repeats a launch because it has not heard: say what it missed. A launched step counts as running."""
        if step.phase is Phase.FINISHED:
            self.report_finished(step)

    # ------------------------------------------------------------------ what shepherds say

    def on_started(self, node: str, key: StepKey, started: float) -> None:
        step = self.table.get(node, key)
        if step is None or step.is_over:
            return
        if step.phase < Phase.RUNNING:
            step.phase, step.started, step.since = Phase.RUNNING, started, clock.monotonic()
            self.pods.started(step)
        self.deliver(step)

    def on_finished(self, node: str, key: StepKey, record: bytes = b"") -> None:
        step = self.table.get(node, key)
        if step is not None and not step.is_over:
            self.report_finished(step, record)

    def deliver(self, step: LocalStep) -> None:
        """Hand over the control datagrams that the shepherd could not take yet."""
        while step.pending and self.shepherds.control(step.node, step.key, step.pending[0]):
            step.pending.pop(0)

    def control(self, step: LocalStep, datagram: bytes) -> None:
        """Send to the step's shepherd; later, if it does not listen yet."""
        if step.pending or not self.shepherds.control(step.node, step.key, datagram):
            step.pending.append(datagram)

    # ------------------------------------------------------------------ ends

    def end_unstarted(self, step: LocalStep, cause: EndCause, message: str) -> None:
        """A step whose tasks never ran."""
        self._end_without_shepherd(step, cause, message)

    def end_lost(self, step: LocalStep) -> None:
        """The shepherd died without a word. A record that it had time to leave counts."""
        if self.spool.exit_record(step.node, step.key) is not None:
            self.report_finished(step)
            return
        self.log.error("a shepherd died", step=str(step.key), node=step.node)
        self.shepherds.kill_leftovers(step.node, step.key)
        self._end_without_shepherd(step, EndCause.LOST, f"{step.node}: the process that watched the step was killed")

    def _end_without_shepherd(self, step: LocalStep, cause: EndCause, message: str) -> None:
        now = clock.now()
        record = StepFinished(
            agent=self.agent,
            node=step.node,
            key=step.key,
            tasks=(),
            cause=cause,
            message=message,
            started=step.started or now,
            ended=now,
        )
        try:
            self.spool.write_exit(step.node, step.key, encode(record))
        except OSError as error:
            self.log.error("an exit record cannot be written", error, step=str(step.key))
        self._report(step, record)

    def report_finished(self, step: LocalStep, record: bytes = b"") -> None:
        """Report its exit record, which is read if it is not given, until that is acknowledged."""
        data = record or self.spool.exit_record(step.node, step.key)
        if data is None:
            return
        try:
            report = _decode_finished(data)
        except msgspec.DecodeError as error:
            self.log.error("an exit record is not readable", error, step=str(step.key))
            report = StepFinished(agent="", node=step.node, key=step.key, tasks=(), cause=EndCause.LOST)
        self._report(step, report)

    def _report(self, step: LocalStep, record: StepFinished) -> None:
        first = not step.is_over
        if not first:
            self.outbox.drop(step.finish_sequence)
        step.phase, step.pending = Phase.FINISHED, []
        report = msgspec.structs.replace(record, agent=self.agent, node=step.node, key=step.key)
        step.finish_sequence = self.outbox.report(report).sequence
        if first:
            self.pods.over(step)
            self.on_step_over(step)

    def on_finish_committed(self, report: StepFinished) -> None:
        """The controller has it: the step may be forgotten, but for its tombstone."""
        step = self.table.get(report.node, report.key)
        if step is None or step.finish_sequence != report.sequence:
            return
        self.spool.bury(step_name(report.node, report.key))
        self.spool.remove_step(report.node, report.key)
        self.table.remove(step)


def _say_nothing(words: str) -> None:
    pass
