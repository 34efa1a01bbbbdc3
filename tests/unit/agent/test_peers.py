"""Shepherds that speak over a bus which may lose what they say."""

import random
from collections.abc import Callable, Sequence

import pytest

from corral.agent.peers import PART, Peers
from corral.agent.reactor import Timer


class FakeTime:
    """A reactor's timers, run by hand."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(callback))
        return self.timers[-1]

    def cancel(self, timer: Timer | None) -> None:
        if timer is not None:
            timer.callback = None

    def pass_by(self) -> None:
        due, self.timers = self.timers, []
        for timer in due:
            if timer.callback is not None:
                timer.callback()


class Step:
    """So many nodes on one bus; `loses(message)` says which messages are lost."""

    def __init__(self, nodes: int, loses: Callable[[bytes], bool] = lambda message: False) -> None:
        self.time = FakeTime()
        self.fences: list[list[list[bytes]]] = [[] for _ in range(nodes)]
        self.aborted = [0] * nodes
        self.sent = 0
        self._bus: list[tuple[bool, bytes]] = []
        self._loses = loses
        self.peers = [self._one(node, nodes) for node in range(nodes)]

    def _one(self, node: int, nodes: int) -> Peers:
        def on_fence(parts: Sequence[bytes]) -> None:
            self.fences[node].append(list(parts))

        def on_abort() -> None:
            self.aborted[node] += 1

        one = Peers(node, nodes, self.time, on_fence, on_abort)  # type: ignore[arg-type]
        one.to_first = lambda message: self._bus.append((True, message))
        one.to_all = lambda message: self._bus.append((False, message))
        return one

    def deliver(self) -> None:
        while self._bus:
            is_to_first, message = self._bus.pop(0)
            self.sent += 1
            for peers in self.peers[:1] if is_to_first else self.peers:
                if not self._loses(message):
                    peers.on_message(message)


def test_behind_a_fence_every_node_has_what_all_have_put() -> None:
    step = Step(3)
    for node, peers in enumerate(step.peers):
        peers.fence(b"%d" % node)
    step.deliver()
    assert step.fences == [[[b"0", b"1", b"2"]]] * 3


def test_nobody_passes_before_the_last_has_come() -> None:
    step = Step(3)
    step.peers[0].fence(b"0")
    step.peers[2].fence(b"2")
    step.deliver()
    assert step.fences == [[], [], []]
    step.peers[1].fence(b"1")
    step.deliver()
    assert step.fences == [[[b"0", b"1", b"2"]]] * 3


def test_a_fence_costs_one_message_of_each_node_and_one_answer() -> None:
    step = Step(50)
    for peers in step.peers:
        peers.fence(b"")
    step.deliver()
    assert step.sent == 50


def test_one_node_needs_no_bus() -> None:
    step = Step(1)
    step.peers[0].fence(b"x")
    assert step.fences == [[[b"x"]]]
    assert step.sent == 0


def test_what_is_too_long_for_one_message_goes_in_parts() -> None:
    step = Step(2)
    long = bytes(PART) + b"end"
    step.peers[0].fence(b"short")
    step.peers[1].fence(long)
    step.deliver()
    assert step.fences == [[[b"short", long]]] * 2


@pytest.mark.parametrize("seed", range(20))
def test_fences_are_passed_one_after_the_other_over_a_bus_that_loses_a_third(seed: int) -> None:
    chance = random.Random(seed)
    step = Step(4, lambda message: chance.random() < 0.33)
    for turn in range(5):
        for node, peers in enumerate(step.peers):
            peers.fence(b"%d at %d" % (node, turn))
        for _ in range(100):
            step.deliver()
            if all(len(passed) > turn for passed in step.fences):
                break
            step.time.pass_by()
    assert step.fences == [[[b"%d at %d" % (node, turn) for node in range(4)] for turn in range(5)]] * 4


def test_who_spoke_before_the_first_node_listened_says_it_again_when_that_one_comes() -> None:
    heard = False
    step = Step(2, lambda message: not heard)
    step.peers[1].fence(b"1")
    step.peers[0].fence(b"0")
    step.deliver()
    heard = True
    step.peers[0].on_connected()
    step.deliver()
    assert step.fences == [[[b"0", b"1"]]] * 2


def test_names_are_kept_by_the_first_node() -> None:
    step, answers = Step(3), list[str]()
    step.peers[2].ask(("publish", "service", "port 1"), answers.append)
    step.deliver()
    step.peers[1].ask(("lookup", "service"), answers.append)
    step.peers[1].ask(("lookup", "nobody"), answers.append)
    step.deliver()
    step.peers[0].ask(("unpublish", "service"), answers.append)
    step.peers[0].ask(("lookup", "service"), answers.append)
    assert answers == ["ok", "port 1", "", "ok", ""]


def test_an_abort_reaches_every_other_node() -> None:
    step = Step(3)
    step.peers[1].abort()
    step.deliver()
    assert step.aborted[0] >= 1
    assert step.aborted[2] >= 1


@pytest.mark.parametrize("message", [b"", b"\x93\x00\x09\x01", b"garbage", b"\x93\x63\x00\x01"])
def test_what_is_no_message_of_the_step_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):
        Step(2).peers[0].on_message(message)
