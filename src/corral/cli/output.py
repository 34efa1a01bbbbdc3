"""--json=v0.0.38: one document as the commands of Slurm 22.05 print it, with what stands round the records."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.data_parser.document import Form

META: dict[str, Any] = {
    "plugin": {"type": "openapi/v0.0.38", "name": "Slurm OpenAPI v0.0.38"},
    "Slurm": {"version": {"major": 22, "micro": 8, "minor": 5}, "release": "22.05.8"},
}


def write_old(form: Form, name: str, records: list[dict[str, Any]]) -> None:
    form.write({"meta": META, "errors": [], name: records})
