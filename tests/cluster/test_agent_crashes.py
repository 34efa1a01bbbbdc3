"""An agent that is killed at any moment loses nothing and runs nothing twice."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.cluster.agent_kit import (
    AGENT,
    NODE,
    AgentProcess,
    FakeController,
    agent_and_controller,
    batch,
    end,
    wait_until,
)
from tests.waiting import PATIENCE

from corral.model.step import EndCause
from corral.protocol.orders import SendInventory, SignalTasks
from corral.protocol.reports import AgentRegistered, JobCleaned, NodeFailed, StepFinished

Scene = Callable[[AgentProcess, FakeController], Awaitable[None]]


def play(tmp_path: Path, scene: Scene, **timeouts: float) -> None:
    async def whole() -> None:
        async with agent_and_controller(tmp_path, **timeouts) as (agent, controller):
            await wait_until(lambda: controller.got(AgentRegistered))
            await asyncio.wait_for(scene(agent, controller), 2 * PATIENCE)

    asyncio.run(whole())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where each script says that it has run."""
    return tmp_path / "runs"


def ids(runs: Path) -> list[str]:
    return runs.read_text().split() if runs.exists() else []


def test_a_step_runs_and_its_end_is_reported_until_it_is_acknowledged(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        controller.commits = False
        order = batch(1, f"echo 1 >> {runs}; exit 3")
        await controller.send(order)
        await wait_until(lambda: controller.got(StepFinished))
        await wait_until(lambda: max(controller.times_sent(StepFinished).values()) > 1)
        [finished] = controller.got(StepFinished)
        assert finished.tasks[0].status.code == 3
        assert agent.step_directory(order.key).exists()
        await controller.commit(finished)
        await wait_until(lambda: not agent.step_directory(order.key).exists())
        assert ids(runs) == ["1"]

    play(tmp_path, scene)


def test_a_repeated_launch_runs_once_also_after_its_end(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        order = batch(1, f"echo 1 >> {runs}")
        for _ in range(3):
            await controller.send(order)
        await wait_until(lambda: controller.got(StepFinished))
        await wait_until(lambda: not agent.step_directory(order.key).exists())
        await controller.send(order)
        agent.kill()
        agent.start()
        await wait_until(lambda: len(controller.got(AgentRegistered)) >= 2)
        await controller.send(order)
        await controller.send(batch(2, f"echo 2 >> {runs}"))
        await wait_until(lambda: controller.got(StepFinished, job=2))
        assert ids(runs) == ["1", "2"]
        first, *later = controller.got(StepFinished, job=1)
        assert len(first.tasks) == 1
        assert not [report for report in later if report.tasks], "the others only say that it is over"

    play(tmp_path, scene)


def test_a_launch_that_comes_after_the_end_and_the_agents_death_runs_nothing(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        controller.commits = False  # it has committed the end, and the agent never hears of it
        await controller.send(end(1))
        await wait_until(lambda: controller.got(JobCleaned))
        agent.kill()
        controller.commits = True
        agent.start()
        await wait_until(lambda: len(controller.got(AgentRegistered)) == 2)
        await controller.send(batch(1, f"echo 1 >> {runs}"))
        await controller.send(batch(2, f"echo 2 >> {runs}"))
        await wait_until(lambda: controller.got(StepFinished, job=2) and controller.got(StepFinished, job=1))
        assert ids(runs) == ["2"]
        [finished] = controller.got(StepFinished, job=1)
        assert finished.cause is EndCause.CANCELLED

    play(tmp_path, scene)


def test_a_step_runs_on_while_its_agent_is_dead(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        order = batch(1, f"echo 1 >> {runs}; cat {gate}; exit 7")
        await controller.send(order)
        await wait_until(lambda: ids(runs))
        agent.kill()
        agent.start()
        await wait_until(lambda: len(controller.got(AgentRegistered)) >= 2)
        assert [known.finished for known in controller.got(AgentRegistered)[-1].steps] == [False]
        await controller.send(order)
        gate.write_text("go")
        await wait_until(lambda: controller.got(StepFinished))
        assert controller.got(StepFinished)[0].tasks[0].status.code == 7
        assert ids(runs) == ["1"]

    play(tmp_path, scene)


def test_an_end_while_the_agent_is_dead_is_reported_by_the_next(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        order = batch(1, f"echo 1 >> {runs}; cat {gate}; exit 7")
        await controller.send(order)
        await wait_until(lambda: ids(runs))
        agent.kill()
        gate.write_text("go")
        await wait_until(lambda: (agent.step_directory(order.key) / "exit").exists())
        controller.commits = False
        agent.start()
        await wait_until(lambda: controller.got(StepFinished))
        agent.kill()
        controller.commits = True
        agent.start()
        await wait_until(lambda: not agent.step_directory(order.key).exists())
        assert {report.tasks[0].status.code for report in controller.got(StepFinished)} == {7}

    play(tmp_path, scene)


def test_a_kill_at_any_moment_of_many_launches_runs_each_once(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        jobs = range(1, 61)
        orders = {job: batch(job, f"echo {job} >> {runs}; exit {job}") for job in jobs}
        for part in range(4):
            for job in range(1 + 15 * part, 16 + 15 * part):
                await controller.send(orders[job])
            await wait_until(lambda want=10 * part + 3: len(ids(runs)) >= want)
            agent.kill()
            agent.start()
            await wait_until(lambda want=part + 2: len(controller.got(AgentRegistered)) >= want)
            # The controller sends again what it has heard nothing of.
            for job in range(1, 16 + 15 * part):
                if not controller.got(StepFinished, job=job):
                    await controller.send(orders[job])
        await wait_until(lambda: all(controller.got(StepFinished, job=job) for job in jobs))
        assert sorted(map(int, ids(runs))) == list(jobs)
        for job in jobs:
            assert {r.tasks[0].status.code for r in controller.got(StepFinished, job=job)} == {job}

    play(tmp_path, scene)


def test_a_dead_spawner_is_replaced(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        os.kill(agent.spawner_pid(), signal.SIGKILL)
        for job in range(1, 6):
            await controller.send(batch(job, f"echo {job} >> {runs}"))
        await wait_until(lambda: len(controller.got(StepFinished)) == 5)
        assert sorted(ids(runs)) == ["1", "2", "3", "4", "5"]

    play(tmp_path, scene)


def test_a_killed_shepherd_is_reported_lost(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        order = batch(1, f"echo 1 >> {runs}; sleep 60")
        await controller.send(order)
        await wait_until(lambda: ids(runs))
        agent.kill_shepherds()
        await wait_until(lambda: controller.got(StepFinished))
        assert controller.got(StepFinished)[0].cause is EndCause.LOST

    play(tmp_path, scene, heartbeat=0.1)


def test_an_order_of_an_earlier_controller_is_refused_also_after_a_restart(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        controller.term = 5
        await controller.send(batch(1, f"echo 1 >> {runs}"))
        await wait_until(lambda: controller.got(StepFinished))
        agent.kill()
        agent.start()
        await wait_until(lambda: len(controller.got(AgentRegistered)) >= 2)
        await controller.send(batch(2, f"echo 2 >> {runs}", term=4))
        await controller.send(batch(3, f"echo 3 >> {runs}"))
        await wait_until(lambda: controller.got(StepFinished, job=3))
        assert ids(runs) == ["1", "3"]

    play(tmp_path, scene)


def test_a_signal_ends_a_step_and_the_end_of_a_job_is_told(tmp_path: Path, runs: Path) -> None:
    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        for job in (1, 2):
            await controller.send(batch(job, f"echo {job} >> {runs}; sleep 60"))
        await wait_until(lambda: len(ids(runs)) == 2)
        await controller.send(
            SignalTasks(node=NODE, job=1, signal=15, batch_too=True, reason="cancelled", kill_after=1.0)
        )
        await wait_until(lambda: controller.got(StepFinished, job=1))
        await controller.send(end(2))
        await controller.send(end(2))
        await wait_until(lambda: controller.got(JobCleaned))
        finished = controller.got(StepFinished, job=2)
        assert controller.reports.index(finished[0]) < controller.reports.index(controller.got(JobCleaned)[0])
        await controller.send(batch(2, f"echo again >> {runs}"))
        await controller.send(SendInventory(node=AGENT))
        await wait_until(lambda: len(controller.got(AgentRegistered)) > 1)
        assert sorted(ids(runs)) == ["1", "2"]

    play(tmp_path, scene)


def test_prolog_and_epilog_run_once_for_a_job(tmp_path: Path, runs: Path) -> None:
    prolog, epilog = tmp_path / "prolog", tmp_path / "epilog"
    for program in (prolog, epilog):
        program.write_text(f"#!/bin/sh\necho {program.name}-$SLURM_JOB_ID >> {runs}\n")
        program.chmod(0o755)

    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        await controller.send(batch(1, f"echo job >> {runs}", prolog=str(prolog)))
        await wait_until(lambda: controller.got(StepFinished))
        controller.commits = False
        await controller.send(end(1, epilog=str(epilog)))
        await wait_until(lambda: controller.got(JobCleaned))
        agent.kill()
        agent.start()
        await wait_until(lambda: len(controller.got(AgentRegistered)) >= 2)
        await controller.send(end(1, epilog=str(epilog)))
        await wait_until(lambda: len(controller.got(JobCleaned)) == 2)
        assert ids(runs) == ["prolog-1", "job", "epilog-1"]

    play(tmp_path, scene)


def test_a_failing_prolog_drains_the_node_and_the_step_never_runs(tmp_path: Path, runs: Path) -> None:
    prolog = tmp_path / "prolog"
    prolog.write_text("#!/bin/sh\necho no scratch disk >&2\nexit 1\n")
    prolog.chmod(0o755)

    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        await controller.send(batch(1, f"echo 1 >> {runs}", prolog=str(prolog)))
        await wait_until(lambda: controller.got(StepFinished))
        [finished] = controller.got(StepFinished)
        assert finished.cause is EndCause.LAUNCH_FAILED
        assert "no scratch disk" in finished.message
        assert controller.got(NodeFailed)[0].node == NODE
        assert ids(runs) == []

    play(tmp_path, scene)


def test_a_cancelled_job_does_not_start_after_its_prolog(tmp_path: Path, runs: Path) -> None:
    prolog, gate = tmp_path / "prolog", tmp_path / "gate"
    os.mkfifo(gate)
    prolog.write_text(f"#!/bin/sh\necho prolog >> {runs}\ncat {gate}\n")
    prolog.chmod(0o755)

    async def scene(agent: AgentProcess, controller: FakeController) -> None:
        await controller.send(batch(1, f"echo 1 >> {runs}", prolog=str(prolog)))
        await wait_until(lambda: ids(runs))
        await controller.send(end(1))
        await controller.send(SendInventory(node=AGENT))
        await wait_until(lambda: len(controller.got(AgentRegistered)) >= 2)
        gate.write_text("go")
        await wait_until(lambda: controller.got(JobCleaned))
        assert controller.got(StepFinished)[0].cause is EndCause.CANCELLED
        assert ids(runs) == ["prolog"]

    play(tmp_path, scene)
