"""A job in a container begins when its nodes have the image."""

import pytest
from tests.builders import ANN, Cluster, cluster, job, nodes, srun

from corral.controller.api.job_rows import shown_state, why
from corral.engine.engine import Engine
from corral.model.container import Container
from corral.model.job import JobKind, JobState
from corral.protocol.orders import FetchImage, LaunchStep
from corral.protocol.reports import ImageFetched

BOX = Container(image="ubuntu:22.04")


@pytest.fixture
def c() -> Cluster:
    c = cluster(nodes("n[1-3]", cpus=4))
    c.run(job(ntasks=8, nodes=2, container=BOX, time=100))
    return c


def fetched(c: Cluster, node: str, restart: int = 0, **fields: object) -> None:
    c.report(ImageFetched(agent="agent", node=node, job=1, restart=restart, image=BOX.image, **fields))  # type: ignore[arg-type]


def test_it_waits_for_all_of_its_nodes_and_says_how_far_they_are(c: Cluster) -> None:
    assert [(order.node, order.image, order.owner.uid) for order in c.orders(FetchImage)] == [
        ("n1", BOX.image, ANN.uid), ("n2", BOX.image, ANN.uid),
    ]  # fmt: skip
    assert shown_state(c.job(1)) == "CONFIGURING"
    c.now += 5
    fetched(c, "n1", progress="Copying blob 3 of 6")
    assert why(c.job(1), None) == "n1: Copying blob 3 of 6"  # type: ignore[arg-type]
    fetched(c, "n1", done=True)
    fetched(c, "n1", done=True)
    assert c.orders(LaunchStep) == []
    fetched(c, "n2", done=True)
    assert [order.node for order in c.orders(LaunchStep)] == ["n1"]
    assert (shown_state(c.job(1)), why(c.job(1), None)) == ("RUNNING", "None")  # type: ignore[arg-type]
    fetched(c, "n2", done=True)
    assert c.orders(LaunchStep) == []
    c.check()


def test_its_limit_counts_from_then_on(c: Cluster) -> None:
    c.at(500)
    assert c.job(1).state is JobState.RUNNING
    for node in ("n1", "n2"):
        fetched(c, node, done=True)
    c.at(599)
    assert c.job(1).state is JobState.RUNNING
    c.at(601)
    assert c.job(1).state is not JobState.RUNNING


def test_a_failed_fetch_is_left_to_the_launch_to_tell(c: Cluster) -> None:
    fetched(c, "n1", done=True, problem="no such image")
    fetched(c, "n2", done=True)
    assert [order.image for order in c.orders(LaunchStep)] == [BOX.image]


def test_who_says_nothing_is_told_again_by_the_next_controller_too(c: Cluster) -> None:
    c.orders(FetchImage)
    fetched(c, "n2", done=True)
    c.at(5)
    assert c.orders(FetchImage) == []
    c.at(11)
    assert [order.node for order in c.orders(FetchImage)] == ["n1"]
    second = Engine(c.engine.config, term=2, state=c.state)
    second.start(c.now)
    sends = second.tick(c.now + 1).sends
    assert sorted(order.node for _, order in sends if isinstance(order, FetchImage)) == ["n1", "n2"]


def test_cancelled_or_requeued_meanwhile_nothing_starts_late(c: Cluster) -> None:
    c.cancel(1)
    for node in ("n1", "n2"):
        fetched(c, node, done=True)
    assert c.orders(LaunchStep) == []
    assert c.states(1) == ["CANCELLED"]
    c.tick()
    c.check()


def test_of_srun_the_steps_image_counts_and_sallocs_steps_fetch_their_own() -> None:
    c = cluster(nodes("n1", cpus=4))
    c.run(job(kind=JobKind.SRUN, step=srun(1, container=BOX)))
    assert len(c.orders(FetchImage)) == 1
    c.run(job(kind=JobKind.SALLOC, container=BOX))
    assert c.orders(FetchImage) == []
    c.check()
