"""A step of a job that nobody sees, and whose input and output carry connections (daemon/mux.py): how is it asked for?"""

from __future__ import annotations

import os

from corral.client.connection import Connection, new_key

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


def relay_step(name: str, job: str, node: str = "", endpoint: str = "", container: str = "") -> dict[str, Any]:
    """On this node of the job, or its first; the step and the access to it, as the controller says them. `container`: of a Pod, in whose
    network it is."""
    spec: dict[str, Any] = {
        "name": name, "argv": [name], "work_dir": "/", "overlap": True, "relay": True, "ntasks": 1,
        "nodes_min": 1, "nodes_max": 1, "client_host": os.uname().nodename, "client_pid": os.getpid(), "gres": [],
    }  # fmt: skip
    if node:
        spec["nodelist"] = node
    if container:
        spec |= {"container": {"name": container, "how": "exec"}, "memory_per_node_mb": 0}
    request = {"type": "CreateStep", "job": job, "spec": spec, "environment": {}}
    with Connection(endpoint) as connection:
        reply: dict[str, Any] = connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=60)
    return reply
