"""A controller that answers from prepared rows over a unix socket, and the rows of the session the golden files show."""

import calendar
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
UNLIMITED = 1 << 40

Row = dict[str, Any]


def at(text: str) -> float:
    """2026-11-24T00:45:39 as seconds."""
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S")))


SUBMITTED = at("2026-11-24T00:45:39")
STARTED = SUBMITTED + 1


def job(id: int, name: str, **given: Any) -> Row:
    """A pending job of root's in partition batch, as the API has it."""
    row: Row = {
        "id": id, "array_job_id": None, "array_task_id": None, "array_waiting": [], "array_throttle": 0, "name": name,
        "user": "root", "uid": 0, "group": "root", "gid": 0, "account": "root", "qos": "normal", "partition": "batch",
        "state": "PENDING", "end_state": None, "reason": "Priority", "reason_text": "", "started_by": "",
        "priority": 1, "nice": 0, "held_by": "",
        "submit_time": SUBMITTED, "eligible_time": SUBMITTED, "start_time": 0.0, "end_time": 0.0, "expected_start": 0.0,
        "expected_nodes": "", "time_limit": UNLIMITED, "time_min": 0, "run_seconds": 0.0, "suspend_time": 0.0,
        "preempt_time": 0.0, "preemptable_time": 0.0,
        "suspended_seconds": 0.0, "restarts": 0, "nodes": "", "node_count": 1, "node_names": [], "req_nodes": "", "exclude": "",
        "nodes_min": 1, "nodes_max": 0, "cpus": 1, "ntasks": 1, "cpus_per_task": 1, "ntasks_per_node": 0,
        "memory_per_node_mb": None, "memory_per_cpu_mb": None, "memory_per_gpu_mb": None, "memory_mb": 0, "gres": "",
        "tres_req": "", "tres_alloc": "", "gpus": "", "gpus_per_node": "", "gpus_per_task": "", "cpus_per_gpu": 0,
        "constraint": "", "dependency": "", "dependency_left": "", "kill_on_invalid_dep": None, "resize_time": 0.0, "cron": "",
        "exclusive": False, "command": "", "argv": [], "work_dir": "<DIR>", "stdout": "",
        "stderr": "", "stdin": "", "stdout_path": f"<DIR>/slurm-{id}.out", "stderr_path": f"<DIR>/slurm-{id}.out",
        "stdin_path": "/dev/null", "comment": "", "admin_comment": "", "system_comment": "",
        "wckey": "", "exit_code": [0, 0], "derived_exit_code": [0, 0],
        "batch_host": "", "alloc_detail": [], "requeue": True, "batch_flag": True, "signal": None, "submit_host": "localhost",
        "submit_sid": 0,
        "submit_line": "", "kind": "batch", "cancelled_by": None, "mail_types": [], "mail_user": "", "distribution": "",
        "begin_time": 0.0, "deadline": 0.0, "open_mode": "truncate", "overcommit": False, "req_switches": 0,
        "contiguous": False, "licenses": "", "reservation": "", "association": 0, "het_job_id": None, "het_offset": 0, "het_size": 0,
        "switches_wait": None, "shared": "OK", "prefer": "", "batch_features": "",
        "ntasks_per_socket": None, "ntasks_per_core": None, "ntasks_per_gpu": None, "threads_per_core": None,
        "sockets_per_node": None, "cores_per_socket": None, "min_cpus_node": 1, "tmp_disk_mb": 0, "gpus_per_socket": "",
        "gpu_bind": "", "gres_flags": "", "cpus_per_node": [1], "extra": "",
    }  # fmt: skip
    row["why"] = given.get("reason", row["reason"]).replace(" ", "_")
    if "array_job_id" in given and given.get("array_task_id") is not None:
        path = f"<DIR>/slurm-{given['array_job_id']}_{given['array_task_id']}.out"
        row |= {"stdout_path": path, "stderr_path": path}
    row |= given
    row["shared"] = given.get("shared", "NO" if row["exclusive"] else "OK")
    row["min_cpus_node"] = given.get("min_cpus_node", row["cpus_per_task"] * (row["ntasks_per_node"] or 1))
    return row


def running(id: int, name: str, nodes: str, names: list[str], ran: float = 4.0, **given: Any) -> Row:
    limit = given.get("time_limit", UNLIMITED)
    return job(
        id, name, state="RUNNING", reason="None", nodes=nodes, node_names=names, node_count=len(names), batch_host=names[0],
        start_time=STARTED, run_seconds=ran, end_time=0.0 if limit == UNLIMITED else STARTED + limit, **given,
    )  # fmt: skip


def queue(ran: float = 4.0) -> list[Row]:
    """The jobs of tests/golden/squeue/default.txt."""
    pair = ["dgx0180", "dgx0181"]
    wrap = {"array_job_id": 112, "time_limit": 172800, "tres_alloc": "cpu=1,mem=62.50G,node=1,billing=1"}
    path = "<DIR>/slurm-121_4294967294.out"
    return [
        running(
            110, "train", "dgx[0180-0181]", pair, ran, cpus=4, ntasks=4, time_limit=3600, memory_per_node_mb=4096, gres="gpu:2",
            comment="hello", command="<DIR>/sleep.sh", stdout="out-%j.txt", stdout_path="<DIR>/out-110.txt",
            stderr_path="<DIR>/out-110.txt", tres_alloc="cpu=4,mem=8G,node=2,billing=4,gres/gpu=4", nodes_min=2,
            alloc_detail=[
                ["dgx0180", "0-2", 4096, "gpu:v100:2(IDX:0-1)"], ["dgx0181", "0", 4096, "gpu:v100:2(IDX:0-1)"],
            ],
        ),
        running(
            111, "a-very-long-job-name", "dgx0180", ["dgx0180"], ran, cpus=4, cpus_per_task=4, memory_per_cpu_mb=1024,
            command="<DIR>/sleep.sh", tres_alloc="cpu=4,mem=4G,node=1,billing=4",
        ),
        running(112, "wrap", "dgx0184", ["dgx0184"], ran, array_task_id=3, **wrap),
        running(113, "wrap", "dgx0185", ["dgx0185"], ran, user="nobody", uid=65534, group="nogroup", gid=65534),
        job(114, "big", reason="Resources", node_count=8, nodes_min=8, cpus=8, time_limit=1800),
        job(115, "pend", node_count=10, nodes_min=10, nodes_max=10, cpus=10, ntasks=10, time_limit=300, exclusive=True,
            expected_start=at("2027-11-24T00:45:47"), tres_req="cpu=10,mem=625G,node=10,billing=10"),
        job(116, "pend2", node_count=10, nodes_min=10, cpus=10),
        job(117, "dep", reason="Dependency", dependency_left="afterok:110(unfulfilled)", eligible_time=0.0),
        job(118, "depnever", reason="Dependency", dependency_left="afternotok:110(unfulfilled)", eligible_time=0.0),
        job(119, "held", reason="JobHeldUser", held_by="user", priority=0, eligible_time=0.0,
            tres_req="cpu=1,mem=62.50G,node=1,billing=1"),
        job(120, "begin", reason="BeginTime", begin_time=at("2026-11-24T01:45:39"), expected_start=at("2026-11-24T01:45:39"),
            eligible_time=at("2026-11-24T01:45:39"), tres_req="cpu=1,mem=62.50G,node=1,billing=1"),
        job(121, "arr", array_job_id=121, array_waiting=[[1, 10, 3], [20, 20, 1]], array_throttle=2, node_count=9, nodes_min=9, nodes_max=9,
            cpus=9, ntasks=9, exclusive=True, expected_start=at("2027-11-24T00:45:47"), stdout_path=path, stderr_path=path,
            tres_req="cpu=9,mem=562.50G,node=9,billing=9"),
        job(122, "single", tres_req="cpu=1,mem=62.50G,node=1,billing=1"),
        running(123, "wrap", "dgx0182", ["dgx0182"], ran, array_task_id=1, **wrap),
        running(124, "wrap", "dgx0183", ["dgx0183"], ran, array_task_id=2, **wrap),
    ]  # fmt: skip


def node(number: int, **given: Any) -> Row:
    name = f"dgx{number:04}"
    return {
        "name": name, "hostname": "localhost", "address": "127.0.0.1", "agent": "vm", "state": "IDLE", "flags": [],
        "state_text": "idle", "state_long": "idle", "cpus": 16, "cpus_alloc": 0, "boards": 1, "sockets": 16, "cores_per_socket": 1,
        "threads_per_core": 1, "memory_mb": 64000, "memory_alloc_mb": 0, "free_memory_mb": 23473, "load": 0.09, "tmp_disk_mb": 0,
        "gres": "gpu:v100:8", "gres_used": "gpu:v100:0(IDX:N/A)", "gpus_total": 8, "gpus_alloc": 0, "features": [], "weight": 1,
        "reservation": "", "next_state": "",
        "partitions": ["batch"], "reason": "", "reason_by": "", "reason_time": 0.0, "boot_time": at("2026-11-24T00:22:00"),
        "agent_start_time": at("2026-11-24T00:40:52"), "arch": "x86_64", "os": "Linux 6.18.44-fc-v595 #1 SMP PREEMPT_DYNAMIC @0",
        "version": "22.05.8", "comment": "", "jobs": [], "last_heard": at("2026-11-24T00:47:40"), "unenforced": [], "virtual": True,
    } | given  # fmt: skip


MIXED: Row = {"state": "MIXED", "state_text": "mix", "state_long": "mixed"}
DRAINED: Row = {
    "flags": ["DRAIN"], "state_text": "drain", "state_long": "drained", "reason": "bad disk", "reason_by": "root",
    "reason_time": at("2026-11-24T00:47:40"),
}  # fmt: skip
COMPLETING: Row = {"state": "MIXED", "flags": ["COMPLETING"], "state_text": "comp", "state_long": "completing"}


def nodes(**special: Row) -> list[Row]:
    """dgx0180 to dgx0189; `dgx0187=DRAINED` changes one."""
    return [node(number, **special.get(f"dgx{number:04}", {})) for number in range(180, 190)]


def partition(**given: Any) -> Row:
    names = [f"dgx{number:04}" for number in range(180, 190)]
    return {
        "name": "batch", "nodes": "dgx[0180-0189]", "node_names": names, "default": True, "state": "UP", "max_time": UNLIMITED,
        "default_time": None, "max_nodes": None, "min_nodes": 0, "max_cpus_per_node": None, "allow_groups": [],
        "allow_accounts": [], "deny_accounts": [], "allow_qos": [], "priority_tier": 1, "priority_job_factor": 1,
        "root_only": False, "hidden": False, "oversubscribe": "NO", "grace_time": 0, "preempt_mode": "OFF", "lln": False,
        "total_cpus": 160, "total_nodes": 10, "exclusive_user": False, "default_memory_per_cpu_mb": None,
        "default_memory_per_node_mb": None, "max_memory_per_node_mb": None, "max_memory_per_cpu_mb": None, "default_cpus_per_gpu": None,
        "default_memory_per_gpu_mb": None, "disable_root_jobs": False, "requires_reservation": False,
        "tres": "cpu=160,mem=625G,node=10,billing=160,gres/gpu=80",
    } | given  # fmt: skip


class NotHere(Exception):
    """Answered with an HTTP error: status, error text."""


class FakeCluster:
    """What the API would answer. `requests` keeps what was posted; `reply` is the answer to it."""

    def __init__(self) -> None:
        self.jobs = queue()
        self.nodes = nodes()
        self.partitions = [partition()]
        self.steps: list[Row] = []
        self.history: list[Row] = []
        self.usage: list[Row] = []
        self.reports: Row = {}
        self.sizes: list[Row] = []
        self.accounts: Row = {}
        self.config: Row = {}
        self.ping: Row = {"cluster": "oracle", "host": "vm", "started": at("2026-11-24T00:40:52")}
        self.statistics: Row = {"backfill": {"when": at("2026-11-24T00:45:40")}}
        self.priorities: Row = {"weights": {}, "jobs": []}
        self.assoc_mgr: Row = {"cluster": "oracle", "users": [], "associations": [], "qos": []}
        self.shares: Row = {"cluster": "oracle", "rows": []}
        self.requests: list[Row] = []
        self.asked: list[str] = []
        self.reply: Row | Callable[[Row], Row] = {"type": "Done"}
        self.endpoint = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        if method == "POST":
            message = json.loads(body)
            self.requests.append(message)
            return self.reply(message) if callable(self.reply) else self.reply
        tables = {
            "/v1/jobs": self.jobs,
            "/v1/nodes": self.nodes,
            "/v1/partitions": self.partitions,
            "/v1/steps": self.steps,
            "/v1/reservations": [],
        }
        if path == "/v1/reports/utilization":
            return {**self.reports, "since": query["since"], "until": query["until"]}
        if path == "/v1/reports/sizes":
            return table(self.sizes, query)
        if path == "/v1/accounts":
            return self.accounts
        if path == "/v1/usage":
            wanted = query["steps"].split(",")
            return table([row for row in self.usage if row["text"] in wanted], query)
        if path == "/v1/history":
            return table(self.history, query)
        if path in tables:
            return table([row for row in tables[path] if chosen(row, query)], query)
        if path == "/v1/ping":
            return self.ping
        if path == "/v1/statistics":
            return self.statistics
        if path == "/v1/priorities":
            return self.priorities
        if path == "/v1/assoc_mgr":
            return self.assoc_mgr
        if path == "/v1/shares":
            return self.shares
        if path == "/v1/config":
            return self.config
        if path.endswith("/script"):
            return "#!/bin/sh\ntrue\n"
        if path.startswith("/v1/jobs/"):
            found = [row for row in self.jobs if named(row, path.split("/")[3])]
            if not found:
                raise NotHere(404, "Invalid job id specified")
            return table(found, query)
        raise NotHere(404, f"no such thing: {path}")

    def connection(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while head := file.readline():
            method, target, _ = head.decode().split(" ", 2)
            length = 0
            while line := file.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = file.read(length)
            path, _, text = target.partition("?")
            self.asked.append(target)
            query = dict(urllib.parse.parse_qsl(text))
            status, kind = "200 OK", "application/json"
            try:
                answer = self.answer(method, path, query, body)
            except NotHere as error:
                status, answer = (
                    f"{error.args[0]} No",
                    {"type": "Rejected", "error": error.args[1], "code": "not_found"},
                )
            if isinstance(answer, dict) and answer.get("type") == "Rejected":
                status = status if status[0] == "4" else "400 No"
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False).encode()
            if isinstance(answer, str):
                kind = "text/plain"
            connection.sendall(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
            )
        connection.close()

    @contextmanager
    def serving(self, directory: Path) -> Iterator["FakeCluster"]:
        path = directory / "s"
        self.endpoint = f"unix://{path}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(16)

            def accept() -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    threading.Thread(target=self.connection, args=(connection,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            yield self
            listener.shutdown(socket.SHUT_RDWR)

    def run(self, *argv: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """The command as its own process."""
        return subprocess.run(
            _command(argv), input=stdin, capture_output=True, text=True, timeout=60, check=False,
            env=self.environment() | environment,
        )  # fmt: skip

    def raw(self, *argv: str, **environment: str) -> bytes:
        """Its standard output, undecoded."""
        return subprocess.run(
            _command(argv), capture_output=True, timeout=60, check=True, env=self.environment() | environment
        ).stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(_command(argv), stdout=pipe, stderr=pipe, text=True, env=self.environment())

    def environment(self) -> dict[str, str]:
        return {
            "CORRAL_ENDPOINT": self.endpoint, "PYTHONPATH": str(ROOT / "src"), "TZ": "UTC", "PATH": os.environ["PATH"],
        }  # fmt: skip


def _command(argv: Sequence[str]) -> list[str]:
    code = f"from corral.cli.commands.{argv[0]} import main; main()"
    return [sys.executable, "-c", code, *argv[1:]]


def table(rows: list[Row], query: dict[str, str]) -> Row:
    fields = query["fields"].split(",") if query.get("fields") else list(rows[0] if rows else {})
    return {"type": "JobRows", "fields": fields, "rows": [[row[field] for field in fields] for row in rows]}


_FILTERS = {
    "users": "user", "states": "state", "partitions": "partition", "names": "name", "accounts": "account", "qos": "qos",
}  # fmt: skip


def chosen(row: Row, query: dict[str, str]) -> bool:
    for name, field in _FILTERS.items():
        if field in row and query.get(name) and row[field] not in query[name].split(","):
            return False
    if query.get("nodes") and not set(query["nodes"].split(",")) & set(row["node_names"]):
        return False
    if query.get("job") and str(row.get("job")) not in query["job"].split(","):
        return False
    return not query.get("ids") or any(named(row, text) for text in query["ids"].split(","))


def named(row: Row, text: str) -> bool:
    job_id, underscore, task = text.partition("_")
    if str(row["array_job_id"] or row["id"]) != job_id and str(row["id"]) != job_id:
        return False
    return not underscore or str(row["array_task_id"]) == task


def golden(path: str) -> str:
    return (GOLDEN / path).read_text()
