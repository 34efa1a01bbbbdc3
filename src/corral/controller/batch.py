"""What becomes durable together, and what waits until it is?"""

import asyncio
from collections.abc import Mapping

import msgspec

from corral.controller import runs
from corral.model.job import Job, JobSpec
from corral.model.step import TRANSFERS
from corral.protocol import codec, events, orders, replies
from corral.store.interface import Answered, Batch, StoredEvent
from corral.store.rollup import add_run

AnswerFuture = asyncio.Future[replies.Reply]


class PendingBatch:
    """Records on their way to the disk; replies, orders and acknowledgements that may go out when they are there."""

    def __init__(self) -> None:
        self.stored = Batch()
        self.records: list[events.AnyEvent] = []
        self.answers: list[tuple[AnswerFuture, replies.Reply]] = []
        self.sends: list[tuple[str, orders.AnyOrder]] = []
        self.acknowledged: dict[str, list[int]] = {}  #: by agent
        self.last_seq = 0

    def __bool__(self) -> bool:
        return bool(self.stored or self.answers or self.sends or self.acknowledged)

    def record(self, event: events.AnyEvent, specs: Mapping[int, JobSpec], jobs: Mapping[int, Job]) -> None:
        """Also its row for the accounting, when a run or a step has ended."""
        self.records.append(event)
        self.stored.events.append(StoredEvent(type(event).__name__, codec.EVENT_VERSION, codec.encode(event)))
        match event:
            case events.JobEnded(job=job) | events.JobRequeued(ended=job):
                spec = specs.get(job.spec_id)
                if spec is not None:
                    run = runs.run_of(job, spec)
                    self.stored.runs.append(run)
                    add_run(self.stored.usage, run)
            case events.StepEnded(step=step) if step.key.step > TRANSFERS:
                owner = jobs.get(step.key.job)
                self.stored.steps.append(runs.step_run_of(step, owner.allocation if owner else None))

    def answer(self, future: AnswerFuture, reply: replies.Reply) -> None:
        self.answers.append((future, reply))

    def remember(self, key: str, uid: int, now: float, reply: replies.Reply) -> None:
        self.stored.answered.append(Answered(key, uid, now, msgspec.json.encode(reply)))

    def acknowledge(self, agent: str, sequence: int) -> None:
        if sequence:
            self.acknowledged.setdefault(agent, []).append(sequence)

    def refuse(self, reply: replies.Reply) -> None:
        """It did not become durable: nobody is told anything else."""
        for future, _ in self.answers:
            if not future.done():
                future.set_result(reply)
