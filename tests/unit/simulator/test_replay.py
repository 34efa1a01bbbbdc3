"""A workload through the engine: when does each job run?"""

import msgspec
from tests.builders import nodes

from corral.model.cluster import ClusterConfig, PriorityWeights, Scheduling
from corral.model.job import JobSpec, JobState
from corral.simulator.outcome import Outcome
from corral.simulator.policies import BUILT_IN
from corral.simulator.replay import Replay
from corral.simulator.workloads.work import Work


def work(number: int, submit: float, cpus: int, seconds: float, limit: int | None = None) -> Work:
    spec = JobSpec(ntasks=cpus, time_limit=limit or int(seconds))
    return Work(number=number, submit=submit, seconds=seconds, spec=spec)


def replayed(*jobs: Work, policy: str = "easy", cpus: int = 4) -> Outcome:
    config = ClusterConfig(scheduling=BUILT_IN[policy])
    return Replay(config, nodes("n1", cpus=cpus), jobs).run()


def starts(outcome: Outcome) -> dict[int, float]:
    return {run.number: run.start for run in outcome.runs}


def test_jobs_start_at_once_where_there_is_room() -> None:
    outcome = replayed(work(1, 0, 2, 100), work(2, 10, 2, 100))
    assert starts(outcome) == {1: 0, 2: 10}


def test_who_finds_no_room_waits_for_an_end() -> None:
    outcome = replayed(work(1, 0, 4, 100), work(2, 10, 4, 50))
    assert starts(outcome) == {1: 0, 2: 100}


def test_nobody_overtakes_without_backfill() -> None:
    jobs = (work(1, 0, 3, 100), work(2, 10, 4, 50), work(3, 20, 1, 10))
    assert starts(replayed(*jobs, policy="fcfs")) == {1: 0, 2: 100, 3: 150}
    assert starts(replayed(*jobs, policy="easy")) == {1: 0, 2: 100, 3: 20}


def test_a_limit_ends_who_runs_longer() -> None:
    [run] = replayed(work(1, 5, 1, 100, limit=40)).runs
    assert (run.start, run.end, run.state) == (5, 45, JobState.TIMEOUT)


def test_what_ends_just_at_its_limit_is_complete() -> None:
    [run] = replayed(work(1, 5, 1, 40, limit=40)).runs
    assert (run.end, run.state) == (45, JobState.COMPLETED)


def test_a_job_of_no_time_takes_its_place_all_the_same() -> None:
    outcome = replayed(work(1, 0, 4, 0, limit=1), work(2, 0, 4, 10))
    assert starts(outcome) == {1: 0, 2: 0}


def test_what_can_never_run_is_refused_or_waits_for_ever() -> None:
    outcome = replayed(work(1, 0, 5, 10), work(2, 1, 1, 10))
    assert outcome.refused.total() + len(outcome.never) == 1
    assert starts(outcome) == {2: 1}


def test_the_time_that_is_used_is_counted() -> None:
    outcome = replayed(work(1, 0, 4, 50), work(2, 0, 2, 100))
    assert outcome.cpu_seconds == 4 * 50 + 2 * 100
    assert outcome.lost_cpu_seconds == 0


def test_what_is_free_while_others_wait_is_lost() -> None:
    outcome = replayed(work(1, 0, 3, 100), work(2, 0, 2, 100))
    assert outcome.lost_cpu_seconds == 100


def test_a_cycle_waits_for_its_interval() -> None:
    config = ClusterConfig(scheduling=Scheduling(cycle_interval=30.0))
    outcome = Replay(config, nodes("n1"), [work(1, 0, 1, 5), work(2, 1, 1, 5), work(3, 70, 1, 5)]).run()
    assert starts(outcome) == {1: 0, 2: 30, 3: 90}


def test_who_has_used_less_comes_first_where_the_policy_says_so() -> None:
    def named(number: int, submit: float, user: str) -> Work:
        return msgspec.structs.replace(work(number, submit, 4, 1000), user=user)

    jobs = [named(1, 0, "ann"), named(2, 10, "ann"), named(3, 20, "bob")]
    weighs = ClusterConfig(priority=PriorityWeights(fair_share=1000))
    assert starts(Replay(ClusterConfig(), nodes("n1"), jobs).run()) == {1: 0, 2: 1000, 3: 2000}
    assert starts(Replay(weighs, nodes("n1"), jobs).run()) == {1: 0, 3: 1000, 2: 2000}
