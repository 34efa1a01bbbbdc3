"""What goes wrong, decided by the seed?"""

import random

import msgspec


class Faults(msgspec.Struct, kw_only=True):
    """Probabilities per message and per turn; moments at which something breaks, with how long it stays so."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    crash_before_commit: float = 0.0  #: per turn of the controller
    crash_after_commit: float = 0.0  #: the record is written, and nobody is told
    until: float = 0.0  #: from then on all is well
    partitions: tuple[tuple[float, int, float], ...] = ()  #: (when, agent, seconds): it hears and says nothing
    restarts: tuple[tuple[float, int, float], ...] = ()  #: the agent dies; its steps run on
    losses: tuple[tuple[float, int], ...] = ()  #: (when, agent): the machine dies and never comes back
    power_cuts: tuple[tuple[float, int, float], ...] = ()  #: the machine dies with all that runs on it
    amnesia: tuple[tuple[float, int, float], ...] = ()  #: likewise, and some of what its agent has kept is lost
    jumps: tuple[tuple[float, float], ...] = ()  #: when the controller's clock is set forward (or back) by how much


#: A seed has one of these characters, so that each fault also occurs without the others.
CHARACTERS = ("calm", "network", "controller", "agents", "nodes", "everything")
#: Those of a cluster with services.
MORE_CHARACTERS = (*CHARACTERS, "flapping", "amnesia", "clock")


def faults_of(
    chance: random.Random, agents: int, span: float, characters: tuple[str, ...] = CHARACTERS
) -> tuple[str, Faults]:
    """What a seed brings upon a cluster in its first `span` seconds."""
    character = chance.choice(characters)
    all_of_it = character == "everything"
    found = Faults(until=span)
    if character == "network" or all_of_it:
        found.lost, found.doubled, found.late = chance.choice((0.01, 0.1)), 0.05, 0.05
    if character == "controller" or all_of_it:
        found.crash_before_commit = found.crash_after_commit = 0.01
    if character == "agents" or all_of_it:
        found.restarts = _moments(chance, agents, span, 6, 15.0)
    if character == "nodes" or all_of_it:
        found.partitions = _moments(chance, agents, span, 2, 90.0)
        found.power_cuts = _moments(chance, agents, span, 2, 90.0)
        if agents > 1 and chance.random() < 0.5:
            found.losses = ((chance.uniform(0, span), chance.randrange(1, agents)),)
    more = all_of_it and characters == MORE_CHARACTERS
    if character == "flapping" or (more and chance.random() < 0.5):
        found.partitions += _flaps(chance, chance.randrange(agents), span)
    if character == "amnesia" or more:
        found.amnesia = _moments(chance, agents, span, 3, 60.0)
    if character == "clock" or more:
        seconds = (-86400.0, -3600.0, -60.0, -3.0, 2.0, 20.0, 200.0, 86400.0)
        found.jumps = tuple((chance.uniform(0, span), chance.choice(seconds)) for _ in range(chance.randint(1, 3)))
    return character, found


def _flaps(chance: random.Random, agent: int, span: float) -> tuple[tuple[float, int, float], ...]:
    """A node that goes and comes back, about as often as others notice."""
    found, when = [], chance.uniform(0, span / 4)
    while when < span:
        away = chance.uniform(15.0, 50.0)
        found.append((when, agent, away))
        when += away + chance.uniform(1.0, 30.0)
    return tuple(found)


def _moments(
    chance: random.Random, agents: int, span: float, most: int, longest: float
) -> tuple[tuple[float, int, float], ...]:
    count = chance.randint(1, most)
    return tuple(
        (chance.uniform(0, span), chance.randrange(agents), chance.uniform(0.1, longest)) for _ in range(count)
    )
