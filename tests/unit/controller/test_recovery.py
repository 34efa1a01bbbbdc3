"""What a controller says of a record that it cannot read."""

import msgspec
import pytest

from corral.controller.recovery import recover
from corral.engine.state import ClusterState
from corral.errors import StoreUnusable
from corral.protocol import codec
from corral.protocol.events import ControllerStarted
from corral.store.interface import Batch, StoredEvent
from corral.store.memory import MemoryStore


def stored(data: bytes) -> Batch:
    return Batch(events=[StoredEvent("E", codec.EVENT_VERSION, data)])


def test_an_event_of_a_newer_version_is_named() -> None:
    store = MemoryStore()
    store.append(stored(codec.encode(ControllerStarted(time=1.0, term=1))))
    store.append(stored(msgspec.msgpack.encode({"type": "JobTeleported", "time": 2.0})))
    with pytest.raises(StoreUnusable, match=r"event 2 cannot be read by this version: a newer one .*JobTeleported"):
        recover(store)


def test_a_snapshot_of_a_newer_version_is_named() -> None:
    store = MemoryStore()
    dump = msgspec.msgpack.decode(ClusterState().dump())
    dump["jobs"] = "in a way of their own"
    store.write_snapshot(msgspec.msgpack.encode(dump), 0, set())
    with pytest.raises(StoreUnusable, match=r"the snapshot cannot be read by this version"):
        recover(store)
