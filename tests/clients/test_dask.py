"""dask-jobqueue: workers as jobs; more of them, work on them, none again."""

from collections.abc import Iterator

import pytest
from dask.distributed import Client
from dask_jobqueue import SLURMCluster
from tests.clients.live import said, wait_until


@pytest.fixture
def workers() -> Iterator[SLURMCluster]:
    with SLURMCluster(
        cores=2, memory="1GB", processes=1, queue="batch", walltime="00:10:00", interface="lo", log_directory="logs"
    ) as made:
        yield made


def test_up_compute_down(workers: SLURMCluster) -> None:
    with Client(workers) as client:
        workers.scale(jobs=2)
        client.wait_for_workers(2, timeout=60)
        assert said("squeue", "-h", "-o", "%t").split() == ["R", "R"]
        assert sum(client.gather(client.map(lambda x: x * x, range(50)))) == 40425
        workers.scale(jobs=0)
        wait_until(lambda: not said("squeue", "-h"))


def test_workers_come_when_there_is_work(workers: SLURMCluster) -> None:
    with Client(workers) as client:
        workers.adapt(minimum=0, maximum=2)
        assert client.submit(lambda: 42).result(timeout=60) == 42
