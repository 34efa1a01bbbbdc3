"""`corral status`: which daemons run, what the cluster has and does, what it cannot enforce."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from corral.cli.corral import daemons
from corral.cli.corral.place import Place, add_options, place_of
from corral.cli.run import Exit
from corral.client.connection import Connection, default_endpoint
from corral.errors import Unreachable
from corral.syntax import duration, hostlist


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral status", description="What runs, what there is, what is not enforced.")
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    given = parser.parse_args(arguments)
    place = place_of(given)
    is_named = given.dir is not None or given.config is not None
    endpoint = place.endpoint if is_named else default_endpoint()
    try:
        with Connection(endpoint, timeout=10.0) as connection:
            status = connection.request("GET", "/v1/status", retry_seconds=0.5)
    except Unreachable as error:
        raise Exit(1, f"corral: {error}", *_still_running(place)) from None
    if given.json:
        print(json.dumps(status, indent=2))
    else:
        print("\n".join(lines(status, endpoint)))
    return 0


def _still_running(place: Place) -> list[str]:
    directory = place.directory
    found = [
        daemons.nats(directory), *daemons.agents(directory), daemons.controller(directory), daemons.gateway(directory),
        daemons.caddy(directory),
    ]  # fmt: skip
    return [f"  {daemon.name} runs (process {daemon.pid})" for daemon in found if daemon.pid is not None]


def _gateway(directory: Path, host: str) -> list[tuple[str, str]]:
    """Beside the controller, once there is a service."""
    found = daemons.gateway(directory).pid if host == os.uname().nodename else None
    if found is None:
        return []
    behind = daemons.caddy(directory).pid
    return [("gateway", f"process {found}, {f'caddy {behind}' if behind is not None else 'no caddy'}")]


def lines(status: dict[str, Any], endpoint: str) -> list[str]:
    cpus, gpus = status["cpus"], status["gpus"]
    uptime = duration.format_seconds(status["uptime"])
    jobs = ", ".join(f"{count} {state.lower()}" for state, count in status["jobs"].items()) or "none"
    nodes = ", ".join(f"{count} {state}" for state, count in sorted(status["nodes"].items())) or "none"
    virtual = f" ({status['virtual_nodes']} virtual)" if status["virtual_nodes"] else ""
    table = [
        ("cluster", status["cluster"]),
        ("endpoint", endpoint),
        ("state", status["state_dir"]),
        ("controller", f"process {status['pid']} on {status['host']}, up {uptime}, term {status['term']}"),
        ("messages", f"{status['nats_url'] or 'no server'}{'' if status['bus_connected'] else ', not connected'}"),
        *_gateway(Path(status["state_dir"]), str(status["host"])),
        ("agents", hostlist.fold(status["agents"]) or "none"),
        ("nodes", f"{nodes}{virtual}"),
        ("CPUs", f"{cpus['allocated']} of {cpus['total']} in use"),
        ("GPUs", f"{gpus['allocated']} of {gpus['total']} in use"),
        ("jobs", jobs),
    ]  # fmt: skip
    if status.get("unavailable"):
        table.append(("refusing", str(status["unavailable"])))
    for limit, names in sorted(status["unenforced"].items()):
        where = hostlist.fold(names)
        table.append(("not enforced", f"{limit} (on {where if len(where) < 60 else f'{len(names)} nodes'})"))
    width = max(len(name) for name, _ in table)
    return [f"{name:{width}}  {value}" for name, value in table]
