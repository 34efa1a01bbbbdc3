"""How does one file keep the record? SQLite in WAL mode, each commit synced, one thread that writes.

Whoever appends puts a batch into a queue and gets a future. The writer takes all that lies there, writes it in one
transaction (group commit: while one sync runs, the next group gathers) and completes the futures. When a transaction
fails, everything after it fails too until `recover`: later batches follow from a state that was never recorded.
"""

import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from corral.errors import StoreUnavailable, StoreUnusable
from corral.store import schema
from corral.store.interface import ANSWERS_KEPT, Answered, Batch, Loaded, StoredEvent, failed
from corral.store.rows import HistoryQuery, Run, StepRun, run_of, run_row, step_of, step_row

_Job = tuple[Callable[[sa.Connection], int], "Future[int]"]

_upsert_blob = insert(schema.blobs)
_upsert_blob = _upsert_blob.on_conflict_do_update(
    index_elements=["digest"], set_={"seq": sa.func.max(schema.blobs.c.seq, _upsert_blob.excluded.seq)}
)
_insert_event = sa.insert(schema.events)
_replace_run = sa.insert(schema.jobs).prefix_with("OR REPLACE")
_replace_step = sa.insert(schema.steps).prefix_with("OR REPLACE")
_replace_answer = sa.insert(schema.answered).prefix_with("OR REPLACE")


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


def reason_of(error: BaseException) -> str:
    """The words of the database, without SQLAlchemy's wrapping."""
    inner = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    return str(inner) or type(inner).__name__


def _make_private(path: Path) -> None:
    """Scripts and environments are their owners' secrets. SQLite gives its other files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
    except OSError as error:
        raise StoreUnavailable(reason=f"{path}: {error.strerror}") from error


class SqliteStore:
    """One database file (the record of one controller)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _make_private(self.path)
        self._engine = sa.create_engine(
            f"sqlite:///{self.path}",
            poolclass=sa.pool.QueuePool,
            pool_size=3,
            connect_args={"check_same_thread": False},
        )
        sa.event.listen(self._engine, "connect", _on_connect)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._broken: str = ""
        self._connection: sa.Connection | None = None
        self._seq = 0
        self._write_now(self._open)
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    # -- writing

    def append(self, batch: Batch) -> "Future[int]":
        return self._enqueue(lambda connection: self._insert(connection, batch))

    def write_snapshot(self, data: bytes, upto: int, live_blobs: set[str]) -> "Future[int]":
        return self._enqueue(lambda connection: self._snapshot(connection, data, upto, live_blobs))

    def _enqueue(self, work: Callable[[sa.Connection], int]) -> "Future[int]":
        if self._broken:
            return failed(StoreUnavailable(reason=self._broken))
        future: Future[int] = Future()
        self._queue.put((work, future))
        return future

    def recover(self) -> None:
        self._write_now(self._probe)
        self._broken = ""

    def next_term(self) -> int:
        return self._write_now(self._bump_term)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(30)
        self._engine.dispose()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while True:
                group, last = self._gather()
                if group:
                    self._commit(connection, group)
                if last:
                    return

    def _gather(self) -> tuple[list[_Job], bool]:
        group: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            group.append(job)
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, connection: sa.Connection, group: list[_Job]) -> None:
        results: list[int] = []
        first = self._seq
        try:
            if self._broken:
                raise StoreUnavailable(reason=self._broken)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for work, _ in group:
                results.append(work(connection))
            connection.exec_driver_sql("COMMIT")
            connection.commit()  # SQLAlchemy's own notion of a transaction; sqlite3 has none open any more
        except Exception as error:
            self._seq = first
            self._broken = self._broken or reason_of(error)
            self._roll_back(connection)
            failure = error if isinstance(error, StoreUnavailable) else StoreUnavailable(reason=self._broken)
            for _, future in group:
                future.set_exception(failure)
            return
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)

    def _write_now(self, work: Callable[[sa.Connection], int]) -> int:
        """In the caller's thread: at the start, and while the writer has nothing it may do."""
        try:
            with self._engine.connect() as connection:
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    result = work(connection)
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise
                return result
        except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
            reason = reason_of(error)
            if "not a database" in reason or "malformed" in reason:
                raise StoreUnusable(reason=f"{self.path}: {reason}") from error
            raise StoreUnavailable(reason=reason) from error

    @staticmethod
    def _roll_back(connection: sa.Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except sa.exc.DBAPIError:
            pass  # SQLite has rolled back already, as it does when the disk is full
        connection.rollback()

    # -- what is written

    def _open(self, connection: sa.Connection) -> int:
        schema.bring_up_to_date(connection)
        self._seq = int(self._last_seq(connection))
        return self._seq

    def _last_seq(self, connection: sa.Connection) -> int:
        last_event = connection.execute(sa.select(sa.func.max(schema.events.c.seq))).scalar() or 0
        last_snapshot = connection.execute(sa.select(sa.func.max(schema.snapshots.c.upto))).scalar() or 0
        return max(last_event, last_snapshot)

    def _insert(self, connection: sa.Connection, batch: Batch) -> int:
        first = self._seq + 1
        if batch.events:
            rows: list[dict[str, Any]] = [
                {"seq": seq, "kind": event.kind, "version": event.version, "data": event.data}
                for seq, event in enumerate(batch.events, first)
            ]
            connection.execute(_insert_event, rows)
            self._seq += len(rows)
        if batch.blobs:
            seq = self._seq
            connection.execute(_upsert_blob, [{"digest": d, "seq": seq, "data": b} for d, b in batch.blobs.items()])
        if batch.runs:
            connection.execute(_replace_run, [run_row(run) for run in batch.runs])
        if batch.steps:
            connection.execute(_replace_step, [step_row(step) for step in batch.steps])
        if batch.answered:
            connection.execute(
                _replace_answer,
                [{"key": a.key, "uid": a.uid, "time": a.time, "reply": a.reply} for a in batch.answered],
            )
        return self._seq

    def _snapshot(self, connection: sa.Connection, data: bytes, upto: int, live_blobs: set[str]) -> int:
        connection.execute(sa.delete(schema.snapshots).where(schema.snapshots.c.upto != upto))
        connection.execute(insert(schema.snapshots).prefix_with("OR REPLACE").values(upto=upto, data=data))
        connection.execute(sa.delete(schema.events).where(schema.events.c.seq <= upto))
        old = connection.execute(sa.select(schema.blobs.c.digest).where(schema.blobs.c.seq <= upto)).scalars()
        dead = [{"dead": digest} for digest in old if digest not in live_blobs]
        if dead:
            connection.execute(sa.delete(schema.blobs).where(schema.blobs.c.digest == sa.bindparam("dead")), dead)
        newest = sa.select(sa.func.max(schema.answered.c.time)).scalar_subquery()
        connection.execute(sa.delete(schema.answered).where(schema.answered.c.time < newest - ANSWERS_KEPT))
        return upto

    @staticmethod
    def _probe(connection: sa.Connection) -> int:
        # As much as a batch may want, and taken away again in the same transaction.
        connection.execute(sa.text("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', zeroblob(262144))"))
        connection.execute(sa.text("UPDATE meta SET value = x'' WHERE key = 'probe'"))
        return 0

    @staticmethod
    def _bump_term(connection: sa.Connection) -> int:
        found = connection.execute(sa.select(schema.meta.c.value).where(schema.meta.c.key == "term")).scalar()
        term = (int(found) if found else 0) + 1
        connection.execute(insert(schema.meta).prefix_with("OR REPLACE").values(key="term", value=str(term).encode()))
        return term

    # -- reading

    def load(self) -> Loaded:
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(schema.snapshots.c.upto, schema.snapshots.c.data).order_by(schema.snapshots.c.upto.desc())
            ).first()
        upto, snapshot = (row.upto, row.data) if row else (0, None)
        return Loaded(snapshot=snapshot, upto=upto, events=self._events_after(upto))

    def _events_after(self, upto: int) -> Iterator[StoredEvent]:
        table = schema.events.c
        query = sa.select(table.kind, table.version, table.data).where(table.seq > upto).order_by(table.seq)
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield StoredEvent(row[0], row[1], row[2])

    def blob(self, digest: str) -> bytes | None:
        query = sa.select(schema.blobs.c.data).where(schema.blobs.c.digest == digest)
        with self._engine.connect() as connection:
            found: bytes | None = connection.execute(query).scalar()
            return found

    def answered(self, since: float) -> list[Answered]:
        table = schema.answered.c
        query = sa.select(table.key, table.uid, table.time, table.reply).where(table.time >= since)
        with self._engine.connect() as connection:
            return [Answered(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]

    def runs(self, query: HistoryQuery) -> list[Run]:
        table = schema.jobs.c
        select = sa.select(table.data).order_by(table.job, table.restart)
        if query.ids:
            numbers = sorted({job for job, _ in query.ids})
            select = select.where(sa.or_(table.job.in_(numbers), table.array_job.in_(numbers)))
        if query.since:
            select = select.where(table.end >= query.since)
        if query.until:
            select = select.where((table.end if query.states else table.submit) <= query.until)
        for column, values in (
            (table.user, query.users),
            (table.account, query.accounts),
            (table.partition, query.partitions),
            (table.name, query.names),
            (table.qos, query.qos),
            (table.state, tuple(state.value for state in query.states)),
        ):
            if values:
                select = select.where(column.in_(values))
        if query.limit:
            select = select.order_by(None).order_by(table.job.desc(), table.restart.desc()).limit(query.limit)
        with self._engine.connect() as connection:
            found = [run for data in connection.execute(select).scalars() if query.takes(run := run_of(data))]
        return found[::-1] if query.limit else found

    def steps(self, runs: list[Run]) -> list[StepRun]:
        table = schema.steps.c
        wanted = {(run.job, run.restart) for run in runs}
        numbers = sorted({job for job, _ in wanted})
        found: list[StepRun] = []
        with self._engine.connect() as connection:
            for start in range(0, len(numbers), 10_000):
                some = numbers[start : start + 10_000]
                select = (
                    sa.select(table.job, table.restart, table.data)
                    .where(table.job.in_(some))
                    .order_by(table.job, table.restart, table.step)
                )
                found += [
                    step_of(data) for job, restart, data in connection.execute(select) if (job, restart) in wanted
                ]
        return found
