"""Which jobs hold resources, and until when?"""

from typing import NamedTuple


class RunningJob(NamedTuple):
    """A job that holds resources, and when it is gone at the latest: in this order they are sorted."""

    ends: float
    id: int
