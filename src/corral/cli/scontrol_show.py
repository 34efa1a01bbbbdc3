"""scontrol show: jobs, steps, nodes, partitions, the configuration."""

from __future__ import annotations

import sys
import time

from corral.cli import query
from corral.cli.command import unreachable
from corral.cli.run import Exit
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.data_parser import document
    from corral.client.connection import Connection

NO_SUCH_JOB = "Invalid job id specified"
#: Characters of a list of nodes in a request.
_LONGEST = 4000


class Manner:
    """How records are shown: -o, -d, -a, --json or --yaml; and the words that asked for it, which those two repeat."""

    def __init__(self) -> None:
        self.one_line = False
        self.detailed = False
        self.everything = False
        self.form: document.Form | None = None
        self.words: list[str] = []


def show(connect: Callable[[], Connection], manner: Manner, entity: str, name: str | None) -> int:
    loader, what = _ENTITIES[entity]
    try:
        return loader(connect(), manner, name)
    except Unreachable as error:
        raise unreachable(what, error) from None


def jobs(connection: Connection, manner: Manner, name: str | None) -> int:
    from corral.cli import scontrol_job

    if name is None:
        rows = query.rows(connection, "/v1/jobs", all=manner.everything).dicts()
    else:
        reference = _reference(name)
        try:
            rows = query.rows(connection, f"/v1/jobs/{reference.job}").dicts()
        except Refused as error:
            raise Exit(1, f"slurm_load_jobs error: {error}") from None
        if reference.tasks:
            try:
                rows = query.rows(connection, f"/v1/jobs/{reference}").dicts()
            except Refused:
                sys.stdout.write(f"Job {name} not found\n")
                return 1
        elif reference.het is None:  # of an array the rest first, then what was split off last
            rows.sort(key=lambda row: (row["id"] != row["array_job_id"], -row["id"] if row["array_job_id"] else 0))
    if manner.form is not None:
        if manner.form.is_old:
            from corral.cli import job_json

            job_json.write(manner.form, rows, connection)
        else:
            from corral.cli.data_parser import jobs as parser

            parser.write(manner.form, rows, connection, manner.words)
        return 0
    if not rows:
        sys.stdout.write("No jobs in the system\n")
    sys.stdout.write("".join(scontrol_job.job(row, manner.detailed, manner.one_line) for row in rows))
    return 0


def _reference(text: str) -> Any:
    from corral.errors import InvalidJobId
    from corral.syntax import jobid

    try:
        return jobid.parse(text)
    except InvalidJobId:
        raise Exit(1, f"scontrol_print_job error: {NO_SUCH_JOB}") from None


def steps(connection: Connection, manner: Manner, name: str | None) -> int:
    from corral.cli import scontrol_job

    job, _, number = (name or "").partition(".")
    if name is not None and job.partition("_")[0].isdigit():
        try:
            query.rows(connection, f"/v1/jobs/{job}", ["id"])
        except Refused as error:
            raise Exit(1, f"slurm_get_job_steps error: {error}") from None
        rows = query.rows(connection, "/v1/steps", job=job).dicts()
    else:
        rows, number = query.rows(connection, "/v1/steps").dicts(), ""
    if number:
        rows = [row for row in rows if row["text"].rpartition(".")[2] == number]
    if manner.form is not None and not manner.form.is_old:
        from corral.cli.data_parser import steps as parser

        parser.write(manner.form, rows, connection, manner.words)
        return int(bool(number and not rows))
    if not rows:
        shown = name if number else f"{name}."
        sys.stdout.write(f"Job step {shown} not found\n" if name else "No job steps in the system\n")
        return int(bool(name))
    sys.stdout.write("".join(scontrol_job.step(row, manner.one_line) for row in rows))
    return 0


def nodes(connection: Connection, manner: Manner, name: str | None) -> int:
    from corral.cli import scontrol_node

    status = 0
    if name is None:
        rows = query.rows(connection, "/v1/nodes").dicts()
    else:
        from corral.errors import InvalidHostlist
        from corral.syntax import hostlist

        # Only these are asked for: some look at one node after another. A list that is too long for the path is looked up in all of them.
        asked = name if len(name) < _LONGEST else ""
        try:
            wanted = hostlist.expand(name)
        except InvalidHostlist:
            wanted, asked = [name], ""
        found = query.rows(connection, "/v1/nodes", names=asked).dicts()
        there = {row["name"]: row for row in found}
        rows = []
        for one in wanted:
            if one in there:
                rows.append(there[one])
            else:
                sys.stdout.write(f"Node {one} not found\n")
                status = 1
    if name is None and not rows:
        sys.stdout.write("No nodes in the system\n")
    if manner.form is not None:
        if manner.form.is_old:
            from corral.cli import node_json

            node_json.write(manner.form, rows)
        else:
            from corral.cli.data_parser import nodes as parser

            parser.write(manner.form, rows, connection, manner.words)
        return status
    sys.stdout.write("".join(scontrol_node.node(row, manner.detailed, manner.one_line) for row in rows))
    return status


def partitions(connection: Connection, manner: Manner, name: str | None) -> int:
    from corral.cli import scontrol_node

    rows = query.rows(connection, "/v1/partitions", all=manner.everything or name is not None).dicts()
    if name is not None:
        rows = [row for row in rows if row["name"] == name]
    if not rows:
        sys.stdout.write(f"Partition {name} not found\n" if name else "No partitions in the system\n")
        return int(name is not None)
    if manner.form is not None:
        if manner.form.is_old:
            from corral.cli import node_json

            node_json.write_partitions(manner.form, rows)
        else:
            from corral.cli.data_parser import nodes as parser

            parser.write_partitions(manner.form, rows, connection, manner.words)
        return 0
    sys.stdout.write("".join(scontrol_node.partition(row, manner.one_line) for row in rows))
    return 0


def licenses(connection: Connection, manner: Manner, name: str | None) -> int:
    """Of a name that there is not, nothing is said."""
    rows = query.rows(connection, "/v1/licenses").dicts()
    if manner.form is not None:
        from corral.cli import reservation_json as parser

        parser.write_licenses(manner.form, rows, connection, manner.words)
        return 0
    if not rows:
        sys.stdout.write("No licenses configured in Slurm.\n")
    for row in rows:
        if name is None or row["name"] == name:
            counts = f"Total={row['total']} Used={row['used']} Free={row['free']} Reserved={row['reserved']} Remote=no"
            first = f"LicenseName={row['name']}"
            sys.stdout.write(f"{first} {counts}\n" if manner.one_line else f"{first}\n    {counts}\n")
    return 0


def reservations(connection: Connection, manner: Manner, name: str | None) -> int:
    from corral.cli import scontrol_reservation

    rows = query.rows(connection, "/v1/reservations").dicts()
    if name is not None:
        rows = [row for row in rows if row["name"] == name]
    if manner.form is not None:
        from corral.cli import reservation_json as parser

        parser.write(manner.form, rows, connection, manner.words)
        return 0
    if not rows:
        sys.stdout.write(f"Reservation {name} not found\n" if name else "No reservations in the system\n")
        return int(name is not None)
    sys.stdout.write("".join(scontrol_reservation.text(row, manner.one_line) for row in rows))
    return 0


def topology(connection: Connection, manner: Manner, name: str | None) -> int:
    """All switches; of a switch itself, of a node those above it."""
    rows = query.rows(connection, "/v1/switches").dicts()
    if not rows:
        raise Exit(0, "scontrol: error: No topology information available")
    has_blocks = any(row.get("block") is not None for row in rows)
    aggregated = {row["name"] for row in rows if has_blocks and row.get("block") is None}
    if name is not None:
        chosen = [row for row in rows if row["name"] == name] or [row for row in rows if name in row["node_names"]]
        if not chosen:
            raise Exit(0, f"scontrol: error: Topology information contains no switch or node named {name}")
        rows = chosen
    for row in rows:
        if row.get("block") is not None:
            size = len(row["node_names"])
            sys.stdout.write(
                f"BlockName={row['name']} BlockIndex={row['block']} Nodes={row['nodes']} BlockSize={size}\n"
            )
            continue
        if row["name"] in aggregated:
            sys.stdout.write(
                f"AggregatedBlock={row['switches']} Nodes={row['nodes']} BlockSize={len(row['node_names'])}\n"
            )
            continue
        below = f" Switches={row['switches']}" if row["switches"] else ""
        sys.stdout.write(
            f"SwitchName={row['name']} Level={row['level']} LinkSpeed={row['link_speed']} Nodes={row['nodes']}{below}\n"
        )
    return 0


def config(connection: Connection, manner: Manner, name: str | None) -> int:
    from corral.cli import scontrol_node

    keys = connection.request("GET", "/v1/config")
    host = connection.request("GET", "/v1/ping").get("host") or "localhost"
    sys.stdout.write(scontrol_node.config(keys, time.time(), host))
    return 0


#: What is shown, by whom, and what Slurm calls it when no controller answers.
_ENTITIES: dict[str, tuple[Callable[[Connection, Manner, str | None], int], str]] = {
    "job": (jobs, "slurm_load_jobs error"),
    "step": (steps, "slurm_get_job_steps error"),
    "node": (nodes, "slurm_load_node error"),
    "partition": (partitions, "slurm_load_partitions error"),
    "reservation": (reservations, "slurm_load_reservations error"),
    "license": (licenses, "slurm_load_licenses error"),
    "topology": (topology, "slurm_load_topo error"),
    "config": (config, "slurm_load_ctl_conf error"),
}
