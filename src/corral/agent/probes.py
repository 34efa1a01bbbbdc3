"""Is a container up, ready, alive? The agent asks again and again, and tells the controller when the answer changes.

A startup probe comes first; the others wait for its success. Until a startup or readiness probe has succeeded for the first time it is
made more often than its period says, so that who is ready is not kept waiting; but failures are counted by the period. What is
probed and how stands in the launch order, so that an agent that has been killed goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from corral.agent.checks import Reached, check
from corral.agent.outbox import Outbox
from corral.agent.steps import LocalStep
from corral.agent.unwell import NotWell
from corral.daemon import clock
from corral.protocol.pods import ProbeOrder
from corral.protocol.reports import ProbeResult

#: Seconds until what has not succeeded yet is tried again, growing up to its period.
_SOON, _GROWTH = 0.1, 1.3
#: Characters of what is told of a failure.
_MOST_WORDS = 500

Run = Callable[[LocalStep, tuple[str, ...], float], Awaitable[None]]


class Probes:
    """Of all containers of one agent."""

    def __init__(self, agent: str, outbox: Outbox, run: Run) -> None:
        """run: a command inside a container; raises NotWell."""
        self._agent, self._outbox, self._run = agent, outbox, run
        self._loop = asyncio.get_running_loop()
        self._of: dict[int, list[_Probe]] = {}  #: by the id of the step

    def begin(self, step: LocalStep, reached: Reached, began: float) -> None:
        """began: when the container did, by the clock."""
        if step.pod is None or not step.pod.probes or id(step) in self._of:
            return
        offset = self._loop.time() - max(0.0, clock.now() - began)
        probes = [_Probe(self, step, order, reached, offset + order.delay) for order in step.pod.probes]
        self._of[id(step)] = probes
        first = [probe for probe in probes if probe.order.kind == "startup"]
        for probe in first or probes:
            probe.begin()

    def end(self, step: LocalStep) -> None:
        for probe in self._of.pop(id(step), ()):
            probe.end()

    def has_started(self, step: LocalStep) -> None:
        """Its startup probe has succeeded."""
        for probe in self._of.get(id(step), ()):
            if probe.order.kind != "startup":
                probe.begin()

    async def ask(self, probe: "_Probe") -> str:
        """What is wrong, or ""."""
        wanted = probe.order.check
        try:
            async with asyncio.timeout(probe.order.timeout):
                if wanted.how == "exec":
                    await self._run(probe.step, wanted.command, probe.order.timeout)
                else:
                    await check(wanted, probe.reached)
        except TimeoutError:
            return f"no answer within {probe.order.timeout:g} s"
        except NotWell as error:
            return str(error)[:_MOST_WORDS]
        except OSError as error:
            return (error.strerror or str(error))[:_MOST_WORDS]
        return ""

    def tell(self, probe: "_Probe", ok: bool, message: str) -> None:
        kind: Any = probe.order.kind
        step = probe.step
        self._outbox.report(
            ProbeResult(agent=self._agent, node=step.node, key=step.key, probe=kind, ok=ok, message=message)
        )


class _Probe:
    """One, from its container's start to its end."""

    def __init__(self, owner: Probes, step: LocalStep, order: ProbeOrder, reached: Reached, first: float) -> None:
        self._owner, self.step, self.order, self.reached, self._first = owner, step, order, reached, first
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._verdict: bool | None = None  #: as told; None = nothing has been
        self._successes = self._failures = 0
        self._counted = 0.0  #: when a failure was last counted
        self._soon = _SOON
        self._is_over = False

    def begin(self) -> None:
        if self._timer is None and not self._is_over:
            now = self._counted = self._loop.time()
            if self.order.kind == "liveness" and not self.order.delay:
                now += self.order.period  # who has just begun does not answer yet, and is not to be ended for that
            self._timer = self._loop.call_at(max(now, self._first), self._look)

    def end(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        self._task = self._loop.create_task(self._ask())

    async def _ask(self) -> None:
        began = self._loop.time()
        problem = await self._owner.ask(self)
        if self._is_over:
            return
        self._note(not problem, problem, began)
        if not self._is_over:
            self._timer = self._loop.call_at(max(self._loop.time(), began + self._pause()), self._look)

    def _pause(self) -> float:
        """Seconds from one check to the next."""
        if self._verdict or self.order.kind == "liveness" or (self._verdict is False and self.order.kind != "startup"):
            return self.order.period
        self._soon = min(self._soon * _GROWTH, self.order.period)
        return self._soon

    def _note(self, ok: bool, problem: str, now: float) -> None:
        order = self.order
        if ok:
            self._failures = 0
            self._successes += 1
            if self._successes >= order.successes and self._verdict is not True:
                self._verdict = True
                if order.kind != "liveness":  # it is taken for alive
                    self._owner.tell(self, True, "")
                if order.kind == "startup":
                    self.end()
                    self._owner.has_started(self.step)
            return
        self._successes = 0
        if self._verdict is None and order.kind != "liveness" and now - self._counted < order.period * 0.9:
            return  # an early look: it is not counted
        self._counted = now
        self._failures += 1
        if self._failures >= order.failures and self._verdict is not False:
            self._verdict = False
            self._owner.tell(self, False, problem)
            if order.kind != "readiness":
                self.end()  # it is going to be ended
