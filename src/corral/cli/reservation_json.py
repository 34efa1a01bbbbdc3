"""scontrol --json show reservation: the keys of Slurm 22.05's OpenAPI (v0.0.38)."""

from __future__ import annotations

from corral.cli import output

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]


def write(rows: list[Row]) -> None:
    output.write_json("reservations", [document(row) for row in rows])


def document(row: Row) -> Row:
    return {
        "accounts": _people(row["accounts"], row["accounts_denied"]),
        "burst_buffer": "",
        "core_count": row["core_count"],
        "core_spec_cnt": 0,
        "core_specializations": [{"node": node, "core": cores} for node, cores in row["cores"]],
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
