"""`corral up`: a cluster on this machine, ready in a moment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from corral.cli.corral import daemons, virtual
from corral.cli.corral.daemons import Daemon
from corral.cli.corral.place import Place, add_options, place_of
from corral.cli.run import Exit
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable
from corral.syntax import hostlist

#: How the agent was started, so that `corral up` alone starts it again.
SETUP = "up.json"
#: Bytes that a new cluster writes at least.
_ROOM = 1 << 20


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    began = time.monotonic()
    _write_first_config(given)
    place = place_of(given)
    with daemons.only_one_starts_or_stops(place.directory):
        before = _setup(place)
        name, flags = _agent_setup(place, given, before)
        gone = sorted({*_names(before["name"], before["flags"])} - {*_names(name, flags)}) if before else []
        now = time.time()
        started = _start_missing(place, name, flags)
    since = now if daemons.agent(place.directory, name) in started else 0.0
    try:
        if gone:
            _remove(place, gone, daemons.deadline(given.timeout))
        nodes = _wait_until_ready(place, started, _names(name, flags), since, given.timeout)
    except KeyboardInterrupt:
        raise Exit(130, f"corral: interrupted; what has been started goes on: {_down_command(place)}") from None
    _say(place, started, nodes, time.monotonic() - began)
    return 0


def _options(arguments: list[str]) -> Namespace:
    parser = ArgumentParser(
        prog="corral up",
        description="Start a cluster on this machine: the controller, its message server, and an agent."
        " Of a cluster that runs already, what is missing is started.",
    )
    add_options(parser)
    virtual.add_options(parser)
    parser.add_argument(
        "--name", help="of this machine's node, or of the agent of virtual ones (default: the host name)"
    )
    parser.add_argument("--first-job-id", type=int, metavar="N", help="of a new cluster (default: 1)")
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="until all nodes are there (default: 30)"
    )
    return parser.parse_args(arguments)


def _write_first_config(given: Namespace) -> None:
    """--first-job-id is a key of the configuration: a new cluster gets a corral.toml with it."""
    if given.first_job_id is None:
        return
    if given.first_job_id < 1:
        raise Exit(1, "corral: error: --first-job-id must be 1 or more")
    place = place_of(given)
    if place.config.first_job_id == given.first_job_id:
        return
    if place.config_path is not None:
        raise Exit(
            1, f"corral: error: --first-job-id: write first_job_id = {given.first_job_id} into {place.config_path}"
        )
    place.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    (place.directory / "corral.toml").write_text(f"first_job_id = {given.first_job_id}\n")


# ---------------------------------------------------------------------------------------------------- what to start


def _setup(place: Place) -> dict[str, Any] | None:
    """Of the last time."""
    try:
        found: dict[str, Any] = json.loads((place.directory / SETUP).read_text())
    except (OSError, ValueError):
        return None
    return found


def _agent_setup(place: Place, given: Namespace, before: dict[str, Any] | None) -> tuple[str, list[str]]:
    """Name and flags of the agent: as given, else as the last time, else this machine."""
    flags = virtual.flags(given)
    if before is not None and not flags and given.name is None:
        return before["name"], before["flags"]
    name = given.name or ("virtual" if flags else socket.gethostname().partition(".")[0])
    if (
        before is not None
        and (name, flags) != (before["name"], before["flags"])
        and daemons.agent(place.directory, before["name"]).pid
    ):
        raise Exit(
            1,
            f"corral: error: the cluster in {place.directory} runs with other nodes: {_described(before)}",
            f"`{_down_command(place)}` first, or another --dir for another cluster",
        )
    place.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    (place.directory / SETUP).write_text(json.dumps({"name": name, "flags": flags}))
    return name, flags


def _described(setup: dict[str, object]) -> str:
    flags = setup["flags"]
    return " ".join(map(str, flags)) if isinstance(flags, list) and flags else f"this machine, as {setup['name']}"


def _names(name: str, flags: list[str]) -> list[str]:
    return hostlist.expand(flags[flags.index("--nodes") + 1]) if flags else [name]


def _start_missing(place: Place, name: str, flags: list[str]) -> dict[Daemon, int]:
    """What did not run, with its process id."""
    directory = place.directory
    controller, agent = daemons.controller(directory), daemons.agent(directory, name)
    config = ["--config", str(place.config_path)] if place.config_path else []
    started: dict[Daemon, int] = {}
    if controller.pid is None:
        if daemons.nats(directory).pid is None:
            (directory / "nats" / "url").unlink(missing_ok=True)
        started[controller] = daemons.start(controller, ["corral.controller", "--dir", str(directory), *config])
    if agent.pid is None:
        common = ["--dir", str(directory), "--name", name, "--log-file"]
        started[agent] = daemons.start(agent, ["corral.agent", *common, *config, *flags])
    return started


# ---------------------------------------------------------------------------------------------------- until it is ready


def _remove(place: Place, names: list[str], deadline: float) -> None:
    """The nodes of the last time that are none any more. What has jobs, as when its daemons were killed, stays until it is lost."""
    connection = Connection(place.endpoint, timeout=5.0)
    while time.monotonic() < deadline:
        try:
            rows = connection.request("GET", "/v1/nodes?fields=name", retry_seconds=0.0)["rows"]
            known = {row[0] for row in rows}.intersection(names)
            if known:
                request = {"type": "DeleteNodes", "nodes": hostlist.fold(sorted(known))}
                connection.request("POST", "/v1/requests", request)
            break
        except Refused:
            break
        except (Unreachable, OSError):
            time.sleep(daemons.LOOK_SECONDS)
    connection.close()


def _wait_until_ready(place: Place, started: dict[Daemon, int], names: list[str], since: float, timeout: float) -> int:
    """Until the API answers and all nodes are registered, by an agent no older than `since`; how many nodes there are."""
    deadline = daemons.deadline(timeout)
    missing, problem = set(names), ""
    connection = Connection(place.endpoint, timeout=5.0)
    while missing:
        _check_alive(started)
        try:
            answer = connection.request("GET", "/v1/nodes?fields=name,state_text,agent_start_time", retry_seconds=0.0)
            missing, problem = _not_ready(answer["rows"], names, since), "its nodes did not register"
        except (Unreachable, Refused, OSError) as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise _failure(place, started, problem, [name for name in names if name in missing])
        if missing:
            time.sleep(daemons.LOOK_SECONDS)
    connection.close()
    return len(names)


def _not_ready(rows: list[list[Any]], names: list[str], since: float) -> set[str]:
    ready = {
        name
        for name, state, agent_started in rows
        if agent_started >= since and not state.startswith(("unk", "down")) and not state.endswith("*")
    }
    return set(names) - ready


def _check_alive(started: dict[Daemon, int]) -> None:
    """They are our children: one that has ended will not come up any more."""
    for daemon, pid in started.items():
        try:
            if os.waitpid(pid, os.WNOHANG)[0] != pid:
                continue
        except ChildProcessError:
            pass
        words = daemons.last_words(daemon)
        raise Exit(
            1, f"corral: error: the {daemon.name} ended at once. Its last words:", *(f"    {word}" for word in words)
        )


def _failure(place: Place, started: dict[Daemon, int], problem: str, missing: list[str]) -> Exit:
    lines = [f"corral: error: the cluster did not come up: {problem} (missing: {hostlist.fold(missing)})"]
    if (free := shutil.disk_usage(place.directory).free) < _ROOM:
        lines.append(f"{place.directory} lies on a full disk: {free >> 10} kB are free")
    for daemon in started:
        lines.append(f"{daemon.name}: {daemon.log}")
        lines += [f"    {word}" for word in daemons.last_words(daemon, 4)]
    return Exit(1, *lines, f"`{_down_command(place)}` stops what runs")


# ---------------------------------------------------------------------------------------------------- what is said


def _say(place: Place, started: dict[Daemon, int], count: int, seconds: float) -> None:
    nodes = f"{count} node{'s' if count != 1 else ''}"
    if not started:
        print(f"The cluster in {place.directory} is running already: {nodes}.")
    elif len(started) == 1:
        print(f"The cluster in {place.directory} is complete again: started the {next(iter(started)).name}.")
    else:
        print(f"Cluster {place.config.cluster} is up: {nodes}, state in {place.directory} ({seconds:.1f} s).")
    if not place.is_default and os.environ.get("CORRAL_ENDPOINT") != place.endpoint:
        print(f"export CORRAL_ENDPOINT={place.endpoint}")


def _down_command(place: Place) -> str:
    return "corral down" if place.is_default else f"corral down --dir {place.directory}"
