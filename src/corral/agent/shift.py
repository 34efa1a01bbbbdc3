"""What does a shepherd's process do from its fork on? One step after another, as long as the spawner has some."""

import gc
import os
from collections.abc import Callable

import msgspec

from corral.agent import cgroup, processes
from corral.agent.control import ShepherdSettings
from corral.agent.kit import Kit
from corral.agent.records import read, take
from corral.agent.shepherd import Shepherd
from corral.agent.vfork import Spawn, prepare
from corral.daemon import clock
from corral.protocol.orders import LaunchStep
from corral.syntax.rawbytes import may_be_carried

_decode_order = msgspec.msgpack.Decoder(LaunchStep).decode

#: After so many steps a shepherd ends, and with it what memory it may have gathered.
_MOST_STEPS = 500
#: Objects made until the young ones are collected: a step makes few that only a collection finds.
_COLLECT_AFTER = 10_000

BEGUN, IDLE = b"b", b"i"


def warm_up(settings: ShepherdSettings) -> Spawn | None:
    """In the spawner: do once what every shepherd would do for itself."""
    os.getgrouplist("root", 0)
    cgroup.version(settings)
    clock.now()
    return prepare(settings)


def serve(
    directory: str, settings: ShepherdSettings, spawn: Spawn | None, spawner: int, most_steps: int = _MOST_STEPS
) -> None:
    """In the forked process: this step, and then others, one at a time, as long as the spawner has some.

    Over the socket `spawner` goes one word when a step has taken its time to begin (BEGUN), or is over (IDLE); back comes the
    next directory, or its end.
    """
    gc.set_threshold(_COLLECT_AFTER)
    gc.enable()
    own, kit = processes.traits(), Kit(settings, spawn)

    def has_begun() -> None:
        """The costly part is over: the spawner may begin another."""
        try:
            os.write(spawner, BEGUN)
        except OSError:
            pass  # it is dead

    try:
        while True:
            run(directory, kit, has_begun)
            most_steps -= 1
            if not most_steps:
                return  # before it asks for another: what it is given it must carry out
            if processes.traits() != own:
                return  # the user of that step has changed what the next one's tasks would inherit (vfork.py)
            try:
                os.write(spawner, IDLE)
                directory = os.read(spawner, 4096).decode()
            except OSError:
                return
            if not directory:
                return
    finally:
        kit.close()


def run(directory: str, kit: Kit, has_begun: Callable[[], None]) -> None:
    """The whole life of one step on this node."""
    lock = take(directory)
    if lock is None:
        return
    data = read(f"{directory}/launch")
    kit.begin_step(directory)
    step = Shepherd(directory, _decode_order(data), kit, has_private=may_be_carried(data))
    step.begin()
    step.live(has_begun)
    step.close()
    os.close(lock)
