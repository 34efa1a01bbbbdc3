"""What every handler of the engine works on: the state, the configuration, and a way to record facts."""

import msgspec

from corral.engine.effects import Effects
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig
from corral.model.job import Job, JobId
from corral.protocol.events import AnyEvent, JobChanged
from corral.protocol.orders import AnyOrder


class Context:
    """The engine's own variables. Those not in `state` are worked out anew after a restart."""

    def __init__(self, config: ClusterConfig, state: ClusterState, term: int) -> None:
        self.config = config
        self.state = state
        self.term = term
        self.wants_cycle = True
        #: COMPLETING jobs -> nodes that have not reported JobCleaned
        self.cleaning: dict[JobId, set[str]] = {}
        #: when EndJob was last sent, for sending it again
        self.end_sent: dict[JobId, float] = {}
        self.last_heard: dict[str, float] = {}
        #: agent -> its instance, as registered with this controller
        self.agents: dict[str, str] = {}
        self.timers_changed = True
        self.check_dependencies = True

    def record(self, event: AnyEvent, out: Effects) -> None:
        """It is so from now on: the state changes, the event will be written."""
        self.state.apply(event)
        out.records.append(event)

    def change_job(self, job: Job, now: float, out: Effects, what: str = "", **fields: object) -> Job:
        """Record a JobChanged with these fields set."""
        changed = msgspec.structs.replace(job, **fields)
        self.record(JobChanged(time=now, job=changed, what=what), out)
        return changed

    def send(self, node: str, order: AnyOrder, out: Effects) -> None:
        out.sends.append((node, order))
