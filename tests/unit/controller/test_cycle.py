"""When may the next scheduling cycle begin?"""

from collections.abc import Generator
from types import SimpleNamespace

from corral.controller.cycle import SLICE, STARTS, Cycle, CycleTimer
from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.scheduler.plan import Plan, Start


def test_the_first_begins_at_once():
    assert CycleTimer(0.01).due_in(100.0) == 0.0


def test_the_interval_is_kept():
    timer = CycleTimer(0.5)
    timer.has_run(100.0, 100.1)
    assert timer.due_in(100.2) == 0.3 or abs(timer.due_in(100.2) - 0.3) < 1e-9
    assert timer.due_in(101.0) == 0.0


def test_long_cycles_leave_half_of_the_time_to_others():
    timer = CycleTimer(0.01)
    timer.has_run(100.0, 102.0)
    assert abs(timer.due_in(102.0) - 2.0) < 1e-9


def test_after_a_fault_it_waits():
    timer = CycleTimer(0.01)
    timer.postpone(105.0)
    assert timer.due_in(100.0) == 5.0


def test_a_cycle_goes_on_slice_by_slice_and_its_starts_are_committed_in_pieces() -> None:
    time = iter(range(10**6))
    steps: list[int] = []
    pieces: list[Plan] = []
    starts = [Start(JobId(number), Allocation(nodes=())) for number in range(3 * STARTS)]

    def schedule(snapshot: object, now: float) -> Generator[None, None, Plan]:
        for number in range(3):
            steps.append(number)
            yield
        return Plan(starts=starts)

    cycle = Cycle(SimpleNamespace(pending=()), schedule, 0.0)
    clock = lambda: next(time) * SLICE  # noqa: E731  # a slice passes whenever it is looked at
    turns = 0
    while not cycle.advance(pieces.append, clock):
        turns += 1
    assert steps == [0, 1, 2]
    assert turns >= 3
    assert [start for piece in pieces for start in piece.starts] == starts
    assert [piece.more for piece in pieces] == [True, True, False]
