"""What holds for every database: one leader at a time, and a record that outlives whoever wrote it."""

import pytest
from tests.contract.store.conftest import needs_postgres
from tests.postgres import PostgresServer

from corral.errors import StoreSuperseded, StoreUnavailable, StoreUnusable
from corral.store.interface import Batch, StoredEvent, runs
from corral.store.rows import HistoryQuery, Run


def batch(*names: str) -> Batch:
    return Batch(events=[StoredEvent("JobChanged", 1, name.encode()) for name in names])


def names(store) -> list[str]:
    return [stored.data.decode() for stored in store.load().events]


def test_a_store_goes_on_where_the_last_one_ended(open_again):
    first = open_again()
    assert first.next_term() == 1
    first.append(batch("a", "b")).result(5)
    first.append(Batch(runs=[Run(job=1, user="ann", submit=1.0, eligible=1.0, end=2.0)])).result(5)
    first.close()
    second = open_again()
    assert second.next_term() == 2
    assert second.append(batch("c")).result(5) == 3
    assert names(second) == ["a", "b", "c"]
    assert [run.user for run in runs(second, HistoryQuery())] == ["ann"]


def test_whoever_is_no_longer_the_leader_writes_nothing(open_again):
    old, new = open_again(), open_again()
    assert old.next_term() == 1
    old.append(batch("a")).result(5)
    assert new.next_term() == 2
    with pytest.raises(StoreUnavailable, match="Another controller"):
        old.append(batch("b")).result(5)
    with pytest.raises(StoreSuperseded):
        old.recover()
    assert new.recover() == 1
    assert new.append(batch("c")).result(5) == 2
    assert names(new) == ["a", "c"]


def test_texts_of_any_kind_are_found_again(open_again):
    store = open_again()
    odd = ["naïve ☃", "a'b\"c;--", "%(x)s :y ?", "zero\0byte"]
    store.append(Batch(runs=[Run(job=n, name=name, user="ann", eligible=1.0) for n, name in enumerate(odd, 1)])).result(
        5
    )
    assert [run.name for run in runs(store, HistoryQuery())] == odd
    assert [run.job for run in runs(store, HistoryQuery(names=(odd[1],)))] == [2]


@needs_postgres
def test_a_server_that_goes_and_comes_back(postgres: PostgresServer):
    from corral.store.postgres import PostgresStore

    store = PostgresStore(postgres.new_database())
    store.next_term()
    store.append(batch("a")).result(5)
    postgres.stop("immediate")
    try:
        with pytest.raises(StoreUnavailable):
            store.append(batch("b")).result(20)
        with pytest.raises(StoreUnavailable):
            store.append(batch("c")).result(5)
        with pytest.raises(StoreUnavailable):
            store.recover()
        with pytest.raises(StoreUnavailable):
            store.load()
    finally:
        postgres.start()
    assert store.recover() == 1
    assert store.append(batch("d")).result(5) == 2
    assert names(store) == ["a", "d"]
    store.close()


@needs_postgres
def test_a_database_that_is_not_there_is_told_at_once(postgres: PostgresServer):
    from corral.store.postgres import PostgresStore

    with pytest.raises(StoreUnusable, match="does not exist"):
        PostgresStore(f"postgresql://corral@/nowhere?host={postgres.directory}")
