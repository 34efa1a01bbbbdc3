"""How much have services to do? What the gateways say, every second. It is no record."""

from corral.engine import serviceaddresses, servicenames
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.gateways import GatewaySeen
from corral.engine.kube import addresses, autoscaling
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, ReportLoad, ReportUse


def on_report(ctx: Context, request: ReportLoad, caller: Caller, now: float, out: Effects) -> None:
    if not caller.is_operator:
        out.reply = Rejected(error="only a gateway of an operator reports load", code="denied")
        return
    names_before = servicenames.known(ctx)
    before, said = addresses.unusable_ports(ctx), addresses.ports_said(ctx)
    ctx.gateways[request.gateway] = GatewaySeen(now, request)
    autoscaling.on_load(ctx, request, now)
    addresses.look(ctx, before, said)
    servicenames.look(ctx, names_before, out)
    serviceaddresses.on_gateway(ctx, now, out)
    out.reply = Done()


def on_use(ctx: Context, request: ReportUse, caller: Caller, now: float, out: Effects) -> None:
    if not caller.is_operator:
        out.reply = Rejected(error="only an operator reports what Pods use", code="denied")
        return
    autoscaling.on_measured(ctx, request.pods, request.answers, now)
    out.reply = Done()
