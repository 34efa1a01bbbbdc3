"""How does one file keep the record? SQLite in WAL mode, each commit synced, one thread that writes (sql.py)."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from corral.errors import StoreUnavailable, StoreUnusable
from corral.store.sql import SqlStore


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    # pysqlite's own transactions begin too late (at the first write); we say BEGIN ourselves.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=10000",
        "temp_store=MEMORY",
        "cache_size=-4096",
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _make_private(path: Path) -> None:
    """Scripts and environments are their owners' secrets. SQLite gives its other files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
    except OSError as error:
        raise StoreUnavailable(reason=f"{path}: {error.strerror}") from error


class SqliteStore(SqlStore):
    """One database file (the record of one controller)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _make_private(self.path)
        engine = sa.create_engine(
            f"sqlite:///{self.path}",
            poolclass=sa.pool.QueuePool,
            pool_size=3,
            connect_args={"check_same_thread": False},
        )
        sa.event.listen(engine, "connect", _on_connect)
        super().__init__(engine)

    def _insert_into(self, table: sa.Table) -> Any:
        return insert(table)

    def _begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _unusable(self, reason: str) -> Exception | None:
        if "not a database" in reason or "malformed" in reason:
            return StoreUnusable(reason=f"{self.path}: {reason}")
        return None
