"""How does an agent have its machine boot? By RebootProgram: once for each order, however often that comes."""

import asyncio

from corral.agent.outbox import Outbox
from corral.agent.prolog import run_program
from corral.daemon.logs import Log
from corral.protocol.orders import RebootNode
from corral.protocol.reports import NodeFailed

#: Seconds until a program that neither ends nor boots the machine is ended.
_LONGEST = 300.0


class Rebooting:
    def __init__(self, agent: str, outbox: Outbox, log: Log) -> None:
        self._agent, self._outbox, self._log = agent, outbox, log
        self._obeyed: dict[str, float] = {}  #: node -> the order it has obeyed last
        self.running: set[asyncio.Task[None]] = set()  #: programs

    def obey(self, order: RebootNode) -> None:
        if self._obeyed.get(order.node) == order.issued:
            return
        self._obeyed[order.node] = order.issued
        task = asyncio.get_running_loop().create_task(self._run(order))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _run(self, order: RebootNode) -> None:
        self._log.warning("the node is to boot", node=order.node, program=order.program)
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SLURMD_NODENAME": order.node,
        }  # fmt: skip
        status, words = await run_program(order.program, environment, _LONGEST)
        if status:
            self._log.error("RebootProgram failed", node=order.node, status=status, said=words)
            reason = f"RebootProgram failed: {words}"[:200]
            self._outbox.report(NodeFailed(agent=self._agent, node=order.node, reason=reason))
