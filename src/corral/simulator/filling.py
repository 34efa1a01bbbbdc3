"""How much of a cluster's GPUs can be given out when tasks arrive one by one and none leaves?

The measure of "Beware of Fragmentation" (USENIX ATC 2023): all pods of a list in random order, then pods drawn again from it, until they
have asked for so much of the GPUs; one that fits nowhere is dropped. Each is placed as the controller places a job, in the order
in which they come, and what is usual is learned from those that have come before.
"""

import argparse
import functools
import json
import random
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from corral.engine.usual import Usual
from corral.errors import BadWorkload
from corral.model.gres import WHOLE
from corral.model.node import NodeInventory
from corral.scheduler.demand import Demand, demand_of
from corral.scheduler.feasibility import static_rows
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.resources import place
from corral.simulator import policies
from corral.simulator.machines import BadMachine
from corral.simulator.workloads import alibaba
from corral.simulator.workloads.alibaba import Pod

DEMAND, MOST_DEMAND = 1.3, 10.0
#: Between two looks at how far it is.
STEP = 256


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed has come to: asked for, in per cent of the GPUs -> given out, likewise."""

    seed: int
    allocated: dict[int, float]
    dropped: int


class Filling:
    def __init__(self, nodes: Sequence[NodeInventory], pods: Sequence[Pod], strategy: str, demand: float) -> None:
        self.table = NodeTable()
        self.table.set_nodes((node, True, 1) for node in nodes)
        self.pods, self.strategy = pods, strategy
        self.total = WHOLE * int(sum(one.count for node in nodes for one in node.gres if one.name == "gpu"))
        self.marks = sorted({100, round(demand * 100)} if demand >= 1 else {round(demand * 100)})
        self.demands: dict[int, Demand] = {}
        self.rows: dict[str, BoolColumn] = {}

    def run(self, seed: int, progress: Callable[[int, int], None]) -> Filled:
        table, usual = self.table.copy(), Usual()
        asked = given = dropped = 0
        allocated: dict[int, float] = {}
        arrivals = self.arrivals(seed)
        for number, pod in enumerate(arrivals, start=1):
            if number % STEP == 0:
                progress(number, len(arrivals))
            asked += pod.milli
            demand = self.demand(pod)
            usual.note(number, (demand,), 1, 0)
            table.popular = usual.popular()
            found = place(table, demand, self.able(demand), self.strategy)
            if found is None:
                dropped += 1
            else:
                table.take(number, found)
                given += pod.milli
            for mark in self.marks[len(allocated) :]:
                if asked * 100 >= mark * self.total:
                    allocated[mark] = 100 * given / self.total
        return Filled(seed=seed, allocated=allocated, dropped=dropped)

    def arrivals(self, seed: int) -> list[Pod]:
        chance = random.Random(seed)
        order = list(self.pods)
        chance.shuffle(order)
        asked, found = 0, list[Pod]()
        goal = self.marks[-1] * self.total
        for pod in order:
            if asked * 100 >= goal:
                return found
            found.append(pod)
            asked += pod.milli
        while asked * 100 < goal:
            pod = self.pods[chance.randrange(len(self.pods))]
            found.append(pod)
            asked += pod.milli
        return found

    def demand(self, pod: Pod) -> Demand:
        demand = self.demands.get(id(pod.spec))
        if demand is None:
            demand = self.demands[id(pod.spec)] = demand_of(pod.spec, "pods")
        return demand

    def able(self, demand: Demand) -> BoolColumn:
        """Nodes with a GPU of a model that will do."""
        rows = self.rows.get(demand.constraint)
        if rows is None:
            rows = static_rows(self.table, demand, np.ones(len(self.table), np.bool_))
            self.rows[demand.constraint] = rows
        return rows


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One policy, and all seeds."""

    policy: str
    runs: tuple[Filled, ...]

    def mean(self, mark: int) -> float:
        return sum(run.allocated[mark] for run in self.runs) / len(self.runs)

    @property
    def marks(self) -> list[int]:
        return list(self.runs[0].allocated)


def figures(given: argparse.Namespace, progress: Callable[[str, int, int], None]) -> list[Figures]:
    """Each policy with each seed."""
    _refuse_the_rest(given)
    if given.alibaba_nodes is None:
        raise BadMachine(reason="on which machine? --alibaba-nodes FILE")
    demand = DEMAND if given.demand is None else given.demand
    if demand > MOST_DEMAND:
        raise BadMachine(reason=f"--demand: at most {MOST_DEMAND:g} times the GPUs that there are")
    nodes, pods = alibaba.nodes(given.alibaba_nodes), alibaba.pods(given.alibaba_pods)
    for what, path, milli in (
        ("node has", given.alibaba_nodes, sum(one.count for node in nodes for one in node.gres)),
        ("pod asks for", given.alibaba_pods, sum(pod.milli for pod in pods)),
    ):
        if not milli:
            raise BadWorkload(file=path, line=2, column=1, problem=f"no {what} GPUs")
    found = []
    for policy in [policies.policy_of(text) for text in given.policy or ["default"]]:
        filling = Filling(nodes, pods, policy.config.scheduling.placement, demand)
        runs = [filling.run(seed, functools.partial(progress, f"{policy.name} #{seed}")) for seed in given.seeds]
        found.append(Figures(policy=policy.name, runs=tuple(runs)))
    return found


def _refuse_the_rest(given: argparse.Namespace) -> None:
    """What says something of time, or of other machines, says nothing here."""
    for option, value in (
        ("--jobs", given.jobs), ("--config", given.config), ("--nodes", given.nodes), ("--add", given.add), ("--csv", given.csv),
        ("--without-partition", given.without_partition), ("--faults", given.faults), ("--html", given.html),
        ("--load", given.load != 1.0),
    ):  # fmt: skip
        if value:
            raise BadMachine(reason=f"{option} and --alibaba-pods: pods arrive one by one, and none leaves")


def as_json(figures: Sequence[Figures]) -> str:
    """The first policy's means at the top, for programs; then all of them, seed by seed."""
    first = figures[0]
    return json.dumps(
        {
            "policy": first.policy,
            **{f"allocated_pct_at_{mark}": round(first.mean(mark), 4) for mark in first.marks},
            "policies": [
                {
                    "policy": one.policy,
                    **{f"allocated_pct_at_{mark}": round(one.mean(mark), 4) for mark in one.marks},
                    "runs": [
                        {
                            "seed": run.seed,
                            **{f"allocated_pct_at_{mark}": round(pct, 4) for mark, pct in run.allocated.items()},
                            "dropped": run.dropped,
                        }
                        for run in one.runs
                    ],
                }
                for one in figures
            ],
        },
        indent=2,
    )


def as_table(figures: Sequence[Figures]) -> str:
    marks = figures[0].marks
    lines = [f"{'GPUs given out, % of all':<26}" + "".join(f"{f'asked {mark} %':>14}" for mark in marks)]
    lines += [f"{one.policy:<26}" + "".join(f"{one.mean(mark):>14.2f}" for mark in marks) for one in figures]
    return "\n".join(lines)
