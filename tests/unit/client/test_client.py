"""Can a program do with the SDK what a user does with the commands?"""

import pytest
from tests.unit.controller.running import running, wait_until

import corral
from corral.client.client import ClusterClient, job
from corral.errors import NotFound


@pytest.fixture
def controller(tmp_path):
    with running(tmp_path) as one:
        yield one


@pytest.fixture
def client(controller):
    with corral.Client(controller.endpoint) as one:
        yield one


def test_submit_and_wait(client):
    ids = client.submit([job(f"echo {i}", name=f"j{i}") for i in range(3)])
    assert [(row["id"], row["state"], row["name"]) for row in client.wait(ids, timeout=60)] == [
        (ids[0], "COMPLETED", "j0"),
        (ids[1], "COMPLETED", "j1"),
        (ids[2], "COMPLETED", "j2"),
    ]


def test_one_job_is_a_list_of_one(client):
    assert len(client.submit(job("true"))) == 1


def test_each_job_gets_its_own_script_and_environment(controller, client):
    controller.agent.ends_at_once = False
    client.submit(
        [job("a", environment={"X": "1"}), job("b", environment={"X": "2"}), job("a", environment={"X": "1"})]
    )
    wait_until(lambda: len(controller.agent.launched) == 3)
    launched = sorted(controller.agent.launched, key=lambda one: one.key.job)
    assert [(one.script.split()[-1], one.environment["X"]) for one in launched] == [("a", "1"), ("b", "2"), ("a", "1")]


def test_waiting_ends_in_time(client):
    ids = client.submit(job("true", hold=True))
    with pytest.raises(TimeoutError):
        client.wait(ids, timeout=0.05)


def test_cancel_hold_release(client):
    [first, second] = client.submit([job("true", hold=True), job("true", hold=True)])
    assert client.cancel(first) == ()
    client.release(second)
    assert [row["state"] for row in client.wait([first, second], timeout=60)] == ["CANCELLED", "COMPLETED"]


def test_cancel_by_name(client):
    client.submit([job("true", hold=True, name="x"), job("true", hold=True, name="y")])
    client.cancel(names=["x"])
    assert [(row["name"], row["state"]) for row in client.jobs(["name", "state"])] == [
        ("x", "CANCELLED"),
        ("y", "PENDING"),
    ]


def test_what_is_not_there_is_not_found(client):
    with pytest.raises(NotFound):
        client.job(999)


def test_logs_are_the_jobs_output(client, tmp_path):
    [one] = client.submit(job("true", stdout=f"{tmp_path}/%x-%j.txt", name="a"))
    (tmp_path / f"a-{one}.txt").write_text("hello\n")
    assert client.logs(one) == "hello\n"


def test_nodes_partitions_history_status_script(client):
    [one] = client.submit(job("echo hello"))
    client.wait(one, timeout=60)
    assert [row["name"] for row in client.nodes(["name"])] == ["n1", "n2"]
    assert [row["name"] for row in client.partitions()] == ["batch"]
    assert [row["state"] for row in client.history(ids=[one])] == ["COMPLETED"]
    assert client.status()["cluster"] == "corral"
    assert client.script(one).endswith("echo hello\n")


def test_a_command_or_a_script_is_needed():
    with pytest.raises(ValueError, match="either"):
        job()


def test_ten_thousand_jobs_in_one_call(controller):
    with ClusterClient(controller.endpoint) as client:
        assert len(client.submit([job("true", name=str(i), hold=True) for i in range(10_000)])) == 10_000
