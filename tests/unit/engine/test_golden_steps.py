"""The same srun in the same allocation as a real Slurm had: its ranks are where they were there, with the same CPUs, GPUs and variables.

`tests/golden/placement/steps.jsonl`: the options of salloc and, behind the |, those of the srun in it.
"""

import json
from typing import Any

import msgspec
import pytest
from tests.builders import ANN
from tests.unit.scheduler.test_golden_placement import GOLDEN, oracle

from corral.agent.environment import task_environment
from corral.cli import allocated, jobspec
from corral.cli.given import Given
from corral.cli.run import Program
from corral.controller.api.job_rows import FIELDS, JobContext
from corral.model.job import JobSpec, StepSpec
from corral.protocol import orders as od
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected, StepCreated

CASES = [json.loads(line) for line in (GOLDEN / "steps.jsonl").read_text().splitlines()]
#: Not the step's own; and the bindings, which that Slurm was built without.
ELSEWHERE = (
    "SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0",
    "SLURM_CPU_BIND",
    "SLURM_WORKING_CLUSTER",
    "SLURM_SRUN",
    "SLURM_LAUNCH",
)


def given(command: str, words: str, environment: dict[str, str]) -> Given:
    found = Given(Program(command))
    found.take_environment(environment)
    found.take(found.split(words.split())[0])
    found.settle()
    return found


def outcome(line: str) -> dict[str, Any]:
    """In the form of the golden file."""
    outside, _, inside = line.partition("|")
    cluster = oracle()
    own = given("salloc", outside, {})
    spec = msgspec.convert(jobspec.job_spec(own, "salloc") | {"rlimits": {}}, JobSpec)
    job = cluster.job(cluster.run(spec, ANN))
    row = {name: value(job, JobContext(cluster.state.specs, cluster.now)) for name, value in FIELDS.items()}
    environment = allocated.variables(row, own, "oracle")
    asked = given("srun", inside, environment)
    jobspec.fit_tasks_to_nodes(asked)
    step = msgspec.convert(jobspec.step_spec(asked, ["env"], "env") | {"rlimits": {}}, StepSpec)
    if "cpus-per-task" in asked and "cpus-per-task" not in asked.from_environment:
        step = msgspec.structs.replace(step, exact=True)
    cluster.orders(od.LaunchStep)
    reply = cluster.ask(rq.CreateStep(job=str(job.id), spec=step))
    if isinstance(reply, Rejected):
        return {"exit": 1, "stderr": f"srun: error: Unable to create step for job <ID>: {reply.error}\n"}
    assert isinstance(reply, StepCreated)
    tasks: dict[int, list[Any]] = {}
    zero: dict[str, str] = {}
    for order in cluster.orders(od.LaunchStep):
        order = msgspec.structs.replace(order, environment=environment)
        for place in order.tasks:
            found = task_environment(order, place)
            visible = found.get("CUDA_VISIBLE_DEVICES", "")
            tasks[place.rank] = [order.node, place.local_id, visible, int(found["SLURM_CPUS_ON_NODE"])]
            if place.rank == 0:
                zero = found
    return {"exit": 0, "tasks": [tasks[rank] for rank in sorted(tasks)], "env": zero}


ALLOCATIONS = [json.loads(line) for line in (GOLDEN / "salloc.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", ALLOCATIONS, ids=[case["line"] for case in ALLOCATIONS])
def test_the_variables_of_an_allocation_are_as_they_are_there(case: dict[str, Any]) -> None:
    cluster = oracle()
    own = given("salloc", case["line"], {})
    spec = msgspec.convert(jobspec.job_spec(own, "salloc") | {"rlimits": {}}, JobSpec)
    job = cluster.job(cluster.run(spec, ANN))
    row = {name: value(job, JobContext(cluster.state.specs, cluster.now)) for name, value in FIELDS.items()}
    found = allocated.variables(row, own, "oracle")
    assert {name: found.get(name) for name in case["env"]} == case["env"]


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    result = {key: found.get(key) for key in ("exit", "tasks") if wanted.get(key) != found.get(key)}
    if wanted["exit"] and wanted.get("stderr") != found.get("stderr"):
        result["stderr"] = found.get("stderr")
    for key, value in wanted.get("env", {}).items():
        mine = found.get("env", {}).get(key)
        if value != mine and not key.startswith(ELSEWHERE):
            result[key] = mine
    return result


@pytest.mark.parametrize("case", CASES, ids=[case["line"] for case in CASES])
def test_a_step_is_as_it_is_there(case: dict[str, Any]) -> None:
    if case["line"].startswith("-N1"):  # the node of the job before was still being cleared
        case = json.loads(json.dumps(case).replace("dgx0181", "dgx0180"))
    assert difference(case, outcome(case["line"])) == {}
