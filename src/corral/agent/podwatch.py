"""What does an agent do about a container of a Pod from its start to its end: say that it runs, probe it, run commands in it?"""

import asyncio
from itertools import count

from corral.agent.checks import Reached
from corral.agent.control import Execute, Executed, encode_command
from corral.agent.netrecord import net_of
from corral.agent.outbox import Outbox
from corral.agent.podrun import ip_of
from corral.agent.probes import Probes
from corral.agent.shepherds import Shepherds
from corral.agent.spool import Spool
from corral.agent.steps import LocalStep
from corral.agent.unwell import NotWell
from corral.protocol.reports import ContainerStarted

#: Seconds beyond its own time that a command's answer may take.
_LATE = 0.5


class PodWatch:
    """All containers of one agent."""

    def __init__(self, agent: str, outbox: Outbox, spool: Spool, shepherds: Shepherds) -> None:
        self._agent, self._outbox, self._spool, self._shepherds = agent, outbox, spool, shepherds
        self._probes = Probes(agent, outbox, self._run)
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Executed]] = {}

    def started(self, step: LocalStep) -> None:
        if step.pod is None:
            return
        net = net_of(str(self._spool.root / "boxes"), step.node, step.key.job, step.key.restart)
        address = net.address if net is not None else ""
        report = ContainerStarted(
            agent=self._agent, node=step.node, key=step.key, time=step.started, pod_ip=address,
            host_ip=ip_of(step.pod.host_ip),
        )  # fmt: skip
        self._outbox.report(report)
        if address:
            reached = Reached(address)
        elif step.pod.host_network:
            reached = Reached("127.0.0.1")
        else:
            reached = Reached("127.0.0.1", {one.port: one.host_port for one in step.pod.ports})
        self._probes.begin(step, reached, step.started)

    def over(self, step: LocalStep) -> None:
        if step.pod is not None:
            self._probes.end(step)

    async def _run(self, step: LocalStep, command: tuple[str, ...], timeout: float) -> None:
        """Raises NotWell."""
        query = next(self._numbers)
        answer: asyncio.Future[Executed] = asyncio.get_running_loop().create_future()
        self._answers[query] = answer
        try:
            order = encode_command(Execute(query=query, command=command, timeout=timeout))
            if not self._shepherds.control(step.node, step.key, order):
                raise NotWell("the container does not listen")
            found = await asyncio.wait_for(answer, timeout + _LATE)
        finally:
            del self._answers[query]
        if found.status:
            words = found.said.decode(errors="replace").strip()
            raise NotWell(words or f"command terminated with exit code {found.status}")

    def executed(self, notice: Executed) -> None:
        answer = self._answers.get(notice.query)
        if answer is not None and not answer.done():
            answer.set_result(notice)
