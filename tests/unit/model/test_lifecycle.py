from corral.model.job import ACTIVE, ENDED, JobState
from corral.model.lifecycle import JOB_CHANGES, may_change


def test_every_state_but_the_accountings_own_is_in_the_table() -> None:
    assert set(JOB_CHANGES) == set(JobState) - {JobState.REQUEUED}


def test_nobody_becomes_requeued() -> None:
    assert all(JobState.REQUEUED not in after for after in JOB_CHANGES.values())


def test_an_ended_job_can_only_be_queued_again() -> None:
    assert all(JOB_CHANGES[state] == {JobState.PENDING} for state in ENDED)


def test_a_waiting_job_holds_nothing_to_clear_away() -> None:
    assert not may_change(JobState.PENDING, JobState.COMPLETING)
    assert not may_change(JobState.PENDING, JobState.TIMEOUT)


def test_whatever_is_active_may_end() -> None:
    assert all(JOB_CHANGES[state] >= ENDED for state in ACTIVE)


def test_to_stay_is_no_change() -> None:
    assert all(may_change(state, state) for state in JOB_CHANGES)
