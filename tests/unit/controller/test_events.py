"""Does the stream tell what happens, once, in order, and go on where it broke off?"""

import itertools

from tests.unit.controller.running import wait_until
from tests.unit.controller.test_loop import submit

from corral.client.watch import Lost, Watch


def listening(controller):
    wait_until(lambda: controller.watchers._queues)


def test_a_jobs_life_is_told_in_order(controller, api):
    watch = iter(Watch(controller.endpoint, since=0))
    [job] = submit(api, "a")
    kinds = []
    for event in watch:
        if event.data.get("job", {}).get("id") == job:
            kinds.append((event.type, event.data["job"].get("state", "PENDING")))
        if event.type == "JobEnded":
            break
    assert kinds[0] == ("JobSubmitted", "PENDING")
    assert kinds[1][0] == "JobStarted"
    assert kinds[-1] == ("JobEnded", "COMPLETED")


def test_one_job_only(controller, api):
    first, second = submit(api, "a", "b", hold=True)
    events = Watch(controller.endpoint, job=str(second), since=0)
    assert next(iter(events)).data["job"]["id"] == second
    assert first != second


def test_it_goes_on_after_the_last_event_seen(controller, api):
    submit(api, "a", "b", "c", hold=True)
    everything = [event.seq for event in itertools.islice(Watch(controller.endpoint, since=0), controller.loop.seq)]
    assert everything == list(range(1, controller.loop.seq + 1))
    rest = itertools.islice(Watch(controller.endpoint, since=everything[1]), len(everything) - 2)
    assert [event.seq for event in rest] == everything[2:]


def test_what_is_not_known_any_more_is_said_to_be_lost(controller, api):
    submit(api, "a", hold=True)
    controller.watchers._recent.clear()
    submit(api, "b", hold=True)
    assert isinstance(next(iter(Watch(controller.endpoint, since=1))), Lost)
