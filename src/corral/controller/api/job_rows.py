"""What does the API show of a job? One function per field; the names are part of the API."""

from collections.abc import Callable
from typing import Any

from corral.controller import values
from corral.controller.api.table import Attribute, Table
from corral.model.allocation import Allocation
from corral.model.gres import GresRequest
from corral.model.job import ENDED, UNLIMITED, Job, JobKind, JobSpec, JobState, StdioSpec
from corral.model.reason import Reason
from corral.syntax import filename

#: What a pending array's %a stands for, as Slurm shows it.
_PENDING = JobState.PENDING


class JobContext:
    """What rows need beside the job itself. Made anew for each answer: what a spec comes to is worked out once in it."""

    def __init__(
        self,
        specs: dict[Any, JobSpec],
        now: float,
        requeue: bool = True,
        open_mode: str = "truncate",
        switch_wait: int = 300,
    ) -> None:
        self.specs = specs
        self.now = now
        self.requeue = requeue
        self.open_mode = open_mode
        self.switch_wait = switch_wait
        self.gpu_fence = "none"  #: what keeps jobs on one GPU apart
        self.is_forced: Callable[[str], bool] = lambda partition: False  #: do all its jobs share their CPUs?
        self.preemptable: Callable[[Job], float] = lambda job: 0.0  #: since when others may preempt it; 0 = never
        self.dependency_left: Callable[[Job], str] = lambda job: ""  #: what it still waits for
        self.largest: Callable[[str], tuple[int, int]] = lambda partition: (0, 0)  #: CPUs and GPUs of its largest nodes
        self._asked: dict[int, values.Asked] = {}
        self._nodes: dict[tuple[int, str], int] = {}

    def asked(self, job: Job) -> values.Asked:
        found = self._asked.get(job.spec_id)
        if found is None:
            found = self._asked[job.spec_id] = values.asked(self.specs[job.spec_id])
        return found

    def nodes(self, job: Job) -> int:
        """On how many it would run if nothing else did."""
        asked = self.asked(job)
        key = id(asked), job.partition  # what is asked for alike is one object, which lives as long as this
        found = self._nodes.get(key)
        if found is None:
            spec = self.specs[job.spec_id]
            largest = self.largest((job.partition or spec.partition).partition(",")[0])
            found = self._nodes[key] = values.nodes_wanted(asked, spec, *largest)
        return found


Getter = Callable[[Job, JobContext], Any]


def of_spec(name: str) -> Getter:
    def get(job: Job, context: JobContext) -> Any:
        return getattr(context.specs[job.spec_id], name)

    return get


def of_allocation(value: Callable[[Allocation], Any], otherwise: Any) -> Getter:
    def get(job: Job, context: JobContext) -> Any:
        return otherwise if job.allocation is None else value(job.allocation)

    return get


def end_time(job: Job, context: JobContext) -> float:
    """When it ended, or when its limit strikes."""
    if job.preempted is not None and job.state is JobState.RUNNING:
        return job.preempted.ends
    if job.end_time or not job.start_time or job.state is _PENDING or job.time_limit >= UNLIMITED:
        return job.end_time
    pause = job.suspended_seconds + (context.now - job.suspend_time if job.suspend_time else 0.0)
    return job.start_time + job.time_limit + pause


def run_seconds(job: Job, context: JobContext) -> float:
    if not job.start_time or job.state is _PENDING:
        return 0.0
    until = job.end_time or job.suspend_time or context.now
    return max(0.0, until - job.start_time - job.suspended_seconds)


def node_count(job: Job, context: JobContext) -> int:
    return len(job.allocation.nodes) if job.allocation is not None else context.nodes(job)


def cpus(job: Job, context: JobContext) -> int:
    return job.allocation.cpu_count if job.allocation is not None else context.asked(job).cpus


def ntasks(job: Job, context: JobContext) -> int:
    return job.allocation.ntasks if job.allocation is not None else context.asked(job).ntasks


def gres_text(requests: tuple[GresRequest, ...]) -> str:
    return ",".join(map(str, requests))


def of_gres(name: str) -> Getter:
    def get(job: Job, context: JobContext) -> str:
        return gres_text(getattr(context.specs[job.spec_id], name))

    return get


def gpu_fence(job: Job, context: JobContext) -> str:
    """Of a job with a share of a GPU."""
    spec = context.specs[job.spec_id]
    return context.gpu_fence if any(one.is_share for one in spec.gres + spec.gpus_per_node) else ""


def gres_per_node(job: Job, context: JobContext) -> str:
    spec = context.specs[job.spec_id]
    return gres_text(spec.gres + spec.gpus_per_node) if spec.gres or spec.gpus_per_node else ""


def shared(job: Job, context: JobContext) -> str:
    """As squeue's OVER_SUBSCRIBE: does it have its nodes, or at least its CPUs, for itself?"""
    spec, allocation = context.specs[job.spec_id], job.allocation
    if spec.exclusive or (allocation is not None and allocation.exclusive):
        return "NO"
    if spec.oversubscribe or (context.is_forced(job.partition) if allocation is None else allocation.sharers):
        return "YES"
    return "USER" if spec.exclusive_user else "OK"


def min_cpus_node(job: Job, context: JobContext) -> int:
    spec = context.specs[job.spec_id]
    return max(spec.mincpus or 1, (spec.cpus_per_task or 1) * (spec.ntasks_per_node or 1))


def detail(job: Job, context: JobContext) -> list[list[Any]]:
    if job.allocation is None:
        return []
    return [
        [share.node, values.id_ranges(share.cpus), share.memory_mb, values.gres_in_use(share)]
        for share in job.allocation.nodes
    ]


def tasks_per_node(job: Job, context: JobContext) -> list[int]:
    """As SLURM_TASKS_PER_NODE has them: without a number of tasks, as many as there are CPUs for."""
    if job.allocation is None:
        return []
    spec, nodes = context.specs[job.spec_id], job.allocation.nodes
    tasks = [share.tasks for share in nodes]
    if not (spec.ntasks or spec.ntasks_per_node or spec.ntasks_per_gpu) or not any(tasks):
        tasks = [max(1, share.cpu_count // job.allocation.cpus_per_task) for share in nodes]
    return tasks


#: Reasons whose words stand in their place.
_IN_WORDS = frozenset(
    {Reason.RESOURCES, Reason.RESERVATION_DELETED, Reason.ACCOUNT_NOT_ALLOWED, Reason.QOS_NOT_ALLOWED}
)


def shown_state(job: Job) -> str:
    if job.special_exit and job.state is _PENDING:
        return "SPECIAL_EXIT"
    return JobState.CONFIGURING.value if is_configuring(job) else job.state.value


def is_configuring(job: Job) -> bool:
    """Its nodes fetch its image."""
    return bool(job.configuring_since) and job.state is JobState.RUNNING


def why(job: Job, context: JobContext) -> str:
    """The reason as squeue shows it: of a waiting job with its words, if it has some."""
    if is_configuring(job) and job.reason_text:
        return job.reason_text
    if job.state is _PENDING and job.reason_text:
        if job.reason in _IN_WORDS:
            return job.reason_text
        if job.reason is Reason.REQ_NODE_NOT_AVAIL:
            return f"{job.reason.value}, {job.reason_text}"
    return job.reason.value


def reservation_of(job: Job, spec: JobSpec) -> str:
    """As it was asked for; of a job that was drawn into a magnetic one, the one in which it runs."""
    return spec.reservation or (job.allocation.reservation if job.allocation is not None else "")


def std_path(stream: str) -> Getter:
    def get(job: Job, context: JobContext) -> str:
        spec = context.specs[job.spec_id]
        given = _given(spec.stdio, stream)
        if spec.kind is not JobKind.BATCH:
            return ""
        if stream == "stderr" and not given:
            given = spec.stdio.stdout
        if given == "none" or (stream == "stdin" and not given):
            return "/dev/null"
        pattern = given or (filename.BATCH_OUTPUT if job.array_job_id is None else filename.ARRAY_OUTPUT)
        path = filename.expand(pattern, marks(job, spec))
        return path if path.startswith("/") else f"{spec.work_dir.rstrip('/')}/{path}"

    return get


def _given(stdio: StdioSpec, stream: str) -> str:
    return stdio.stdin if stream == "stdin" else stdio.stdout if stream == "stdout" else stdio.stderr


def marks(job: Job, spec: JobSpec) -> dict[str, str | int]:
    """The values of %j and the like, for the job as a whole."""
    task = filename.NO_TASK if job.array_task_id is None else job.array_task_id
    node = job.batch_host or (job.allocation.nodes[0].node if job.allocation else "")
    found: dict[str, str | int] = {
        "j": job.id, "J": job.id, "A": job.array_job_id or job.id, "a": task, "u": job.owner.user, "x": spec.name,
    }  # fmt: skip
    if node:
        found |= {"N": node.partition(".")[0], "n": 0, "t": 0, "s": "batch"}
    return found


def _expected_start(job: Job, context: JobContext) -> float:
    begin = context.specs[job.spec_id].begin_time if job.begin_time is None else job.begin_time
    return job.expected_start or (begin if job.state is _PENDING else 0.0)


def _stdio(stream: str) -> Getter:
    return lambda job, context: _given(context.specs[job.spec_id].stdio, stream)


FIELDS: dict[str, Getter] = {
    "id": Attribute("id"),
    "array_job_id": Attribute("array_job_id"),
    "array_task_id": Attribute("array_task_id"),
    "array_waiting": Attribute("array_waiting"),  # ranges: a hundred thousand elements cost as much as one
    "array_throttle": Attribute("array_throttle"),
    "name": of_spec("name"),
    "user": Attribute("owner.user"),
    "uid": Attribute("owner.uid"),
    "group": Attribute("owner.group"),
    "gid": Attribute("owner.gid"),
    "account": of_spec("account"),
    "association": Attribute("association"),
    "qos": lambda job, context: context.specs[job.spec_id].qos or "normal",
    "partition": lambda job, context: job.partition or context.specs[job.spec_id].partition,
    "state": lambda job, _: shown_state(job),
    "end_state": lambda job, _: job.end_state.value if job.end_state is not None else None,
    "reason": Attribute("reason.value"),
    "reason_text": Attribute("reason_text"),
    "why": why,
    "priority": Attribute("priority"),
    "nice": lambda job, c: c.specs[job.spec_id].nice if job.nice is None else job.nice,
    "held_by": Attribute("held_by"),
    "submit_time": Attribute("submit_time"),
    "eligible_time": lambda job, _: values.eligible_time(job),
    "started_by": lambda job, _: job.started_by.value if job.start_time else "",
    "start_time": Attribute("start_time"),
    "end_time": end_time,
    "expected_start": _expected_start,
    "expected_nodes": Attribute("expected_nodes"),
    "time_limit": Attribute("time_limit"),
    "time_min": lambda job, context: context.specs[job.spec_id].time_min or 0,
    "run_seconds": run_seconds,
    "suspend_time": Attribute("suspend_time"),
    "suspended_seconds": Attribute("suspended_seconds"),
    "resize_time": Attribute("resize_time"),
    "preempt_time": lambda job, _: (
        0.0 if job.preempted is None or job.preempted.action in ("SUSPEND", "GANG") else job.preempted.time
    ),
    "preemptable_time": lambda job, context: context.preemptable(job),
    "restarts": Attribute("restarts"),
    "nodes": of_allocation(lambda allocation: values.fold(allocation.node_names), ""),
    "node_count": node_count,
    "node_names": of_allocation(lambda allocation: allocation.node_names, []),
    "req_nodes": of_spec("nodelist"),
    "exclude": of_spec("exclude"),
    "nodes_min": lambda job, context: context.asked(job).nodes,
    "nodes_max": lambda job, context: context.specs[job.spec_id].nodes_max or 0,
    "cpus": cpus,
    "ntasks": ntasks,
    "cpus_per_task": lambda job, context: context.specs[job.spec_id].cpus_per_task or 1,
    "tasks_per_node": tasks_per_node,
    "ntasks_per_node": lambda job, context: context.specs[job.spec_id].ntasks_per_node or 0,
    "memory_per_node_mb": of_spec("memory_per_node_mb"),
    "memory_per_cpu_mb": of_spec("memory_per_cpu_mb"),
    "memory_per_gpu_mb": of_spec("memory_per_gpu_mb"),
    "memory_mb": of_allocation(lambda allocation: allocation.memory_mb, 0),
    "gres": gres_per_node,
    "tres_req": lambda job, context: context.asked(job).tres,
    "tres_alloc": of_allocation(values.allocated_tres, ""),
    "gpus": of_gres("gpus"),
    "gpus_per_node": of_gres("gpus_per_node"),
    "gpus_per_task": of_gres("gpus_per_task"),
    "cpus_per_gpu": lambda job, context: context.specs[job.spec_id].cpus_per_gpu or 0,
    "constraint": of_spec("constraint"),
    "dependency": of_spec("dependency"),
    "dependency_left": lambda job, context: context.dependency_left(job),
    "exclusive": of_spec("exclusive"),
    "command": of_spec("command"),
    "argv": of_spec("argv"),
    "work_dir": of_spec("work_dir"),
    "stdout": _stdio("stdout"),
    "stderr": _stdio("stderr"),
    "stdin": _stdio("stdin"),
    "stdout_path": std_path("stdout"),
    "stderr_path": std_path("stderr"),
    "stdin_path": std_path("stdin"),
    "comment": of_spec("comment"),
    "wckey": of_spec("wckey"),
    "admin_comment": Attribute("admin_comment"),
    "system_comment": Attribute("system_comment"),
    "idle_told": Attribute("idle_told"),
    "extra": of_spec("extra"),
    "cron": of_spec("cron"),
    "kill_on_invalid_dep": of_spec("kill_on_invalid_dep"),
    "exit_code": lambda job, _: [job.exit_status.code, job.exit_status.signal],
    "derived_exit_code": lambda job, _: [job.derived_exit_status.code, job.derived_exit_status.signal],
    "batch_host": Attribute("batch_host"),
    "alloc_detail": detail,
    "requeue": lambda job, context: context.requeue if (said := context.specs[job.spec_id].requeue) is None else said,
    "batch_flag": lambda job, context: context.specs[job.spec_id].kind is JobKind.BATCH,
    "signal": of_spec("signal"),
    "submit_host": of_spec("submit_host"),
    "submit_sid": of_spec("submit_sid"),
    "submit_line": of_spec("submit_line"),
    "kind": lambda job, context: context.specs[job.spec_id].kind.value,
    "cancelled_by": Attribute("cancelled_by"),
    "mail_types": of_spec("mail_types"),
    "mail_user": of_spec("mail_user"),
    "distribution": of_spec("distribution"),
    "begin_time": lambda job, c: c.specs[job.spec_id].begin_time if job.begin_time is None else job.begin_time,
    "deadline": of_spec("deadline"),
    "open_mode": lambda job, context: context.specs[job.spec_id].stdio.open_mode or context.open_mode,
    "overcommit": of_spec("overcommit"),
    "req_switches": lambda job, c: c.specs[job.spec_id].switches or 0,
    "switches_wait": lambda job, c: c.switch_wait if (own := c.specs[job.spec_id].switches_wait) is None else own,
    "contiguous": of_spec("contiguous"),
    "shared": shared,
    "prefer": of_spec("prefer"),
    "batch_features": of_spec("batch_features"),
    "ntasks_per_socket": of_spec("ntasks_per_socket"),
    "ntasks_per_core": lambda job, c: None if c.specs[job.spec_id].hint else c.specs[job.spec_id].ntasks_per_core,
    "ntasks_per_gpu": of_spec("ntasks_per_gpu"),
    "threads_per_core": of_spec("threads_per_core"),
    "sockets_per_node": of_spec("sockets_per_node"),
    "cores_per_socket": of_spec("cores_per_socket"),
    "min_cpus_node": min_cpus_node,
    "tmp_disk_mb": lambda job, c: c.specs[job.spec_id].tmp_disk_mb or 0,
    "gpus_per_socket": of_gres("gpus_per_socket"),
    "gpu_bind": of_spec("gpu_bind"),
    "gpu_fence": gpu_fence,
    "gres_flags": of_spec("gres_flags"),
    "cpus_per_node": of_allocation(lambda allocation: [share.cpu_count for share in allocation.nodes], []),
    "licenses": of_spec("licenses"),
    "het_job_id": Attribute("het_job_id"),
    "het_offset": Attribute("het_offset"),
    "het_size": Attribute("het_size"),
    "ports": Attribute("ports"),
    "ports_wanted": of_spec("ports"),
    "reservation": lambda job, context: reservation_of(job, context.specs[job.spec_id]),
}

JOBS: Table[Job] = Table(FIELDS)


def has_ended(job: Job) -> bool:
    return job.state in ENDED
