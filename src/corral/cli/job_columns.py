"""Which columns can squeue show of a job? Each with its -o letter, its -O names, its header, and how its text is made."""

from __future__ import annotations

import os

from corral.cli.columns import WHOLE, WHOLE_NODES, WHOLE_VALUE, Column
from corral.cli.times import UNLIMITED, left, moment, span
from corral.syntax.arrayspec import fold_ranges
from corral.syntax.size import format_memory

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    #: (first, last, step); or the text itself, of lines that were made one
    Waiting = Sequence[Sequence[int]] | str

STATE_LETTERS = {
    "PENDING": "PD", "CONFIGURING": "CF", "RUNNING": "R", "SUSPENDED": "S", "COMPLETING": "CG", "COMPLETED": "CD",
    "CANCELLED": "CA", "FAILED": "F", "TIMEOUT": "TO", "NODE_FAIL": "NF", "PREEMPTED": "PR", "BOOT_FAIL": "BF",
    "DEADLINE": "DL", "OUT_OF_MEMORY": "OOM", "REQUEUED": "RQ", "SPECIAL_EXIT": "SE",
}  # fmt: skip

#: In these states squeue tells why, not where.
_WITH_REASON = frozenset({"PENDING", "SPECIAL_EXIT", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "FAILED"})

#: Longer lists of waiting elements are cut; SLURM_BITSTR_LEN says where, 0 = nowhere.
_SHOWN, _MOST_SHOWN = 64, 4096

#: Unless SLURM_BITSTR_LEN is set, squeue cuts a job's id with its waiting elements to so many characters, as Slurm does.
_ID_SHOWN = 31


def letters_of(state: str, reason: str) -> str:
    return "RD" if state == "PENDING" and reason == "ReservationDeleted" else STATE_LETTERS[state]


def state_of(state: str, reason: str) -> str:
    return "RESV_DEL_HOLD" if state == "PENDING" and reason == "ReservationDeleted" else state


def _limit() -> int:
    text = os.environ.get("SLURM_BITSTR_LEN", "")
    given = int(text) if text.isascii() and text.isdigit() else _SHOWN
    return given if given <= _MOST_SHOWN else _SHOWN


def elements(waiting: Waiting, throttle: int) -> str:
    """1,4,7%2"""
    return waiting if isinstance(waiting, str) else fold_ranges(waiting, throttle, _limit())


def job_id(
    id: int,
    array: int | None,
    task: int | None,
    waiting: Waiting,
    throttle: int,
    het: int | None = None,
    offset: int = 0,
) -> str:
    """42, 42_7 or 42_[1,4,7%2]; 42+1"""
    if het is not None:
        return f"{het}+{offset}"
    if array is None:
        return str(id)
    if task is not None:
        return f"{array}_{task}"
    text = f"{array}_[{elements(waiting, throttle)}]"
    return text if "SLURM_BITSTR_LEN" in os.environ else text[:_ID_SHOWN]


def het_ids(first: int | None, size: int) -> str:
    """49-50"""
    return "N/A" if first is None else f"{first}-{first + size - 1}"


def task_id(array: int | None, task: int | None, waiting: Waiting, throttle: int) -> str:
    if array is None:
        return "N/A"
    return str(task) if task is not None else elements(waiting, throttle)


def nodes_or_reason(nodes: str, state: str, reason: str) -> str:
    return f"({reason})" if state in _WITH_REASON else nodes


def command_line(command: str, argv: list[str] | None) -> str:
    """The script and its arguments."""
    return " ".join([command, *(argv or ())]) if command else "(null)"


def or_null(text: Any) -> str:
    return str(text) if text else "(null)"


def number(flag: Any) -> int:
    return int(flag or 0)


def start(began: float, expected: float, state: str) -> str:
    return moment(expected if state == "PENDING" else began)


def end(ends: float, expected: float, limit: float, state: str) -> str:
    """When it ended or will have to; NONE when it may run for ever."""
    if state == "PENDING":
        if not expected:
            return "N/A"
        return moment(expected + limit) if limit < UNLIMITED else "NONE"
    return moment(ends, "NONE")


def memory(per_node: int | None, per_cpu: int | None) -> str:
    return format_memory(per_node or per_cpu or 0)


def memory_plain(per_node: int | None, per_cpu: int | None) -> str:
    """--noconvert"""
    amount = per_node or per_cpu or 0
    return f"{amount}M" if amount else "0"


def gres(text: str) -> str:
    return ",".join(f"gres:{part}" for part in text.split(",")) if text else "N/A"


def gres_or_null(text: str) -> str:
    """cpu:1,gres:gpu:2: what counts as gres is marked as it."""
    parts = text.split(",") if text else ()
    return ",".join(part if part.startswith("cpu:") else f"gres:{part}" for part in parts) or "(null)"


def gpu_count(count: int | None) -> str:
    return f"gres:gpu:{count}" if count else "N/A"


def tres(allocated: str, asked: str) -> str:
    return allocated or asked


def priority(value: int) -> str:
    return f"{value / 4294967296:.14f}"


def or_not(number: int | None) -> str:
    return str(number) if number else "N/A"


def or_star(number: int | None) -> str:
    return str(number) if number else "*"


def tmp_disk(megabytes: int) -> str:
    from corral.syntax.size import format_memory

    return format_memory(megabytes)


def output_path(given: str, expanded: str, work_dir: str) -> str:
    """As given, made absolute; the default one with its marks filled in."""
    if not given or given == "none":
        return expanded
    return given if given.startswith("/") else f"{work_dir.rstrip('/')}/{given}"


def error_path(given: str, output: str, expanded: str, work_dir: str) -> str:
    return output_path(given or output, expanded, work_dir)


def exit_word(code: list[int]) -> int:
    """As wait(2) has it."""
    return code[0] << 8 | code[1]


def waited(submitted: float, began: float, state: str, eligible: float) -> int:
    import time

    until = began if began and state != "PENDING" else time.time()
    return max(0, int(until - submitted)) if submitted else 0


_ID = "id array_job_id array_task_id array_waiting array_throttle het_job_id het_offset"
_MEMORY = "memory_per_node_mb memory_per_cpu_mb"

LETTERS: dict[str, Column] = {
    "a": Column("ACCOUNT", "account", or_null),
    "A": Column("JOBID", "id"),
    "b": Column("TRES_PER_NODE", "gres", gres),
    "B": Column("EXEC_HOST", "batch_host", lambda host: host or "n/a"),
    "c": Column("MIN_CPUS", "min_cpus_node"),
    "C": Column("CPUS", "cpus"),
    "d": Column("MIN_TMP_DISK", "tmp_disk_mb", tmp_disk),
    "D": Column("NODES", "node_count"),
    "e": Column("END_TIME", "end_time expected_start time_limit state", end),
    "E": Column("DEPENDENCY", "dependency_left", or_null),
    "f": Column("FEATURES", "constraint", or_null),
    "F": Column("ARRAY_JOB_ID", "array_job_id id", lambda array, job: array or job),
    "g": Column("GROUP", "group"),
    "G": Column("GROUP", "gid"),
    "h": Column("OVER_SUBSCRIBE", "shared"),
    "H": Column("SOCKETS_PER_NODE", "sockets_per_node", or_star),
    "i": Column("JOBID", _ID, job_id),
    "I": Column("CORES_PER_SOCKET", "cores_per_socket", or_star),
    "j": Column("NAME", "name"),
    "J": Column("THREADS_PER_CORE", "threads_per_core", or_star),
    "k": Column("COMMENT", "comment", or_null),
    "K": Column("ARRAY_TASK_ID", "array_job_id array_task_id array_waiting array_throttle", task_id),
    "l": Column("TIME_LIMIT", "time_limit", span, WHOLE_VALUE),
    "L": Column("TIME_LEFT", "time_limit run_seconds", left, WHOLE_VALUE),
    "m": Column("MIN_MEMORY", _MEMORY, memory),
    "M": Column("TIME", "run_seconds", span, WHOLE_VALUE),
    "n": Column("REQ_NODES", "req_nodes"),
    "N": Column("NODELIST", "nodes", None, WHOLE),
    "o": Column("COMMAND", "command argv", command_line),
    "O": Column("CONTIGUOUS", "contiguous", number),
    "p": Column("PRIORITY", "priority", priority),
    "P": Column("PARTITION", "partition"),
    "q": Column("QOS", "qos"),
    "Q": Column("PRIORITY", "priority"),
    "r": Column("REASON", "why"),
    "R": Column("NODELIST(REASON)", "nodes state why", nodes_or_reason, WHOLE_NODES),
    "s": Column("", "", ""),
    "S": Column("START_TIME", "start_time expected_start state", start),
    "t": Column("ST", "state reason", letters_of),
    "T": Column("STATE", "state reason", state_of),
    "u": Column("USER", "user"),
    "U": Column("UID", "uid"),
    "v": Column("RESERVATION", "reservation", or_null),
    "V": Column("SUBMIT_TIME", "submit_time", moment),
    "w": Column("WCKEY", "wckey", or_null),
    "W": Column("LICENSES", "licenses", or_null),
    "x": Column("EXC_NODES", "exclude"),
    "X": Column("CORE_SPEC", "", "N/A"),
    "y": Column("NICE", "nice"),
    "Y": Column("SCHEDNODES", "expected_nodes", or_null),
    "z": Column(
        "S:C:T",
        "sockets_per_node cores_per_socket threads_per_core",
        lambda sockets, cores, threads: f"{or_star(sockets)}:{or_star(cores)}:{or_star(threads)}",
    ),
    "Z": Column("WORK_DIR", "work_dir"),
}

#: What `%all` stands for.
ALL = "|".join(f"%{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter in LETTERS)

#: With --noconvert.
PLAIN_MEMORY = Column("MIN_MEMORY", _MEMORY, memory_plain)

#: -O names that a letter has too.
_SAME = {
    "a": "account", "A": "jobid", "b": "gres tres-per-node", "B": "batchhost", "c": "mincpus", "C": "numcpus",
    "d": "mintmpdisk", "D": "numnodes", "e": "endtime", "E": "dependency", "f": "feature features", "F": "arrayjobid",
    "g": "groupname", "G": "groupid", "h": "oversubscribe shared", "H": "sockets", "i": "jobarrayid", "I": "cores",
    "j": "name jobname", "J": "threads", "k": "comment", "K": "arraytaskid", "l": "timelimit", "L": "timeleft",
    "m": "minmemory", "M": "timeused", "n": "reqnodes", "N": "nodelist", "o": "command", "O": "contiguous",
    "p": "priority", "P": "partition", "q": "qos", "Q": "prioritylong", "r": "reason", "R": "reasonlist",
    "s": "selectjobinfo", "S": "starttime", "t": "statecompact", "T": "state", "u": "username", "U": "userid",
    "v": "reservation", "V": "submittime", "w": "wckey", "W": "licenses", "x": "excnodes exc_nodes", "X": "corespec", "y": "nice",
    "Y": "schednodes", "z": "sct", "Z": "workdir",
}  # fmt: skip


def names() -> dict[str, Column]:
    """Every name -O knows. Made only when -O is used."""
    found = {name: LETTERS[letter] for letter, words in _SAME.items() for name in words.split()}
    for name, header, text in _CONSTANT:
        found[name] = Column(header, "", text)
    found |= {
        "accruetime": Column("ACCRUE_TIME", "eligible_time", moment),
        "admin_comment": Column("ADMIN_COMMENT", "admin_comment", or_null),
        "system_comment": Column("SYSTEM_COMMENT", "system_comment", or_null),
        "allocsid": Column("ALLOC_SID", "submit_sid"),
        "allocnodes": Column("ALLOC_NODES", "submit_host", or_null),
        "associd": Column("ASSOC_ID", "association"),
        "batchflag": Column("BATCH_FLAG", "batch_flag", number),
        "cluster": Column("CLUSTER", "cluster"),
        "cpus-per-task": Column("CPUS_PER_TASK", "cpus_per_task"),
        "cpuspertask": Column("CPUS_PER_TASK", "cpus_per_task"),
        "cpus-per-tres": Column("CPUS_PER_TRES", "cpus_per_gpu", gpu_count),
        "deadline": Column("DEADLINE", "deadline", moment),
        "derivedec": Column("DERIVED_EC", "derived_exit_code", exit_word),
        "eligibletime": Column("ELIGIBLE_TIME", "eligible_time", moment),
        "exit_code": Column("EXIT_CODE", "exit_code", exit_word),
        "maxcpus": Column("MAX_CPUS", "cpus"),
        "maxnodes": Column("MAX_NODES", "nodes_max node_count", lambda most, count: most or count),
        "lastschedeval": Column("LAST_SCHED_EVAL", "start_time submit_time", lambda began, sent: moment(began or sent)),
        "mem-per-tres": Column("MEM_PER_TRES", "memory_per_gpu_mb", gpu_count),
        "mintime": Column("TIME_MIN", "time_min", span),
        "ntpernode": Column("NTASKS_PER_NODE", "ntasks_per_node", number),
        "ntpersocket": Column("NTASKS_PER_SOCKET", "ntasks_per_socket", or_not),
        "ntpercore": Column("NTASKS_PER_CORE", "ntasks_per_core", or_not),
        "prefer": Column("PREFER", "prefer", or_null),
        "reqswitch": Column("REQ_SWITCH", "req_switches"),
        "tres-bind": Column(
            "TRES_BIND", "gpu_bind", lambda text: f"gpu:{text.removeprefix('gpu:')}" if text else "N/A"
        ),
        "tres-per-socket": Column("TRES_PER_SOCKET", "gpus_per_socket", gres),
        "numtasks": Column("TASKS", "ntasks"),
        "pendingtime": Column("PENDING_TIME", "submit_time start_time state eligible_time", waited),
        "requeue": Column("REQUEUE", "requeue", number),
        "resizetime": Column("RESIZE_TIME", "resize_time", moment),
        "preempttime": Column("PREEMPT_TIME", "preempt_time", moment),
        "restartcnt": Column("RESTART_COUNT", "restarts"),
        "stderr": Column("STDERR", "stderr stdout stderr_path work_dir", error_path),
        "stdin": Column("STDIN", "stdin stdin_path work_dir", output_path),
        "stdout": Column("STDOUT", "stdout stdout_path work_dir", output_path),
        "tres-alloc": Column("TRES_ALLOC", "tres_alloc tres_req", tres),
        "tres": Column("TRES_ALLOC", "tres_alloc tres_req", tres),
        "tres-per-job": Column("TRES_PER_JOB", "gpus", gres),
        "tres-per-task": Column("TRES_PER_TASK", "gpus_per_task", gres),
    }
    for name in ("het", "pack"):
        found |= {
            f"{name}jobid": Column("HET_JOB_ID", "het_job_id", or_not),
            f"{name}joboffset": Column(
                "HET_JOB_OFFSET", "het_job_id het_offset", lambda job, offset: "N/A" if job is None else offset
            ),
            f"{name}jobidset": Column("HET_JOB_ID_SET", "het_job_id het_size", het_ids),
        }
    return found


#: What there is none of here, as Slurm shows it then.
_CONSTANT = (
    ("boardspernode", "BOARDS_PER_NODE", "0"),
    ("burstbuffer", "BURST_BUFFER", "(null)"), ("burstbufferstate", "BURST_BUFFER_STATE", "(null)"),
    ("clusterfeature", "CLUSTER_FEATURES", "(null)"), ("container", "CONTAINER", "(null)"),
    ("delayboot", "DELAY_BOOT", "0:00"), ("mcslabel", "MCSLABEL", "(null)"),
    ("network", "NETWORK", "(null)"), ("ntperboard", "NTASKS_PER_BOARD", "0"),
    ("origin", "ORIGIN", "NA"), ("originraw", "ORIGIN_RAW", "NA"),
    ("profile", "PROFILE", "NotSet"),
    ("reboot", "REBOOT", "0"),
    ("siblingsactive", "ACTIVE_SIBLINGS", "NA"), ("siblingsactiveraw", "ACTIVE_SIBLINGS_RAW", "NA"),
    ("siblingsviable", "VIABLE_SIBLINGS", "NA"), ("siblingsviableraw", "VIALBLE_SIBLINGS_RAW", "NA"),
    ("sperboard", "SOCKETS_PER_BOARD", "0"),
    ("tres-freq", "TRES_FREQ", "N/A"),
)  # fmt: skip
