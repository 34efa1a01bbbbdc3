"""A job that cannot be launched is tried again, but not for ever."""

from tests.builders import cluster, job, nodes

from corral.model.job import JobState
from corral.model.reason import Reason
from corral.model.step import EndCause


def test_a_job_whose_shepherd_dies_each_time_is_held_in_the_end() -> None:
    c = cluster(nodes("n1", cpus=4))
    number = c.run(job(requeue=True))
    for _ in range(5):
        c.finish(number, cause=EndCause.LOST)
        assert c.job(number).state is JobState.PENDING
        assert not c.job(number).held_by
        c.cycle()
    c.finish(number, cause=EndCause.LOST)
    assert (c.job(number).state, c.reason(number), c.job(number).held_by) == (
        JobState.PENDING,
        Reason.HOLD_MAX_REQUEUE,
        "user",
    )
    c.check()
