"""How do nodes come, go, fail, and get drained?"""

import msgspec

from corral.engine import configuring, endings, idle_gpus, preemption, reboots, serviceaddresses, servicenames, steps
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.launch import send_launch
from corral.errors import UsageError
from corral.model import devices
from corral.model.cluster import NodeConfig
from corral.model.job import ENDED, JobId, JobState
from corral.model.node import Drain, DrainOwner, Node, NodeInventory
from corral.model.podplace import taint_of
from corral.model.reason import Reason
from corral.model.step import BATCH, EndCause, StepKey
from corral.protocol.events import JobIdsTaken, NodeChanged, StepChanged
from corral.protocol.orders import EndJob, SendInventory, SignalTasks, SuspendJob
from corral.protocol.replies import Done, Rejected
from corral.protocol.reports import AgentRegistered, Heartbeat, KnownStep, NodeFailed
from corral.protocol.requests import Caller, UpdateNodes
from corral.syntax import hostlist

#: A launch that its agent does not know after so many seconds is sent again.
RESEND_SECONDS = 5.0

#: After a restart agents have so long to say what they run before jobs are started on other nodes.
AWAIT_SECONDS = 2.0
#: No node has run a job with a higher id: one that says so is not believed.
HIGHEST_JOB = (1 << 31) - 1

NOT_RESPONDING = "Not responding"


def change(ctx: Context, node: Node, now: float, out: Effects, what: str, **fields: object) -> Node:
    changed = msgspec.structs.replace(node, **fields)
    ctx.record(NodeChanged(time=now, node=changed, what=what), out)
    ctx.wants_cycle = True
    return changed


def configured(ctx: Context, found: NodeInventory) -> tuple[NodeInventory, int] | None:
    """What the operator said of a node wins over what was found; None = the configuration does not know the node."""
    if ctx.config.gres:
        found = msgspec.structs.replace(found, gres=devices.declared(found.gres, ctx.config.gres, found.name))
    if not ctx.config.node:
        return found, 1
    known = ctx.node_entries
    if known is None or known[0] is not ctx.config.node:
        by_name = {name: entry for entry in reversed(ctx.config.node) for name in hostlist.expand(entry.name)}
        known = ctx.node_entries = (ctx.config.node, by_name)
    entry = known[1].get(found.name)
    return (_with(entry, found), entry.weight) if entry is not None else None


def _with(entry: NodeConfig, found: NodeInventory) -> NodeInventory:
    fields: dict[str, object] = {}
    for name in ("cpus", "sockets", "cores_per_socket", "threads_per_core", "memory_mb", "tmp_disk_mb"):
        value = getattr(entry, name)
        if value is not None:
            fields[name] = value
    if entry.gres or entry.gpu_links or entry.gpu_cores:
        fields["gres"] = devices.counted(found.gres, entry)
    if entry.features:
        fields["features"] = tuple(dict.fromkeys((*found.features, *entry.features)))
    if entry.labels:
        fields["labels"] = tuple(sorted(entry.labels.items()))
    if entry.taints:
        fields["taints"] = tuple(map(taint_of, entry.taints))
    return msgspec.structs.replace(found, **fields)


def on_registered(ctx: Context, report: AgentRegistered, now: float, out: Effects) -> None:
    """An agent speaks for the first time, or again: its nodes are back, and what it runs is compared with what should run."""
    is_first = report.agent not in ctx.agents
    ctx.agents[report.agent] = report.instance
    ctx.awaited.discard(report.agent)
    if is_first and ctx.first_new_job <= report.highest_job <= HIGHEST_JOB:
        _take_ids(ctx, report, now, out)
    for found in report.nodes:
        entry = configured(ctx, found)
        if entry is None:
            continue
        inventory, weight = entry
        ctx.last_heard[inventory.name] = now
        old = ctx.state.nodes.get(inventory.name)
        fields: dict[str, object] = {"inventory": inventory, "agent": report.agent, "up": True}
        if old is None:
            node = Node(inventory=inventory, agent=report.agent, up=True, weight=weight)
        else:
            if not old.admin_down:
                fields |= {"down_reason": "", "down_since": 0.0, "down_by": ""}
            fields |= reboots.booted(old, inventory, now)
            if old.inventory.features != inventory.features and not ctx.config.node:
                fields["inventory"] = msgspec.structs.replace(inventory, features=old.inventory.features)
            node = msgspec.structs.replace(old, **fields)
        if node != old:
            change(ctx, node, now, out, "registered")
        if old is not None and old.inventory.boot_id and inventory.boot_id not in ("", old.inventory.boot_id):
            lose(ctx, inventory.name, now, out)  # it has booted: nothing of what it ran is left
        _check_gpus(ctx, found, inventory, old, now, out)
    compare(ctx, {node.name for node in report.nodes}, report.steps, now, out, at_once=True)


def _take_ids(ctx: Context, report: AgentRegistered, now: float, out: Effects) -> None:
    """The record was restored from a backup, and the jobs that came after it have been forgotten.

    What was submitted since under one of their ids has not started (see `await_agents`); as another run of its job it is not mistaken
    for theirs.
    """
    if report.highest_job >= ctx.state.next_job_id:
        node = report.nodes[0].name if report.nodes else ""
        ctx.record(JobIdsTaken(time=now, upto=report.highest_job, node=node), out)
    for number in range(ctx.first_new_job, ctx.state.next_job_id):
        job = ctx.state.jobs.get(JobId(number))
        if job is not None and job.is_pending and number <= report.highest_job:
            ctx.change_job(job, now, out, "renumbered", restarts=job.restarts + 1)


def _check_gpus(
    ctx: Context, found: NodeInventory, inventory: NodeInventory, old: Node | None, now: float, out: Effects
) -> None:
    """A GPU that the node should have and has not: who knows whether the others work, and which number each has now."""
    if found.virtual:
        return
    before = old.inventory.gres if old is not None else ()
    if problem := devices.shortage(found.gres, inventory.gres, before):
        drain(ctx, ctx.state.nodes[inventory.name], DrainOwner.HEALTH, problem, "root", now, out)


def on_heartbeat(ctx: Context, report: Heartbeat, now: float, out: Effects) -> None:
    """Alive; and the inventory settles what messages may have lost. Load figures are kept in memory only."""
    if report.agent not in ctx.agents:
        ctx.send(report.agent, SendInventory(term=ctx.term, node=report.agent), out)
        return
    for name in report.nodes:
        node = ctx.state.nodes.get(name)
        if node is None:
            continue
        ctx.last_heard[name] = now
        ctx.state.nodes[name] = msgspec.structs.replace(
            node,
            gpus_busy=report.gpus or node.gpus_busy,
            gpus_memory_mb=report.gpus_memory_mb or node.gpus_memory_mb,
            load=report.load,
            free_memory_mb=report.free_memory_mb,
            last_heard=now,
        )
        if not node.up or node.down_reason == NOT_RESPONDING:
            back: dict[str, object] = {} if node.admin_down else {"down_reason": "", "down_since": 0.0}
            change(ctx, ctx.state.nodes[name], now, out, "up", up=True, **back)
        reboots.tell(ctx, ctx.state.nodes[name], now, out)
    idle_gpus.on_heartbeat(ctx, report, now)
    servicenames.on_heartbeat(ctx, report, out)
    serviceaddresses.on_heartbeat(ctx, report, now, out)
    compare(ctx, set(report.nodes), report.steps, now, out)


def compare(
    ctx: Context, names: set[str], known: tuple[KnownStep, ...], now: float, out: Effects, at_once: bool = False
) -> None:
    """Send again what an agent does not know of; have it end what should not be."""
    there = {(entry.node, entry.key) for entry in known}
    running = {entry.key.job for entry in known if not entry.finished}
    wait = 0.0 if at_once else RESEND_SECONDS
    for name in sorted(names):
        for job_id in sorted(ctx.state.jobs_by_node.get(name, ())):
            job = ctx.state.jobs[job_id]
            if job.state is JobState.COMPLETING:
                sent = ctx.cleaning.get(job_id, {}).get(name)
                # Where something of it still runs, the order may well have been heard: a second SIGTERM helps nobody.
                quiet = at_once or job_id not in running
                if sent is not None and quiet and now - sent >= wait:
                    endings.send_end(ctx, job, {name}, now, out, "")
                continue
            if at_once:
                preemption.tell_again(ctx, job, name, now, out)
            if job.state is JobState.SUSPENDED or job.suspended_seconds:
                thaw = job.state is not JobState.SUSPENDED
                ctx.send(name, SuspendJob(term=ctx.term, node=name, job=job_id, restart=job.restarts, thaw=thaw), out)
            for step in ctx.state.live_steps_of(job_id):
                unknown = (
                    any(n.share.node == name and not n.finished for n in step.nodes) and (name, step.key) not in there
                )
                if unknown and not 0 <= now - step.sent_at < wait:
                    again = msgspec.structs.replace(step, sent_at=now)
                    ctx.record(StepChanged(time=now, step=again), out)
                    send_launch(ctx, job, again, out, only=name)
    for entry in known:
        if entry.finished:
            continue
        if _should_run(ctx, entry.key, entry.node):
            _kill_again(ctx, entry, now, out)
        else:
            order = EndJob(
                term=ctx.term, node=entry.node, job=entry.key.job, restart=entry.key.restart, reason="node_fail",
                epilog=ctx.config.programs.epilog,
            )  # fmt: skip
            ctx.send(entry.node, order, out)


def _kill_again(ctx: Context, entry: KnownStep, now: float, out: Effects) -> None:
    """A step that runs there and was told to end, or that the job has gone on without."""
    step = ctx.state.steps_of(entry.key.job).get(entry.key.step)
    if step is None:
        return
    is_over = step.state in ENDED or any(n.share.node == entry.node and n.finished for n in step.nodes)
    if (
        not is_over
        and step.cancelled_by is not None
        and now - ctx.killed.get(step.key, 0.0) < 2 * ctx.config.timeouts.kill_wait
    ):
        return
    if is_over or step.cancelled_by is not None:
        ctx.killed[step.key] = now
        order = SignalTasks(
            term=ctx.term, node=entry.node, job=entry.key.job, step=entry.key.step, restart=entry.key.restart, signal=15,
            kill_after=ctx.config.timeouts.kill_wait, reason="cancelled", batch_too=True,
            by_uid=step.cancelled_by or 0, at=now,
        )  # fmt: skip
        ctx.send(entry.node, order, out)


def _should_run(ctx: Context, key: StepKey, node: str) -> bool:
    job = ctx.state.jobs.get(key.job)
    if job is None or not job.is_active or job.restarts != key.restart or job.allocation is None:
        return False
    return node in job.allocation.node_names


def on_failed(ctx: Context, report: NodeFailed, now: float, out: Effects) -> None:
    """Not fit for work: drained by the health owner."""
    node = ctx.state.nodes.get(report.node)
    if node is not None:
        if node.is_booting:
            node = change(ctx, node, now, out, "reboot failed", reboot=None)
        drain(ctx, node, DrainOwner.HEALTH, report.reason, "root", now, out)


def drain(ctx: Context, node: Node, owner: DrainOwner, reason: str, by: str, now: float, out: Effects) -> None:
    """Nothing new where the same owner has drained it for the same reason."""
    if any(d.owner is owner and d.reason == reason for d in node.drains):
        return
    others = tuple(d for d in node.drains if d.owner is not owner)
    change(ctx, node, now, out, "drained", drains=(*others, Drain(owner=owner, reason=reason, since=now, by=by)))


def unheard(ctx: Context, seconds: float, now: float) -> None:
    """Nobody could be heard for so long."""
    for name, time in ctx.last_heard.items():
        ctx.last_heard[name] = min(time + seconds, now)


def _check_heard(ctx: Context, now: float, out: Effects) -> None:
    """Nodes unheard for too long are DOWN."""
    for name, node in list(ctx.state.nodes.items()):
        if node.up and now - ctx.last_heard.setdefault(name, now) > ctx.config.timeouts.node:
            fields: dict[str, object] = {"up": False}
            if not node.admin_down and not node.is_booting:
                fields |= {"down_reason": NOT_RESPONDING, "down_since": now, "down_by": "slurm"}
            change(ctx, node, now, out, "down", **fields)
            lose(ctx, name, now, out)


def lose(ctx: Context, name: str, now: float, out: Effects) -> None:
    """A node is gone, or has booted since: what it ran has failed, or is queued again."""
    for job_id in sorted(ctx.state.jobs_by_node.get(name, set()).copy()):
        job = ctx.state.jobs[job_id]
        if not job.is_active:  # a component that has ended with another
            continue
        if job.state is JobState.COMPLETING:
            waiting = ctx.cleaning.get(job_id)
            if waiting is not None:
                waiting.pop(name, None)
                if not waiting:
                    endings.complete(ctx, job, now, out)
            continue
        if (
            ctx.state.spec(job).no_kill
            and job.batch_host != name
            and len(job.allocation.nodes if job.allocation else ()) > 1
        ):
            _forget_node(ctx, job_id, name, now, out)
            continue
        job = ctx.change_job(job, now, out, "node_fail", failed_node=name)
        endings.terminate(
            ctx, job, JobState.NODE_FAIL, now, out, why="node_fail", reason=Reason.NODE_DOWN,
            requeue_after=endings.may_requeue(ctx, job),
        )  # fmt: skip


def _forget_node(ctx: Context, job_id: JobId, name: str, now: float, out: Effects) -> None:
    """--no-kill: the job goes on without the node; its steps' tasks there are lost."""
    for step in ctx.state.live_steps_of(job_id):
        if step.key.step != BATCH and any(n.share.node == name and not n.finished for n in step.nodes):
            nodes = tuple(msgspec.structs.replace(n, finished=True) if n.share.node == name else n for n in step.nodes)
            lost = msgspec.structs.replace(step, nodes=nodes, cause=EndCause.LOST)
            if all(n.finished for n in nodes):
                steps.end_step(ctx, ctx.state.jobs[job_id], lost, now, now, out)
            else:
                ctx.record(StepChanged(time=now, step=lost), out)


def on_update(ctx: Context, request: UpdateNodes, caller: Caller, now: float, out: Effects) -> None:
    """scontrol update NodeName=: operators only."""
    if not caller.is_operator:
        out.reply = Rejected(error="Access/permission denied", code="denied")
        return
    try:
        names = hostlist.expand(request.nodes)
    except UsageError as error:
        out.reply = Rejected(error="Invalid node name specified", detail=str(error))
        return
    if not names or any(name not in ctx.state.nodes for name in names):
        out.reply = Rejected(error="Invalid node name specified", code="not_found")
        return
    state = request.state.lower()
    every = [ctx.state.nodes[name] for name in names]
    drained = all(any(d.owner is DrainOwner.ADMIN for d in node.drains) for node in every)
    if state in ("drain", "fail", "draining") and not request.reason and not drained:
        out.reply = Rejected(error="You must specify a reason when DRAINING a node. Request denied", code="invalid")
        return
    if state not in ("", "drain", "draining", "fail", "undrain", "resume", "down", "idle", "cancel_reboot"):
        out.reply = Rejected(error="Invalid node state specified", detail=request.state)
        return
    possible = [node.name for node in every if _may_become(ctx, node, state)]
    for name in possible:
        _update_one(ctx, name, state, request, caller, now, out)
    out.reply = Done() if len(possible) == len(names) else Rejected(error="Invalid node state specified")


def _may_become(ctx: Context, node: Node, state: str) -> bool:
    match state:
        case "cancel_reboot":
            return reboots.cancellable(node)
        case "resume":
            return bool(node.drains or node.down_reason or node.admin_down or not node.up)
        case "idle":
            return not ctx.state.jobs_by_node.get(node.name)
    return True


def _update_one(
    ctx: Context, name: str, state: str, request: UpdateNodes, caller: Caller, now: float, out: Effects
) -> None:
    node = ctx.state.nodes[name]
    fields: dict[str, object] = {}
    if request.features is not None:
        features = tuple(part for part in request.features.split(",") if part)
        fields["inventory"] = msgspec.structs.replace(node.inventory, features=features)
    if request.weight is not None:
        fields["weight"] = request.weight
    if request.comment is not None:
        fields["comment"] = request.comment
    if request.labels:
        fields["labels"] = tuple(sorted({**dict(node.labels), **request.labels}.items()))
    if request.taints is not None:
        fields |= {"taints": request.taints, "taints_since": now}
    if state in ("drain", "draining", "fail") or (not state and request.reason and node.drains):
        others = tuple(d for d in node.drains if d.owner is not DrainOwner.ADMIN)
        old = next((d for d in node.drains if d.owner is DrainOwner.ADMIN), None)
        reason = request.reason or (old.reason if old else "")
        fields["drains"] = (*others, Drain(
            owner=DrainOwner.ADMIN, reason=reason, since=now, by=caller.user,
            fails=state == "fail" or (not state and old is not None and old.fails),
        ))  # fmt: skip
    elif state == "cancel_reboot":
        fields["reboot"] = None
    elif state == "down":
        fields |= {
            "admin_down": True,
            "down_reason": request.reason or "none",
            "down_since": now,
            "down_by": caller.user,
        }
    elif state in ("resume", "undrain", "idle"):
        # An administrator's resume takes back what administrators and health checks did; power saving keeps its own.
        fields["drains"] = tuple(d for d in node.drains if d.owner is DrainOwner.POWER)
        if state != "undrain":
            fields |= {"admin_down": False}
            fields |= {"down_reason": "", "down_since": 0.0} if node.up else {"down_reason": NOT_RESPONDING}
    if fields:
        change(ctx, node, now, out, state or "updated", **fields)
    if request.taints is not None:
        for number in ctx.state.objects.pod_of_job if ctx.state.objects.pod_of_job else ():
            job = ctx.state.jobs.get(JobId(number))
            if job is not None and job.allocation is not None and name in job.allocation.node_names:
                ctx.state.objects.look_at_job(number)
    if state == "down":
        lose(ctx, name, now, out)


def await_agents(ctx: Context, now: float) -> None:
    """Nothing is started before the nodes have said what they run, or too much time has passed: the record may be older than they are."""
    ctx.started = now
    ctx.awaited = {node.agent for node in ctx.state.nodes.values() if node.up and node.agent}


def tick(ctx: Context, now: float, out: Effects) -> None:
    """Nodes unheard for too long are DOWN; those that do not answer a new controller are not waited for."""
    if ctx.awaited and not 0 <= now - ctx.started < AWAIT_SECONDS:
        ctx.awaited = set()
    _check_heard(ctx, now, out)
    reboots.tick(ctx, now, out)


def resume_after_restart(ctx: Context, now: float) -> None:
    """A new controller: nobody is unheard yet, and jobs that were being cleared away are to be told again."""
    for name in ctx.state.nodes:
        ctx.last_heard[name] = now
    for job_id in ctx.state.active:
        job = ctx.state.jobs[job_id]
        if job.state is JobState.COMPLETING and job.allocation is not None:
            names = [n for n in job.allocation.node_names if n in ctx.state.nodes and ctx.state.nodes[n].up]
            ctx.cleaning[job_id] = dict.fromkeys(names, 0.0)
            if job.end_time > now:  # the clock has been set back since it began
                ctx.kill_at[job_id] = now + ctx.config.timeouts.kill_wait
    configuring.resume(ctx)
    assert all(ctx.state.jobs[job_id].state not in ENDED for job_id in ctx.state.active)
