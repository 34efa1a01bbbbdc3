"""A controller that was stopped, or whose clock was set forward, does not take its nodes for silent."""

from corral.controller.absence import Absence


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_has_passed_beyond_the_sleep_was_absence() -> None:
    clock = Clock()
    absence = Absence(clock)
    clock.now += 30.0
    assert absence.look(30.0) == 0.0
    clock.now += 3630.0
    assert absence.look(30.0) == 3600.0
    assert absence.look() == 0.0


def test_who_was_woken_early_or_has_been_busy_was_not_away() -> None:
    clock = Clock()
    absence = Absence(clock)
    clock.now += 1.0
    assert absence.look(30.0) == 0.0
    clock.now += 2.0
    assert absence.look() == 0.0
    clock.now -= 3600.0
    assert absence.look() == 0.0
