"""Every store is put through the same tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from corral.store.memory import MemoryStore
from corral.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore | SqliteStore]:
    made = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "corral.db")
    yield made
    made.close()
