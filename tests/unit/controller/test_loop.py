"""Is nothing said before it is durable, and does the loop go on after whatever breaks?"""

import pytest
from tests.unit.controller.running import running, wait_until

from corral.client.connection import Connection
from corral.engine.engine import Engine
from corral.errors import Refused
from corral.protocol.requests import HoldJobs
from corral.store.memory import MemoryStore


def submit(api, *names, hold=False, key="", **spec):
    jobs = [
        {"spec": {"name": name, "hold": hold, "work_dir": "/tmp", **spec}, "script": "#!/bin/sh\n"} for name in names
    ]
    return api.request("POST", "/v1/requests", {"type": "SubmitJobs", "jobs": jobs}, key=key)["ids"]


def column(api, field, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return [row[0] for row in api.request("GET", f"/v1/jobs?fields={field}&{text}")["rows"]]


def test_a_job_runs_to_its_end_and_its_reports_are_acknowledged(controller, api):
    [job] = submit(api, "a")
    row = api.request("GET", f"/v1/jobs/{job}/wait?until=ended&timeout=60&fields=state")
    assert row["rows"] == [["COMPLETED"]]
    wait_until(lambda: not controller.agent.unacknowledged)


def test_a_step_and_its_job_are_in_the_accounting(controller, api):
    [job] = submit(api, "a")
    api.request("GET", f"/v1/jobs/{job}/wait?timeout=60")
    rows = api.request("GET", f"/v1/history?ids={job}&steps=1&fields=jobid,state,name")["rows"]
    assert rows == [[f"{job}", "COMPLETED", "a"], [f"{job}.batch", "COMPLETED", "batch"]]


def test_a_launch_carries_script_and_environment(controller, api):
    job = {"spec": {"name": "a", "work_dir": "/"}, "script": "#!/bin/sh\necho $X\n", "environment": {"X": "ü"}}
    controller.agent.ends_at_once = False
    api.request("POST", "/v1/jobs", {"jobs": [job]})
    [launch] = wait_until(lambda: controller.agent.launched)
    assert launch.script == "#!/bin/sh\necho $X\n"
    assert launch.environment == {"X": "ü"}


def test_a_request_with_the_same_key_has_one_effect(controller, api):
    first, second = submit(api, "a", key="k1"), submit(api, "a", key="k1")
    assert first == second
    assert len(column(api, "id")) == 1


def test_another_key_is_another_request(controller, api):
    assert submit(api, "a", key="k1") != submit(api, "a", key="k2")


def test_the_state_and_the_keys_survive_a_restart(tmp_path):
    store = MemoryStore()
    with running(tmp_path, store=store) as one, one.connection() as api:
        ids = submit(api, "a", "b", hold=True, key="k1")
        before = column(api, "name")
    with running(tmp_path, store=store) as two, two.connection() as api:
        assert column(api, "name") == before == ["a", "b"]
        assert submit(api, "a", "b", hold=True, key="k1") == ids
        assert len(column(api, "id")) == 2


def test_a_full_store_refuses_changes_with_the_reason_and_answers_reads(controller, api):
    submit(api, "a", hold=True)
    controller.store.broken = "database or disk is full"
    with pytest.raises(Refused, match="database or disk is full") as refusal:
        submit(api, "b", hold=True)
    assert refusal.value.fields["code"] == "unavailable"
    assert column(api, "name") == ["a"]


def test_what_was_refused_has_not_happened_when_there_is_space_again(controller, api):
    submit(api, "a", hold=True)
    controller.store.broken = "full"
    with pytest.raises(Refused):
        submit(api, "b", hold=True)
    controller.store.broken = ""
    wait_until(lambda: not controller.loop.unavailable)
    assert column(api, "name") == ["a"]
    submit(api, "c", hold=True)
    assert column(api, "name") == ["a", "c"]


def test_reports_that_could_not_be_recorded_come_again(controller, api):
    controller.agent.ends_at_once = False
    [job] = submit(api, "a")
    [launch] = wait_until(lambda: controller.agent.launched)
    wait_until(lambda: not controller.agent.unacknowledged)
    controller.store.broken = "full"
    controller.call(controller.agent.end, launch)
    wait_until(lambda: controller.loop.unavailable)
    assert controller.agent.unacknowledged
    controller.store.broken = ""
    rows = api.request("GET", f"/v1/jobs/{job}/wait?until=ended&timeout=60&fields=state")["rows"]
    assert rows == [["COMPLETED"]]


class Faulty(Engine):
    """Changes its state, and fails before it has said so."""

    def handle(self, message, now, caller=None, owner=None):
        if isinstance(message, HoldJobs):
            self.state.jobs.clear()
            raise RuntimeError("a bug")
        return super().handle(message, now, caller, owner)


def test_a_fault_in_the_engine_leaves_no_half_made_change(tmp_path):
    with running(tmp_path, engine=Faulty) as controller, controller.connection() as api:
        [job] = submit(api, "a", hold=True)
        with pytest.raises(Refused, match="a bug"):
            api.request("POST", "/v1/requests", {"type": "HoldJobs", "ids": [str(job)]})
        wait_until(lambda: column(api, "name") == ["a"])
        submit(api, "b", hold=True)
        assert column(api, "name") == ["a", "b"]
        assert "a bug" in controller.log_path.read_text()


def test_a_snapshot_is_written_after_so_many_events(tmp_path):
    store = MemoryStore()
    with running(tmp_path, store=store) as controller, controller.connection() as api:
        controller.loop._snapshot_events = 10
        for _ in range(12):
            submit(api, "a", hold=True)
        wait_until(lambda: store.load().snapshot)
    with running(tmp_path, store=store) as controller, controller.connection() as api:
        assert len(column(api, "id")) == 12


def test_an_idle_loop_sleeps(controller, api):
    [job] = submit(api, "a")
    api.request("GET", f"/v1/jobs/{job}/wait?timeout=60")
    wait_until(lambda: not controller.agent.unacknowledged)
    turns = []
    original = controller.loop._turn
    controller.loop._turn = lambda: (turns.append(1), original())
    for _ in range(20):
        api.request("GET", "/v1/ping")
    assert len(turns) <= 2


def test_ten_thousand_jobs_in_one_request(controller, api):
    assert len(submit(api, *["a"] * 10_000, hold=True)) == 10_000


def test_a_client_that_goes_away_changes_nothing_about_its_request(controller):
    with Connection(controller.endpoint) as one:
        one._connect()
        body = (
            b'{"type":"SubmitJobs","jobs":[{"spec":{"name":"a","hold":true,"work_dir":"/"},"script":"#!/bin/sh\\n"}]}'
        )
        head = f"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        one._socket.sendall(head.encode() + body)
    wait_until(lambda: len(controller.loop.state.jobs) == 1)
