"""Clusters for the tests that need a real one."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from tests.cluster import afterwards
from tests.cluster.live import TEN_NODES, LiveCluster
from tests.ports import free_port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With real processes on a loaded machine a failure may be of that day. It is tried once more and then listed as a rerun:
    a race in Corral or in the test, to be found, but no reason to refuse a change that has nothing to do with it.
    """
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    afterwards.forget_the_gone()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails once on another machine must be understood from what is printed there."""
    report = yield
    if report.failed:
        report.sections += afterwards.told()
    return report


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """Ten virtual nodes, one cluster for all tests of a module."""
    first = free_port()  # no other cluster's Pods get these
    config = f'pod_ports = "{first}-{first + 99}"\n[scheduling]\ntime_limit_step = 1\n[timeouts]\nkill_wait = 1\n'
    one = LiveCluster(tmp_path_factory.mktemp("cluster"), config)
    try:
        one.up(*TEN_NODES)
        yield one
    finally:
        one.down()


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., LiveCluster]]:
    """Clusters that are not started yet; all are stopped at the end."""
    made: list[LiveCluster] = []

    def make(name: str = "one", config: str = "") -> LiveCluster:
        made.append(LiveCluster(tmp_path / name, config))
        return made[-1]

    yield make
    for one in made:
        one.down()
