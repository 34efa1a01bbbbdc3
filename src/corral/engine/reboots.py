"""scontrol reboot: which nodes are to boot, when is each told, and when is it back?

One that is asked for waits until nothing runs on its node; ASAP: the node takes nothing new until then. Then the agent is told to run
RebootProgram, and the node is DOWN. It is back when its agent registers from a machine that has booted since (a virtual node: from an
agent that has started since). One that is not back within [timeouts] resume stays DOWN. The reasons are Slurm's.
"""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.errors import UsageError
from corral.model.node import Drain, DrainOwner, Node, NodeInventory, Reboot
from corral.protocol.events import NodeChanged
from corral.protocol.orders import RebootNode
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, RebootNodes
from corral.syntax import hostlist

#: An order that its agent may not have heard is sent again.
RESEND_SECONDS = 5.0


def on_request(ctx: Context, request: RebootNodes, caller: Caller, now: float, out: Effects) -> None:
    """Nodes that are to boot already are left as they are."""
    if not ctx.config.programs.reboot:
        out.reply = Rejected(error="RebootProgram isn't defined", code="unsupported")
        return
    if not caller.is_operator:
        out.reply = Rejected(error="Permission denied", code="denied")
        return
    names = _names(ctx, request.nodes)
    if not names:
        out.reply = Rejected(error="Invalid node name specified", code="not_found")
        return
    for name in names:
        node = ctx.state.nodes[name]
        if node.reboot is None:
            usual = "Reboot ASAP" if request.asap else "reboot requested"
            reboot = Reboot(
                reason=request.reason or reason_of(node) or usual, since=now, by=caller.user, asap=request.asap,
                next_state=request.next_state or ("resume" if request.asap else ""),
            )  # fmt: skip
            _change(ctx, node, now, out, "reboot requested", reboot=reboot)
    tick(ctx, now, out)
    out.reply = Done()


def _names(ctx: Context, text: str) -> list[str]:
    """Those that are there; none if one is not."""
    if text.upper() == "ALL":
        return list(ctx.state.nodes)
    try:
        names = hostlist.expand(text)
    except UsageError:
        return []
    return names if all(name in ctx.state.nodes for name in names) else []


def reason_of(node: Node) -> str:
    """Why it is not used, less the boot itself."""
    return node.drains[0].reason if node.drains else node.down_reason


def cancellable(node: Node) -> bool:
    return node.reboot is not None and not node.is_booting


def _change(ctx: Context, node: Node, now: float, out: Effects, what: str, **fields: object) -> None:
    ctx.record(NodeChanged(time=now, node=msgspec.structs.replace(node, **fields), what=what), out)
    ctx.wants_cycle = True


def tick(ctx: Context, now: float, out: Effects) -> None:
    """Tell those on which nothing runs any more; give up on those that are not back."""
    for name, node in list(ctx.state.nodes.items()):
        if node.reboot is None:
            continue
        if node.is_booting:
            if now >= node.reboot.issued + ctx.config.timeouts.resume:
                reason = f"{node.reboot.reason} : reboot issued : reboot timed out"
                fields = {"reboot": None, "down_reason": reason, "down_since": now, "down_by": node.reboot.by}
                _change(ctx, node, now, out, "down", **fields)
        elif node.up and not ctx.state.jobs_by_node.get(name):
            issued = msgspec.structs.replace(node.reboot, issued=now)
            _change(ctx, node, now, out, "reboot issued", reboot=issued)
            tell(ctx, ctx.state.nodes[name], now, out)


def tell(ctx: Context, node: Node, now: float, out: Effects) -> None:
    """Once more, where it is still heard after a while. An agent obeys each order once."""
    if node.reboot is None or not node.is_booting or not ctx.config.programs.reboot:
        return
    if now == node.reboot.issued or now - node.reboot.issued >= RESEND_SECONDS:
        order = RebootNode(term=ctx.term, node=node.name, program=ctx.config.programs.reboot, issued=node.reboot.issued)
        ctx.send(node.name, order, out)


def booted(old: Node, found: NodeInventory, now: float) -> dict[str, object]:
    """What becomes of a node that registers: nothing special, unless it has booted as it was told to."""
    reboot = old.reboot
    if reboot is None or not reboot.issued or not _has_booted(old.inventory, found):
        return {}
    reason = f"{reboot.reason} : reboot issued"
    fields: dict[str, object] = {
        "reboot": None, "admin_down": False, "down_reason": "", "down_since": 0.0, "down_by": "",
    }  # fmt: skip
    if reboot.next_state == "resume":
        fields["drains"] = tuple(drain for drain in old.drains if drain.owner is DrainOwner.POWER)
    elif old.drains:
        fields["drains"] = tuple(_noted(drain, reason, reboot.issued) for drain in old.drains)
    if reboot.next_state == "down":
        why = f"{reason} : reboot complete"
        fields |= {"admin_down": True, "down_reason": why, "down_since": now, "down_by": reboot.by}
    return fields


def _has_booted(old: NodeInventory, found: NodeInventory) -> bool:
    if found.virtual:
        return found.agent_start_time != old.agent_start_time
    return found.boot_id not in ("", old.boot_id)


def _noted(drain: Drain, reason: str, now: float) -> Drain:
    if drain.owner is not DrainOwner.ADMIN:
        return drain
    return msgspec.structs.replace(drain, reason=reason, since=now)
