"""Is the record complete, in order, and bounded by its snapshots?"""

from corral.store.interface import Answered, Batch, StoredEvent


def event(name: str) -> StoredEvent:
    return StoredEvent("JobChanged", 1, name.encode())


def batch(*names: str) -> Batch:
    return Batch(events=[event(name) for name in names])


def names(store) -> list[str]:
    return [stored.data.decode() for stored in store.load().events]


def test_a_new_store_is_empty(store):
    loaded = store.load()
    assert loaded.snapshot is None
    assert loaded.upto == 0
    assert list(loaded.events) == []


def test_events_come_back_in_order_with_kind_and_version(store):
    store.append(batch("a", "b"))
    assert store.append(batch("c")).result(5) == 3
    assert list(store.load().events) == [event("a"), event("b"), event("c")]


def test_batches_appended_without_waiting_keep_their_order(store):
    futures = [store.append(batch(str(i))) for i in range(200)]
    assert [future.result(5) for future in futures] == list(range(1, 201))
    assert names(store) == [str(i) for i in range(200)]


def test_a_snapshot_replaces_the_events_before_it(store):
    store.append(batch("a", "b"))
    store.write_snapshot(b"state", 2, set())
    store.append(batch("c")).result(5)
    loaded = store.load()
    assert (loaded.snapshot, loaded.upto) == (b"state", 2)
    assert [one.data for one in loaded.events] == [b"c"]


def test_only_the_last_snapshot_counts(store):
    store.append(batch("a", "b"))
    store.write_snapshot(b"one", 1, set())
    store.write_snapshot(b"two", 2, set()).result(5)
    assert store.load().snapshot == b"two"
    assert names(store) == []


def test_numbers_go_on_after_a_snapshot_of_everything(store):
    store.append(batch("a"))
    store.write_snapshot(b"state", 1, set()).result(5)
    assert store.append(batch("b")).result(5) == 2


def test_a_blob_is_found_by_its_digest(store):
    store.append(Batch(blobs={"d1": b"script"})).result(5)
    assert store.blob("d1") == b"script"
    assert store.blob("d2") is None


def test_a_snapshot_drops_blobs_that_nothing_names_any_more(store):
    store.append(Batch(events=[event("a")], blobs={"live": b"1", "dead": b"2"}))
    store.append(Batch(events=[event("b")], blobs={"young": b"3"}))
    store.write_snapshot(b"state", 1, {"live"}).result(5)
    assert [store.blob(name) for name in ("live", "dead", "young")] == [b"1", None, b"3"]


def test_a_blob_that_is_named_again_is_young_again(store):
    store.append(Batch(events=[event("a")], blobs={"d": b"1"}))
    store.append(Batch(events=[event("b")], blobs={"d": b"1"}))
    store.write_snapshot(b"state", 1, set()).result(5)
    assert store.blob("d") == b"1"


def test_answers_are_remembered_by_their_time(store):
    old, new = Answered("k1", 7, 100.0, b"{}"), Answered("k2", 7, 200.0, b"[]")
    store.append(Batch(answered=[old, new])).result(5)
    assert store.answered(150.0) == [new]


def test_each_term_is_higher(store):
    assert [store.next_term(), store.next_term()] == [1, 2]


def test_a_term_is_not_below_the_time_whatever_the_clock_does(store):
    assert [store.next_term(1000), store.next_term(1000), store.next_term(900), store.next_term(2000)] == [
        1000, 1001, 1002, 2000,
    ]  # fmt: skip
