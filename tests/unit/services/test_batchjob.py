"""Kubernetes' Job and CronJob: counted once, retried later and later, over in the words of Kubernetes."""

import datetime

import msgspec
from tests.kube import World, cron_job, job

from corral.model.kube.workload import CronJob, Job
from corral.services import indexes
from corral.services.conditions import find


def it(world: World, name: str = "sum") -> Job:
    found = world.get("Job", name)
    assert isinstance(found, Job)
    return found


def said(world: World, kind: str, name: str = "sum") -> str:
    found = find(it(world, name).status.conditions, kind)
    return f"{found.status} {found.reason}" if found is not None else ""


def started(**fields: object) -> World:
    world = World()
    world.put(job(**fields))
    return world


def test_as_many_pods_run_at_once_as_parallelism_says_until_all_have_succeeded() -> None:
    world = started(completions=5, parallelism=2)
    assert len(world.pods()) == 2
    for left in (2, 2, 2, 1, 0):
        world.fail(world.pods()[0], phase="Succeeded")
        assert len(world.pods()) == left
    assert it(world).status.succeeded == 5
    assert said(world, "Complete") == "True CompletionsReached"
    assert it(world).status.completion_time == world.now
    assert world.look_at_all() == 0


def test_the_pods_have_the_labels_of_kubernetes() -> None:
    world = started()
    (pod,) = world.pods()
    uid = it(world).metadata.uid
    assert pod.metadata.labels == {
        "app": "sum", "batch.kubernetes.io/controller-uid": uid, "controller-uid": uid,
        "batch.kubernetes.io/job-name": "sum", "job-name": "sum",
    }  # fmt: skip


def test_without_completions_it_is_over_when_one_has_succeeded_and_all_have_ended() -> None:
    world = started(parallelism=3)
    world.fail(world.pods()[0], phase="Succeeded")
    assert len(world.pods()) == 2
    world.fail(world.pods()[0], phase="Succeeded")
    assert said(world, "Complete") == ""
    world.fail(world.pods()[0], phase="Succeeded")
    assert said(world, "Complete") == "True CompletionsReached"


def test_each_index_runs_until_it_has_succeeded_and_is_told_which_it_is() -> None:
    world = started(completions=4, parallelism=4, completion_mode="Indexed")
    pods = {pod.metadata.annotations["batch.kubernetes.io/job-completion-index"]: pod for pod in world.pods()}
    assert sorted(pods) == ["0", "1", "2", "3"]
    (told,) = [one for one in pods["2"].spec.containers[0].env if one.name == "JOB_COMPLETION_INDEX"]
    assert told.value == "2"
    assert pods["2"].spec.hostname == "sum-2"
    assert pods["2"].metadata.name.startswith("sum-2-")
    for index in "013":
        world.fail(pods[index], phase="Succeeded")
    assert it(world).status.completed_indexes == "0-1,3"
    world.fail(pods["2"])
    world.pass_time(10)
    (again,) = world.pods()
    assert again.metadata.annotations["batch.kubernetes.io/job-completion-index"] == "2"
    world.fail(again, phase="Succeeded")
    assert it(world).status.completed_indexes == "0-3"
    assert said(world, "Complete") == "True CompletionsReached"


def test_failures_are_tried_again_later_and_later_up_to_the_limit() -> None:
    world = started(backoff_limit=2)
    world.fail(world.pods()[0])
    for wait in (10, 20):
        assert not world.pods()
        world.pass_time(wait - 1)
        assert not world.pods()
        world.pass_time(1)
        world.fail(world.pods()[0])
    assert said(world, "Failed") == "True BackoffLimitExceeded"
    assert it(world).status.failed == 3
    world.pass_time(1000)
    assert not world.pods()


def test_a_pod_counts_once_though_it_is_removed_at_once() -> None:
    world = started(completions=2)
    (pod,) = world.pods()
    world.fail(pod, phase="Succeeded", settle=False)
    world.delete(pod)
    world.end()
    assert it(world).status.succeeded == 1
    world.look_at_all()
    assert it(world).status.succeeded == 1


def test_who_deletes_a_pod_has_made_it_fail() -> None:
    world = started()
    world.delete(world.pods()[0])
    assert it(world).status.failed == 1


def test_it_ends_when_its_time_is_up() -> None:
    world = started(active_deadline_seconds=60)
    world.pass_time(59)
    assert len(world.pods()) == 1
    world.pass_time(1)
    assert not world.pods()
    assert said(world, "Failed") == "True DeadlineExceeded"


def test_its_pods_go_with_it_though_they_were_not_counted() -> None:
    world = started(completions=3, parallelism=3)
    world.delete(it(world))
    world.end()
    assert not list(world.objects.everywhere("Pod"))


def test_suspended_its_pods_end_and_count_for_nothing() -> None:
    world = started(active_deadline_seconds=60)
    world.put(job(active_deadline_seconds=60, suspend=True))
    assert not world.pods()
    assert said(world, "Suspended") == "True JobSuspended"
    assert it(world).status.failed == 0
    world.pass_time(100)
    world.put(job(active_deadline_seconds=60))
    assert said(world, "Suspended") == "False JobResumed"
    assert len(world.pods()) == 1


def test_it_goes_when_it_has_been_over_for_long_enough() -> None:
    world = started(ttl_seconds_after_finished=30)
    world.fail(world.pods()[0], phase="Succeeded")
    world.pass_time(29)
    it(world)
    world.pass_time(1)
    assert not list(world.objects.of_kind("Job", "default"))


def test_indexes_are_written_as_in_kubernetes() -> None:
    assert indexes.written([7, 1, 3, 4, 5]) == "1,3-5,7"
    assert indexes.parse("1,3-5,7") == {1, 3, 4, 5, 7}
    assert indexes.parse(indexes.written([])) == set()


# -- CronJob


def hello(world: World) -> CronJob:
    found = world.get("CronJob", "hello")
    assert isinstance(found, CronJob)
    return found


def cron_world(schedule: str = "*/5 * * * *", **fields: object) -> World:
    world = World()
    world.now = datetime.datetime(2026, 3, 1, 12, 1, tzinfo=datetime.UTC).timestamp()
    world.put(cron_job(schedule, **{"time_zone": "UTC", **fields}))
    return world


def jobs(world: World) -> list[str]:
    return [one.metadata.name for one in world.objects.of_kind("Job", "default")]


def finish(world: World, name: str, phase: str = "Succeeded") -> None:
    for pod in world.pods(**{"job-name": name}):
        world.fail(pod, phase=phase)


def test_a_job_is_made_at_its_time_and_named_after_the_minute() -> None:
    world = cron_world()
    assert jobs(world) == []
    world.pass_time(239)
    assert jobs(world) == []
    world.pass_time(1)
    due = datetime.datetime(2026, 3, 1, 12, 5, tzinfo=datetime.UTC).timestamp()
    assert jobs(world) == [f"hello-{int(due) // 60}"]
    assert hello(world).status.active == tuple(jobs(world))
    assert hello(world).status.last_schedule_time == due
    assert it(world, jobs(world)[0]).metadata.annotations == {
        "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-03-01T12:05:00Z"
    }
    finish(world, jobs(world)[0])
    assert hello(world).status.active == ()
    assert hello(world).status.last_successful_time == world.now


def test_the_schedule_is_meant_in_its_time_zone() -> None:
    world = cron_world("30 14 * * *", time_zone="Europe/Berlin")
    world.pass_time(29 * 60 + 91 * 60)
    due = datetime.datetime(2026, 3, 1, 13, 30, tzinfo=datetime.UTC).timestamp()
    assert jobs(world) == [f"hello-{int(due) // 60}"]


def test_forbid_waits_for_the_one_that_runs_and_replace_ends_it() -> None:
    world = cron_world(concurrency_policy="Forbid")
    world.pass_time(600)
    assert len(jobs(world)) == 1
    finish(world, jobs(world)[0])
    assert len(jobs(world)) == 2  # the one that was due meanwhile
    world = cron_world(concurrency_policy="Replace")
    world.pass_time(600)
    assert len(jobs(world)) == 1
    world = cron_world()
    world.pass_time(600)
    assert len(jobs(world)) == 2


def test_what_was_missed_for_too_long_is_not_made() -> None:
    world = cron_world(starting_deadline_seconds=30, suspend=True)
    world.pass_time(300)
    world.put(cron_job("*/5 * * * *", time_zone="UTC", starting_deadline_seconds=30))
    assert jobs(world) == []
    world.pass_time(240)
    assert len(jobs(world)) == 1


def test_of_those_that_are_over_only_the_newest_are_kept() -> None:
    world = cron_world(successful_jobs_history_limit=2, failed_jobs_history_limit=1)
    for _ in range(5):
        world.pass_time(300)
        finish(world, jobs(world)[-1])
    assert len(jobs(world)) == 2


def test_looking_again_changes_nothing() -> None:
    world = cron_world()
    world.pass_time(700)
    assert world.look_at_all() == 0


def test_who_suspends_it_gets_no_new_jobs() -> None:
    world = cron_world()
    changed = hello(world)
    world.put(msgspec.structs.replace(changed, spec=msgspec.structs.replace(changed.spec, suspend=True)))
    world.pass_time(3600)
    assert jobs(world) == []
