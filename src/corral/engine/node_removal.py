"""When does a node leave the cluster for good?

When an operator says so and nothing of it is in use: no job, no reservation, no agent that answers. A node of which an agent
registers again is a new one.
"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.errors import UsageError
from corral.protocol.events import NodeRemoved
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, DeleteNodes
from corral.syntax import hostlist

_NO_SUCH = "Invalid node name specified"
_BUSY = "Requested nodes are busy"


def on_delete(ctx: Context, request: DeleteNodes, caller: Caller, now: float, out: Effects) -> None:
    """All of them, or none."""
    if not caller.is_operator:
        out.reply = Rejected(error="Invalid user id", code="denied")
        return
    try:
        names = dict.fromkeys(hostlist.expand(request.nodes))
    except UsageError as error:
        out.reply = Rejected(error=_NO_SUCH, detail=str(error))
        return
    if not names or any(name not in ctx.state.nodes for name in names):
        out.reply = Rejected(error=_NO_SUCH, code="not_found")
        return
    for name in names:
        if why := _why_not(ctx, name):
            out.reply = Rejected(error=_BUSY, code="busy", detail=why)
            return
    for name in names:
        ctx.record(NodeRemoved(time=now, name=name), out)
        ctx.last_heard.pop(name, None)
    # Nothing is started before the agents have said what they run: those that have no node any more are not waited for.
    ctx.awaited &= {node.agent for node in ctx.state.nodes.values()}
    ctx.wants_cycle = True
    out.reply = Done()


def _why_not(ctx: Context, name: str) -> str:
    node = ctx.state.nodes[name]
    if ctx.state.jobs_by_node.get(name):
        return f"{name} has jobs"
    if node.up and node.agent in ctx.agents:
        return f"the agent of {name} answers: end it first"
    for reservation in ctx.state.reservations.values():
        if name in reservation.nodes:
            return f"{name} is reserved ({reservation.name})"
    return ""
