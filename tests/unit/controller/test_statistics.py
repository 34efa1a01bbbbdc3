"""What the controller counts of itself."""

from corral.controller.statistics import Statistics
from corral.model.job import Job, JobState, Owner
from corral.protocol import events as ev
from corral.scheduler.plan import Expected, Plan

NOON = 12 * 3600.0
OWNER = Owner(user="anna", uid=1000, group="anna", gid=1000)


def statistics(now: float = NOON) -> Statistics:
    return Statistics(now, lambda: 0.0)


def job(state: JobState = JobState.PENDING, **given: object) -> Job:
    return Job(id=1, spec_id=1, owner=OWNER, state=state, **given)  # type: ignore[arg-type]


def ended(state: JobState) -> ev.JobEnded:
    return ev.JobEnded(time=NOON, job=job(state))


def test_an_array_counts_as_many_jobs_as_it_has_elements() -> None:
    counted = statistics()
    counted.on_event(ev.JobSubmitted(time=NOON, job=job(array_job_id=1, array_waiting=((0, 9, 1),)), spec=None))  # type: ignore[arg-type]
    assert counted.shown(NOON)["jobs"]["submitted"] == 10


def test_ends_are_told_apart() -> None:
    counted = statistics()
    for state in (JobState.COMPLETED, JobState.FAILED, JobState.TIMEOUT, JobState.CANCELLED, JobState.NODE_FAIL):
        counted.on_event(ended(state))
    jobs = counted.shown(NOON)["jobs"]
    assert (jobs["completed"], jobs["canceled"], jobs["failed"]) == (3, 1, 1)


def test_a_cycle_that_plans_is_one_of_backfilling_too() -> None:
    counted = statistics()
    counted.on_cycle(Plan(looked_at=4), 3, 0.002, NOON)
    counted.on_cycle(Plan(looked_at=6, backfilled=2, moments=5, expected={1: Expected(NOON, "n1")}), 7, 0.001, NOON + 1)
    shown = counted.shown(NOON + 2)
    assert shown["cycle"] == {
        "count": 2,
        "last": 1000,
        "max": 2000,
        "sum": 3000,
        "depth": {"last": 6, "sum": 10},
        "queue_length": 7,
    }
    backfill = shown["backfill"]
    assert (backfill["count"], backfill["jobs"], backfill["when"]) == (1, 2, NOON + 1)
    assert (backfill["depth"], backfill["tries"]["last"], backfill["table"]["last"]) == ({"last": 6, "sum": 6}, 3, 5)


def test_requests_are_summed_by_kind_and_by_user() -> None:
    counted = statistics()
    counted.on_request("get_jobs", 0.001, 1000, "anna")
    counted.on_request("get_jobs", 0.003, 0, "root")
    counted.on_request("Heartbeat", 0.001)
    shown = counted.shown(NOON)
    assert shown["requests"] == [
        {"name": "get_jobs", "count": 2, "sum": 4000},
        {"name": "Heartbeat", "count": 1, "sum": 1000},
    ]
    assert [one["user"] for one in shown["users"]] == ["anna", "root"]


def test_an_operator_resets_everything_but_what_is_for_ever() -> None:
    counted = statistics()
    counted.on_event(ended(JobState.COMPLETED))
    counted.on_cycle(Plan(backfilled=1), 3, 0.002, NOON)
    counted.on_request("get_jobs", 0.001)
    counted.reset(NOON + 10)
    shown = counted.shown(NOON + 11)
    assert shown["since"] == NOON + 10
    assert (shown["jobs"]["completed"], shown["cycle"]["count"], shown["requests"]) == (0, 0, [])
    assert (shown["backfill"]["jobs"], shown["backfill"]["jobs_ever"]) == (0, 1)
    assert shown["cycle"]["last"] == 2000


def test_counting_begins_anew_at_midnight_but_for_requests() -> None:
    counted = statistics(now=23 * 3600.0)
    counted.on_event(ended(JobState.COMPLETED))
    counted.on_request("get_jobs", 0.001)
    counted.on_cycle(Plan(), 0, 0.001, 24 * 3600.0 + 5)
    shown = counted.shown(24 * 3600.0 + 6)
    assert (shown["since"], shown["jobs"]["completed"], shown["cycle"]["count"]) == (24 * 3600.0 + 5, 0, 1)
    assert shown["requests"][0]["count"] == 1
