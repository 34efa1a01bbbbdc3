"""Nodes, partitions, licences, the configuration, and how the controller is."""

from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api import query
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.license_rows import LICENSES, license_context
from corral.controller.api.node_rows import NODES, PARTITIONS, SWITCHES, NodeContext
from corral.controller.api.reservation_rows import RESERVATIONS, ReservationContext
from corral.controller.api.service import Service
from corral.controller.slurm_config import slurm_keys
from corral.daemon import clock
from corral.model import ranges
from corral.model.job import JobState
from corral.model.preemption import mode_of
from corral.model.topology import Topology
from corral.protocol.replies import JobRows


def node_context(service: Service) -> NodeContext:
    state = service.state
    active = [state.jobs[job] for job in state.active]
    made = NodeContext(
        active, state.partitions, state.ledger.names, clock.now(), service.heard(),
        reservations=state.reservations.values(),
    )  # fmt: skip
    made.gpu_fence = service.config.gpu_sharing.fence
    return made


async def get_nodes(service: Service, request: Request) -> JobRows:
    caller_of(service, request)
    fields = NODES.check(query.words(request, "fields"))
    wanted = query.nodes(request, "names")
    state = service.state
    names = [name for name in state.ledger.names if not wanted or name in wanted]
    return NODES.rows([state.nodes[name] for name in names if name in state.nodes], fields, node_context(service))


async def get_node(service: Service, request: Request) -> JobRows:
    caller_of(service, request)
    node = service.state.nodes.get(request.path_params["name"])
    if node is None:
        raise Refusal(f"Node {request.path_params['name']} not found", "not_found")
    return NODES.rows([node], NODES.check(query.words(request, "fields")), node_context(service))


async def get_partitions(service: Service, request: Request) -> JobRows:
    caller = caller_of(service, request)
    fields = PARTITIONS.check(query.words(request, "fields"))
    everything = query.flag(request, "all") or caller.is_operator
    shown = [one for one in service.state.partitions.values() if everything or not one.hidden]
    state = service.state
    in_order = {name: state.nodes[name] for name in state.ledger.names if name in state.nodes}
    mode = str(mode_of(service.config.preemption.mode) or "OFF")
    shown = [msgspec.structs.replace(one, preempt_mode=one.preempt_mode or mode) for one in shown]
    return PARTITIONS.rows(shown, fields, in_order)


async def get_switches(service: Service, request: Request) -> JobRows:
    caller_of(service, request)
    tree = service.state.ledger.topology or Topology(())
    return SWITCHES.rows(tree.switches, SWITCHES.check(query.words(request, "fields")), tree)


async def get_licenses(service: Service, request: Request) -> JobRows:
    caller_of(service, request)
    state = service.state
    context = license_context(state.ledger.licenses, state.reservations.values(), clock.now())
    return LICENSES.rows(sorted(context.pool.total), LICENSES.check(query.words(request, "fields")), context)


async def get_reservations(service: Service, request: Request) -> JobRows:
    caller_of(service, request)
    context = ReservationContext(service.state.ledger, clock.now())
    fields = RESERVATIONS.check(query.words(request, "fields"))
    return RESERVATIONS.rows(service.state.reservations.values(), fields, context)


async def get_config(service: Service, request: Request) -> dict[str, Any]:
    caller_of(service, request)
    return slurm_keys(service.config, service.facts())


async def get_ping(service: Service, request: Request) -> dict[str, Any]:
    """Also without a token: whether there is a controller is no secret to who can reach it."""
    return {**service.facts(), "unavailable": service.loop.unavailable}


async def get_status(service: Service, request: Request) -> dict[str, Any]:
    caller_of(service, request)
    state = service.state
    states: dict[str, int] = {}
    for job in state.jobs.values():
        states[job.state.value] = states.get(job.state.value, 0) + (ranges.count(job.array_waiting) or 1)
    rows = NODES.rows(
        [state.nodes[name] for name in state.ledger.names if name in state.nodes],
        ("name", "agent", "state_text", "unenforced", "virtual", "cpus", "cpus_alloc", "gpus_total", "gpus_alloc"),
        node_context(service),
    )
    nodes = [dict(zip(rows.fields, row, strict=True)) for row in rows.rows]
    by_state: dict[str, int] = {}
    unenforced: dict[str, list[str]] = {}
    for node in nodes:
        by_state[node["state_text"]] = by_state.get(node["state_text"], 0) + 1
        for limit in node["unenforced"]:
            unenforced.setdefault(limit, []).append(node["name"])
    cycles = service.loop.cycles
    return {
        **service.facts(),
        "unavailable": service.loop.unavailable,
        "jobs": {state.value: states.get(state.value, 0) for state in JobState if states.get(state.value)},
        "nodes": by_state,
        "agents": sorted({node["agent"] for node in nodes if node["agent"]}),
        "cpus": {"total": sum(n["cpus"] for n in nodes), "allocated": sum(n["cpus_alloc"] for n in nodes)},
        "gpus": {"total": sum(n["gpus_total"] for n in nodes), "allocated": sum(n["gpus_alloc"] for n in nodes)},
        "virtual_nodes": sum(1 for node in nodes if node["virtual"]),
        "unenforced": unenforced,
        "cycles": {"count": cycles.runs, "seconds": cycles.seconds, "longest": cycles.longest},
        "messages": service.loop.handled,
        "orders": service.performer.sent,
    }


ROUTES = (
    ("GET", "/v1/nodes", get_nodes),
    ("GET", "/v1/nodes/{name}", get_node),
    ("GET", "/v1/partitions", get_partitions),
    ("GET", "/v1/licenses", get_licenses),
    ("GET", "/v1/switches", get_switches),
    ("GET", "/v1/reservations", get_reservations),
    ("GET", "/v1/config", get_config),
    ("GET", "/v1/ping", get_ping),
    ("GET", "/v1/status", get_status),
)
