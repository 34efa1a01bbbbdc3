"""How does a database keep the record? Group commit by one thread that writes; what SQLite and PostgreSQL do alike.

Whoever appends puts a batch into a queue and gets a future. The writer takes all that lies there, writes it in one
transaction (group commit: while one sync runs, the next group gathers) and completes the futures. When a transaction
fails, everything after it fails too until `recover`: later batches follow from a state that was never recorded.

Every transaction looks at the term first: when another controller has begun to lead, this one writes nothing any more.
"""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from corral.errors import StoreSuperseded, StoreUnavailable
from corral.store import rollup, schema, search
from corral.store.interface import ANSWERS_KEPT, Answered, Batch, Loaded, Purge, StoredEvent, failed
from corral.store.prepared import Prepared
from corral.store.rollup import JobSizes, NodeChange, add_size, sizes
from corral.store.rows import HistoryQuery, Run, RunKey, StepRun, run_of, run_row, step_of, step_row

_Job = tuple[Callable[[sa.Connection], int], "Future[int]"]

#: Jobs named in one statement.
_AT_ONCE = 5_000


def reason_of(error: BaseException) -> str:
    """The words of the database, without SQLAlchemy's wrapping."""
    inner = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    return str(inner).strip() or type(inner).__name__


class SqlStore(ABC):
    """What is the same for every database. `_insert_into`, `_begin` and `_term_row` are the dialect's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._broken: str = ""
        self._seq = 0
        self._term = 0
        meta, blobs = schema.meta, self._insert_into(schema.blobs)
        newest = sa.case((schema.blobs.c.seq > blobs.excluded.seq, schema.blobs.c.seq), else_=blobs.excluded.seq)

        def adding(table: sa.Table) -> Any:
            """To the seconds of a row, should it be there already."""
            insert = self._insert_into(table)
            return insert.on_conflict_do_update(
                index_elements=list(table.primary_key), set_={"seconds": table.c.seconds + insert.excluded.seconds}
            )

        def prepared(statement: Any) -> Prepared:
            return Prepared(statement, engine.dialect)

        # What nearly every commit carries out.
        self._find_term = prepared(self._term_row())
        self._put_event = prepared(sa.insert(schema.events))
        self._put_blob = prepared(blobs.on_conflict_do_update(index_elements=["digest"], set_={"seq": newest}))
        self._put_run = prepared(self._replacing(schema.jobs))
        self._put_step = prepared(self._replacing(schema.steps))
        self._put_answer = prepared(self._replacing(schema.answered))
        self._add_hours, self._add_days = prepared(adding(schema.usage_hours)), prepared(adding(schema.usage_days))
        self._add_cpus = prepared(adding(schema.cpu_hours))
        self._put_snapshot = self._replacing(schema.snapshots)
        self._put_meta = self._replacing(meta)
        self._put_node_change = self._replacing(schema.node_changes)
        self._write_now(self._open)
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    # -- the dialect's part

    @abstractmethod
    def _insert_into(self, table: sa.Table) -> Any:
        """An INSERT that knows what to do on a conflict."""

    @abstractmethod
    def _begin(self, connection: sa.Connection) -> None:
        """Open the transaction that writes."""

    def _unusable(self, reason: str) -> Exception | None:
        """When the words of the database mean that nothing can be done here."""
        return None

    def _begin_reading(self, connection: sa.Connection) -> None:  # noqa: B027 - most databases need nothing
        """Before rows are read some at a time."""

    def _term_row(self, changing: bool = False) -> sa.Select[Any]:
        return sa.select(schema.meta.c.value).where(schema.meta.c.key == "term")

    def _replacing(self, table: sa.Table) -> Any:
        insert = self._insert_into(table)
        keys = [column.name for column in table.primary_key]
        rest = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
        return insert.on_conflict_do_update(index_elements=keys, set_=rest)

    # -- writing

    def append(self, batch: Batch) -> "Future[int]":
        return self._enqueue(lambda connection: self._insert(connection, batch))

    def write_snapshot(self, data: bytes, upto: int, live_blobs: set[str]) -> "Future[int]":
        return self._enqueue(lambda connection: self._snapshot(connection, data, upto, live_blobs))

    def purge(self, what: Purge) -> "Future[int]":
        return self._enqueue(lambda connection: self._purge(connection, what))

    def _enqueue(self, work: Callable[[sa.Connection], int]) -> "Future[int]":
        if self._broken:
            return failed(StoreUnavailable(reason=self._broken))
        future: Future[int] = Future()
        self._queue.put((work, future))
        return future

    def recover(self) -> int:
        self._seq = self._write_now(self._probe)
        self._broken = ""
        return self._seq

    def next_term(self, now: int = 0) -> int:
        self._term = 0
        self._term = self._write_now(lambda connection: self._bump_term(connection, now))
        return self._term

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(30)
        self._engine.dispose()

    def _run(self) -> None:
        connection: sa.Connection | None = None
        last = False
        while not last:
            group, last = self._gather()
            if group:
                connection = self._commit(connection, group)
        if connection is not None:
            connection.close()

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

    def _commit(self, connection: sa.Connection | None, group: list[_Job]) -> sa.Connection | None:
        """The connection, as long as it is good."""
        results: list[int] = []
        first = self._seq
        try:
            if self._broken:
                raise StoreUnavailable(reason=self._broken)
            connection = connection or self._engine.connect()
            self._begin(connection)
            self._check_term(connection)
            for work, _ in group:
                results.append(work(connection))
            connection.exec_driver_sql("COMMIT")
            connection.commit()  # SQLAlchemy's own notion of a transaction; the database has none open any more
        except Exception as error:
            self._seq = first
            self._broken = self._broken or reason_of(error)
            if connection is not None:
                _roll_back(connection)
                connection.close()
            failure = error if isinstance(error, StoreUnavailable) else StoreUnavailable(reason=self._broken)
            for _, future in group:
                future.set_exception(failure)
            return None
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)
        return connection

    def _write_now(self, work: Callable[[sa.Connection], int]) -> int:
        """In the caller's thread: at the start, and while the writer has nothing it may do."""
        with self._reading() as connection:
            try:
                self._begin(connection)
                self._check_term(connection)
                result = work(connection)
                connection.exec_driver_sql("COMMIT")
                connection.commit()
            except BaseException:
                _roll_back(connection)
                raise
            return result

    def _check_term(self, connection: sa.Connection) -> None:
        if self._term:
            found = self._find_term.scalar(connection)
            if found is not None and int(found) != self._term:
                raise StoreSuperseded(term=int(found))

    # -- what is written

    def _open(self, connection: sa.Connection) -> int:
        schema.bring_up_to_date(connection)
        self._seq = self._last_seq(connection)
        return self._seq

    def _last_seq(self, connection: sa.Connection) -> int:
        last_event = connection.execute(sa.select(sa.func.max(schema.events.c.seq))).scalar() or 0
        last_snapshot = connection.execute(sa.select(sa.func.max(schema.snapshots.c.upto))).scalar() or 0
        return int(max(last_event, last_snapshot))

    def _insert(self, connection: sa.Connection, batch: Batch) -> int:
        first = self._seq + 1
        if batch.events:
            rows: list[dict[str, Any]] = [
                {"seq": seq, "kind": event.kind, "version": event.version, "data": event.data}
                for seq, event in enumerate(batch.events, first)
            ]
            self._put_event.put(connection, rows)
            self._seq += len(rows)
        if batch.blobs:
            seq = self._seq
            self._put_blob.put(connection, [{"digest": d, "seq": seq, "data": b} for d, b in batch.blobs.items()])
        if batch.runs:
            self._put_run.put(connection, [run_row(run) for run in batch.runs])
        if batch.steps:
            self._put_step.put(connection, [step_row(step) for step in batch.steps])
        if batch.usage:
            self._put_usage(connection, batch.usage)
        if batch.node_changes:
            connection.execute(
                self._put_node_change,
                [{"node": c.node, "time": c.time, "kind": c.kind, "tres": c.tres} for c in batch.node_changes],
            )
        if batch.answered:
            self._put_answer.put(
                connection,
                [{"key": a.key, "uid": a.uid, "time": a.time, "reply": a.reply} for a in batch.answered],
            )
        return self._seq

    def _put_usage(self, connection: sa.Connection, usage: rollup.Usage) -> None:
        names = ("account", "user", "wckey", "tres", "seconds")
        hours = [
            dict(zip(names, (*key[1:], seconds), strict=True), hour=key.hour)
            for key, seconds in usage.items()
            if key.tres != rollup.PLANNED
        ]
        if hours:
            self._add_hours.put(connection, hours)
            days = rollup.by_day(usage)
            self._add_days.put(
                connection,
                [dict(zip(names, (*key[1:], seconds), strict=True), day=key[0]) for key, seconds in days.items()],
            )
        rows = [{"hour": hour, "tres": name, "seconds": s} for (hour, name), s in rollup.of_all(usage).items()]
        if rows:
            self._add_cpus.put(connection, rows)

    def _snapshot(self, connection: sa.Connection, data: bytes, upto: int, live_blobs: set[str]) -> int:
        connection.execute(sa.delete(schema.snapshots).where(schema.snapshots.c.upto != upto))
        connection.execute(self._put_snapshot, [{"upto": upto, "data": data}])
        connection.execute(sa.delete(schema.events).where(schema.events.c.seq <= upto))
        old = connection.execute(sa.select(schema.blobs.c.digest).where(schema.blobs.c.seq <= upto)).scalars()
        dead = [{"dead": digest} for digest in old if digest not in live_blobs]
        if dead:
            connection.execute(sa.delete(schema.blobs).where(schema.blobs.c.digest == sa.bindparam("dead")), dead)
        newest = sa.select(sa.func.max(schema.answered.c.time)).scalar_subquery()
        connection.execute(sa.delete(schema.answered).where(schema.answered.c.time < newest - ANSWERS_KEPT))
        return upto

    def _purge(self, connection: sa.Connection, what: Purge) -> int:
        count = 0
        jobs, steps, changes = schema.jobs, schema.steps, schema.node_changes
        if what.runs:
            keys = [{"j": job, "r": restart} for job, restart in what.runs]
            for table in (steps, jobs):
                of_run = (table.c.job == sa.bindparam("j")) & (table.c.restart == sa.bindparam("r"))
                connection.execute(sa.delete(table).where(of_run), keys)
            count += len(keys)
        if what.steps:
            step_keys = [{"j": job, "r": restart, "s": step} for job, restart, step in what.steps]
            of_step = (steps.c.job == sa.bindparam("j")) & (steps.c.restart == sa.bindparam("r"))
            connection.execute(sa.delete(steps).where(of_step, steps.c.step == sa.bindparam("s")), step_keys)
            count += len(step_keys)
        if what.usage_before:
            before = what.usage_before
            hours, days, cpus = schema.usage_hours, schema.usage_days, schema.cpu_hours
            waited = cpus.c.tres == rollup.PLANNED
            for table, old in ((hours, hours.c.hour < before), (cpus, (cpus.c.hour < before) & waited)):
                count += connection.execute(sa.delete(table).where(old)).rowcount
            connection.execute(sa.delete(cpus).where(cpus.c.hour < before))
            connection.execute(sa.delete(days).where(days.c.day <= before - rollup.DAY))
        if what.changes_before:
            newer = changes.alias()
            later = (newer.c.node == changes.c.node) & (newer.c.time > changes.c.time)
            is_followed = sa.exists().where(later, newer.c.time <= what.changes_before)
            count += connection.execute(sa.delete(changes).where(is_followed)).rowcount
        return count

    def _probe(self, connection: sa.Connection) -> int:
        """As much as a batch may want, and taken away again in the same transaction. The number of the last event."""
        connection.execute(self._put_meta, [{"key": "probe", "value": bytes(262144)}])
        connection.execute(schema.meta.update().where(schema.meta.c.key == "probe").values(value=b""))
        return self._last_seq(connection)

    def _bump_term(self, connection: sa.Connection, now: int) -> int:
        found = connection.execute(self._term_row(changing=True)).scalar()
        term = max((int(found) if found else 0) + 1, now)
        connection.execute(self._put_meta, [{"key": "term", "value": str(term).encode()}])
        return term

    # -- reading

    def _reading(self) -> "_Connected":
        return _Connected(self._engine, self._unusable)

    def load(self) -> Loaded:
        with self._reading() as connection:
            row = connection.execute(
                sa.select(schema.snapshots.c.upto, schema.snapshots.c.data).order_by(schema.snapshots.c.upto.desc())
            ).first()
        upto, snapshot = (row.upto, row.data) if row else (0, None)
        return Loaded(snapshot=snapshot, upto=upto, events=self._events_after(upto))

    def _events_after(self, upto: int) -> Iterator[StoredEvent]:
        table = schema.events.c
        query = sa.select(table.kind, table.version, table.data).where(table.seq > upto).order_by(table.seq)
        with self._reading() as connection:
            self._begin_reading(connection)
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield StoredEvent(row[0], row[1], row[2])

    def blob(self, digest: str) -> bytes | None:
        query = sa.select(schema.blobs.c.data).where(schema.blobs.c.digest == digest)
        with self._reading() as connection:
            found: bytes | None = connection.execute(query).scalar()
            return found

    def answered(self, since: float) -> list[Answered]:
        table = schema.answered.c
        query = sa.select(table.key, table.uid, table.time, table.reply).where(table.time >= since)
        with self._reading() as connection:
            return [Answered(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]

    def run_keys(self, query: HistoryQuery) -> list[RunKey]:
        with self._reading() as connection:
            found = [RunKey(*row) for row in connection.execute(search.keys_of(query))]
        found.sort()
        return found[-query.limit :] if query.limit else found

    def runs_at(self, keys: list[RunKey]) -> list[Run]:
        data: dict[tuple[int, int], bytes] = {}
        with self._reading() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                for job, restart, record in connection.execute(search.runs_at(keys[start : start + _AT_ONCE])):
                    data[job, restart] = record
        return [run_of(record) for key in keys if (record := data.get((key.job, key.restart))) is not None]

    def steps_at(self, keys: list[RunKey]) -> list[StepRun]:
        wanted = {(key.job, key.restart) for key in keys}
        found: list[StepRun] = []
        with self._reading() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                rows = connection.execute(search.steps_at(keys[start : start + _AT_ONCE]))
                found += [step_of(data) for job, restart, data in rows if (job, restart) in wanted]
        return found

    def ended_before(self, time: float, limit: int, after: float = 0.0) -> list[RunKey]:
        table = schema.jobs.c
        query = sa.select(table.submit, table.job, table.restart).where(table.end > after, table.end < time)
        with self._reading() as connection:
            return [RunKey(*row) for row in connection.execute(query.order_by(table.end).limit(limit))]

    def usage(self, since: int, until: int) -> dict[tuple[str, str, str, str], float]:
        with self._reading() as connection:
            return {
                (row[0], row[1], row[2], row[3]): row[4] for row in connection.execute(search.usage_of(since, until))
            }

    def cpu_hours(self, since: int, until: int) -> dict[tuple[int, str], float]:
        with self._reading() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(search.cpu_hours_of(since, until))}

    def node_changes(self, until: float) -> list[NodeChange]:
        table = schema.node_changes.c
        query = sa.select(table.node, table.time, table.kind, table.tres).where(table.time < until)
        with self._reading() as connection:
            return [NodeChange(*row) for row in connection.execute(query.order_by(table.node, table.time))]

    def job_sizes(self, query: HistoryQuery) -> list[JobSizes]:
        keys = search.touching(query)
        found: dict[tuple[str, str, str, str], list[float]] = {}
        with self._reading() as connection:
            self._begin_reading(connection)
            for data in connection.execute(keys.execution_options(yield_per=1000)).scalars():
                add_size(found, run_of(data), query)
        return sizes(found)


class _Connected:
    """A connection for a while. What the database complains of becomes a StoreUnavailable."""

    def __init__(self, engine: sa.Engine, unusable: Callable[[str], Exception | None]) -> None:
        self._engine, self._unusable = engine, unusable
        self._connection: sa.Connection | None = None

    def __enter__(self) -> sa.Connection:
        try:
            self._connection = self._engine.connect()
        except (sa.exc.DBAPIError, OSError) as error:
            self._translate(error)
            raise
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if isinstance(error, (sa.exc.DBAPIError, OSError)):
            self._translate(error)

    def _translate(self, error: Exception) -> None:
        reason = reason_of(error)
        raise self._unusable(reason) or StoreUnavailable(reason=reason) from error


def _roll_back(connection: sa.Connection) -> None:
    try:
        connection.exec_driver_sql("ROLLBACK")
    except sa.exc.SQLAlchemyError:
        pass  # SQLite has rolled back already, as it does when the disk is full; or the server is gone
    try:
        connection.rollback()
    except sa.exc.SQLAlchemyError:
        pass
