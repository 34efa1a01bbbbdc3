"""Where do nodes ask for the names of services? At the gateways, as soon as one has said that it answers.

It is told at once when it changes, and to an agent whose heartbeat shows that it knows something else.
"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.protocol.orders import Names, TellNames
from corral.protocol.reports import Heartbeat


def known(ctx: Context) -> Names:
    reports = [seen.report for _, seen in sorted(ctx.gateways.items())]
    servers = tuple(dict.fromkeys(place for report in reports for place in report.dns))
    if not servers:
        return Names()
    for_pods = tuple(dict.fromkeys(place for report in reports for place in report.dns_for_pods))
    return Names(ctx.config.gateway.domain, servers, for_pods)


def on_heartbeat(ctx: Context, report: Heartbeat, out: Effects) -> None:
    names = known(ctx) if ctx.gateways else Names()
    if names.servers and report.names is not None and report.names != names:
        _tell(ctx, report.agent, names, out)


def look(ctx: Context, before: Names, out: Effects) -> None:
    """A gateway has spoken."""
    names = known(ctx)
    if names.servers and names != before:
        for agent in sorted(ctx.agents):
            _tell(ctx, agent, names, out)


def _tell(ctx: Context, agent: str, names: Names, out: Effects) -> None:
    ctx.send(agent, TellNames(term=ctx.term, node=agent, names=names), out)
