"""When was each GPU last seen at work?"""


class Sightings:
    """Of GPUs at work."""

    def __init__(self) -> None:
        self.at_work: dict[str, list[float]] = {}  #: of each node's GPUs when each was last seen so
        self.heard: dict[str, float] = {}  #: when a node last said anything of its GPUs
        self.due = 0.0  #: when it is looked again whose are idle

    def set_back(self, seconds: float, now: float) -> None:
        """The clock has been."""
        for times in self.at_work.values():
            times[:] = [time - seconds if time > now else time for time in times]
        self.heard = {name: min(time, now) for name, time in self.heard.items()}
        self.due = 0.0
