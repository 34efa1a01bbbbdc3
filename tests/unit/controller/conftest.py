from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.controller.running import RunningController, running

from corral.client.connection import Connection


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[RunningController]:
    with running(tmp_path) as one:
        yield one


@pytest.fixture
def api(controller: RunningController) -> Iterator[Connection]:
    with controller.connection() as connection:
        yield connection
