"""Limits of associations and QOS: what is refused at once, what waits, and with which of Slurm's words."""

from typing import Any

import msgspec
import pytest
from tests.accounts import account, limit, qos, user
from tests.builders import ANN, BOB, OPERATOR, ROOT, Cluster, cluster, job, nodes

from corral.engine import accrual
from corral.engine.effects import Effects
from corral.model.cluster import Accounting, PriorityWeights
from corral.model.job import JobSpec, JobState
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected

POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
ALL = ("associations", "limits", "qos")


def enforced(*what: str, **fields: Any) -> Cluster:
    """physics with chem and bio; ann in chem and bio, bob in chem; QOS high and low beside normal."""
    c = cluster(nodes("n[1-4]", cpus=16, gpus=4), accounting=Accounting(enforce=what or ALL), **fields)  # type: ignore[arg-type]
    account(c, "physics")
    account(c, "chem", "bio", parent="physics")
    qos(c, "high", "low")
    user(c, "ann", "chem", "bio", default_account="chem", qos=("=normal", "=high", "=low"), default_qos="normal")
    user(c, "bob", "chem", qos=("=normal", "=high", "=low"), default_qos="normal")
    return c


def refusal(c: Cluster, spec: JobSpec, by: rq.Caller = ANN) -> tuple[str, str]:
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), by)
    assert isinstance(reply, Rejected), reply
    return reply.error, reply.detail


def reconfigure(c: Cluster, *what: Any) -> None:
    config = msgspec.structs.replace(c.engine.config, accounting=Accounting(enforce=what))
    c.engine.configure(config, c.now, Effects())


def words(c: Cluster, *jobs: int) -> list[str]:
    c.cycle()
    return ["R" if c.job(one).state is JobState.RUNNING else str(c.job(one).reason) for one in jobs]


# -- who may submit at all


def test_without_any_accounts_everybody_may_submit() -> None:
    c = cluster(nodes("n1"))
    assert words(c, c.add(job(account="what", qos="ever"))) == ["R"]


def test_who_has_no_association_is_refused_when_they_are_enforced() -> None:
    c = enforced()
    invalid = "Invalid account or account/partition combination specified"
    assert refusal(c, job(), OPERATOR) == (invalid, "")
    assert refusal(c, job(account="physics"))[0] == invalid
    assert refusal(c, job(account="bio"), BOB)[0] == invalid
    assert refusal(c, job(qos="nope"))[0] == "Invalid qos specification"


def test_default_account_and_qos_are_put_in() -> None:
    c = enforced()
    first, second = c.add(job()), c.add(job(account="bio", qos="high"))
    assert [(c.state.spec(c.job(one)).account, c.state.spec(c.job(one)).qos) for one in (first, second)] == [
        ("chem", "normal"), ("bio", "high"),
    ]  # fmt: skip
    assert c.job(first).association not in (0, c.job(second).association)


def test_a_qos_that_is_not_allowed_is_refused_only_when_qos_are_enforced() -> None:
    for what, is_refused in ((("associations",), False), (("qos",), True)):
        c = enforced(*what)
        limit(c, "user", "bob", qos=("=normal",))
        reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(qos="high")),)), BOB)
        assert isinstance(reply, Rejected) is is_refused


def test_an_association_may_be_for_one_partition() -> None:
    c = enforced(partition=(Partition(name="batch", default=True), Partition(name="gpu")))
    user(c, "olga", "bio", partitions=("gpu",))
    assert refusal(c, job(), OPERATOR)[0].startswith("Invalid account")
    assert words(c, c.add(job(partition="gpu"), OPERATOR)) == ["R"]


# -- limits, with what the real one said


CASES = [
    ("account", "chem", {"grp_jobs": 1}, [(ANN, {}), (BOB, {})], ["R", "AssocGrpJobsLimit"]),
    ("account", "chem", {"max_jobs": 1}, [(ANN, {}), (BOB, {}), (BOB, {})], ["R", "R", "AssocMaxJobsLimit"]),
    ("account", "chem", {"grp_tres": {"cpu": 4}}, [(ANN, {"cpus": 3}), (BOB, {"cpus": 5}), (BOB, {})], ["R", "AssocGrpCpuLimit", "R"]),
    (
        "account", "physics", {"grp_tres": {"cpu": 4}},
        [(ANN, {"cpus": 3, "account": "bio"}), (BOB, {"cpus": 2})],
        ["R", "AssocGrpCpuLimit"],
    ),
    (
        "account", "chem", {"grp_tres": {"mem": 1000}},
        [(ANN, {"memory_per_node_mb": 600}), (BOB, {"memory_per_node_mb": 600})],
        ["R", "AssocGrpMemLimit"],
    ),
    ("account", "chem", {"grp_tres": {"node": 1}}, [(BOB, {"nodes": 2}), (BOB, {})], ["AssocGrpNodeLimit", "R"]),
    (
        "account", "chem", {"grp_tres": {"gres/gpu": 2}},
        [(BOB, {"gpus": 3}), (BOB, {"gpus": 2}), (BOB, {"gpus": 1})],
        ["AssocGrpGRES", "R", "AssocGrpGRES"],
    ),
    ("account", "chem", {"max_wall": 10}, [(BOB, {"time": 1200}), (BOB, {"time": 300})], ["AssocMaxWallDurationPerJobLimit", "R"]),
    ("account", "chem", {"max_tres": {"cpu": 4}}, [(BOB, {"cpus": 5}), (BOB, {"cpus": 4})], ["AssocMaxCpuPerJobLimit", "R"]),
    ("account", "chem", {"max_tres": {"node": 1}}, [(BOB, {"nodes": 2})], ["AssocMaxNodePerJobLimit"]),
    ("account", "chem", {"max_tres_per_node": {"cpu": 2}}, [(BOB, {"exclusive": True}), (BOB, {"cpus": 2})], ["AssocMaxCpuPerNode", "R"]),
    (
        "account", "chem", {"max_tres_mins": {"cpu": 100}},
        [(BOB, {"time": None}), (BOB, {"cpus": 2, "time": 3000})],
        ["AssocMaxCpuMinutesPerJobLimit", "R"],
    ),
    (
        "account", "chem", {"grp_tres_run_mins": {"cpu": 100}},
        [(BOB, {"time": 3600}), (BOB, {"time": 3600}), (BOB, {"time": 600})],
        ["R", "AssocGrpCPURunMinutesLimit", "R"],
    ),
    ("account", "chem", {"grp_tres_mins": {"cpu": 0}}, [(BOB, {})], ["AssocGrpCPUMinutesLimit"]),
    ("account", "chem", {"grp_wall": 0}, [(BOB, {})], ["AssocGrpWallLimit"]),
    ("qos", "high", {"max_jobs_pu": 1}, [(ANN, {}), (ANN, {}), (BOB, {})], ["R", "QOSMaxJobsPerUserLimit", "R"]),
    (
        "qos", "high", {"max_tres_pu": {"cpu": 4, "gres/gpu": 1}},
        [(ANN, {"cpus": 3}), (ANN, {"cpus": 3}), (BOB, {"cpus": 5}), (BOB, {"gpus": 2})],
        ["R", "QOSMaxCpuPerUserLimit", "QOSMaxCpuPerUserLimit", "QOSMaxGRESPerUser"],
    ),
    ("qos", "high", {"grp_tres": {"cpu": 4}}, [(ANN, {"cpus": 3}), (BOB, {"cpus": 3})], ["R", "QOSGrpCpuLimit"]),
    ("qos", "high", {"grp_jobs": 1}, [(ANN, {}), (BOB, {})], ["R", "QOSGrpJobsLimit"]),
    ("qos", "high", {"max_tres": {"cpu": 2}}, [(ANN, {"cpus": 3})], ["QOSMaxCpuPerJobLimit"]),
    ("qos", "high", {"max_wall": 10}, [(ANN, {"time": 1200})], ["QOSMaxWallDurationPerJobLimit"]),
    ("qos", "high", {"min_tres": {"cpu": 4}}, [(ANN, {"cpus": 3}), (ANN, {"cpus": 4})], ["QOSMinCpuNotSatisfied", "R"]),
    ("qos", "high", {"max_tres_per_node": {"cpu": 2}}, [(ANN, {"exclusive": True})], ["QOSMaxCpuPerNode"]),
    ("qos", "high", {"max_jobs_pa": 2}, [(ANN, {}), (BOB, {}), (BOB, {})], ["R", "R", "MaxJobsPerAccount"]),
    ("qos", "high", {"max_tres_pa": {"cpu": 4}}, [(ANN, {"cpus": 2}), (BOB, {"cpus": 2}), (BOB, {})], ["R", "R", "MaxCpuPerAccount"]),
    ("qos", "high", {"max_tres_mins": {"cpu": 50}}, [(ANN, {"time": 3600})], ["QOSMaxCpuMinutesPerJobLimit"]),
    (
        "qos", "high", {"grp_tres_run_mins": {"cpu": 100}},
        [(ANN, {"time": 2400}), (BOB, {"time": 2400}), (BOB, {"time": 2400})],
        ["R", "R", "QOSGrpCPURunMinutesLimit"],
    ),
    ("qos", "high", {"grp_tres_mins": {"cpu": 0}}, [(ANN, {})], ["QOSGrpCPUMinutesLimit"]),
    ("qos", "high", {"grp_wall": 0}, [(ANN, {})], ["QOSGrpWallLimit"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "fields", "jobs", "expected"), CASES)
def test_a_job_beyond_a_limit_waits_with_slurms_word(
    kind: str, name: str, fields: dict[str, Any], jobs: list[tuple[rq.Caller, dict[str, Any]]], expected: list[str]
) -> None:
    c = enforced()
    limit(c, kind, name, **fields)
    base = {"qos": "high"} if kind == "qos" else {}
    ids = [c.add(job(**(base | given)), by) for by, given in jobs]
    assert words(c, *ids) == expected
    c.check()


@pytest.mark.parametrize(("kind", "name", "fields", "jobs", "expected"), CASES)
def test_limits_that_are_not_enforced_hold_up_nobody(
    kind: str, name: str, fields: dict[str, Any], jobs: list[tuple[rq.Caller, dict[str, Any]]], expected: list[str]
) -> None:
    c = enforced("associations", "qos")
    limit(c, kind, name, **fields)
    ids = [c.add(job(**(({"qos": "high"} if kind == "qos" else {}) | given)), by) for by, given in jobs]
    assert set(words(c, *ids)) == {"R"}


@pytest.mark.parametrize(
    ("kind", "name", "fields", "word"),
    [
        ("account", "chem", {"grp_submit": 2}, "AssocGrpSubmitJobsLimit"),
        ("account", "chem", {"max_submit": 2}, "AssocMaxSubmitJobLimit"),
        ("qos", "high", {"max_submit_pu": 2}, "QOSMaxSubmitJobPerUserLimit"),
        ("qos", "high", {"max_submit_pa": 2}, "MaxSubmitJobsPerAccount"),
        ("qos", "high", {"grp_submit": 2}, "QOSGrpSubmitJobsLimit"),
    ],
)
def test_too_many_in_the_queue_are_refused(kind: str, name: str, fields: dict[str, Any], word: str) -> None:
    c = enforced()
    limit(c, kind, name, **fields)
    spec = {"qos": "high"} if kind == "qos" else {}
    assert refusal(c, job(array="1-3", **spec)) == (POLICY, word)  # type: ignore[arg-type]
    c.submit(job(**spec), job(**spec))  # type: ignore[arg-type]
    assert refusal(c, job(**spec)) == (POLICY, word)  # type: ignore[arg-type]


def test_those_of_one_request_count_together() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_submit=2)
    three = tuple(rq.NewJob(spec=job()) for _ in range(3))
    assert isinstance(c.ask(rq.SubmitJobs(jobs=three)), Rejected)
    assert not c.state.jobs


def test_deny_on_limit_refuses_what_could_never_start() -> None:
    c = enforced()
    limit(c, "qos", "high", max_tres={"cpu": 2}, max_wall=10, min_tres={"mem": 1}, flags=("=DenyOnLimit",))
    assert refusal(c, job(3, qos="high")) == (POLICY, "QOSMaxCpuPerJobLimit")
    assert refusal(c, job(1, time=1200, qos="high")) == (POLICY, "QOSMaxWallDurationPerJobLimit")
    assert refusal(c, job(1, qos="high")) == (POLICY, "QOSMinMemory")


def test_who_does_not_say_for_how_long_gets_the_limits_time() -> None:
    c = enforced()
    limit(c, "account", "chem", max_wall=10)
    assert c.job(c.add(job(time=None))).time_limit == 600


def test_what_a_qos_sets_no_association_says_differently() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_tres={"cpu": 2})
    limit(c, "qos", "high", grp_tres={"cpu": 6})
    ids = [c.add(job(5, qos="high")), c.add(job(2, qos="high"), BOB), c.add(job(1), BOB)]
    assert words(c, *ids) == ["R", "QOSGrpCpuLimit", "AssocGrpCpuLimit"]


def test_the_partitions_qos_goes_first_unless_the_jobs_is_over_it() -> None:
    c = enforced(partition=(Partition(name="batch", default=True, qos="low"),))
    limit(c, "qos", "low", max_wall=5)
    limit(c, "qos", "high", max_wall=30)
    first, second = c.add(job(time=1200, qos="high")), c.add(job(time=1200))
    assert words(c, first, second) == ["QOSMaxWallDurationPerJobLimit"] * 2
    limit(c, "qos", "high", flags=("+OverPartQOS",))
    assert words(c, first, second) == ["R", "QOSMaxWallDurationPerJobLimit"]


def test_a_qos_may_lift_the_partitions_own_limits() -> None:
    c = enforced(partition=(Partition(name="batch", default=True, max_time=600, max_nodes=1),))
    limit(c, "qos", "high", flags=("=PartitionTimeLimit", "=PartitionMaxNodes"))
    ids = [c.add(job(time=1200)), c.add(job(time=1200, qos="high")), c.add(job(nodes=2, qos="high"))]
    assert words(c, *ids) == ["PartitionTimeLimit", "R", "R"]
    assert c.job(ids[1]).time_limit == 1200


def test_when_one_ends_the_next_may_start() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_jobs=1)
    first, second = c.add(job()), c.add(job(), BOB)
    assert words(c, first, second) == ["R", "AssocGrpJobsLimit"]
    c.finish(first)
    assert words(c, second) == ["R"]


def test_elements_of_an_array_start_as_far_as_the_limit_goes() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_tres={"cpu": 3})
    array = c.add(job(array="0-9"))
    c.cycle()
    assert len(c.running()) == 3
    assert c.reason(array) == "AssocGrpCpuLimit"
    c.check()


def test_others_pass_who_waits_for_a_limit() -> None:
    c = enforced()
    limit(c, "account", "bio", grp_jobs=0)
    blocked, free = c.add(job(account="bio", nodes=4, exclusive=True)), c.add(job(time=100000), BOB)
    assert words(c, blocked, free) == ["AssocGrpJobsLimit", "R"]


def test_safe_starts_only_what_can_end_within_the_minutes() -> None:
    for what, expected in ((("limits",), "R"), (("safe",), "AssocGrpCPUMinutesLimit")):
        c = enforced(*what)
        limit(c, "account", "chem", grp_tres_mins={"cpu": 10})
        assert words(c, c.add(job(1, time=1200))) == [expected]


def test_minutes_that_were_used_count() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_tres_mins={"cpu": 10})
    first = c.run(job(2, time=10000))
    c.at(301).finish(first)
    second = c.add(job())
    assert words(c, second) == ["AssocGrpCPUMinutesLimit"]
    c.at(700 * 86400)  # after so long nearly nothing is left of them
    assert words(c, second) == ["R"]


def test_who_has_used_up_the_minutes_ends() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_tres_mins={"cpu": 10})
    long, other = c.run(job(2, time=10000)), c.run(job(2, time=10000, account="bio"))
    c.at(290)
    assert c.states(long) == ["RUNNING"]
    c.at(330)
    assert c.states(long, other) == ["TIMEOUT", "RUNNING"] or c.job(long).end_state is JobState.TIMEOUT
    assert c.job(long).reason == "AssocGrpCPUMinutesLimit"


def test_limits_change_for_those_who_wait() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_jobs=0)
    waiting = c.add(job())
    assert words(c, waiting) == ["AssocGrpJobsLimit"]
    limit(c, "account", "chem", grp_jobs=-1)
    assert words(c, waiting) == ["R"]


def test_what_is_enforced_may_change_while_jobs_wait() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_jobs=0)
    waiting = c.add(job())
    assert words(c, waiting) == ["AssocGrpJobsLimit"]
    reconfigure(c, "associations")
    assert words(c, waiting) == ["R"]
    reconfigure(c, *ALL)
    assert words(c, c.add(job())) == ["AssocGrpJobsLimit"]
    assert refusal(c, job(), OPERATOR)[0] == "Invalid account or account/partition combination specified"
    reconfigure(c)
    assert words(c, waiting, c.add(job(), by=OPERATOR)) == ["R", "R"]


def test_jobs_of_equal_limits_share_a_group() -> None:
    c = enforced()
    limit(c, "account", "physics", grp_tres={"cpu": 0})
    for _ in range(20):
        c.add(job())
        c.add(job(), BOB)
    c.plan()
    assert len(c.engine.pending.groups) == 1


def test_a_limit_factor_widens_the_limits_of_the_association() -> None:
    c = enforced()
    limit(c, "account", "chem", grp_tres={"cpu": 2}, max_tres={"cpu": 2})
    limit(c, "qos", "high", limit_factor=2.0)
    assert words(c, c.add(job(4, qos="high")), c.add(job(4))) == ["R", "AssocMaxCpuPerJobLimit"]


def test_only_so_many_waiting_jobs_grow_older() -> None:
    c = enforced(priority=PriorityWeights(age=100_000))
    limit(c, "account", "chem", max_jobs_accrue=1, grp_jobs=0)
    first, second, bobs = c.add(job()), c.add(job()), c.add(job(), BOB)
    c.cycle()
    c.at(6000)
    assert c.job(first).priority == c.job(bobs).priority > c.job(second).priority


def test_a_qos_that_reserves_nothing_holds_up_nobody() -> None:
    c = enforced()
    limit(c, "qos", "high", flags=("=NoReserve",))
    c.run(job(16, nodes=1, time=1000))
    large = c.add(job(nodes=4, exclusive=True, qos="high"))
    late = c.add(job(16, time=100_000), BOB)
    assert words(c, large, late) == ["Resources", "R"]


# -- what Slurm keeps and hardly enforces, and what only a QOS has


def test_run_minutes_of_users_and_accounts_are_held() -> None:
    for kind, name, field in (("user", "ann", "max_tres_run_mins"), ("qos", "high", "max_tres_run_mins_pu")):
        c = enforced()
        limit(c, kind, name, **{field: {"cpu": 60}})
        ids = [c.add(job(1, time=3600, qos="high")), c.add(job(1, time=60, qos="high")), c.add(job(time=60), BOB)]
        assert words(c, *ids) == ["R", "AccountingPolicy", "R"]
        c.check()


def test_run_minutes_of_an_account_in_a_qos_count_all_its_users() -> None:
    c = enforced()
    limit(c, "qos", "high", max_tres_run_mins_pa={"cpu": 60})
    ids = [c.add(job(1, time=3600, qos="high")), c.add(job(1, time=60, qos="high"), BOB)]
    assert words(c, *ids, c.add(job(1, time=60, account="bio", qos="high"))) == ["R", "AccountingPolicy", "R"]


def test_who_has_fallen_below_the_threshold_waits() -> None:
    c = enforced(priority=PriorityWeights(decay_half_life=86400.0))
    limit(c, "qos", "high", usage_threshold=0.4, flags=("=EnforceUsageThreshold",))
    limit(c, "qos", "low", usage_threshold=0.4)
    c.run(job(16, time=1000))
    c.at(500)
    mine, low, bobs = c.add(job(qos="high")), c.add(job(qos="low")), c.add(job(qos="high"), BOB)
    assert words(c, mine, low, bobs) == ["QOSUsageThreshold", "R", "R"]


def test_a_usage_factor_counts_ahead_when_the_qos_says_so() -> None:
    """Ten minutes that count twice are more than fifteen."""
    for flags, expected in ((("=",), "R"), (("=UsageFactorSafe",), "AssocGrpCPUMinutesLimit")):
        c = enforced("safe")
        limit(c, "account", "chem", grp_tres_mins={"cpu": 15})
        limit(c, "qos", "high", usage_factor=2.0, flags=flags)
        assert words(c, c.add(job(1, time=600, qos="high"))) == [expected]


def test_a_usage_factor_of_running_jobs_counts_ahead_too() -> None:
    c = enforced("safe")
    limit(c, "account", "chem", grp_tres_mins={"cpu": 30})
    limit(c, "qos", "high", usage_factor=2.0, flags=("=UsageFactorSafe",))
    ids = [c.add(job(1, time=600, qos="high")), c.add(job(1, time=600)), c.add(job(1, time=60))]
    assert words(c, *ids) == ["R", "R", "AssocGrpCPUMinutesLimit"]
    c.check()


def test_how_many_grow_older_is_not_said_by_the_partitions_qos() -> None:
    part = (Partition(name="batch", default=True, qos="low"),)
    c = enforced(priority=PriorityWeights(age=100_000), partition=part)
    limit(c, "qos", "low", grp_jobs_accrue=0)
    limit(c, "account", "chem", grp_jobs=0)
    plain, low = c.add(job()), c.add(job(qos="low"))
    c.cycle()
    c.at(6000)
    assert c.job(plain).priority > c.job(low).priority == 1


# -- what was used is forgotten


@pytest.mark.parametrize(
    ("period", "days", "is_forgotten"),
    [("NONE", 800, False), ("DAILY", 1, True), ("WEEKLY", 7, True), ("MONTHLY", 31, True), ("QUARTERLY", 20, False), ("YEARLY", 366, True)],
)  # fmt: skip
def test_usage_is_forgotten_at_the_end_of_each_period(period: Any, days: int, is_forgotten: bool) -> None:
    c = enforced(priority=PriorityWeights(decay_half_life=0.0, usage_reset_period=period))
    limit(c, "account", "chem", grp_tres_mins={"cpu": 10})
    limit(c, "qos", "high", flags=("=NoDecay",))
    c.at(86400).finish(c.at(86400).run(job(2, time=10000, qos="high")))
    job_id = c.run(job(2, time=10000, qos="high"))
    c.at(86400 + 301).finish(job_id)
    waiting = c.add(job())
    assert words(c, waiting) == ["AssocGrpCPUMinutesLimit"]
    c.at(86400 * (1 + days) + 86400)
    assert words(c, waiting) == (["R"] if is_forgotten else ["AssocGrpCPUMinutesLimit"])
    assert c.state.meter.used(("qos", "high"), c.now).seconds["cpu"] > 600
    c.check()


def test_now_means_when_the_configuration_is_read() -> None:
    c = enforced()
    c.run(job(2, time=10000))
    c.at(100)
    now = PriorityWeights(usage_reset_period="NOW")
    c.engine.configure(msgspec.structs.replace(c.engine.config, priority=now), c.now, Effects())
    assert not c.state.meter.used(("association", "1"), c.now).seconds.get("cpu")


def test_a_node_that_jobs_share_counts_once() -> None:
    """As in Slurm, whose node=N(1) is of three jobs on one node."""
    c = enforced()
    limit(c, "account", "chem", grp_tres={"node": 1})
    ids = [c.add(job(8)), c.add(job(8), BOB), c.add(job(8), BOB), c.add(job(8, account="bio"))]
    assert words(c, *ids) == ["R", "R", "AssocGrpNodeLimit", "R"]
    c.check()


def test_whole_nodes_are_not_shared() -> None:
    c = enforced()
    limit(c, "qos", "high", max_tres_pu={"node": 2})
    ids = [c.add(job(nodes=2, qos="high", exclusive=True)), c.add(job(qos="high")), c.add(job(qos="high"), BOB)]
    assert words(c, *ids) == ["R", "QOSMaxNodePerUserLimit", "R"]


def test_more_on_a_node_than_there_may_be_is_known_before_a_place_is() -> None:
    """Also where no place is free: as in Slurm, all of it over the least number of nodes."""
    c = enforced()
    c.run(job(16, nodes=4, exclusive=True, account="bio"))
    limit(c, "account", "chem", max_tres_per_node={"cpu": 8})
    assert words(c, c.add(job(ntasks=15)), c.add(job(ntasks=15, nodes=2))) == ["AssocMaxCpuPerNode", "Resources"]


def test_who_is_held_to_no_number_counts_for_those_who_are() -> None:
    c = enforced(priority=PriorityWeights(age=100_000))
    limit(c, "account", "chem", max_jobs_accrue=2, grp_jobs=0)
    limit(c, "qos", "high", max_jobs_accrue_pu=5)
    first, high, last = c.add(job()), c.add(job(qos="high")), c.add(job())
    c.cycle()
    c.at(6000)
    assert c.job(first).priority == c.job(high).priority > c.job(last).priority
    counts = accrual.accruing(c.engine.ctx, c.now)
    assert counts[("qos", "normal")] == counts[("user", "high", "ann")] == 1
    assert counts[("association", "1")] == 2


# -- changes of waiting jobs, as the real one takes them


def update(c: Cluster, job_id: int, by: rq.Caller, **changes: str) -> str:
    reply = c.ask(rq.UpdateJob(id=str(job_id), changes=changes), by)
    return reply.error if isinstance(reply, Rejected) else ""


def test_a_user_may_ask_for_more_than_a_limit_and_waits_then() -> None:
    c = enforced()
    limit(c, "qos", "high", max_wall=60, max_tres={"cpu": 8}, flags=("=DenyOnLimit",))
    waiting = c.add(job(2, time=1800, qos="high", begin_time=c.now + 3600))
    assert update(c, waiting, ANN, timelimit="120") == update(c, waiting, ANN, numcpus="10") == ""
    assert update(c, waiting, ANN, starttime="now") == ""
    assert words(c, waiting) == ["QOSMaxWallDurationPerJobLimit"]
    assert update(c, waiting, ANN, timelimit="30") == ""
    assert words(c, waiting) == ["QOSMaxCpuPerJobLimit"]


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"max_wall": 60}, {"timelimit": "120"}),
        ({"max_tres": {"cpu": 4}}, {"numcpus": "8"}),
        ({"grp_tres": {"cpu": 4}}, {"numtasks": "8"}),
        ({"grp_tres": {"gres/gpu": 1}}, {"gres": "gpu:2"}),
    ],
)
def test_what_an_operator_gives_a_job_no_limit_takes_back(fields: dict[str, Any], changes: dict[str, str]) -> None:
    c = enforced()
    limit(c, "account", "chem", **fields)
    first, second = (c.add(job(time=1800, begin_time=c.now + 3600)) for _ in range(2))
    assert update(c, first, ROOT, starttime="now", **changes) == ""
    assert update(c, second, ANN, starttime="now", **changes) == ""
    assert words(c, first)[0] == "R"
    assert words(c, second)[0] not in ("R", "None")
    c.check()


def test_when_its_owner_changes_it_again_limits_hold_again() -> None:
    c = enforced()
    limit(c, "account", "chem", max_wall=60)
    waiting = c.add(job(time=1800, begin_time=c.now + 3600))
    update(c, waiting, ROOT, timelimit="120")
    update(c, waiting, ANN, timelimit="110", starttime="now")
    assert words(c, waiting) == ["AssocMaxWallDurationPerJobLimit"]


def test_a_job_moves_only_to_a_qos_that_takes_it() -> None:
    c = enforced()
    limit(c, "qos", "high", max_tres={"cpu": 4}, flags=("=DenyOnLimit",))
    limit(c, "qos", "low", max_submit_pu=1)
    limit(c, "account", "chem", grp_submit=4)
    large, low, other, small = (c.add(job(n, begin_time=c.now + 3600)) for n in (8, 1, 1, 1))
    assert update(c, large, ANN, qos="high") == POLICY
    assert update(c, low, ANN, qos="low") == ""
    assert update(c, other, ANN, qos="low") == POLICY
    assert update(c, small, ANN, qos="high") == ""
    assert update(c, large, ROOT, qos="high") == ""
    c.check()


def test_a_limit_that_is_lowered_holds_for_who_waits_and_not_for_who_runs() -> None:
    c = enforced()
    limit(c, "qos", "high", max_wall=60, max_tres={"cpu": 8})
    running = c.run(job(8, time=3000, qos="high"))
    waiting = c.add(job(8, time=3000, qos="high", nodes=4, exclusive=True))
    limit(c, "qos", "high", max_wall=1)
    assert words(c, running, waiting) == ["R", "QOSMaxWallDurationPerJobLimit"]
    assert c.at(1000).states(running) == ["RUNNING"]


def test_a_partition_of_many_nodes_may_take_fewer_when_the_qos_says_so() -> None:
    c = enforced(partition=(Partition(name="batch", default=True, min_nodes=3),))
    limit(c, "qos", "high", flags=("=PartitionMinNodes",))
    many, few = c.add(job(nodes=(1, 1))), c.add(job(nodes=(1, 1), qos="high"))
    assert words(c, many, few) == ["PartitionNodeLimit", "R"]


def test_a_qos_may_be_for_reservations_only() -> None:
    c = enforced()
    limit(c, "qos", "high", flags=("=RequiresReservation",))
    assert refusal(c, job(qos="high"))[0] == "Invalid qos specification"
