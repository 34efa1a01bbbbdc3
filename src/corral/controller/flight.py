"""What is on its way to the disk? Batches in their order; each is let out when it and all before it are durable."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from corral.controller.batch import PendingBatch
from corral.engine.state import ClusterState
from corral.store.interface import Store, done


class Flight:
    """Between the loop and the store. `landed` and `lost` are called in the event loop's thread, in order."""

    def __init__(
        self, store: Store, landed: Callable[[PendingBatch], None], lost: Callable[[PendingBatch, BaseException], None]
    ) -> None:
        self._store = store
        self._landed = landed
        self._lost = lost
        self._queue: deque[tuple[Future[int], PendingBatch]] = deque()
        self._empty = asyncio.Event()
        self._empty.set()
        self._error: BaseException | None = None
        self.seq = 0  #: number of the last event that was handed over
        self.snapshot_seq = 0  #: up to here there is a snapshot

    def start(self, seq: int, snapshot_seq: int) -> None:
        """After the record has been read."""
        self.seq, self.snapshot_seq = seq, snapshot_seq
        self._error = None

    def hand_over(self, batch: PendingBatch) -> None:
        if not batch:
            return
        if batch.stored:
            self.seq += len(batch.stored.events)
            future = self._store.append(batch.stored)
        else:
            future = done()  # nothing to write, but it may tell of what is being written
        batch.last_seq = self.seq
        self._add(future, batch)

    def write_snapshot(self, state: ClusterState) -> int:
        """Its size. It goes through the same queue as the batches: by then every event up to here is written."""
        data = state.dump()
        self.snapshot_seq = self.seq
        self._add(self._store.write_snapshot(data, self.seq, live_blobs(state)), PendingBatch())
        return len(data)

    @property
    def under_way(self) -> int:
        """How many batches are not on the disk yet."""
        return len(self._queue)

    async def has_landed(self) -> None:
        """Wait until nothing is under way."""
        await self._empty.wait()

    def _add(self, future: "Future[int]", batch: PendingBatch) -> None:
        self._queue.append((future, batch))
        if future.done():
            self._settle()
        if self._queue:
            self._empty.clear()
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._settle))

    def _settle(self) -> None:
        while self._queue and self._queue[0][0].done():
            future, batch = self._queue.popleft()
            self._error = self._error or future.exception()
            if self._error is None:
                self._landed(batch)
            else:
                self._lost(batch, self._error)
        if not self._queue:
            self._empty.set()


def live_blobs(state: ClusterState) -> set[str]:
    """Digests of scripts and environments that may be needed again."""
    live = set()
    for spec in state.specs.values():
        live |= {spec.script_digest, spec.environment_digest}
        if spec.step is not None:
            live.add(spec.step.environment_digest)
    for steps in state.steps.values():
        live |= {step.spec.environment_digest for step in steps.values()}
    return live
