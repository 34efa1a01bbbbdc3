"""What has become of a simulated workload: each job's times, and how full the cluster was?"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from corral.engine.state import ClusterState
from corral.model.allocation import Allocation
from corral.model.cluster import NodeConfig
from corral.model.job import Job, JobSpec, JobState
from corral.model.node import NodeInventory
from corral.simulator.workloads.work import Work


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job that has ended. Times are seconds of the trace."""

    number: int
    user: str
    submit: float
    start: float | None  #: None = it ended waiting
    end: float
    cpus: int
    gpus: int
    limit: int
    state: JobState

    @property
    def wait(self) -> float:
        return (self.end if self.start is None else self.start) - self.submit

    @property
    def seconds(self) -> float:
        return 0.0 if self.start is None else self.end - self.start


class Energy:
    """What the nodes draw: a node between its idle and its busy watts, by the share of its GPUs (or CPUs, if it has none) that is held."""

    def __init__(self, nodes: Iterable[NodeInventory], entries: Mapping[str, NodeConfig]) -> None:
        self.joules = 0.0
        self.watts = 0.0
        self.more: dict[str, tuple[float, bool]] = {}  #: what one unit in use adds; is it a GPU?
        for node in nodes:
            entry = entries.get(node.name)
            if entry is None:
                continue
            self.watts += entry.watts_idle
            gpus = sum(device.count for device in node.gres if device.name == "gpu")
            units = gpus or node.cpus
            self.more[node.name] = ((entry.watts_busy - entry.watts_idle) / units, bool(gpus))

    def change(self, held: Allocation, sign: int) -> None:
        for share in held.nodes:
            found = self.more.get(share.node)
            if found is not None:
                each, by_gpu = found
                units = sum(len(g.indices) for g in share.gres if g.name == "gpu") if by_gpu else len(share.cpus)
                self.watts += sign * each * units


class Outcome:
    """Filled as the simulation goes on."""

    def __init__(
        self, nodes: Iterable[NodeInventory], epoch: float = 0.0, watts: Mapping[str, NodeConfig] | None = None
    ) -> None:
        self.nodes = tuple(nodes)
        self.epoch = epoch  #: the time 0 of the runs
        self.energy = Energy(self.nodes, watts) if watts else None
        self.cpus = sum(node.cpus for node in self.nodes)
        self.gpus = sum(device.count for node in self.nodes for device in node.gres if device.name == "gpu")
        self.runs: list[Run] = []
        self.refused: Counter[str] = Counter()
        self.never: list[int] = []  #: still waiting when nothing was left to come
        self.cycles = 0
        self.requeues = 0
        self.breakdowns = 0
        self.has_begun = False
        self.began = 0.0  #: the first thing that happened
        self.finished = 0.0
        self.now = 0.0
        # now
        self.busy_cpus = self.busy_gpus = 0
        self.waiting = 0
        self.wanted: dict[int, tuple[int, int]] = {}  #: of the jobs that wait: CPUs, GPUs
        self.wanted_cpus = self.wanted_gpus = 0
        # sums over time
        self.cpu_seconds = self.gpu_seconds = 0.0
        self.lost_cpu_seconds = self.lost_gpu_seconds = 0.0  #: free while somebody waited for as many
        self.times, self.used, self.queued = array("d"), array("d"), array("l")

    def pass_to(self, now: float) -> None:
        """So it was until now."""
        now -= self.epoch
        if not self.has_begun:
            self.has_begun = True
            self.began = self.now = now
        passed = now - self.now
        if passed:
            if self.energy is not None:
                self.energy.joules += passed * self.energy.watts
            self.cpu_seconds += passed * self.busy_cpus
            self.gpu_seconds += passed * self.busy_gpus
            self.lost_cpu_seconds += passed * min(self.cpus - self.busy_cpus, self.wanted_cpus)
            self.lost_gpu_seconds += passed * min(self.gpus - self.busy_gpus, self.wanted_gpus)
            self.times.append(self.now)
            self.used.append(self.busy_gpus / self.gpus if self.gpus else self.busy_cpus / max(1, self.cpus))
            self.queued.append(len(self.wanted))
            self.now = now

    def submitted(self, job: Job, spec: JobSpec) -> None:
        asked = asked_for(spec)
        self.wanted[job.id] = asked
        self.wanted_cpus += asked[0]
        self.wanted_gpus += asked[1]

    def refuse(self, work: Work, why: str) -> None:
        self.refused[why] += 1

    def _waits_no_more(self, job: Job) -> None:
        cpus, gpus = self.wanted.pop(job.id, (0, 0))
        self.wanted_cpus -= cpus
        self.wanted_gpus -= gpus

    def started(self, job: Job) -> None:
        self._waits_no_more(job)
        held = job.allocation
        assert held is not None
        self.busy_cpus += held.cpu_count
        self.busy_gpus += held.gres_count("gpu")
        if self.energy is not None:
            self.energy.change(held, 1)

    def _gives_back(self, job: Job) -> tuple[int, int]:
        held = job.allocation
        if held is None:
            return 0, 0
        cpus, gpus = held.cpu_count, held.gres_count("gpu")
        self.busy_cpus -= cpus
        self.busy_gpus -= gpus
        if self.energy is not None:
            self.energy.change(held, -1)
        return cpus, gpus

    def requeued(self, job: Job) -> None:
        cpus, gpus = self._gives_back(job)
        self.requeues += 1
        self.wanted[job.id] = (cpus, gpus)
        self.wanted_cpus += cpus
        self.wanted_gpus += gpus

    def ended(self, job: Job, work: Work) -> None:
        self._waits_no_more(job)
        cpus, gpus = self._gives_back(job)
        epoch = self.epoch
        start = job.start_time - epoch if job.start_time else None
        run = Run(
            number=work.number, user=work.user, submit=job.submit_time - epoch, start=start, end=job.end_time - epoch,
            cpus=cpus, gpus=gpus, limit=job.time_limit, state=job.state,
        )  # fmt: skip
        self.runs.append(run)

    def close(self, state: ClusterState, now: float) -> None:
        self.finished = now - self.epoch
        self.never = [job.id for job in state.jobs.values() if not job.has_ended]


def asked_for(spec: JobSpec) -> tuple[int, int]:
    """About how many CPUs and GPUs."""
    nodes = spec.nodes_min or 1
    tasks = spec.ntasks or (spec.ntasks_per_node or 1) * nodes
    gpus = sum(request.count for request in spec.gpus if request.name == "gpu")
    gpus += nodes * sum(r.count for r in spec.gres + spec.gpus_per_node if r.name == "gpu")
    gpus += tasks * sum(request.count for request in spec.gpus_per_task if request.name == "gpu")
    return tasks * (spec.cpus_per_task or 1), gpus
