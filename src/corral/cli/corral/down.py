"""`corral down`: end a cluster's jobs and daemons on this machine; what it knows stays."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser

from corral.cli.corral import daemons, leftovers
from corral.cli.corral.place import Place, add_options, place_of
from corral.daemon import natrules

#: Agents end their jobs with SIGTERM, and SIGKILL two seconds later; then their reports must be committed.
_AGENT_SECONDS = 12.0
#: The same when nobody can commit the reports: they are kept for the next `corral up`.
_ALONE_SECONDS = 3.0
_CONTROLLER_SECONDS = 20.0


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral down",
        description="End the jobs that run, then the daemons. Jobs that wait, and all that is recorded, are there again"
        " after the next `corral up`.",
    )
    add_options(parser)
    place = place_of(parser.parse_args(arguments), is_lenient=True)
    stopped = []
    if os.path.exists(place.directory):
        with daemons.only_one_starts_or_stops(place.directory):
            stopped = stop_cluster(place)
    if leftovers.end_daemons(place.directory):
        stopped.append("daemons without a state directory")
        leftovers.end(place.directory, place.endpoint)
    if stopped:
        print(f"The cluster in {place.directory} is stopped ({', '.join(stopped)}).")
    else:
        print(f"No cluster runs in {place.directory}.")
    return 0


def stop_cluster(place: Place) -> list[str]:
    """What was stopped. Works with what is left after a crash of parts as well."""
    directory = place.directory
    controller, nats = daemons.controller(directory), daemons.nats(directory)
    controller.signal(signal.SIGUSR1)  # start nothing more
    stopped = []
    waiting = []
    for agent in daemons.agents(directory):
        if (pid := agent.pid) is not None:
            agent.signal(signal.SIGUSR1)  # end your jobs and yourself
            waiting.append((agent, pid))
            stopped.append(agent.name)
    is_whole = controller.pid is not None and nats.pid is not None
    until = daemons.deadline(_AGENT_SECONDS if is_whole else _ALONE_SECONDS)
    for agent, pid in waiting:
        if not daemons.has_ended(pid, max(0.0, until - daemons.deadline(0))):
            daemons.stop(agent, 1.0)
    if count := leftovers.end(directory, place.endpoint):
        stopped.append(f"{count} process{'es' if count != 1 else ''} of jobs")
    if natrules.remove_below(directory):
        stopped.append("rules for addresses of services")
    gateway, caddy, pointers = (one(directory) for one in (daemons.gateway, daemons.caddy, daemons.pointers))
    # The controller first: it starts what it finds missing.
    ending = ((controller, _CONTROLLER_SECONDS), (gateway, 5.0), (caddy, 5.0), (pointers, 5.0), (nats, 5.0))
    for daemon, seconds in ending:
        if daemons.stop(daemon, seconds) and daemon is not pointers:
            stopped.append(daemon.name)
    return stopped
