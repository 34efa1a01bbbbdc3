"""Which tables are there, and how does an older database get them?"""

from collections.abc import Callable

import sqlalchemy as sa

from corral.errors import StoreUnusable

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
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("jobs_by_array", "array_job", sqlite_where=_IN_ARRAY, postgresql_where=_IN_ARRAY),
    sa.Index("jobs_by_end", "end"),
    sa.Index("jobs_by_user_and_end", "user", "end"),
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

Migration = Callable[[sa.Connection], None]

#: MIGRATIONS[n] takes a database from version n + 1 to n + 2. Never change one that was released.
MIGRATIONS: tuple[Migration, ...] = ()

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
