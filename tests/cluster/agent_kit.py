"""An agent as a process of its own, a NATS server, and a controller that only sends orders and remembers reports."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from tests.cluster import afterwards
from tests.unit.agent import fake_nvml
from tests.unit.agent.fake_nvml import Gpu
from tests.waiting import PATIENCE

from corral.agent.inventory import VirtualNodes
from corral.agent.main import AgentSetup
from corral.bus import subjects
from corral.bus.nats import NatsBus
from corral.bus.server import start_server
from corral.model.allocation import Allocation, NodeShare
from corral.model.cluster import ClusterConfig, GpuSharing, NatsConfig, Timeouts
from corral.model.job import JobId, JobSpec, Owner, StepSpec
from corral.model.step import BATCH, StepKey, TaskPlace
from corral.protocol.codec import decode_reports, encode
from corral.protocol.orders import AnyOrder, EndJob, JobContext, LaunchStep, ReportsCommitted
from corral.protocol.reports import AnyReport

R = TypeVar("R", bound=AnyReport)

CLUSTER, AGENT, NODE = "test", "box", "dgx0180"


async def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about in time")
        await asyncio.sleep(0.005)


class FakeController:
    """Sends orders, keeps what is reported, and acknowledges while `commits` is set."""

    def __init__(self, bus: NatsBus) -> None:
        self._bus = bus
        self.term = 1
        self.commits = True
        self.reports: list[AnyReport] = []

    async def start(self) -> None:
        await self._bus.subscribe(subjects.all_reports(CLUSTER), self._on_reports)
        await self._bus.connect(PATIENCE)

    async def send(self, order: AnyOrder) -> None:
        order = msgspec.structs.replace(order, term=order.term or self.term)
        subject = subjects.orders(CLUSTER, order.node) if order.node != AGENT else subjects.acks(CLUSTER, AGENT)
        await self._bus.publish(subject, encode(order))

    async def commit(self, *reports: AnyReport) -> None:
        sequences = tuple(report.sequence for report in reports)
        await self.send(ReportsCommitted(node=AGENT, sequences=sequences))

    def got(self, kind: type[R], job: int = 0) -> list[R]:
        """Each only once, however often it was sent."""
        found: dict[int, R] = {}
        for report in self.reports:
            if isinstance(report, kind) and (not job or _job_of(report) == job):
                found.setdefault(report.sequence or -len(found) - 1, report)
        return list(found.values())

    def times_sent(self, kind: type[AnyReport]) -> Counter[int]:
        return Counter(report.sequence for report in self.reports if isinstance(report, kind))

    async def _on_reports(self, subject: str, data: bytes) -> None:
        reports = decode_reports(data)
        self.reports += reports
        if self.commits and (waiting := [report for report in reports if report.sequence]):
            await self.commit(*waiting)


def _job_of(report: AnyReport) -> int:
    return report.job if hasattr(report, "job") else report.key.job if hasattr(report, "key") else 0


class AgentProcess:
    """The agent under test."""

    def __init__(
        self, state_dir: Path, url: str, nodes: tuple[str, ...], sharing: GpuSharing, **timeouts: float
    ) -> None:
        """nodes: virtual ones; none = this machine, whose GPUs a stand-in for NVML makes up (see `set_gpus`)."""
        config = ClusterConfig(
            gpu_sharing=sharing,
            cluster=CLUSTER,
            nats=NatsConfig(url=url),
            timeouts=Timeouts(**{"heartbeat": 0.5, **timeouts}),
        )
        virtual = VirtualNodes(names=nodes, cpus=16, memory_mb=64000) if nodes else None
        setup = AgentSetup(config=config, name=AGENT, state_dir=str(state_dir), virtual=virtual)
        self.directory = state_dir / "agent" / AGENT
        self._setup = state_dir / "agent.json"
        self._setup.write_bytes(msgspec.json.encode(setup))
        self.process: subprocess.Popen[bytes] | None = None
        self._gpus = state_dir / "gpus.json"
        self._environment: dict[str, str] = {}

    def set_gpus(self, *gpus: Gpu) -> None:
        """Before the start, or while it runs."""
        whole = self._gpus.with_suffix(".new")
        whole.write_bytes(msgspec.json.encode(gpus))
        whole.rename(self._gpus)
        self._environment = fake_nvml.environment(self._gpus)

    def start(self) -> None:
        command = [sys.executable, "-m", "corral.agent.main", str(self._setup)]
        self.process = subprocess.Popen(command, env=os.environ | self._environment)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def spawner_pid(self) -> int:
        return int((self.directory / "spawner").read_text().split()[0])

    def step_directory(self, key: StepKey, node: str = NODE) -> Path:
        return self.directory / "steps" / node / str(key)

    def kill_shepherds(self) -> None:
        for file in self.directory.glob("steps/*/*/pid"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ProcessLookupError, ValueError):
                pass


@asynccontextmanager
async def agent_and_controller(
    tmp_path: Path,
    nodes: tuple[str, ...] = (NODE,),
    gpus: tuple[Gpu, ...] = (),
    sharing: GpuSharing = GpuSharing(),  # noqa: B008 - it is frozen
    **timeouts: float,
) -> AsyncIterator[tuple[AgentProcess, FakeController]]:
    afterwards.may_be_asked(tmp_path / "agent")
    server = start_server(tmp_path / "nats", None)
    bus = NatsBus(server.url)
    agent = AgentProcess(tmp_path, server.url, nodes, sharing, **timeouts)
    controller = FakeController(bus)
    try:
        await controller.start()
        if gpus:
            agent.set_gpus(*gpus)
        agent.start()
        yield agent, controller
    finally:
        try:
            agent.stop()
            agent.kill_shepherds()
            await bus.close()
        finally:
            server.stop()


def context(job: int, node: str = NODE, restart: int = 0) -> JobContext:
    share = NodeShare(node=node, cpus=(0,), memory_mb=100)
    return JobContext(
        job_id=job,
        name="job",
        owner=Owner(uid=os.getuid(), gid=os.getgid(), user="root", group="root"),
        partition="batch",
        allocation=Allocation(nodes=(share,)),
        spec=JobSpec(work_dir="/tmp"),
        restarts=restart,
        cluster=CLUSTER,
    )


def batch(job: int, script: str, node: str = NODE, restart: int = 0, **more: object) -> LaunchStep:
    """A batch step of one task on one node."""
    job_context = context(job, node, restart)
    share = job_context.allocation.nodes[0]
    return LaunchStep(
        node=node,
        key=StepKey(JobId(job), BATCH, restart),
        job=job_context,
        spec=StepSpec(work_dir="/tmp", stdio=more.pop("stdio", None) or StepSpec().stdio),  # type: ignore[arg-type]
        step_nodes=(node,),
        tasks_per_node=(1,),
        ntasks=1,
        share=share,
        job_share=share,
        tasks=(TaskPlace(0, 0, (0,)),),
        script="#!/bin/sh\n" + script,
        environment={"PATH": os.environ["PATH"]},
        **more,  # type: ignore[arg-type]
    )


def end(job: int, node: str = NODE, restart: int = 0, **more: object) -> EndJob:
    return EndJob(node=node, job=job, restart=restart, context=context(job, node, restart), **more)  # type: ignore[arg-type]
