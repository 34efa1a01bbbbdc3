"""The Python SDK: submit work to a cluster, wait for it, look at it, from a program.

import corral

with corral.Client() as cluster:
    ids = cluster.submit([corral.job("python train.py", gpus=1, name=f"run{i}") for i in range(1000)])
    for job in cluster.wait(ids):
        print(job["id"], job["state"], job["exit_code"])
"""

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from corral.client.connection import Connection, new_key
from corral.client.objects import KubeObjects, kind_of
from corral.client.watch import Event, Watch
from corral.errors import Refused
from corral.model.gres import GresRequest
from corral.model.job import ENDED, JobSpec, JobState, StdioSpec
from corral.protocol.blobs import environment_digest, script_digest
from corral.protocol.replies import AccountsChanged, Done, JobRows, Rejected, StepCreated, Submitted, WouldStart
from corral.protocol.requests import (
    AnyRequest,
    CancelJobs,
    HoldJobs,
    JobSelection,
    NewJob,
    ReleaseJobs,
    RequeueJobs,
    SubmitJobs,
)  # fmt: skip

AnyReply = Done | Submitted | WouldStart | StepCreated | AccountsChanged

_encode = msgspec.json.Encoder().encode
_replies: msgspec.json.Decoder[AnyReply | Rejected] = msgspec.json.Decoder(
    Done | Rejected | Submitted | WouldStart | StepCreated | AccountsChanged
)
_rows = msgspec.json.Decoder(JobRows)

Row = dict[str, Any]
JobIds = int | str | Iterable[int | str]


def job(
    command: str = "", *, script: str = "", environment: dict[str, str] | None = None, gpus: int | str = 0,
    stdout: str = "", stderr: str = "", **fields: Any,
) -> NewJob:  # fmt: skip
    """A job to submit: a shell command, or a whole `script` with its #! line.

    Args:
        gpus: how many of the whole job, or "v100:2".
        environment: instead of this process's own.
        fields: of `corral.model.job.JobSpec`: name, partition, ntasks, cpus_per_task, time_limit (seconds), array, ...
    """
    if bool(command) == bool(script):
        raise ValueError("either a command or a script is needed")
    if gpus:
        kind, _, count = str(gpus).rpartition(":")
        fields["gpus"] = (GresRequest("gpu", kind, int(count)),)
    fields.setdefault("work_dir", os.getcwd())
    fields.setdefault("name", "wrap" if command else "sbatch")
    fields.setdefault("submit_host", socket.gethostname())
    spec = JobSpec(stdio=StdioSpec(stdout=stdout, stderr=stderr), **fields)
    text = script or f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{command}\n"
    return NewJob(spec=spec, script=text, environment=dict(os.environ) if environment is None else environment)


class ClusterClient(KubeObjects):
    """One cluster. Not for several threads at once: give each its own."""

    def __init__(self, endpoint: str = "", token: str = "", timeout: float | None = None) -> None:
        """Without arguments the cluster that the commands use (CORRAL_ENDPOINT, or the default one's socket)."""
        self._endpoint, self._token = endpoint, token
        self._connection = Connection(endpoint, token, timeout)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "ClusterClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- change

    def ask(self, request: AnyRequest) -> AnyReply:
        """Any request of corral.protocol.requests. Sent again, when the controller restarts meanwhile, without a second effect."""
        content = self._call("POST", "/v1/requests", _encode(request), key=new_key())
        reply = _replies.decode(content)
        assert not isinstance(reply, Rejected)  # comes with another status, which raises
        return reply

    def submit(self, jobs: NewJob | Sequence[NewJob], user: str = "") -> list[int]:
        """Submit one job or many (10,000 in one call are fine): all are taken, or Refused is raised and none is.

        Args:
            user: an administrator may submit for another one.
        """
        many = (jobs,) if isinstance(jobs, NewJob) else tuple(jobs)
        reply = self.ask(SubmitJobs(jobs=_without_repetition(many), user=user))
        assert isinstance(reply, Submitted)
        return list(reply.ids)

    def cancel(self, ids: JobIds = (), *, signal: int = 0, **selection: Any) -> tuple[str, ...]:
        """End jobs, or send them a signal; by id, or by users=, names=, partitions=, states=, ... Returns what failed."""
        chosen = JobSelection(ids=_texts(ids), **{name: tuple(value) for name, value in selection.items()})
        return self._done(CancelJobs(selection=chosen, signal=signal))

    def hold(self, ids: JobIds) -> tuple[str, ...]:
        return self._done(HoldJobs(ids=_texts(ids)))

    def release(self, ids: JobIds) -> tuple[str, ...]:
        return self._done(ReleaseJobs(ids=_texts(ids)))

    def requeue(self, ids: JobIds) -> tuple[str, ...]:
        return self._done(RequeueJobs(ids=_texts(ids)))

    def _done(self, request: AnyRequest) -> tuple[str, ...]:
        reply = self.ask(request)
        return reply.errors if isinstance(reply, Done) else ()

    # -- look

    def jobs(self, fields: Sequence[str] = (), **conditions: Any) -> list[Row]:
        """Jobs that wait, run, or have ended a short while ago. Conditions: ids, users, states, names, partitions, ..."""
        return self._table("/v1/jobs", fields=fields, **conditions)

    list = jobs

    def job(self, job_id: int | str) -> Row:
        """One job with all fields; of an array the first row."""
        return self._table(f"/v1/jobs/{quote(str(job_id))}")[0]

    def nodes(self, fields: Sequence[str] = ()) -> "_List[Row]":
        return self._table("/v1/nodes", fields=fields)

    def partitions(self, fields: Sequence[str] = ()) -> "_List[Row]":
        return self._table("/v1/partitions", fields=fields)

    def history(self, fields: Sequence[str] = (), **conditions: Any) -> "_List[Row]":
        """As sacct: ids, users, since, until, states; all_users=True, steps=True, duplicates=True."""
        return self._table("/v1/history", fields=fields, **conditions)

    def accounts(self) -> Row:
        """accounts, users, associations (in the order of the tree), qos and tres, each a list of rows."""
        found: Row = msgspec.json.decode(self._call("GET", "/v1/accounts"))
        return found

    def why(self, jobs: JobIds = (), nodes: str = "") -> Row:
        """As `corral why --json`: {"jobs": [...], "nodes": [...]}; why these jobs wait, why these nodes (a hostlist) are idle. Without both
        {"queue": {...}}: why the queue does not move on."""
        chosen = {"jobs": ",".join(_texts(jobs)), "nodes": nodes}
        asked = urlencode({name: text for name, text in chosen.items() if text})
        found: Row = msgspec.json.decode(self._call("GET", f"/v1/why?{asked}"))
        return found

    def snapshot(self) -> bytes:
        """All of the state that decides about jobs, as JSON: `corral simulate --snapshot` reads it. For operators."""
        return self._call("GET", "/v1/snapshot")

    def shares(self, users: Sequence[str] = ()) -> "_List[Row]":
        """As sshare: what each account and user has used, and where it stands."""
        chosen = f"?{urlencode({'users': ','.join(users)})}" if users else ""
        rows: list[Row] = msgspec.json.decode(self._call("GET", f"/v1/shares{chosen}"))["rows"]
        return rows

    def status(self) -> Row:
        found: Row = msgspec.json.decode(self._call("GET", "/v1/status"))
        return found

    def script(self, job_id: int | str) -> str:
        return self._call("GET", f"/v1/jobs/{quote(str(job_id))}/script").decode()

    def logs(self, job_id: int | str, stream: str = "stdout") -> str:
        """What the job has written so far, where its file can be read from here."""
        return Path(self.job(job_id)[f"{stream}_path"]).read_text(errors="replace")

    # -- wait

    def wait(self, ids: JobIds, timeout: float | None = None) -> "_List[Row]":
        """Wait until all have ended; their rows, in the order of the ids. TimeoutError when they did not in time."""
        from time import monotonic

        ends = None if timeout is None else monotonic() + timeout
        found: list[Row] = []
        for job_id in _texts(ids):
            while True:
                left = 60.0 if ends is None else min(60.0, max(0.0, ends - monotonic()))
                rows = self._table(f"/v1/jobs/{quote(job_id)}/wait", until="ended", timeout=left)
                if all(JobState(row["state"]) in ENDED for row in rows):
                    found += rows
                    break
                if ends is not None and monotonic() >= ends:
                    raise TimeoutError(f"job {job_id} has not ended")
        return found

    def events(self, job: int | str = "", since: int | None = None) -> Iterator[Event]:
        """What happens from now on, of one job or all; it goes on when the controller restarts."""
        return iter(Watch(self._endpoint, self._token, job=str(job), since=since))

    # -- inside

    def _call(self, method: str, path: str, body: bytes = b"", key: str = "") -> bytes:
        try:
            return self._connection.call(method, path, body, key=key)
        except Refused as error:
            raise kind_of(error) from None

    def _table(self, path: str, **parameters: Any) -> "_List[Row]":
        chosen = {name: _parameter(value) for name, value in parameters.items() if value not in (None, "", (), [])}
        rows = _rows.decode(self._call("GET", f"{path}?{urlencode(chosen)}" if chosen else path))
        return [dict(zip(rows.fields, row, strict=True)) for row in rows.rows]


_List = list


def _texts(ids: JobIds) -> tuple[str, ...]:
    return (str(ids),) if isinstance(ids, int | str) else tuple(map(str, ids))


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)


def _without_repetition(jobs: tuple[NewJob, ...]) -> tuple[NewJob, ...]:
    """Each script and environment goes once; where it comes again, its digest stands for it."""
    if len(jobs) < 2:
        return jobs
    sent: set[str] = set()
    last_environment: dict[str, str] = {}
    digest = ""
    result = []
    for job in jobs:
        changes: dict[str, Any] = {}
        spec: dict[str, Any] = {}
        if job.script:
            script = script_digest(job.script)
            if script in sent:
                changes["script"], spec["script_digest"] = "", script
            sent.add(script)
        if job.environment:
            if job.environment != last_environment:
                last_environment, digest = job.environment, environment_digest(job.environment)
            if digest in sent:
                changes["environment"], spec["environment_digest"] = {}, digest
            sent.add(digest)
        if spec:
            changes["spec"] = msgspec.structs.replace(job.spec, **spec)
        result.append(msgspec.structs.replace(job, **changes) if changes else job)
    return tuple(result)
