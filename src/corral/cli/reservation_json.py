"""Reservations and licences for programs: the keys of data_parser v0.0.40, and of Slurm 22.05 (v0.0.38)."""

from __future__ import annotations

import time

from corral.cli.data_parser import document
from corral.cli.data_parser.values import moment, number
from corral.cli.output import write_old

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]


def write(form: document.Form, rows: list[Row], connection: Connection, words: list[str]) -> None:
    if form.is_old:
        write_old(form, "reservations", [_old(row) for row in rows])
        return
    body = {"reservations": [_reservation(row) for row in rows], "last_update": document.written_at(time.time())}
    document.write(form, body, document.cluster_of(connection), words)


def write_licenses(form: document.Form, rows: list[Row], connection: Connection, words: list[str]) -> None:
    records = [
        {
            "LicenseName": row["name"],
            "Total": row["total"],
            "Used": row["used"],
            "Free": row["free"],
            "Remote": False,
            "Reserved": row["reserved"],
            "LastConsumed": 0,
            "LastDeficit": 0,
            "LastUpdate": 0,
        }
        for row in rows
    ]
    if form.is_old:
        write_old(form, "licenses", records)
        return
    body = {"licenses": records, "last_update": document.written_at(time.time())}
    document.write(form, body, document.cluster_of(connection), words)


def _reservation(row: Row) -> Row:
    return _old(row) | {
        "core_specializations": [{"node": node, "core": cores} for node, cores in row["cores"]],
        "end_time": moment(row["end_time"]),
        "start_time": moment(row["start_time"]),
        "watts": number(0),
        "purge_completed": {"time": number(row["purge_seconds"])},
    }


def _old(row: Row) -> Row:
    return {
        "accounts": _people(row["accounts"], row["accounts_denied"]),
        "burst_buffer": "",
        "core_count": row["core_count"],
        "core_specializations": [],
        "end_time": int(row["end_time"]),
        "features": row["features"],
        "flags": row["flags"],
        "groups": _people(row["groups"], False),
        "licenses": row["licenses"],
        "max_start_delay": 0,
        "name": row["name"],
        "node_count": row["node_count"],
        "node_list": row["nodes"],
        "partition": row["partition"],
        "purge_completed": {"time": row["purge_seconds"]},
        "start_time": int(row["start_time"]),
        "watts": 0,
        "tres": f"cpu={row['cpu_count']}" if row["cpu_count"] else "",
        "users": _people(row["users"], row["users_denied"]),
    }


def _people(names: list[str], denied: bool) -> str:
    return ",".join(f"-{name}" if denied else name for name in names)
