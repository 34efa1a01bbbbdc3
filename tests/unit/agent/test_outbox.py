import asyncio
from collections.abc import Awaitable, Callable

import pytest

from corral.agent import outbox as outbox_module
from corral.agent.outbox import Outbox
from corral.protocol.codec import decode_reports
from corral.protocol.reports import AnyReport, Heartbeat, JobCleaned


class Sent:
    """What went out, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[list[AnyReport]] = []

    async def publish(self, batch: bytes) -> None:
        self.batches.append(decode_reports(batch))


def cleaned(job: int) -> JobCleaned:
    return JobCleaned(agent="a", node="n1", job=job)


def play(scene: Callable[[Outbox, Sent], Awaitable[None]]) -> None:
    async def whole() -> None:
        sent = Sent()
        outbox = Outbox(sent.publish, 100)
        await scene(outbox, sent)
        outbox.close()

    asyncio.run(whole())


async def wait_for(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.001)


def test_reports_made_together_travel_together() -> None:
    async def scene(outbox: Outbox, sent: Sent) -> None:
        for job in (1, 2, 3):
            outbox.report(cleaned(job))
        await outbox.flush()
        assert [[report.sequence for report in batch] for batch in sent.batches] == [[101, 102, 103]]

    play(scene)


def test_a_report_is_sent_until_it_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RESEND_FIRST", 0.01)

    async def scene(outbox: Outbox, sent: Sent) -> None:
        report = outbox.report(cleaned(1))
        await wait_for(lambda: len(sent.batches) >= 3)
        assert outbox.acknowledged(report.sequence) == report
        assert outbox.acknowledged(report.sequence) is None
        assert len(outbox) == 0

    play(scene)


def test_what_needs_no_answer_is_sent_once() -> None:
    async def scene(outbox: Outbox, sent: Sent) -> None:
        outbox.tell(Heartbeat(agent="a", nodes=("n1",)))
        await outbox.flush()
        assert len(sent.batches) == 1
        assert len(outbox) == 0

    play(scene)


def test_all_that_waits_is_sent_again_on_demand() -> None:
    async def scene(outbox: Outbox, sent: Sent) -> None:
        for job in (1, 2):
            outbox.report(cleaned(job))
        await outbox.flush()
        outbox.acknowledged(101)
        outbox.send_all()
        await outbox.flush()
        assert [report.sequence for report in sent.batches[-1]] == [102]

    play(scene)


def test_many_reports_go_in_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BATCH", 10)

    async def scene(outbox: Outbox, sent: Sent) -> None:
        for job in range(25):
            outbox.report(cleaned(job))
        await outbox.flush()
        assert [len(batch) for batch in sent.batches] == [10, 10, 5]

    play(scene)
