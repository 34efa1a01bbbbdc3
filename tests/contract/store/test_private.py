"""Scripts and environments are secrets."""

from pathlib import Path

from corral.store.sqlite import SqliteStore


def test_nobody_else_may_read_the_database(tmp_path: Path) -> None:
    path = tmp_path / "corral.db"
    path.touch(0o644)
    store = SqliteStore(path)
    store.next_term()
    store.close()
    assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}
