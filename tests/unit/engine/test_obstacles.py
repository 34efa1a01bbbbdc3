"""All limits that keep a job waiting, with their numbers and with who uses them up."""

from tests.accounts import account, limit, qos, user
from tests.builders import ANN, BOB, Cluster, cluster, job, nodes

from corral.engine.obstacles import obstacles_of
from corral.model.cluster import Accounting
from corral.scheduler.obstacles import Obstacle


def accounts() -> Cluster:
    c = cluster(nodes("n[1-4]", cpus=16, gpus=4), accounting=Accounting(enforce=("safe", "qos")))
    account(c, "physics")
    account(c, "chem", parent="physics")
    qos(c, "high")
    for name in ("ann", "bob"):
        user(c, name, "chem", qos=("=normal", "=high"), default_qos="normal")
    return c


def found(c: Cluster, job_id: int) -> dict[str, Obstacle]:
    return {str(one.reason): one for one in obstacles_of(c.engine.ctx, c.job(job_id), "batch", c.now)}


def texts(c: Cluster, job_id: int) -> list[str]:
    return [one.text for one in found(c, job_id).values()]


def test_a_limit_comes_with_its_value_and_with_who_uses_it_up() -> None:
    c = accounts()
    limit(c, "account", "physics", grp_tres={"gres/gpu": 4})
    first, second, third = c.run(job(gpus=1)), c.run(job(gpus=1), BOB), c.run(job(gpus=1), BOB)
    waiting = c.add(job(gpus=2))
    one = found(c, waiting)["AssocGrpGRES"]
    assert one.text == "GrpTRES=gres/gpu:4 of account physics: 3 used (bob 2, ann 1), 2 asked for"
    assert [holder.job for holder in one.jobs] == [first, second, third]
    assert (one.scope, one.value, one.used, one.asked) == ("association", 4, 3, 2)


def test_all_limits_are_named_not_the_first_alone() -> None:
    c = accounts()
    limit(c, "account", "chem", grp_jobs=1, max_wall=10, grp_tres={"cpu": 4})
    limit(c, "qos", "high", max_jobs_pu=1, max_tres_pu={"cpu": 2}, min_tres={"mem": 10})
    c.run(job(2, qos="high", memory_per_node_mb=10))
    assert texts(c, c.add(job(3, time=1200, qos="high"))) == [
        "MaxJobsPerUser=1 of user ann in QOS high: 1 used (ann 1), 1 asked for",
        "GrpJobs=1 of account chem: 1 used (ann 1), 1 asked for",
        "MaxWall=10 of user ann of account chem: 0 used, 20 asked for",
        "MinTRESPerJob=mem:10 of QOS high: 0 used, 0 asked for",
        "MaxTRESPerUser=cpu:2 of user ann in QOS high: 2 used (ann 2), 3 asked for",
        "GrpTRES=cpu:4 of account chem: 2 used (ann 2), 3 asked for",
    ]


def test_minutes_that_running_jobs_will_use_count_with_safe() -> None:
    c = accounts()
    limit(c, "account", "chem", grp_tres_mins={"cpu": 100})
    c.run(job(1, time=60 * 60), BOB)
    (one,) = texts(c, c.add(job(1, time=60 * 60), ANN))
    assert one == "GrpTRESMins=cpu:100 of account chem: 60 used (bob 1), 60 asked for"


def test_whom_nothing_holds_back_has_no_obstacles() -> None:
    c = accounts()
    limit(c, "account", "chem", grp_jobs=1)
    assert texts(c, c.add(job())) == []
