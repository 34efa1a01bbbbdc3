"""What does a store do when the disk is full, torn, or another's?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral.errors import StoreUnavailable, StoreUnusable
from corral.store import schema
from corral.store.interface import Batch, StoredEvent
from corral.store.memory import MemoryStore
from corral.store.sqlite import SqliteStore


def batch(*names: str) -> Batch:
    return Batch(events=[StoredEvent("JobChanged", 1, name.encode()) for name in names])


def names(store) -> list[str]:
    return [stored.data.decode() for stored in store.load().events]


def test_after_a_failure_everything_fails_until_recovery():
    store = MemoryStore()
    store.broken = "disk full"
    with pytest.raises(StoreUnavailable, match="disk full"):
        store.append(batch("a")).result()
    store.broken = ""
    with pytest.raises(StoreUnavailable):
        store.append(batch("b")).result()
    store.recover()
    store.append(batch("c")).result()
    assert names(store) == ["c"]


def test_a_batch_that_fails_leaves_nothing_and_fails_what_follows(tmp_path: Path):
    store = SqliteStore(tmp_path / "corral.db")
    store.append(batch("a")).result(5)
    bad = batch("b")
    bad.events.append(StoredEvent("JobChanged", "no number", None))  # type: ignore[arg-type]
    failing, following = store.append(bad), store.append(batch("c"))
    for future in (failing, following):
        with pytest.raises(StoreUnavailable):
            future.result(5)
    store.recover()
    assert store.append(batch("d")).result(5) == 2
    assert names(store) == ["a", "d"]
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("a disk of one megabyte needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.root
def test_a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_space(small_disk: Path):
    store = SqliteStore(small_disk / "corral.db")
    acknowledged = []
    problem = None
    for i in range(1000):
        problem = store.append(batch(f"{i:06}" + "x" * 20_000)).exception(5)
        if problem is not None:
            break
        acknowledged.append(f"{i:06}")
    assert isinstance(problem, StoreUnavailable)
    assert "full" in str(problem)
    assert acknowledged
    assert [name[:6] for name in names(store)] == acknowledged
    with pytest.raises(StoreUnavailable):
        store.recover()
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    store.recover()
    store.append(batch("after")).result(5)
    assert [name[:6] for name in names(store)] == [*acknowledged, "after"]
    store.close()
    again = SqliteStore(small_disk / "corral.db")
    assert [name[:6] for name in names(again)] == [*acknowledged, "after"]
    again.close()


_KILLED = """
import os, sys
from corral.store.interface import Batch, StoredEvent
from corral.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
for i in range(30):
    store.append(Batch(events=[StoredEvent("JobChanged", 1, b"%d.%d" % (i, j)) for j in range(5)])).result()
os._exit(9)
"""


def test_a_torn_tail_of_the_log_loses_whole_batches_only(tmp_path: Path):
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "corral.db"], check=False)
    whole = [f"{i}.{j}" for i in range(30) for j in range(5)]
    wal = (tmp_path / "corral.db-wal").read_bytes()
    assert len(wal) > 10_000
    for cut in (len(wal), len(wal) - 1, len(wal) - 3000, len(wal) * 2 // 3, len(wal) // 3, 40):
        for damage in (wal[:cut], wal[:cut] + b"\xff" * (len(wal) - cut)):
            torn = tmp_path / "torn"
            torn.mkdir()
            shutil.copy(tmp_path / "corral.db", torn / "corral.db")
            (torn / "corral.db-wal").write_bytes(damage)
            store = SqliteStore(torn / "corral.db")
            found = names(store)
            assert found == whole[: len(found)]
            assert len(found) % 5 == 0
            assert cut < len(wal) or found == whole
            assert store.append(batch("next")).result(5) == len(found) + 1
            store.close()
            shutil.rmtree(torn)


def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path):
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "corral.db"], check=False)
    store = SqliteStore(tmp_path / "corral.db")
    assert len(names(store)) == 150
    store.close()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path):
    SqliteStore(tmp_path / "corral.db").close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'corral.db'}")
    with engine.begin() as connection:
        connection.execute(schema.meta.update().where(schema.meta.c.key == "schema").values(value=b"99"))
    with pytest.raises(StoreUnusable, match="newer Corral"):
        SqliteStore(tmp_path / "corral.db")


def test_a_file_that_is_no_database_is_refused_with_the_reason(tmp_path: Path):
    (tmp_path / "corral.db").write_text("hello " * 1000)
    with pytest.raises(StoreUnusable, match="not a database"):
        SqliteStore(tmp_path / "corral.db")


def test_ten_thousand_events_fit_into_one_batch(tmp_path: Path):
    store = SqliteStore(tmp_path / "corral.db")
    many = Batch(events=[StoredEvent("JobSubmitted", 1, b"x" * 700)] * 10_000)
    assert store.append(many).result(30) == 10_000
    store.close()
