"""What every handler of the engine works on: the state, the configuration, and a way to record facts."""

import heapq
from typing import Any

import msgspec

from corral.engine.addressbook import AddressBook
from corral.engine.autoscaling import Autoscaling
from corral.engine.duetimes import DueTimes
from corral.engine.effects import Effects
from corral.engine.gateways import GatewaySeen
from corral.engine.gpusightings import Sightings
from corral.engine.objectwakes import Wakes
from corral.engine.rules import RuleBook
from corral.engine.standings import Standings
from corral.engine.state import ClusterState
from corral.engine.waits import Waits
from corral.model.cluster import ClusterConfig, NodeConfig
from corral.model.job import UNLIMITED, Job, JobId
from corral.model.kube.meta import ObjectKey
from corral.model.node import Node
from corral.model.reason import Reason
from corral.model.step import Step, StepKey
from corral.protocol.events import AnyEvent, JobChanged, JobEnded, NodeChanged, StepChanged, StepCreated
from corral.protocol.orders import AnyOrder, ServicePlace
from corral.scheduler.priority import Totals
from corral.scheduler.reservations import Reserved


class Told:
    """What the node of a Pod knows of the files in its volumes."""

    def __init__(self, digest: str) -> None:
        self.written = digest  #: of what they are made of
        self.asked, self.due = "", 0.0  #: what it has been told to write, and when it is told again


class Context:
    """The engine's own variables. Those not in `state` are worked out anew after a restart."""

    def __init__(self, config: ClusterConfig, state: ClusterState, term: int) -> None:
        self.config = config
        self.state = state
        self.term = term
        self.wants_cycle = True
        #: what the configuration says of each node, by name (of several entries the first), and of which tables that was made
        self.node_entries: tuple[tuple[NodeConfig, ...], dict[str, NodeConfig]] | None = None
        #: COMPLETING jobs -> nodes that have not reported JobCleaned, and when EndJob was last sent there
        self.cleaning: dict[JobId, dict[str, float]] = {}
        #: jobs -> nodes that have not said that they have its image, and when they were told to fetch it or last said something
        self.fetching: dict[JobId, dict[str, float]] = {}
        self.fetch_shown: dict[JobId, float] = {}  #: when it was last noted how far they are
        #: when what is left of these gets SIGKILL
        self.kill_at: dict[JobId, float] = {}
        #: when the order to end this step alone was last sent
        self.killed: dict[StepKey, float] = {}
        self.last_heard: dict[str, float] = {}
        #: agent -> its instance, as registered with this controller
        self.agents: dict[str, str] = {}
        self.awaited: set[str] = set()  #: agents that have not said yet what they run, and nothing is started before
        self.started = 0.0  #: when this controller began
        self.state_as_of = state.meter.now  #: the last event of the one before; 0.0 = there was none
        self.first_new_job = state.next_job_id  #: the id of the first job that was submitted since
        self.last_tick = 0.0
        self.standings = Standings()
        self.totals: tuple[object, Totals] | None = None  #: what priorities are shares of, and what it was made of
        self.gpu_sightings = Sightings()  #: when each GPU was last seen at work
        self.overuse_due = 0.0  #: when it is looked again who has used up the minutes of its account
        self.reset_due = 0.0  #: when what was used is forgotten next; 0 = to be worked out
        self.waits_for_minutes = False  #: does some job wait because minutes are used up?
        self._rules = RuleBook(state.books, False, False)
        self.slice_due = (
            0.0  #: when others have their turn on CPUs that several jobs have; infinity = nobody waits for it
        )
        self.turn_began: dict[JobId, float] = {}  #: since when each of these runs
        self.plans_due = float("inf")  #: a cycle has planned no starts: then they are due
        self.windows: tuple[object, Reserved] | None = None  #: the reservations, and what they were made of
        self.reservations_due = 0.0  #: when the next of them begins, ends or is to be looked at
        self.happened: list[
            tuple[JobEnded | NodeChanged, Node | None]
        ] = []  #: for triggers; a node with how it was before
        self.drained: set[str] | None = None  #: nodes that were so at the last look
        self.idle_since: dict[str, float] = {}
        self.waits = Waits(state)
        self.due = DueTimes(state, config.timeouts.over_time_limit)
        self.gateways: dict[str, GatewaySeen] = {}  #: what each gateway has said last
        self.object_wakes = Wakes()  #: when objects are to be looked at again
        self.object_looks: dict[ObjectKey, float] = {}  #: when those that own very many were last looked at
        self.last_words: dict[StepKey, str] = {}  #: of containers that have just ended, until their Pod is looked at
        self.foreign_ports: dict[str, set[int]] = {}  #: host -> ports that somebody else has there
        self.evicted: dict[ObjectKey, str] = {}  #: Pods that may not stay where they are, and why, in this pass
        self.to_move: dict[ObjectKey, bool] = {}  #: Pods that are to get other ports in this pass
        self.pod_files: dict[ObjectKey, Told] = {}  #: what nodes know of the files of Pods
        self.next_pod_port = 0  #: the first that is looked at for a Pod
        self.autoscaling = Autoscaling()  #: what has been measured, and what autoscalers remember
        self.service_links: tuple[object, dict[str, tuple[ServicePlace, ...]]] = (
            None,
            {},
        )  #: as of which change, by namespace
        self.gateway_ports: dict[int, ObjectKey] | None = None  #: which Service has which port; None = to be worked out
        self.next_gateway_port: dict[str, int] = {}  #: by range: one that has just been given back rests for a while
        self.service_addresses: dict[str, ObjectKey] | None = None  #: likewise, which has which address of its own
        self.most_service_addresses = 0  #: with more in it, it is made anew
        self.next_service_address: dict[tuple[str, str], int] = {}  #: by range, and kind of who has it
        self.address_book = AddressBook()  #: what agents are told of them
        self.next_port = 0  #: the first that is looked at for a step that wants ports
        self.port_steps: set[StepKey] = {  #: that have ports of their own
            step.key for job in state.active for step in state.live_steps_of(job) if step.ports and step.spec.resv_ports
        }
        self.port_jobs: set[JobId] = {job for job in state.active if state.jobs[job].ports}
        self.port_waiters: set[JobId] = {job for job in state.timed if state.jobs[job].reason is Reason.MPI_PORTS_BUSY}
        self.ports_came_back = True  #: since one of these was looked at
        self.ports_due = 0.0  #: when they are looked at again anyway
        #: when the limits of steps that have their own may strike (a heap; what is no longer so is found out then)
        self.step_ends: list[tuple[float, StepKey]] = [
            (0.0, step.key)
            for job in state.active
            for step in state.live_steps_of(job)
            if (step.spec.time_limit or UNLIMITED) < UNLIMITED
        ]

    def _limit_step(self, step: Step) -> None:
        if step.spec.time_limit and step.spec.time_limit < UNLIMITED and not step.timed_out:
            heapq.heappush(self.step_ends, (step.start_time + step.spec.time_limit, step.key))

    def rules(self) -> RuleBook:
        """The limits of jobs, as the accounts and the configuration are now."""
        chosen = self.config.accounting.enforce
        limits, safe = "limits" in chosen or "safe" in chosen, "safe" in chosen
        book = self._rules
        if book.version != self.state.books.rules_version or book.limits != limits or book.safe != safe:
            book = self._rules = RuleBook(self.state.books, limits, safe)
        return book

    def set_back(self, seconds: float, now: float) -> None:
        """The clock has been: what lies in its future now was noted before, and is as long ago as it was, or as far ahead."""
        noted: list[dict[Any, float]] = [
            self.kill_at,
            self.killed,
            self.last_heard,
            self.idle_since,
            *self.cleaning.values(),
            *self.fetching.values(),
            self.fetch_shown,
        ]
        for times in noted:
            for key, time in times.items():
                if time > now:
                    times[key] = time - seconds
        self.overuse_due -= seconds
        self.gpu_sightings.set_back(seconds, now)
        self.object_wakes.all_by(now)
        self.object_looks.clear()
        self.autoscaling = Autoscaling()

    def forget_steps(self, job: JobId) -> None:
        """They go with what is known of their job."""
        for step in self.state.steps_of(job).values():
            self.killed.pop(step.key, None)
            self.last_words.pop(step.key, None)

    def record(self, event: AnyEvent, out: Effects) -> None:
        """It is so from now on: the state changes, the event will be written."""
        if self.state.triggers and isinstance(event, JobEnded | NodeChanged):
            old = self.state.nodes.get(event.node.name) if isinstance(event, NodeChanged) else None
            self.happened.append((event, old))
        self.state.apply(event)
        if self.state.objects.pod_of_job or self.state.objects.run_of_job:
            self.state.objects.see(event)
        self.waits.seen(event)
        self.due.seen(event)
        if isinstance(event, StepCreated | StepChanged) and event.step.spec.time_limit:
            self._limit_step(event.step)
        out.records.append(event)
        if isinstance(event, JobEnded) and event.job.id == event.job.het_job_id:
            for one in self.state.het_members(event.job):  # no component waits for a first one that is over
                if one.is_pending:
                    ended = msgspec.structs.replace(
                        one,
                        state=event.job.state,
                        end_time=event.time,
                        reason=event.job.reason,
                        cancelled_by=event.job.cancelled_by,
                    )
                    self.record(JobEnded(time=event.time, job=ended), out)

    def change_job(self, job: Job, now: float, out: Effects, what: str = "", **fields: object) -> Job:
        """Record a JobChanged with these fields set."""
        changed = msgspec.structs.replace(job, **fields)
        self.record(JobChanged(time=now, job=changed, what=what), out)
        return changed

    def send(self, node: str, order: AnyOrder, out: Effects) -> None:
        out.sends.append((node, order))
