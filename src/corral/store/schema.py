"""Which tables are there, and how does an older database get them?"""

from collections.abc import Callable

import sqlalchemy as sa

from corral.errors import StoreUnusable
from corral.store.rollup import DAY, PLANNED, Usage, add_run
from corral.store.rows import run_of

metadata = sa.MetaData()

#: SQLite's whole numbers have 64 bits whatever they are called, and only one called INTEGER is the row's own number.
_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", _Number, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("upto", _Number, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("seq", _Number, nullable=False),  #: the last event that may have named it
    sa.Column("data", sa.LargeBinary, nullable=False),
)

answered = sa.Table(
    "answered",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("uid", _Number, nullable=False),
    sa.Column("time", sa.Float, nullable=False, index=True),
    sa.Column("reply", sa.LargeBinary, nullable=False),
)

_IN_ARRAY = sa.text("array_job IS NOT NULL")

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job", _Number, primary_key=True),
    sa.Column("restart", _Number, primary_key=True),
    sa.Column("array_job", _Number),
    sa.Column("array_task", _Number),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("qos", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("submit", sa.Float, nullable=False),
    sa.Column("start", sa.Float, nullable=False),
    sa.Column("end", sa.Float, nullable=False),
    sa.Column("cpus", _Number, nullable=False),
    sa.Column("gpus", _Number, nullable=False),
    sa.Column("wckey", sa.Text, nullable=False, server_default=""),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("jobs_by_array", "array_job", sqlite_where=_IN_ARRAY, postgresql_where=_IN_ARRAY),
    sa.Index("jobs_by_end", "end"),
    sa.Index("jobs_by_user_and_end", "user", "end"),
    sa.Index("jobs_by_account_and_end", "account", "end"),
)

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("job", _Number, primary_key=True),
    sa.Column("restart", _Number, primary_key=True),
    sa.Column("step", _Number, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("start", sa.Float, nullable=False),
    sa.Column("end", sa.Float, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

usage_hours = sa.Table(
    "usage_hours",
    metadata,
    sa.Column("hour", _Number, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("wckey", sa.Text, primary_key=True),
    sa.Column("tres", sa.Text, primary_key=True),
    sa.Column("seconds", sa.Float, nullable=False),
)

#: The same by the day.
usage_days = sa.Table(
    "usage_days",
    metadata,
    sa.Column("day", _Number, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("wckey", sa.Text, primary_key=True),
    sa.Column("tres", sa.Text, primary_key=True),
    sa.Column("seconds", sa.Float, nullable=False),
)

#: Of all users together: CPUs in use, and CPUs that were waited for.
cpu_hours = sa.Table(
    "cpu_hours",
    metadata,
    sa.Column("hour", _Number, primary_key=True),
    sa.Column("tres", sa.Text, primary_key=True),
    sa.Column("seconds", sa.Float, nullable=False),
)

node_changes = sa.Table(
    "node_changes",
    metadata,
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("time", sa.Float, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("tres", sa.Text, nullable=False),
)

Migration = Callable[[sa.Connection], None]


def _with_rollups(connection: sa.Connection) -> None:
    """wckey as a column; the sums by the hour, of the jobs that are there."""
    connection.execute(sa.text("ALTER TABLE jobs ADD COLUMN wckey TEXT NOT NULL DEFAULT ''"))
    next(index for index in jobs.indexes if index.name == "jobs_by_account_and_end").create(connection)
    usage_hours.create(connection)
    node_changes.create(connection)
    usage: Usage = {}
    for data in connection.execute(sa.select(jobs.c.data).execution_options(yield_per=1000)).scalars():
        add_run(usage, run_of(data))
        if len(usage) >= 100_000:
            _add_usage(connection, usage)
            usage = {}
    _add_usage(connection, usage)


def _add_usage(connection: sa.Connection, usage: Usage) -> None:
    """To what is there: a million jobs are not summed up in memory. Both databases read it so."""
    if usage:
        statement = sa.text(
            'INSERT INTO usage_hours (hour, account, "user", wckey, tres, seconds) '
            'VALUES (:hour, :account, :user, :wckey, :tres, :seconds) ON CONFLICT (hour, account, "user", wckey, tres) '
            "DO UPDATE SET seconds = usage_hours.seconds + excluded.seconds"
        )
        connection.execute(statement, [{**key._asdict(), "seconds": seconds} for key, seconds in usage.items()])


def _with_days(connection: sa.Connection) -> None:
    """Sums by the day, and those of all users together, out of the hours. What was waited for is only among the latter."""
    usage_days.create(connection)
    cpu_hours.create(connection)
    for statement in (
        'INSERT INTO usage_days (day, account, "user", wckey, tres, seconds) '
        f'SELECT hour - hour % {DAY}, account, "user", wckey, tres, SUM(seconds) FROM usage_hours '
        f"WHERE tres <> '{PLANNED}' GROUP BY hour - hour % {DAY}, account, \"user\", wckey, tres",
        "INSERT INTO cpu_hours (hour, tres, seconds) SELECT hour, tres, SUM(seconds) FROM usage_hours "
        f"WHERE tres IN ('cpu', '{PLANNED}') GROUP BY hour, tres",
        f"DELETE FROM usage_hours WHERE tres = '{PLANNED}'",
    ):
        connection.execute(sa.text(statement))


#: MIGRATIONS[n] takes a database from version n + 1 to n + 2. Never change one that was released.
MIGRATIONS: tuple[Migration, ...] = (_with_rollups, _with_days)

VERSION = len(MIGRATIONS) + 1


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make the tables, or change those of an older version, in the transaction of `connection`."""
    if not sa.inspect(connection).has_table("meta"):
        metadata.create_all(connection)
        connection.execute(meta.insert().values(key="schema", value=str(VERSION).encode()))
        return
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema")).scalar()
    version = int(found) if found else 1
    if version > VERSION:
        reason = f"it was written by a newer Corral (its version is {version}, this program knows {VERSION})"
        raise StoreUnusable(reason=reason)
    for migration in MIGRATIONS[version - 1 :]:
        migration(connection)
    if version < VERSION:
        connection.execute(meta.update().where(meta.c.key == "schema").values(value=str(VERSION).encode()))
