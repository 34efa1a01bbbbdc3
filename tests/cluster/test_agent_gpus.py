"""An agent of this machine, whose GPUs a stand-in for NVML makes up."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.cluster.agent_kit import AGENT, agent_and_controller, wait_until
from tests.unit.agent.fake_nvml import Gpu

from corral.protocol.reports import AgentRegistered, Heartbeat, NodeFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_gpus_are_told_with_their_use_and_the_one_that_fails_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        first, second = Gpu("GPU-a", minor=240, busy=7), Gpu("GPU-b", minor=241, bus="00000000:02:00.0")
        async with agent_and_controller(tmp_path, (), (first, second), heartbeat=0.1) as (agent, controller):
            await wait_until(lambda: controller.got(AgentRegistered))
            (found,) = controller.got(AgentRegistered)[0].nodes[0].gres
            assert (found.type, found.count, found.uuids) == ("h200", 2, ("GPU-a", "GPU-b"))
            await wait_until(lambda: any(beat.gpus == (7, 0) for beat in controller.got(Heartbeat)))
            second.broken = True
            agent.set_gpus(first, second)
            await wait_until(lambda: controller.got(NodeFailed))
            failed = controller.got(NodeFailed)[0]
            assert (failed.node, failed.reason) == (AGENT, "GPU 1 (GPU-b, 0000:02:00.0): GPU is lost")

    asyncio.run(scene())
