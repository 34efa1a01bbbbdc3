"""--json: one document as Slurm's commands print it, with what stands round the records."""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

META: dict[str, Any] = {
    "plugin": {"type": "openapi/v0.0.38", "name": "Slurm OpenAPI v0.0.38"},
    "Slurm": {"version": {"major": 22, "micro": 8, "minor": 5}, "release": "22.05.8"},
}


def write_json(name: str, records: list[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps({"meta": META, "errors": [], name: records}, indent=2, ensure_ascii=False) + "\n")
