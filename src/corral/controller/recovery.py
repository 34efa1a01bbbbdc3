"""What was the cluster when the record was last written? The snapshot, and every event after it."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from corral.engine.state import ClusterState
from corral.errors import StoreUnusable
from corral.protocol import codec
from corral.protocol.events import AnyEvent
from corral.store.interface import Store


class State(Protocol):
    def apply(self, event: AnyEvent) -> object: ...


class Recovered:
    """A state, and how far the record goes."""

    def __init__(self, state: ClusterState, seq: int, replayed: int) -> None:
        self.state = state
        self.seq = seq  #: number of the last event
        self.replayed = replayed  #: how many were applied on top of the snapshot


def recover(store: Store, load: Callable[[bytes], ClusterState] = ClusterState.load) -> Recovered:
    """StoreUnusable when the record says what this version has no words for."""
    loaded = store.load()
    replayed, where = 0, "the snapshot"
    try:
        state = load(loaded.snapshot) if loaded.snapshot is not None else ClusterState()
        for stored in loaded.events:
            where = f"event {loaded.upto + replayed + 1}"
            state.apply(codec.decode_event(stored.data))
            replayed += 1
    except msgspec.MsgspecError as error:
        reason = (
            f"{where} cannot be read by this version: a newer one has written it, or it is damaged ({error})."
            " Install the newer one, or restore a backup from before it"
        )
        raise StoreUnusable(reason=reason) from error
    return Recovered(state, loaded.upto + replayed, replayed)
