"""What an agent costs while it does little."""

import asyncio
import time
from pathlib import Path

from tests.cluster.agent_kit import agent_and_controller, batch, wait_until

from corral.protocol.reports import AgentRegistered, Heartbeat, StepFinished

NODES = tuple(f"n{number:04}" for number in range(1000))


def pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def test_an_idle_agent_of_a_thousand_nodes_is_small_and_hardly_runs(tmp_path: Path) -> None:
    async def scene() -> None:
        async with agent_and_controller(tmp_path, NODES, heartbeat=0.5) as (agent, controller):
            await wait_until(lambda: controller.got(AgentRegistered))
            assert len(controller.got(AgentRegistered)[0].nodes) == 1000
            assert agent.process is not None
            pid, begin = agent.process.pid, time.monotonic()
            used = cpu_seconds(pid)
            await wait_until(lambda: len(controller.got(Heartbeat)) >= 4)
            # It beats ten times as often as usual here.
            assert (cpu_seconds(pid) - used) / (time.monotonic() - begin) < 0.03
            assert pss_mib(pid) < 40

    asyncio.run(scene())


def test_many_launches_on_many_nodes_all_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with agent_and_controller(tmp_path, NODES[:50]) as (_, controller):
            await wait_until(lambda: controller.got(AgentRegistered))
            for job in range(1, 101):
                await controller.send(batch(job, "exit 0", node=NODES[job % 50]))
            await wait_until(lambda: len(controller.got(StepFinished)) == 100)

    asyncio.run(scene())
