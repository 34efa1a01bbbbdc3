"""When may the next scheduling cycle begin?"""

from corral.controller.cycle import CycleTimer


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
