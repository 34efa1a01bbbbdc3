"""The cluster as a state machine: what follows from a message, a plan, or the passing of time?

The engine never waits, sends or reads a clock. `handle`, `commit` and `tick` return Effects: facts to record, orders to send, the
reply. Its state has changed already when they return; should the facts not become durable, the driver throws the engine away and
builds a new one from the store.
"""

from typing import assert_never

import msgspec

from corral.engine import (
    accounts,
    cancel,
    commit,
    configuring,
    control,
    dependencies,
    endings,
    het,
    node_removal,
    nodes,
    notify,
    partitions,
    ports,
    reboots,
    reservations,
    reserved_times,
    resets,
    serviceaddresses,
    steplimits,
    steps,
    submit,
    timers,
    top,
    triggers,
    updates,
)
from corral.engine.context import Context
from corral.engine.duetimes import DueTimes
from corral.engine.effects import Effects
from corral.engine.kube import absence, addresses, files, leaving, load, verdicts, volumes, work
from corral.engine.kube import requests as kube_requests
from corral.engine.pending import PendingView
from corral.engine.state import ClusterState
from corral.errors import UsageError
from corral.model.cluster import ClusterConfig
from corral.model.job import Owner
from corral.model.node import Node
from corral.model.topology import Topology
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.events import ControllerStarted, NodeChanged, PartitionChanged, PartitionRemoved, UsageDecayChanged
from corral.protocol.replies import Done, Rejected
from corral.scheduler.plan import Plan
from corral.scheduler.snapshot import Snapshot


class Engine:
    def __init__(self, config: ClusterConfig, state: ClusterState | None = None, term: int = 0) -> None:
        self.ctx = Context(config, state or ClusterState(), term)
        self.pending = PendingView(self.ctx)
        self.ranked = 0.0  #: when priorities last grew

    @property
    def state(self) -> ClusterState:
        return self.ctx.state

    @property
    def config(self) -> ClusterConfig:
        return self.ctx.config

    @property
    def wants_cycle(self) -> bool:
        """Has anything changed that could let a job start?"""
        return not self.ctx.awaited and self._has_changed

    @property
    def _has_changed(self) -> bool:
        return self.ctx.wants_cycle or bool(self.ctx.waits.to_check)

    def start(self, now: float) -> Effects:
        """First of all, after the state has been loaded: the partitions of the configuration, a new term."""
        out = Effects()
        self.ctx.record(ControllerStarted(time=now, term=self.ctx.term), out)
        self._configure(self.ctx.config, now, out)
        nodes.resume_after_restart(self.ctx, now)
        nodes.await_agents(self.ctx, now)
        triggers.resumed(self.ctx, now, out)
        return out

    def configure(self, config: ClusterConfig, now: float, out: Effects) -> None:
        """Take over a configuration that has been read anew."""
        addresses.configured(self.ctx, config)
        self._configure(config, now, out)
        triggers.reconfigured(self.ctx, now, out)

    def _configure(self, config: ClusterConfig, now: float, out: Effects) -> None:
        """Partitions that hold jobs stay until these have ended."""
        self.ctx.config = config
        self.state.ledger.set_licenses(config.licenses)
        self.state.ledger.topology = (
            Topology(config.switch, config.block, config.block_sizes) if config.switch or config.block else None
        )
        self.ctx.due = DueTimes(self.state, config.timeouts.over_time_limit)
        if config.priority.decay_half_life != self.state.meter.half_life:
            self.ctx.record(UsageDecayChanged(time=now, half_life=config.priority.decay_half_life), out)
        resets.configured(self.ctx, now, out)
        wanted = {partition.name: partition for partition in config.partition}
        for name, partition in wanted.items():
            if self.state.partitions.get(name) != partition:
                self.ctx.record(PartitionChanged(time=now, partition=partition), out)
        volumes.configured(self.ctx, config, now, out)
        used = {job.partition for job in self.state.jobs.values() if not job.has_ended}
        for name in [name for name in self.state.partitions if name not in wanted]:
            if name not in used:
                self.ctx.record(PartitionRemoved(time=now, name=name), out)
        for node in list(self.state.nodes.values()):
            entry = nodes.configured(self.ctx, node.inventory)
            if entry is not None and (entry[0] != node.inventory or entry[1] != node.weight):
                changed = msgspec.structs.replace(node, inventory=entry[0], weight=entry[1])
                self.ctx.record(NodeChanged(time=now, node=changed, what="configured"), out)
        self.ctx.wants_cycle = True

    def handle(
        self,
        message: rq.AnyRequest | rp.AnyReport,
        now: float,
        caller: rq.Caller | None = None,
        owner: Owner | None = None,
    ) -> Effects:
        """One message. Requests need their `caller`; `owner` is whom submitted jobs run as, when not the caller."""
        out = Effects()
        if isinstance(message, rq.Request):
            assert caller is not None
            try:
                self._request(message, now, caller, owner, out)
            except UsageError as error:
                if out.records:  # half a change: the driver has to begin again from the record
                    raise
                out.sends = []
                out.reply = Rejected(error=str(error))
        else:
            self._report(message, now, out)
        return self._looked(now, out)

    def _looked(self, now: float, out: Effects, *, is_tick: bool = False) -> Effects:
        """With what Kubernetes' objects want done about it, and the programs that are to be run because of what has happened."""
        work.look(self.ctx, now, out, is_tick=is_tick)
        serviceaddresses.look(self.ctx, now, out)
        if self.ctx.happened:
            triggers.look(self.ctx, now, out)
        return out

    def _request(
        self, request: rq.AnyRequest, now: float, caller: rq.Caller, owner: Owner | None, out: Effects
    ) -> None:
        ctx = self.ctx
        match request:
            case rq.SubmitJobs():
                who = owner or Owner(uid=caller.uid, gid=caller.gid, user=caller.user, group=caller.group)
                submit.on_request(ctx, request, who, caller, now, out)
            case rq.CancelJobs():
                cancel.on_cancel(ctx, request, caller, now, out)
            case rq.HoldJobs():
                control.on_hold(ctx, request, caller, now, out)
            case rq.ReleaseJobs():
                control.on_release(ctx, request, caller, now, out)
            case rq.RequeueJobs():
                control.on_requeue(ctx, request, caller, now, out)
            case rq.SuspendJobs() | rq.ResumeJobs():
                control.on_suspend(ctx, request, caller, now, out)
            case rq.UpdateJob():
                updates.on_update(ctx, request, caller, now, out)
            case rq.UpdateNodes():
                nodes.on_update(ctx, request, caller, now, out)
            case rq.RebootNodes():
                reboots.on_request(ctx, request, caller, now, out)
            case rq.DeleteNodes():
                node_removal.on_delete(ctx, request, caller, now, out)
            case rq.UpdatePartition():
                partitions.on_update(ctx.state, request, caller, now, out)
                reserved_times.tick(ctx, now, out)
                ctx.wants_cycle = True
            case rq.CreatePartition():
                partitions.on_create(ctx.state, request, caller, now, out)
                reserved_times.tick(ctx, now, out)
                ctx.wants_cycle = True
            case rq.DeletePartition():
                partitions.on_delete(ctx.state, request, caller, now, out)
                reserved_times.tick(ctx, now, out)
                ctx.wants_cycle = True
            case rq.CreateReservation():
                reservations.on_create(ctx, request, caller, now, out)
            case rq.UpdateReservation():
                reservations.on_update(ctx, request, caller, now, out)
            case rq.DeleteReservation():
                reservations.on_delete(ctx, request, caller, now, out)
            case rq.CreateStep():
                steps.on_create(ctx, request, caller, now, out)
            case rq.CreateHetStep():
                het.on_create(ctx, request, caller, now, out)
            case rq.SignalStep():
                steps.on_signal(ctx, request, caller, now, out)
            case rq.CompleteJob():
                cancel.on_complete(ctx, request, caller, now, out)
            case rq.Reconfigure():
                out.reply = Done() if caller.is_operator else Rejected(error="Access/permission denied", code="denied")
            case rq.ChangeAccounts():
                accounts.on_change(ctx, request, caller, now, out)
            case rq.UpdateStep():
                steplimits.on_update(ctx, request, caller, now, out)
            case rq.NotifyJob():
                notify.on_notify(ctx, request, caller, out)
            case rq.TopJobs():
                top.on_top(ctx, request, caller, now, out)
            case rq.SetTrigger():
                triggers.on_set(ctx, request, caller, now, out)
            case rq.ClearTriggers():
                triggers.on_clear(ctx, request, caller, now, out)
            case rq.PutObjects():
                kube_requests.on_put(ctx, request, caller, owner, now, out)
            case rq.DeleteObjects():
                kube_requests.on_delete(ctx, request, caller, now, out)
            case rq.ReportLoad():
                load.on_report(ctx, request, caller, now, out)
            case rq.ReportUse():
                load.on_use(ctx, request, caller, now, out)
            case rq.NewClusterNodes():
                self._new_nodes(request, now, caller, out)
            case _:
                assert_never(request)

    def _new_nodes(self, request: rq.NewClusterNodes, now: float, caller: rq.Caller, out: Effects) -> None:
        if caller.role != "administrator":
            out.reply = Rejected(error="Access/permission denied", code="denied")
            return
        for inventory in request.nodes:
            if inventory.name not in self.state.nodes:
                node = Node(inventory=inventory, down_reason=nodes.NOT_RESPONDING, down_since=now)
                self.ctx.record(NodeChanged(time=now, node=node, what="added"), out)
        out.reply = Done()

    def _report(self, report: rp.AnyReport, now: float, out: Effects) -> None:
        ctx = self.ctx
        match report:
            case rp.AgentRegistered():
                if report.agent not in ctx.agents:
                    absence.registered(ctx, report, now, out)
                nodes.on_registered(ctx, report, now, out)
                leaving.heard(ctx, {node.name for node in report.nodes}, report.steps, out)
            case rp.Heartbeat():
                nodes.on_heartbeat(ctx, report, now, out)
                leaving.heard(ctx, set(report.nodes), report.steps, out)
            case rp.StepFinished():
                steps.on_finished(ctx, report, now, out)
            case rp.ContainerStarted():
                verdicts.on_started(ctx, report, now, out)
            case rp.ProbeResult():
                verdicts.on_probe(ctx, report, now, out)
            case rp.StepSampled():
                pass  # for whoever asked; nothing follows from it
            case rp.ImageFetched():
                if (job := configuring.on_fetched(ctx, report, now, out)) is not None:
                    commit.launch(ctx, job, now, out)
            case rp.ImagesTold() | rp.LogRead():
                pass  # likewise
            case rp.FilesWritten():
                files.on_written(ctx, report)
            case rp.DirectoryRemoved():
                volumes.on_removed(ctx, report, now, out)
            case rp.JobCleaned():
                endings.on_cleaned(ctx, report, now, out)
                leaving.cleaned(ctx, report, now, out)
            case rp.NodeFailed():
                nodes.on_failed(ctx, report, now, out)
            case _:
                assert_never(report)

    def tick(self, now: float) -> Effects:
        """Do what is due by the clock."""
        out = Effects()
        timers.tick(self.ctx, now, out)
        weights = self.config.priority
        changes = weights.age or weights.fair_share or weights.assoc or weights.qos
        if changes and weights.type != "basic" and not 0 <= now - self.ranked < weights.calc_period:
            self.ranked = now
            self.pending.reprioritise(now)
        triggers.tick(self.ctx, now, out)
        return self._looked(now, out, is_tick=True)

    def away(self, seconds: float, now: float) -> None:
        """The driver has not run for so long, or the clock has been set forward: who was not heard in that time is not silent."""
        nodes.unheard(self.ctx, seconds, now)

    def next_wake(self, now: float) -> float:
        return timers.next_wake(self.ctx, now)

    def before_cycle(self, now: float) -> Effects:
        """Jobs whose conditions are met become eligible. To be called before `snapshot`."""
        out = Effects()
        dependencies.check(self.ctx, now, out)
        ports.check(self.ctx, now, out)
        control.take_back(self.ctx, now, out)
        return self._looked(now, out)

    def snapshot(self, now: float) -> Snapshot:
        """What the scheduler may see. Anything that changes from now on wants another cycle."""
        self.ctx.wants_cycle = False
        return self.pending.snapshot(now)

    def commit(self, plan: Plan, now: float) -> Effects:
        """Start what still fits, and is still as it was when the scheduler looked at it."""
        out = Effects()
        changed = self.state.changed.copy()
        commit.commit(self.ctx, self.pending.what_still_holds(plan), now, out)
        self.state.changed = changed  # what this has changed is as planned
        if not plan.more:
            self.pending.note(plan)
        return self._looked(now, out)
