"""Who waits for something to happen, and how do they learn of it? Committed events wake them; nobody polls."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Protocol

import msgspec

from corral.protocol import events as ev

#: Events kept for a stream that was cut off and asks for what it missed.
KEPT = 2_000
#: A listener that is so many events behind is cut off.
MOST_BEHIND = 100_000


class Published(msgspec.Struct, frozen=True, gc=False):
    """A committed event with its number in the record."""

    seq: int
    event: ev.AnyEvent


def jobs_of(event: ev.AnyEvent) -> tuple[int, ...]:
    """The jobs an event is about; an array's id too."""
    match event:
        case ev.JobSubmitted() | ev.JobStarted() | ev.JobChanged() | ev.JobRequeued() | ev.JobEnded():
            job = event.job
            return (job.id,) if job.array_job_id in (None, job.id) else (job.id, job.array_job_id)
        case ev.StepCreated() | ev.StepChanged() | ev.StepEnded():
            return (event.step.key.job,)
        case ev.JobsPurged(ids=ids):
            return ids
        case _:
            return ()


class Told(Protocol):
    """Something that is told each event as it is committed."""

    def put(self, published: Published) -> None: ...


class Watchers:
    """Of one controller."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self._queues: set[Told] = set()
        self._recent: deque[Published] = deque(maxlen=KEPT)
        self.last_seq = 0

    def publish(self, records: list[ev.AnyEvent], last_seq: int) -> None:
        seq = last_seq - len(records)
        for event in records:
            seq += 1
            published = Published(seq, event)
            self._recent.append(published)
            for queue in self._queues:
                queue.put(published)
            if self._waiting:
                for job in jobs_of(event):
                    for future in self._waiting.pop(job, ()):
                        if not future.done():
                            future.set_result(None)
        self.last_seq = last_seq

    async def change_of(self, job: int, timeout: float) -> bool:
        """Wait until something about the job is committed; False when nothing was in time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(job, set())
        waiting.add(future)
        try:
            await asyncio.wait_for(future, timeout)
            return True
        except TimeoutError:
            return False
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(job) is waiting:
                del self._waiting[job]

    def tell(self, one: Told) -> None:
        """From now on, of everything."""
        self._queues.add(one)

    def listen(self) -> "Listener":
        return Listener(self._queues)

    def since(self, seq: int) -> Iterator[Published]:
        """What is still known of the events after this one."""
        return (published for published in list(self._recent) if published.seq > seq)

    def knows_since(self, seq: int) -> bool:
        return seq >= self.last_seq or (bool(self._recent) and self._recent[0].seq <= seq + 1)


class Listener:
    """A queue of events; use as a context."""

    def __init__(self, queues: "set[Told]") -> None:
        self._queues = queues
        self._queue: deque[Published] = deque()
        self._wake = asyncio.Event()
        self.is_behind = False

    def put(self, published: Published) -> None:
        if len(self._queue) >= MOST_BEHIND:
            self.is_behind = True
        else:
            self._queue.append(published)
        self._wake.set()

    async def get(self, timeout: float) -> list[Published]:
        """All that has come; empty when nothing has in time."""
        if not self._queue:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), timeout)
            except TimeoutError:
                return []
        found = list(self._queue)
        self._queue.clear()
        return found

    def __enter__(self) -> "Listener":
        self._queues.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._queues.discard(self)
