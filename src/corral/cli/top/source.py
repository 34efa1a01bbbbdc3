"""What does `corral top` ask the cluster? Each call in a thread, one after another."""

from __future__ import annotations

import threading
from typing import NamedTuple

from corral.cli import scontrol_job
from corral.cli.explained import of_job
from corral.cli.top.rows import JOB_FIELDS, NODE_FIELDS, Row, live, with_gpu_use
from corral.client.client import ClusterClient
from corral.errors import Refused


class Seen(NamedTuple):
    """One look at the cluster."""

    jobs: list[Row]
    nodes: list[Row]


class Source:
    """The cluster behind an endpoint."""

    def __init__(self, endpoint: str = "") -> None:
        self._client = ClusterClient(endpoint, timeout=30.0)
        self._lock = threading.Lock()

    def look(self) -> Seen:
        with self._lock:
            jobs, nodes = live(self._client.jobs(fields=JOB_FIELDS)), self._client.nodes(fields=NODE_FIELDS)
            return Seen(with_gpu_use(jobs, nodes), nodes)

    def told(self, row: Row) -> str:
        """`scontrol show job`, and below it why it waits."""
        with self._lock:
            try:
                text = scontrol_job.job(self._client.job(row["id"]), detailed=True, one_line=False).rstrip("\n")
                if row["state"] == "PENDING":
                    answers = self._client.why(row["id"])["jobs"]
                    text += "\n\n" + "\n".join(line for answer in answers for line in of_job(answer))
            except Refused as error:
                return str(error)
            return text

    def cancel(self, row: Row) -> str:
        """What was wrong, or "". Of an array what waits of it, when that is the line."""
        is_rest = row["array_job_id"] is not None and row["array_task_id"] is None
        with self._lock:
            try:
                if is_rest:
                    failed = self._client.cancel(row["array_job_id"], states=["PENDING"])
                else:
                    failed = self._client.cancel(row["id"])
            except Refused as error:
                return str(error)
        return ", ".join(failed)
