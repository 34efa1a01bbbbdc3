"""What do the agents of a simulated cluster do? What a real one does, less the processes.

An agent keeps in its spool (and through its own death) the steps it was given, the tombstones of those that are over and
acknowledged, and the highest term it has seen; all else it forgets when it dies. A launch is idempotent by its key, a report is
sent again until it is acknowledged, and a heartbeat says which steps are known.
"""

import random
from collections import Counter
from collections.abc import Callable

import msgspec

from corral.model.job import ExitStatus
from corral.model.node import NodeInventory
from corral.model.step import EndCause, StepKey, TaskExit
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.simulator.clock import VirtualClock

RESEND_SECONDS = 3.0

JobKey = tuple[str, int, int]  #: node, job, restart


class SimulatedStep:
    """A launch on one node: what the shepherd and the spool would know."""

    __slots__ = (
        "cause", "code", "ends", "frozen", "is_over", "key", "node", "pod", "ranks", "sequence", "signal", "stubborn",
    )  # fmt: skip

    def __init__(self, order: od.LaunchStep, now: float, stubborn: bool) -> None:
        self.node, self.key = order.node, order.key
        self.pod = order.pod.name if order.pod is not None else ""  #: it is a run of one of its containers
        self.ranks = [place.rank for place in order.tasks]
        seconds, code = (order.spec.argv or ("1", "0"))[:2]
        self.ends = now + float(seconds)
        self.code, self.signal = int(code), 0
        self.cause = EndCause.EXITED
        self.frozen = -1.0  #: seconds left when it was frozen; < 0 = it is not
        self.stubborn = stubborn  #: waits for SIGKILL
        self.is_over = False
        self.sequence = 0


class SimulatedAgent:
    """One agent and its nodes. `send` puts a report on the bus."""

    def __init__(
        self,
        name: str,
        nodes: list[NodeInventory],
        clock: VirtualClock,
        chance: random.Random,
        send: Callable[[rp.AnyReport], None],
        heartbeat: float,
    ) -> None:
        self.name, self.nodes, self.clock, self.chance, self.send = name, nodes, clock, chance, send
        self.heartbeat = heartbeat
        self.own = {node.name for node in nodes}
        self.boots = 0
        self.runs: Counter[tuple[str, StepKey]] = Counter()  #: how often each launch was really begun
        self.ended: dict[tuple[str, StepKey], ExitStatus] = {}  #: how those that ended by themselves did
        # the spool
        self.steps: dict[tuple[str, StepKey], SimulatedStep] = {}
        self.tombstones: set[tuple[str, StepKey] | JobKey] = set()
        self.term = 0
        self.last_sequence = 0
        # what dies with the agent
        self.is_up = False
        self.life = 0
        self.outbox: dict[int, tuple[rp.AnyReport, float]] = {}
        self.endings: dict[JobKey, int] = {}  #: job -> sequence of JobCleaned, 0 = not there yet

    # -- life

    def start(self) -> None:
        self.is_up = True
        self.life += 1
        self.outbox, self.endings = {}, {}
        for step in list(self.steps.values()):
            if step.is_over:
                self._report_finished(step)
            elif step.pod:
                self._say_started(step)
        self._register()
        self._beat(self.life)
        self._resend(self.life)

    def die(self) -> None:
        self.is_up = False

    def lose_power(self) -> None:
        """All that runs on the machine is gone; the next start is a boot."""
        self.die()
        self.boots += 1
        self.nodes = [msgspec.structs.replace(node, boot_id=f"boot {self.boots}") for node in self.nodes]
        for step in self.steps.values():
            if not step.is_over:
                self._over(step, EndCause.LOST, 0, 0)

    def forget(self) -> None:
        """Some of the spool has not reached the disk: launches and what is over are known in part only."""
        for name in [name for name in self.steps if self.chance.random() < 0.5]:
            del self.steps[name]
            self.runs.pop(name, None)
        kept = sorted(self.tombstones, key=str)
        self.tombstones = {stone for stone in kept if self.chance.random() < 0.5}
        for run in [run for run in self.runs if run in kept and run not in self.tombstones]:
            del self.runs[run]

    def _register(self) -> None:
        self._report(
            rp.AgentRegistered(
                agent=self.name, instance=str(self.life), nodes=tuple(self.nodes), steps=self._known(),
                sequence=self._next(),
            )
        )  # fmt: skip

    def _beat(self, life: int) -> None:
        if self.is_up and life == self.life:
            self.send(rp.Heartbeat(agent=self.name, nodes=tuple(sorted(self.own)), steps=self._known()))
            self.clock.after(self.heartbeat, self._beat, life)

    def _known(self) -> tuple[rp.KnownStep, ...]:
        return tuple(rp.KnownStep(step.node, step.key, step.is_over) for step in self.steps.values())

    # -- reports

    def _next(self) -> int:
        self.last_sequence += 1
        return self.last_sequence

    def _report(self, report: rp.AnyReport) -> None:
        self.outbox[report.sequence] = (report, self.clock.now)
        self.send(report)

    def _resend(self, life: int) -> None:
        if not self.is_up or life != self.life:
            return
        now = self.clock.now
        for sequence, (report, sent) in list(self.outbox.items()):
            if now - sent >= RESEND_SECONDS:
                self.outbox[sequence] = (report, now)
                self.send(report)
        self.clock.after(RESEND_SECONDS, self._resend, life)

    def _report_finished(self, step: SimulatedStep) -> None:
        self.outbox.pop(step.sequence, None)
        step.sequence = self._next()
        exits = tuple(TaskExit(rank, ExitStatus(step.code, step.signal), step.ends) for rank in step.ranks)
        self._report(
            rp.StepFinished(
                agent=self.name, node=step.node, key=step.key, cause=step.cause, ended=step.ends, sequence=step.sequence,
                tasks=exits if step.cause in (EndCause.EXITED, EndCause.CANCELLED) else (),
            )
        )  # fmt: skip

    # -- orders

    def on_order(self, order: od.AnyOrder) -> None:
        if not self.is_up or order.term < self.term:
            return
        self.term = order.term
        match order:
            case od.LaunchStep():
                self._on_launch(order)
            case od.EndJob():
                self._on_end(order)
            case od.SignalTasks():
                self._on_signal(order)
            case od.SuspendJob():
                self._on_suspend(order)
            case od.NotifyStep():
                pass  # nobody listens
            case od.TellNames() | od.TellAddresses():
                pass  # nobody asks
            case od.SampleSteps():
                pass  # simulated tasks use nothing
            case od.ReportsCommitted():
                for sequence in order.sequences:
                    self._on_committed(sequence)
            case od.WriteFiles():
                self._report(rp.FilesWritten(agent=self.name, node=order.node, job=order.job, digest=order.digest))
            case od.RemoveDirectory():
                self._report(rp.DirectoryRemoved(agent=self.name, node=order.node, volume=order.volume))
            case od.RebootNode():
                pass  # nobody asks for one
            case od.SendInventory():
                self._register()
            case od.ShutDown():
                self.die()

    def _on_launch(self, order: od.LaunchStep) -> None:
        name = (order.node, order.key)
        step = self.steps.get(name)
        if step is not None:
            if step.is_over:
                self._report_finished(step)
            return
        if name in self.tombstones:
            return
        step = self.steps[name] = SimulatedStep(order, self.clock.now, self.chance.random() < 0.1)
        job = (order.node, int(order.key.job), order.key.restart)
        if job in self.endings or job in self.tombstones:
            self._over(step, EndCause.CANCELLED, 0, 0)
            return
        self.runs[name] += 1
        self.clock.after(step.ends - self.clock.now, self._exit, step, step.ends)
        if step.pod:
            self.clock.after(self.chance.uniform(0.1, 5.0), self._say_started, step)

    def _say_started(self, step: SimulatedStep) -> None:
        if self.is_up and not step.is_over:
            self._report(
                rp.ContainerStarted(
                    agent=self.name, node=step.node, key=step.key, time=self.clock.now, sequence=self._next()
                )
            )

    def _exit(self, step: SimulatedStep, ends: float) -> None:
        if not step.is_over and step.frozen < 0 and step.ends == ends:
            if step.cause is EndCause.EXITED:
                self.ended[step.node, step.key] = ExitStatus(step.code, 0)
            self._over(step, step.cause, step.code, step.signal)

    def _over(self, step: SimulatedStep, cause: EndCause, code: int, signal: int) -> None:
        step.is_over = True
        step.cause, step.code, step.signal, step.ends = cause, code, signal, self.clock.now
        if self.is_up:
            self._report_finished(step)
            self._go_on((step.node, int(step.key.job), step.key.restart))

    def _of_job(self, job: JobKey) -> list[SimulatedStep]:
        return [s for s in self.steps.values() if (s.node, s.key.job, s.key.restart) == job]

    def _on_end(self, order: od.EndJob) -> None:
        job = (order.node, order.job, order.restart)
        if self.endings.get(job):
            return
        self.endings[job] = 0
        for step in self._of_job(job):
            self._terminate(step, order.kill_after)
        self._go_on(job)

    def _terminate(self, step: SimulatedStep, kill_after: float | None) -> None:
        if step.is_over:
            return
        step.frozen = -1.0
        step.cause, step.code = EndCause.CANCELLED, 0
        step.signal = 9 if step.stubborn or not kill_after else 15
        step.ends = self.clock.now + (kill_after or 0.0 if step.stubborn else 0.01)
        self.clock.after(step.ends - self.clock.now, self._exit, step, step.ends)

    def _go_on(self, job: JobKey) -> None:
        if self.endings.get(job) == 0 and all(step.is_over for step in self._of_job(job)):
            self.endings[job] = self._next()
            self.tombstones.add(job)
            node, number, restart = job
            self._report(
                rp.JobCleaned(agent=self.name, node=node, job=number, restart=restart, sequence=self.endings[job])
            )

    def _on_signal(self, order: od.SignalTasks) -> None:
        for step in self._of_job((order.node, order.job, order.restart)):
            meant = order.step == step.key.step if order.step is not None else order.batch_too or step.key.step >= 0
            if meant and (order.kill_after is not None or order.signal == 9):
                self._terminate(step, order.kill_after)

    def _on_suspend(self, order: od.SuspendJob) -> None:
        now = self.clock.now
        for step in self._of_job((order.node, order.job, order.restart)):
            if step.is_over or step.cause is not EndCause.EXITED:
                continue
            if order.thaw and step.frozen >= 0:
                step.ends = now + step.frozen
                step.frozen = -1.0
                self.clock.after(step.ends - now, self._exit, step, step.ends)
            elif not order.thaw and step.frozen < 0:
                step.frozen = max(0.0, step.ends - now)

    def _on_committed(self, sequence: int) -> None:
        report, _ = self.outbox.pop(sequence, (None, 0.0))
        match report:
            case rp.StepFinished():
                step = self.steps.get((report.node, report.key))
                if step is not None and step.sequence == sequence:
                    self.tombstones.add((report.node, report.key))
                    del self.steps[report.node, report.key]
            case rp.JobCleaned():
                job = (report.node, report.job, report.restart)
                if self.endings.get(job) == sequence:
                    del self.endings[job]
