"""Every store is put through the same tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import PostgresServer, programs

from corral.store.memory import MemoryStore
from corral.store.sql import SqlStore
from corral.store.sqlite import SqliteStore

needs_postgres = pytest.mark.skipif(programs() is None, reason="needs PostgreSQL")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.close()


def _opener(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Opens the same store each time."""
    if kind == "sqlite":
        return lambda: SqliteStore(tmp_path / "corral.db")
    from corral.store.postgres import PostgresStore

    url = request.getfixturevalue("postgres").new_database()
    return lambda: PostgresStore(url)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=needs_postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore | SqlStore]:
    made = MemoryStore() if request.param == "memory" else _opener(request.param, request, tmp_path)()
    yield made
    made.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqlStore]]:
    """A database, opened as often as one likes."""
    opened: list[SqlStore] = []
    opener = _opener(request.param, request, tmp_path)

    def open_one() -> SqlStore:
        opened.append(opener())
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
