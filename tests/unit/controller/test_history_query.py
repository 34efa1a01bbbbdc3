"""Which runs a query of the accounting means, beside what the databases answer themselves."""

from corral.model.job import JobState, StartedBy
from corral.store.rows import HistoryQuery, Run


def run(**fields: object) -> Run:
    return Run(
        job=1, uid=0, user="root", submit=1.0, eligible=1.0, start=2.0, end=3.0, state=JobState.COMPLETED, association=2,
        started_by=StartedBy.GAP, **fields,
    )  # fmt: skip


def test_by_association() -> None:
    assert HistoryQuery(associations=frozenset({1, 2})).takes(run())
    assert not HistoryQuery(associations=frozenset({-1})).takes(run())


def test_by_how_it_began() -> None:
    assert HistoryQuery(started_by=(StartedBy.TURN, StartedBy.GAP)).takes(run())
    assert not HistoryQuery(started_by=(StartedBy.TURN,)).takes(run())


def test_by_reason() -> None:
    assert HistoryQuery(reasons=("Resources",)).takes(run(reason="Resources"))
    assert not HistoryQuery(reasons=("Resources",)).takes(run(reason="None"))
