"""The same input gives the same plan, whatever the seed of Python's hashes and the order in which shapes are listed."""

import hashlib
import os
import random
import subprocess
import sys

import msgspec
from tests.builders import Cluster, cluster, gpus, job, nodes, partitions

from corral.model.partition import Partition
from corral.scheduler.cycle import schedule
from corral.scheduler.plan import Plan


def busy() -> Cluster:
    """A cluster with much that waits, of many shapes."""
    dice = random.Random(7)
    places = partitions(Partition(name="a", default=True), Partition(name="b", nodes="n[5-12]"))
    c = cluster(
        nodes("n[1-12]", cpus=8, gpus=2, features=("x",)), licenses={"l": 3}, scheduling={"backfill": "conservative"}, **places
    )  # fmt: skip
    for _ in range(2):
        for _ in range(40):
            c.submit(
                job(
                    dice.randint(1, 8), time=dice.choice([20, 50, 100, 300]), nodes=dice.choice([None, 1, 2, 4]),
                    gres=gpus(dice.choice([0, 0, 1, 2])), licenses=dice.choice(["", "", "l:2"]),
                    constraint=dice.choice(["", "x"]), partition=dice.choice(["a", "b", "a,b"]),
                    array=dice.choice(["", "", "0-3"]), exclusive=dice.random() < 0.1,
                )
            )  # fmt: skip
        c.cycle().at(5)
    return c.submit(job(1, time=10), job(2, nodes=3))


def digest(plan: Plan) -> str:
    told = (plan.starts, sorted(plan.expected.items()), sorted(plan.reasons.items()))
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def test_the_seed_of_hashes_changes_nothing() -> None:
    code = "from tests.unit.scheduler.test_same_plan import busy, digest; print(digest(busy().plan()))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_the_order_of_shapes_changes_nothing() -> None:
    c = busy()
    snapshot = c.engine.snapshot(c.now)
    assert snapshot.same is None
    other = msgspec.structs.replace(snapshot, nodes=snapshot.nodes.copy(), pending=snapshot.pending[::-1])
    plan = schedule(snapshot, c.now)
    assert plan.expected
    assert digest(plan) == digest(schedule(other, c.now))
