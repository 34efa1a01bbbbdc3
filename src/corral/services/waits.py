"""When is a wait over that began at a recorded time, also when the clock has been set back since?"""


def over_at(began: float, seconds: float, now: float) -> float:
    """What began in the future began before the clock was set back: nobody knows how long ago, and it is over."""
    return began + seconds if began <= now else now
