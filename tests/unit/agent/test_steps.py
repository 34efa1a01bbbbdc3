from corral.agent.steps import LocalStep, Phase, StepTable
from corral.model.job import JobId
from corral.model.step import BATCH, StepKey
from corral.protocol.reports import KnownStep


def test_steps_are_found_by_key_and_by_run_of_their_job() -> None:
    table = StepTable()
    keys = [StepKey(JobId(1), BATCH), StepKey(JobId(1), 0), StepKey(JobId(1), BATCH, 1)]
    steps = [LocalStep("n1", key, Phase.RUNNING, 0.0) for key in keys]
    for step in steps:
        table.add(step)
    assert table.get("n1", keys[1]) is steps[1]
    assert table.get("n2", keys[1]) is None
    assert table.of_job("n1", 1, 0) == steps[:2]
    for step in steps[:2]:
        table.remove(step)
    assert table.of_job("n1", 1, 0) == []
    assert table.known() == (KnownStep("n1", keys[2], False),)
