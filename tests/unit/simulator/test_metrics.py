"""What the figures of a simulation mean."""

import pytest
from tests.builders import nodes
from tests.unit.simulator.test_replay import replayed, work

from corral.model.cluster import ClusterConfig, NodeConfig
from corral.simulator.breakdowns import breakdowns
from corral.simulator.metrics import bounded_slowdown, jain, measure, spread
from corral.simulator.replay import Replay


def test_bounded_slowdown_counts_short_jobs_as_ten_seconds() -> None:
    [first, second, third] = replayed(work(1, 0, 4, 30), work(2, 0, 4, 2), work(3, 0, 4, 20)).runs
    assert [bounded_slowdown(run) for run in (first, second, third)] == [1.0, 3.2, 2.6]


def test_utilisation_is_of_the_time_from_the_first_job_to_the_last_end() -> None:
    found = measure(replayed(work(1, 100, 4, 50), work(2, 100, 2, 50)))
    assert found.makespan == 100
    assert found.utilisation == 0.75
    assert found.gpu_utilisation is None
    assert (found.jobs, found.not_run, found.wait.mean, found.wait.max) == (2, 0, 25, 50)


def test_what_is_free_while_wanted_is_fragmentation() -> None:
    found = measure(replayed(work(1, 0, 3, 100), work(2, 0, 2, 100)))
    assert found.fragmentation == pytest.approx(100 / 800)


def test_fairness_is_one_when_all_are_alike() -> None:
    assert jain([3.0, 3.0, 3.0]) == 1.0
    assert jain([1.0, 0.0, 0.0, 0.0]) == 0.25
    assert jain([]) == 1.0


def test_spread_of_nothing_and_of_many() -> None:
    assert spread([]).max == 0.0
    found = spread([float(n) for n in range(1, 101)])
    assert (found.mean, found.median, found.p95, found.max) == (50.5, 50.0, 95.0, 100.0)


def test_energy_is_what_nodes_draw_idle_and_more_for_what_is_held() -> None:
    config = ClusterConfig(node=(NodeConfig(name="n[1-2]", cpus=4, watts_idle=100.0, watts_busy=300.0),))
    outcome = Replay(config, nodes("n[1-2]"), [work(1, 0, 2, 3600)]).run()
    assert measure(outcome).energy_kwh == pytest.approx((200 + 100) / 1000)
    assert measure(replayed(work(1, 0, 2, 3600))).energy_kwh is None


def test_a_node_that_breaks_takes_its_jobs_back_to_the_queue() -> None:
    broken = iter([(50.0, "n1", 100.0)])
    outcome = Replay(ClusterConfig(), nodes("n[1-2]"), [work(1, 0, 8, 60), work(2, 10, 1, 5)], broken=broken).run()
    found = measure(outcome)
    assert (found.requeues, found.breakdowns, found.jobs) == (1, 1, 2)
    assert {run.number: (run.start, run.end) for run in outcome.runs} == {2: (50, 55), 1: (150, 210)}
    assert (outcome.busy_cpus, outcome.wanted_cpus) == (0, 0)


def test_breakdowns_are_of_the_seed_and_as_many_as_said() -> None:
    def some(seed: int) -> list[tuple[float, str, float]]:
        found = breakdowns(seed, ["a", "b"], 10.0, 100.0)
        return [next(found) for _ in range(2000)]

    assert some(1) == some(1)
    assert some(1) != some(2)
    assert some(1)[-1][0] == pytest.approx(2000 * 100 * 3600 / 2, rel=0.1)
