"""Which ports of its nodes does a step have to itself (srun --resv-ports)?

They are taken one after another from those that are configured, so that a port which has just been given back rests for a while.
"""

from corral.engine.context import Context
from corral.engine.layout import Refusal
from corral.model.cluster import ClusterConfig
from corral.model.job import ENDED
from corral.model.step import Step
from corral.syntax import arrayspec

MOST = 1 << 16
_TOO_MANY = "Requires more ports than can be reserved"


def take(ctx: Context, nodes: tuple[str, ...], count: int) -> str | Refusal:
    """So many that are free on all these nodes, as text: 12001-12005."""
    refused = beyond(ctx.config, count)
    if refused is not None:
        return refused
    known = arrayspec.parse(ctx.config.step_ports, MOST).indices
    held = _held(ctx, frozenset(nodes))
    start = next((index for index, port in enumerate(known) if port >= ctx.next_port), 0)
    free = [port for port in known[start:] + known[:start] if port not in held][:count]
    if len(free) < count:
        return Refusal("Requested nodes are busy", True)
    ctx.next_port = free[-1] + 1
    return ",".join(arrayspec.runs(sorted(free)))


def beyond(config: ClusterConfig, count: int) -> Refusal | None:
    """So many there are not, whoever has them."""
    if not config.step_ports:
        return Refusal(_TOO_MANY, detail="This cluster reserves no ports: step_ports in corral.toml names none")
    return Refusal(_TOO_MANY) if count > len(arrayspec.parse(config.step_ports, MOST).indices) else None


def _held(ctx: Context, nodes: frozenset[str]) -> set[int]:
    """By steps on any of them. What has ended is forgotten."""
    held: set[int] = set()
    for key in list(ctx.port_steps):
        step = ctx.state.steps_of(key.job).get(key.step)
        if step is None or step.key != key or step.state in ENDED:
            ctx.port_steps.discard(key)
        elif not nodes.isdisjoint(step.node_names):
            held.update(arrayspec.parse(step.ports, MOST).indices)
    return held


def note(ctx: Context, step: Step) -> None:
    if step.ports:
        ctx.port_steps.add(step.key)
