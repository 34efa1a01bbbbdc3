"""Which rows of the accounting may a query mean? The conditions that columns can answer, as SQL.

`HistoryQuery.takes` has the last word.
"""

from typing import Any

import sqlalchemy as sa

from corral.model.job import JobState
from corral.store import schema
from corral.store.rollup import DAY
from corral.store.rows import EVER, HistoryQuery, RunKey

_table = schema.jobs.c


def keys_of(query: HistoryQuery) -> sa.Select[Any]:
    """(submit, job, restart) of runs that may be meant."""
    select = sa.select(_table.submit, _table.job, _table.restart)
    for condition in _conditions(query):
        select = select.where(condition)
    return select


def _conditions(query: HistoryQuery) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if query.ids:
        numbers = sorted({job for job, _ in query.ids})
        found.append(sa.or_(_table.job.in_(numbers), _table.array_job.in_(numbers)))
    since, until = float(query.since), float(query.until or EVER)
    if query.states and (query.since or query.until):
        found.append(sa.or_(*(_in_state(state, since, until) for state in query.states)))
    else:
        if query.since:
            found.append(_table.end >= since)
        if query.until:
            found.append(_table.submit <= float(query.until))
        if query.states:
            found.append(_table.state.in_([state.value for state in query.states]))
    for column, values in (
        (_table.user, query.users),
        (_table.account, query.accounts),
        (_table.partition, query.partitions),
        (_table.name, query.names),
        (_table.qos, query.qos),
    ):
        if values:
            found.append(column.in_(values))
    return found


def _in_state(state: JobState, since: float, until: float) -> sa.ColumnElement[bool]:
    """Of runs that have ended."""
    if state is JobState.PENDING:
        return sa.and_(_table.submit < until, sa.or_(_table.start > since, _table.end > since))
    if state is JobState.RUNNING:
        return sa.and_(_table.start > 0.0, _table.end > since, _table.start < until)
    return sa.and_(_table.state == state.value, _table.end.between(since, until))


def runs_at(keys: list[RunKey]) -> sa.Select[Any]:
    return sa.select(_table.job, _table.restart, _table.data).where(_table.job.in_(sorted({key.job for key in keys})))


def steps_at(keys: list[RunKey]) -> sa.Select[Any]:
    table = schema.steps.c
    return (
        sa.select(table.job, table.restart, table.data)
        .where(table.job.in_(sorted({key.job for key in keys})))
        .order_by(table.job, table.restart, table.step)
    )


def usage_of(since: int, until: int) -> sa.Select[Any]:
    """Whole days as such, and the hours before and after them."""
    first, last = -(-since // DAY) * DAY, until // DAY * DAY
    spans = [(schema.usage_hours, since, until)]
    if first < last:
        spans = [
            (schema.usage_hours, since, first), (schema.usage_days, first, last), (schema.usage_hours, last, until),
        ]  # fmt: skip
    found = []
    for table, begin, end in spans:
        if begin < end:
            columns = table.c
            time = next(iter(columns))
            who = (columns.account, columns.user, columns.wckey, columns.tres)
            within = sa.select(*who, sa.func.sum(columns.seconds).label("seconds")).where(time >= begin, time < end)
            found.append(within.group_by(*who))
    whole = sa.union_all(*found).subquery().c
    names = (whole.account, whole.user, whole.wckey, whole.tres)
    return sa.select(*names, sa.func.sum(whole.seconds)).group_by(*names)


def cpu_hours_of(since: int, until: int) -> sa.Select[Any]:
    table = schema.cpu_hours.c
    return sa.select(table.hour, table.tres, table.seconds).where(table.hour >= since, table.hour < until)


def touching(query: HistoryQuery) -> sa.Select[Any]:
    """Records of runs that ran at any time of the window."""
    select = sa.select(_table.data).where(
        _table.start > 0.0, _table.end >= float(query.since), _table.start < float(query.until or EVER)
    )
    for column, values in (
        (_table.user, query.users), (_table.account, query.accounts), (_table.partition, query.partitions),
    ):  # fmt: skip
        if values:
            select = select.where(column.in_(values))
    return select
