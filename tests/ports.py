"""Which ports can a test give away before anybody listens there?"""

import random
import socket

#: Below those that the kernel gives to connections, and below all that Corral gives out by itself (20000 and more).
_PORTS = range(10_000, 20_000)
_given: set[int] = set()
_chance = random.SystemRandom()


def free_port() -> int:
    """One that nobody has, for TCP and UDP, and that this process has not named before."""
    while (port := _chance.choice(_PORTS)) in _given or _is_taken(port):
        pass
    _given.add(port)
    return port


def _is_taken(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("0.0.0.0", port))
    except OSError:
        return True
    return False
