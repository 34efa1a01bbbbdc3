"""Which ports of its node lead to a Pod? They are given when it starts, and are its own until it has ended."""

import bisect
import functools
import itertools

from corral.engine.context import Context
from corral.engine.podjob import fixed_ports, host_of
from corral.model.kube.pod import Pod, PortAddress
from corral.syntax import arrayspec

_MOST = 1 << 16
#: How a node says it (agent/podnet.py).
IN_USE = "ports in use: "


class NoPort(Exception):
    """Why it cannot have its ports there."""


def addresses(ctx: Context, pod: Pod, node: str) -> tuple[PortAddress, ...]:
    """Raises NoPort."""
    host = host_of(ctx, node)
    held = ctx.state.objects.pod_ports.get(host, set()) | ctx.foreign_ports.get(host, set())
    taken: set[int] = set()
    found = []
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        for port in container.ports:
            number = port.container_port if pod.spec.host_network else port.host_port
            if number and (number in held or number in taken):
                raise NoPort(f"port {number} of node {node} is another Pod's")
            number = number or _next(ctx, held | taken)
            taken.add(number)
            found.append(
                PortAddress(
                    port=port.container_port, name=port.name, protocol=port.protocol, host=host, host_port=number
                )
            )
    return tuple(found)


def told_in_use(ctx: Context, pod: Pod, words: str) -> bool:
    """The node says that somebody else has some of its ports: it is to get others, where it has not asked for these very ones."""
    if not words.startswith(IN_USE):
        return False
    ports = {int(word) for word in words.removeprefix(IN_USE).split(",") if word.isdigit()}
    if not ports or not ports.isdisjoint(fixed_ports(pod)):
        return False
    ctx.foreign_ports.setdefault(host_of(ctx, pod.status.node), set()).update(ports)
    return True


@functools.lru_cache(maxsize=4)
def _ports(text: str) -> tuple[int, ...]:
    return tuple(sorted(arrayspec.parse(text, _MOST).indices)) if text else ()


def _next(ctx: Context, held: set[int]) -> int:
    """The next free one: what has just been given back rests for a while."""
    known = _ports(ctx.config.pod_ports)
    start = bisect.bisect_left(known, ctx.next_pod_port)
    for port in itertools.chain(itertools.islice(known, start, None), itertools.islice(known, start)):
        if port not in held:
            ctx.next_pod_port = port + 1
            return port
    raise NoPort("all of pod_ports (corral.toml) are in use there")
