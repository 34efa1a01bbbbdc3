"""How are steps signalled and jobs ended here?

An ended job's steps are killed; when the last exit record is there the epilog runs, once, and JobCleaned is reported until it is
acknowledged. The order may come again at any time: while that is under way it changes nothing, afterwards the report is repeated.
"""

import asyncio
import os

from corral.agent import boxes, podroom
from corral.agent.control import End, Notify, Signal, Suspend, encode_command
from corral.agent.launch import Launcher
from corral.agent.prolog import node_program_environment, run_program
from corral.agent.spool import job_name
from corral.agent.steps import LocalStep, Phase
from corral.daemon import clock
from corral.protocol.orders import EndJob, NotifyStep, SignalTasks, SuspendJob
from corral.protocol.reports import JobCleaned, NodeFailed

#: Seconds a shepherd gets beyond `kill_after` before it is itself killed.
SHEPHERD_GRACE = 20.0
#: A Pod's network that cannot be removed in so many seconds is left.
_NETWORK_SECONDS = 20.0


class _Ending:
    def __init__(self, order: EndJob) -> None:
        self.order = order
        self.kill_at = clock.monotonic() + order.kill_after + SHEPHERD_GRACE
        self.epilog: asyncio.Task[None] | None = None
        self.sequence = 0  #: of JobCleaned


class Endings:
    """Signals and ends."""

    def __init__(self, launcher: Launcher, epilog_timeout: float) -> None:
        self._launcher = launcher
        self._epilog_timeout = epilog_timeout
        self._jobs: dict[tuple[str, int, int], _Ending] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._clearing: dict[tuple[str, int, int], asyncio.Task[None]] = {}
        launcher.on_step_over = self.on_step_over

    # ------------------------------------------------------------------ orders

    def on_signal(self, order: SignalTasks) -> None:
        steps = self._launcher.table.of_job(order.node, order.job, order.restart)
        for step in steps:
            if step.is_over or not _is_meant(order, step):
                continue
            if step.phase is Phase.PREPARING:
                # Nothing runs yet: only what would end a task ends the step.
                step.cancelled = step.cancelled or order.signal in (9, 15) or order.kill_after is not None
            else:
                self._launcher.control(step, _signal(order))

    def on_suspend(self, order: SuspendJob) -> None:
        for step in self._launcher.table.of_job(order.node, order.job, order.restart):
            if step.phase in (Phase.LAUNCHED, Phase.RUNNING):
                self._launcher.control(step, encode_command(Suspend(thaw=order.thaw)))

    def on_notify(self, order: NotifyStep) -> None:
        for step in self._launcher.table.of_job(order.node, order.job, order.restart):
            if step.key.step == order.step and step.phase in (Phase.LAUNCHED, Phase.RUNNING):
                self._launcher.control(step, encode_command(Notify(message=order.message)))

    def on_end_job(self, order: EndJob) -> None:
        job = (order.node, order.job, order.restart)
        if (ending := self._jobs.get(job)) is not None:
            self._repeat(job, ending, order)
            return
        ending = self._jobs[job] = _Ending(order)
        self._launcher.ending.add(job)
        for step in self._launcher.table.of_job(*job):
            if step.phase is Phase.PREPARING:
                step.cancelled = True
            elif not step.is_over:
                self._launcher.control(step, encode_command(End(kill_after=order.kill_after, reason=order.reason)))
        self._go_on(job, ending)

    def _repeat(self, job: tuple[str, int, int], ending: _Ending, order: EndJob) -> None:
        """A repeated order may be more urgent than the first (scancel, then the node's end)."""
        if ending.sequence:
            return  # JobCleaned is being resent anyway
        ending.kill_at = min(ending.kill_at, clock.monotonic() + order.kill_after + SHEPHERD_GRACE)
        for step in self._launcher.table.of_job(*job):
            if step.phase in (Phase.LAUNCHED, Phase.RUNNING):
                self._launcher.control(step, encode_command(End(kill_after=order.kill_after, reason=order.reason)))

    # ------------------------------------------------------------------ on the way to JobCleaned

    def on_step_over(self, step: LocalStep) -> None:
        job = (step.node, step.key.job, step.key.restart)
        if (ending := self._jobs.get(job)) is not None:
            self._go_on(job, ending)

    def _go_on(self, job: tuple[str, int, int], ending: _Ending) -> None:
        if (
            ending.epilog is not None
            or ending.sequence
            or not all(s.is_over for s in self._launcher.table.of_job(*job))
        ):
            return
        order, spool = ending.order, self._launcher.spool
        if not order.epilog or order.context is None:
            self._report(job, ending, 0)
        elif (status := spool.job_mark(*job, "epilog")) is not None:
            self._report(job, ending, status)
        elif spool.is_buried(job_name(*job)):
            self._report(job, ending, 0)
        else:
            ending.epilog = asyncio.get_running_loop().create_task(self._run_epilog(job, ending))

    async def _run_epilog(self, job: tuple[str, int, int], ending: _Ending) -> None:
        order, launcher = ending.order, self._launcher
        assert order.context is not None
        environment = node_program_environment(order.context, order.node, "epilog_slurmd", launcher.endpoint)
        status, words = await run_program(order.epilog, environment, self._epilog_timeout)
        launcher.spool.mark_job(*job, "epilog", status)
        if status:
            launcher.log.error("epilog failed", job=order.job, node=order.node, status=status, said=words)
            launcher.outbox.report(NodeFailed(agent=launcher.agent, node=order.node, reason="Epilog error"))
        self._report(job, ending, status)

    def _report(self, job: tuple[str, int, int], ending: _Ending, epilog_status: int) -> None:
        launcher = self._launcher
        if launcher.networks is not None and launcher.networks.has(*job):
            if job not in self._clearing:
                task = asyncio.get_running_loop().create_task(self._clear_network(job, ending, epilog_status))
                self._clearing[job] = task
            return
        self._cleaned(job, ending, epilog_status)

    def _cleaned(self, job: tuple[str, int, int], ending: _Ending, epilog_status: int) -> None:
        launcher = self._launcher
        node, number, restart = job
        if os.path.isdir(boxes.of_job(str(launcher.spool.root / "boxes"), *job)):
            asyncio.get_running_loop().run_in_executor(None, podroom.clear, str(launcher.spool.root / "boxes"), *job)
        self.leave_mps(job)
        # Before anybody is told: should we die and not hear that it was, a launch that is late must find the job over.
        if not launcher.spool.is_buried(job_name(*job)):
            launcher.spool.bury(job_name(*job))
        cleaned = JobCleaned(agent=launcher.agent, node=node, job=number, restart=restart, epilog_status=epilog_status)
        ending.sequence = launcher.outbox.report(cleaned).sequence

    def leave_mps(self, job: tuple[str, int, int]) -> None:
        mps = self._launcher.mps
        if mps is not None and mps.is_used:
            task = asyncio.get_running_loop().create_task(mps.leave(job))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def left_mps(self) -> None:
        """All that has begun is done."""
        await asyncio.gather(*self._leaving)

    async def _clear_network(self, job: tuple[str, int, int], ending: _Ending, epilog_status: int) -> None:
        """A Pod's ports are given to others when its node has said that nothing of it is left."""
        assert self._launcher.networks is not None
        try:
            await asyncio.wait_for(self._launcher.networks.clear(*job), _NETWORK_SECONDS)
        except TimeoutError:
            self._launcher.log.error("a Pod's network is not removed", job=job[1], node=job[0])
        finally:
            del self._clearing[job]
            self._cleaned(job, ending, epilog_status)

    def on_cleaned_committed(self, report: JobCleaned) -> None:
        job = (report.node, report.job, report.restart)
        ending = self._jobs.get(job)
        if ending is None or ending.sequence != report.sequence:
            return
        self._launcher.spool.remove_job_marks(*job)
        del self._jobs[job]
        self._launcher.ending.discard(job)

    def kill_what_does_not_end(self, now: float) -> None:
        """A shepherd that obeys no more is killed with all that is its own."""
        for job, ending in self._jobs.items():
            if ending.sequence or ending.epilog is not None or now < ending.kill_at:
                continue
            for step in self._launcher.table.of_job(*job):
                if step.phase in (Phase.LAUNCHED, Phase.RUNNING):
                    self._launcher.log.error("a shepherd does not end its step", step=str(step.key), node=step.node)
                    self._launcher.shepherds.kill(step.node, step.key)
            ending.kill_at = now + SHEPHERD_GRACE

    def end_everything(self, reason: str) -> None:
        """All that runs here, for `corral down`."""
        for step in self._launcher.table:
            if step.phase is Phase.PREPARING:
                step.cancelled = True
            elif not step.is_over:
                self._launcher.control(step, encode_command(End(kill_after=2.0, reason=reason)))


def _signal(order: SignalTasks) -> bytes:
    return encode_command(
        Signal(
            signal=order.signal,
            only_shell=order.only_batch,
            kill_after=order.kill_after,
            reason=order.reason,
            at=order.at,
        )
    )


def _is_meant(order: SignalTasks, step: LocalStep) -> bool:
    if order.only_batch:
        return step.is_batch
    if order.step is not None:
        return step.key.step == order.step
    return order.batch_too or not step.is_batch
