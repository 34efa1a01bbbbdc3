"""What was the cluster when the record was last written? The snapshot, and every event after it."""

from collections.abc import Callable
from typing import Protocol

from corral.engine.state import ClusterState
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
    loaded = store.load()
    state = load(loaded.snapshot) if loaded.snapshot is not None else ClusterState()
    replayed = 0
    for stored in loaded.events:
        state.apply(codec.decode_event(stored.data))
        replayed += 1
    return Recovered(state, loaded.upto + replayed, replayed)
