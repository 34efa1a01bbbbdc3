"""How does a PostgreSQL database keep the record? As SQLite does (sql.py), with a server that may go away and come back.

One URL says where: postgresql://user:password@host/database, as libpq reads it. A commit is acknowledged when the server has it
on disk, whatever its own setting. Every transaction holds the row of the term, shared: a controller that begins to lead waits for
those of the one before, and after that none of them passes.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from corral.errors import StoreUnusable
from corral.store import schema
from corral.store.sql import SqlStore

#: Seconds until a connection that does not come about is given up, and one that is silent.
CONNECT_TIMEOUT = 5
SILENCE = 15
#: Words of the server that no waiting will change.
_FOR_GOOD = (
    "does not exist", "authentication failed", "no pg_hba.conf entry", "permission denied", "invalid connection option",
    "could not translate host name",
)  # fmt: skip
#: Taken while the tables are made or changed, by whoever comes first.
_SCHEMA_LOCK = 0x636F7272616C


class PostgresStore(SqlStore):
    """The record in one database, which is this cluster's alone."""

    def __init__(self, url: str) -> None:
        try:
            engine = sa.create_engine(
                _with_driver(url),
                isolation_level="AUTOCOMMIT",  # we say BEGIN and COMMIT ourselves
                pool_size=4,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": CONNECT_TIMEOUT,
                    "keepalives_idle": CONNECT_TIMEOUT,
                    "keepalives_interval": CONNECT_TIMEOUT,
                    "keepalives_count": 2,
                    "tcp_user_timeout": SILENCE * 1000,
                    "options": "-c synchronous_commit=on -c lock_timeout=30s -c idle_in_transaction_session_timeout=0",
                },
            )
        except ModuleNotFoundError as error:
            raise StoreUnusable(
                reason="PostgreSQL needs a driver that is not installed: pip install 'corral[postgres]'"
            ) from error
        except sa.exc.ArgumentError as error:
            raise StoreUnusable(reason=f"store.url: {error}") from error
        super().__init__(engine)

    def _insert_into(self, table: sa.Table) -> Any:
        return insert(table)

    def _begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    def _begin_reading(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN READ ONLY")  # a cursor on the server lives in a transaction

    def _open(self, connection: sa.Connection) -> int:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
        return super()._open(connection)

    def _term_row(self, changing: bool = False) -> sa.Select[Any]:
        return super()._term_row().with_for_update(read=not changing)

    def _bump_term(self, connection: sa.Connection, now: int) -> int:
        # The row has to be there to be locked.
        first = insert(schema.meta).values(key="term", value=b"0").on_conflict_do_nothing()
        connection.execute(first)
        return super()._bump_term(connection, now)

    def _unusable(self, reason: str) -> Exception | None:
        return StoreUnusable(reason=reason) if any(words in reason for words in _FOR_GOOD) else None


def _with_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else url
