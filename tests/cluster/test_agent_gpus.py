"""An agent of this machine, whose GPUs a stand-in for NVML makes up."""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.cluster.agent_kit import AGENT, agent_and_controller, batch, end, wait_until
from tests.unit.agent.fake_nvml import Gpu

from corral.agent import mps
from corral.model.allocation import NodeShare
from corral.model.cluster import GpuSharing
from corral.model.gres import GresShare
from corral.model.job import StdioSpec
from corral.protocol.orders import LaunchStep
from corral.protocol.reports import AgentRegistered, Heartbeat, NodeFailed, StepFinished

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
            # An agent that starts now misses it, and goes by what was there: running jobs have GPUs by their numbers.
            agent.stop()
            agent.set_gpus(second, first)
            registered = len(controller.got(AgentRegistered))
            agent.start()
            await wait_until(lambda: len(controller.got(AgentRegistered)) > registered)
            assert controller.got(AgentRegistered)[-1].nodes[0].gres == (found,)

    asyncio.run(scene())


def shared(job: int, script: str, output: Path) -> LaunchStep:
    """A batch step with a quarter of the second GPU."""
    share = NodeShare(node=AGENT, cpus=(0,), memory_mb=0, gres=(GresShare("shard", "", (1,), 250, 1),))
    order = batch(job, script, node=AGENT, stdio=StdioSpec(stdout=str(output)), mps=True)
    return msgspec.structs.replace(order, share=share, job_share=share)


def test_a_job_with_a_share_comes_to_a_daemon_that_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(__file__).parents[1] / "unit" / "agent" / mps.PROGRAM
    (tmp_path / "bin").mkdir()
    shutil.copy(program, tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    async def scene() -> None:
        gpus = Gpu("GPU-a", minor=240), Gpu("GPU-b", minor=241, bus="00000000:02:00.0", memory=80 << 30)
        sharing = GpuSharing(fence="mps")
        async with agent_and_controller(tmp_path, (), gpus, sharing, heartbeat=0.2) as (agent, controller):
            await wait_until(lambda: controller.got(AgentRegistered))
            output = tmp_path / "output"
            script = 'echo $CUDA_VISIBLE_DEVICES $CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; ls "$CUDA_MPS_PIPE_DIRECTORY"'
            await controller.send(shared(1, script, output))
            await wait_until(lambda: controller.got(StepFinished, 1))
            assert output.read_text() == f"GPU-b 25\n{mps.PROGRAM}.pid\n"
            (pid,) = agent.directory.glob("mps/gpu1.0/pipe/*.pid")
            await controller.send(end(1, node=AGENT))
            await wait_until(lambda: not pid.parents[1].exists())
            assert (tmp_path / "bin" / "calls").read_text() == "start GPU-b 0\nquit 0\n"

    asyncio.run(scene())
