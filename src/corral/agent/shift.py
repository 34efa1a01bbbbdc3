"""What does a shepherd's process do from its fork on? One step after another, as long as the spawner has some."""

import gc
import os
import socket

import msgspec

from corral.agent import cgroup, processes
from corral.agent.control import ShepherdSettings
from corral.agent.records import take
from corral.agent.shepherd import Shepherd
from corral.agent.vfork import Spawn, prepare
from corral.daemon import clock
from corral.protocol.orders import LaunchStep

_decode_order = msgspec.msgpack.Decoder(LaunchStep).decode

#: After so many steps a shepherd ends, and with it what memory it may have gathered.
_MOST_STEPS = 500


def warm_up(settings: ShepherdSettings) -> Spawn | None:
    """In the spawner: do once what every shepherd would do for itself."""
    import array  # noqa: F401 - for send_fds

    os.getgrouplist("root", 0)
    cgroup.version(settings)
    clock.now()
    return prepare(settings)


def serve(directory: str, settings: ShepherdSettings, spawn: Spawn | None, offers: socket.socket) -> None:
    """In the forked process: this step, and then others, one at a time, as long as the spawner has some."""
    gc.enable()
    own = processes.traits()
    for _ in range(_MOST_STEPS):
        run(directory, settings, spawn, offers)
        if processes.traits() != own:
            return  # the user of that step has changed what the next one's tasks would inherit (vfork.py)
        directory = _next_directory(offers)
        if not directory:
            return


def _has_begun(spawner: socket.socket) -> None:
    """The costly part is over: the spawner may begin another."""
    try:
        spawner.send(b"begun", socket.MSG_DONTWAIT)
    except OSError:
        pass  # it is dead, or behind: it does not wait for long


def _next_directory(offers: socket.socket) -> str:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            socket.send_fds(offers, [b"idle"], [theirs.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            return ""  # the spawner has enough of us, or is dead
        theirs.close()
        return ours.recv(4096).decode()


def run(directory: str, settings: ShepherdSettings, spawn: Spawn | None, spawner: socket.socket) -> None:
    """The whole life of one step on this node."""
    lock = take(directory)
    if lock is None:
        _has_begun(spawner)
        return
    with open(f"{directory}/launch", "rb", buffering=0) as file:
        order = _decode_order(file.readall())
    step = Shepherd(directory, order, settings, spawn)
    step.begin()
    _has_begun(spawner)
    step.live()
    step.close()
    os.close(lock)
