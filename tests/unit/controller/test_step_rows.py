"""What the API says of steps, beside what squeue -s -O printed of the same ones under Slurm."""

import pytest
from tests.unit.cli.fakecluster import golden

from corral.cli.columns import parse_names
from corral.cli.step_columns import names
from corral.controller.api.step_rows import STEPS, StepContext
from corral.model.allocation import NodeShare
from corral.model.gres import GresRequest
from corral.model.job import UNLIMITED, Job, JobSpec, JobState, Owner, StepSpec
from corral.model.step import BATCH, Step, StepKey, StepNode

GPU = (GresRequest(name="gpu", count=1),)

#: As in the head of the golden file. What Slurm shows of --cpus-per-gpu and --mem-per-gpu of a step is not kept here.
SPECS = {
    "batch": (BATCH, 6, 1, StepSpec(name="batch")),
    "one": (0, 2, 2, StepSpec(name="one", cpus_per_task=1, gres=())),
    "gpu1": (1, 1, 1, StepSpec(name="gpu1", gres=GPU)),
    "gpt": (2, 1, 1, StepSpec(name="gpt", gpus_per_task=GPU, time_limit=600)),
    "gs": (3, 1, 1, StepSpec(name="gs", gpus=GPU)),
    "ov": (4, 6, 1, StepSpec(name="ov", gpus_per_node=GPU)),
}
NOT_KEPT = {("cpus-per-tres", "gs"), ("mem-per-tres", "gs")}


def table() -> list[list[str]]:
    return [line.split("\t") for line in golden("squeue/step-fields.tsv").splitlines() if line[0] != "#"]


@pytest.mark.parametrize("column", range(len(SPECS)), ids=list(SPECS))
def test_a_step_is_shown_as_slurm_shows_it(column: int) -> None:
    which = list(SPECS)[column]
    number, cpus, ntasks, spec = SPECS[which]
    share = NodeShare(node="dgx0182", cpus=tuple(range(cpus)), memory_mb=100)
    step = Step(key=StepKey(3, number), spec=spec, nodes=(StepNode(share=share, tasks=()),), ntasks=ntasks)
    job = Job(
        id=3, spec_id=3, owner=Owner(user="root", uid=0, group="root", gid=0), state=JobState.RUNNING,
        partition="batch", submit_time=1.0, time_limit=UNLIMITED,
    )  # fmt: skip
    context = StepContext({3: job}, {3: JobSpec(name="steps")}, 10.0)
    expected, shown = {}, {}
    for name, _, *values in table():
        layout = parse_names(f"{name}:0", names(), lambda _: None)
        own = ["job", *(field for field in layout.fields if field not in ("job", "cluster"))]
        row = STEPS.rows([step], own, context).rows[0]
        if (name, which) not in NOT_KEPT:
            shown[name] = next(iter(layout.render([*own, "cluster"], [[*row, "oracle"]])[1]))
            expected[name] = values[column].replace("<ID>", "3")
    assert shown == expected
