"""Which store is it, by its URL? SQLite in a file, or PostgreSQL, whose driver is only imported when it is meant."""

from pathlib import Path

from corral.store.sql import SqlStore


def open_store(url: str, default: Path) -> SqlStore:
    """StoreUnavailable when it may become possible later, StoreUnusable when it will not."""
    if url.startswith(("postgresql://", "postgres://")):
        from corral.store.postgres import PostgresStore

        return PostgresStore(url)
    from corral.store.sqlite import SqliteStore

    return SqliteStore(url.removeprefix("sqlite:///") or default)
