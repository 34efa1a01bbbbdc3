"""What is simulated: jobs with the time they come, what they ask for and how long they really run; and the machine they were meant for."""

from collections.abc import Collection

import msgspec

from corral.model.job import JobSpec
from corral.model.node import NodeInventory


class Work(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job. Jobs that ask for the same may share their spec."""

    number: int  #: its id in the trace
    submit: float  #: seconds; any zero
    seconds: float  #: how long it runs if nobody ends it
    spec: JobSpec
    user: str = "user"


class Workload(msgspec.Struct, kw_only=True):
    """In the order of submission."""

    name: str
    jobs: Collection[Work]
    nodes: tuple[NodeInventory, ...] = ()  #: of the machine it is from; () = it does not say
    left_out: dict[str, int] = {}  #: why jobs of the file are not among them -> how many
