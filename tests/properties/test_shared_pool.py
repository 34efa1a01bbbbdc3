"""Who gives way in one pool, whatever is there and whoever comes: no service goes below its minimum, and what is above goes evenly."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import Cluster, job
from tests.unit.engine.test_shared_pool import pods, pool, serve

#: Replicas of each service, and how many of them are its own.
SERVICES = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), min_size=2, max_size=3)
#: CPUs of jobs that may preempt, one after the other; those of training that is there before.
URGENT = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def kept(c: Cluster, name: str) -> int:
    """Replicas that run and are to stay."""
    found = (c.job(pod.status.job) for pod in pods(c, name) if pod.status.job)
    return sum(one.is_active and one.preempted is None for one in found)


def world(
    services: list[tuple[int, int]], count: int, training: list[int], cpus: int = 4
) -> tuple[Cluster, dict[str, int]]:
    """With the minimum of each service."""
    c = pool(count, cpus)
    least = {}
    for number, (replicas, low) in enumerate(services):
        name = "abc"[number]
        serve(c, name, replicas, min_replicas=str(low))
        least[name] = min(low, kept(c, name))
    for cpus in training:
        c.add(job(cpus=cpus, qos="train"))
    c.cycle()
    return c, least


@given(SERVICES, st.integers(1, 3), st.lists(st.integers(1, 4), max_size=2), URGENT)
@settings(max_examples=60, deadline=None)
def test_no_service_goes_below_its_minimum(
    services: list[tuple[int, int]], count: int, training: list[int], urgent: list[int]
) -> None:
    c, least = world(services, count, training)
    for cpus in urgent:
        c.add(job(cpus=cpus, qos="urgent", time=1000 + cpus))
        for _ in range(3):
            c.cycle()
            for name, low in least.items():
                assert kept(c, name) >= low, f"{kept(c, name)} of {name} stay, and {low} are its own"
        c.check()


@given(SERVICES, URGENT)
@settings(max_examples=60, deadline=None)
def test_what_is_above_the_minimum_goes_evenly_over_the_services(
    services: list[tuple[int, int]], urgent: list[int]
) -> None:
    """On one node, where one replica is as good as another: who has lost some keeps at most one less than whoever has more."""
    c, least = world(services, 1, [], cpus=10)
    before = {name: kept(c, name) for name in least}
    for cpus in urgent:
        c.add(job(cpus=cpus, qos="urgent", time=1000 + cpus))
        c.cycle()
        left = {name: kept(c, name) - low for name, low in least.items()}
        for name, low in least.items():
            if left[name] < before[name] - low:
                assert all(other <= left[name] + 1 for other in left.values()), f"{left} of {before} above {least}"
