"""How does `scontrol show job` and `show step` write a record?"""

from __future__ import annotations

from corral.cli.job_columns import command_line, elements, gpu_count, gres, gres_or_null, het_ids, or_null
from corral.cli.times import UNLIMITED, or_unknown, padded
from corral.syntax.size import format_memory

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

_END_OF_STEP = ("batch", "extern", "interactive")


def written(lines: list[str], one_line: bool) -> str:
    """A record: its lines indented under the first, and a blank one; or all on one line (-o)."""
    return " ".join(lines) + "\n" if one_line else "\n   ".join(lines) + "\n\n"


def job(row: Row, detailed: bool, one_line: bool) -> str:
    pending = row["state"] in ("PENDING", "SPECIAL_EXIT")
    lines = [
        " ".join(_names(row)),
        *([f"HetJobIdSet={het_ids(row['het_job_id'], row['het_size'])}"] if row["het_job_id"] is not None else []),
        f"UserId={row['user']}({row['uid']}) GroupId={row['group']}({row['gid']}) MCS_label=N/A",
        f"Priority={row['priority']} Nice={row['nice']} Account={or_null(row['account'])} QOS={or_null(row['qos'])}",
        f"JobState={row['state']} Reason={row['why'].replace(' ', '_')} Dependency={or_null(row['dependency_left'])}",
        f"Requeue={int(row['requeue'])} Restarts={row['restarts']} BatchFlag={int(row['batch_flag'])} Reboot=0 "
        f"ExitCode={_code(row['exit_code'])}",
    ]
    if detailed:
        lines.append(f"DerivedExitCode={_code(row['derived_exit_code'])}")
    if row["cron"]:
        lines.append(f'CronJob=Yes CrontabSpec="{row["cron"]}"')
    lines += _times(row, pending)
    lines += [
        f"Partition={row['partition']} AllocNode:Sid={row['submit_host'] or '(null)'}:{row['submit_sid']}",
        f"ReqNodeList={or_null(row['req_nodes'])} ExcNodeList={or_null(row['exclude'])}",
        f"NodeList={row['nodes']}",
    ]
    if row["batch_host"]:
        features = f"BatchFeatures={row['batch_features']} " if row["batch_features"] else ""
        lines.append(f"{features}BatchHost={row['batch_host']}")
    lines += [
        f"NumNodes={_nodes(row, pending)} NumCPUs={row['cpus']} NumTasks={row['ntasks']} CPUs/Task={row['cpus_per_task']} "
        f"ReqB:S:C:T=0:0:{row['cores_per_socket'] or '*'}:{row['threads_per_core'] or '*'}",
        f"TRES={row['tres_alloc'] or row['tres_req'] or '(null)'}",
        f"Socks/Node={row['sockets_per_node'] or '*'} NtasksPerN:B:S:C={row['ntasks_per_node']}:0:{row['ntasks_per_socket'] or '*'}:"
        f"{row['ntasks_per_core'] or '*'} CoreSpec=*",
    ]
    if detailed and row["alloc_detail"]:
        lines += _allocation(row["alloc_detail"])
    lines += [
        f"MinCPUsNode={row['min_cpus_node']} {_memory(row)} MinTmpDiskNode={format_memory(row['tmp_disk_mb'])}",
        f"Features={or_null(row['constraint'] or row['prefer'])} DelayBoot=00:00:00",
        *([f"Reservation={row['reservation']}"] if row["reservation"] else []),
        f"OverSubscribe={row['shared']} Contiguous={int(row['contiguous'])} Licenses={or_null(row['licenses'])} Network=(null)",
        f"Command={command_line(row['command'], row['argv'])}",
        f"WorkDir={row['work_dir']}",
    ]
    if row["admin_comment"]:
        lines.append(f"AdminComment={row['admin_comment']} ")
    if row["system_comment"]:
        lines.append(f"SystemComment={row['system_comment']} ")
    if row["comment"]:
        lines.append(f"Comment={row['comment']} ")
    if row["batch_flag"]:
        lines += [f"StdErr={row['stderr_path']}", f"StdIn={row['stdin_path']}", f"StdOut={row['stdout_path']}"]
    if row["req_switches"]:
        wait = row["switches_wait"]
        lines.append(f"Switches={row['req_switches']}" + (f"@{padded(wait)}" if wait is not None else ""))
    if row["kill_on_invalid_dep"] is not None:
        lines.append(f"KillOInInvalidDependent={'Yes' if row['kill_on_invalid_dep'] else 'No'}")
    if row.get("ports"):
        lines.append(f"ResvPorts={row['ports']}")
    lines += ["Power=", *_tres(row), ""]
    return written(lines, one_line)


_MAIL_TYPES = (
    "ARRAY_TASKS", "INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT", "TIME_LIMIT_50", "TIME_LIMIT_80",
    "TIME_LIMIT_90", "TIME_LIMIT",
)  # fmt: skip
_ALL_MAIL = _MAIL_TYPES[1:7]


def _mail(types: list[str]) -> str:
    """In Slurm's order; ALL in full."""
    wanted = {*types, *(_ALL_MAIL if "ALL" in types else ())}
    return ",".join(name for name in _MAIL_TYPES if name in wanted)


def _names(row: Row) -> list[str]:
    names = [f"JobId={row['id']}"]
    if row["array_job_id"] is not None:
        task = row["array_task_id"]
        waiting = elements(row["array_waiting"], row["array_throttle"]) if task is None else task
        names += [f"ArrayJobId={row['array_job_id']}", f"ArrayTaskId={waiting}"]
        if row["array_throttle"] and row["state"] in ("PENDING", "RUNNING"):
            names.append(f"ArrayTaskThrottle={row['array_throttle']}")
    if row["het_job_id"] is not None:
        names += [f"HetJobId={row['het_job_id']}", f"HetJobOffset={row['het_offset']}"]
    return [*names, f"JobName={row['name']}"]


def _times(row: Row, pending: bool) -> list[str]:
    limit = row["time_limit"]
    start = row["expected_start"] if pending else row["start_time"]
    end = row["end_time"]
    if pending:
        end = start + limit if start and limit < UNLIMITED else 0.0
    before = row["suspend_time"] - row["start_time"] if row["suspend_time"] else 0.0
    return [
        f"RunTime={padded(row['run_seconds'])} TimeLimit={padded(limit)} "
        f"TimeMin={padded(row['time_min']) if row['time_min'] else 'N/A'}",
        f"SubmitTime={or_unknown(row['submit_time'])} EligibleTime={or_unknown(row['eligible_time'])}",
        f"AccrueTime={or_unknown(row['eligible_time'])}",
        *([f"ResizeTime={or_unknown(row['resize_time'])}"] if row["resize_time"] else []),
        f"StartTime={or_unknown(start)} EndTime={or_unknown(end)} Deadline={or_unknown(row['deadline']) if row['deadline'] else 'N/A'}",
        *_preemption(row, pending),
        f"SuspendTime={or_unknown(row['suspend_time']) if row['suspend_time'] else 'None'} SecsPreSuspend={int(before)} "
        f"LastSchedEval={or_unknown(row['start_time'] or row['submit_time'])} "
        f"Scheduler={'Backfill' if row['started_by'] == 'SchedBackfill' else 'Main'}",
    ]


def _preemption(row: Row, pending: bool) -> list[str]:
    if pending or not row["preemptable_time"]:
        return []
    told = or_unknown(row["preempt_time"]) if row["preempt_time"] else "None"
    return [f"PreemptEligibleTime={or_unknown(row['preemptable_time'])} PreemptTime={told}"]


def _code(pair: list[int]) -> str:
    return f"{pair[0]}:{pair[1]}"


def _nodes(row: Row, pending: bool) -> str:
    if pending and row["nodes_max"]:
        return f"{row['node_count']}-{row['node_count']}"
    return str(row["node_count"])


def _memory(row: Row) -> str:
    if row["memory_per_cpu_mb"]:
        return f"MinMemoryCPU={format_memory(row['memory_per_cpu_mb'])}"
    return f"MinMemoryNode={format_memory(row['memory_per_node_mb'] or 0)}"


def _allocation(detail: list[list[Any]]) -> list[str]:
    """JOB_GRES= of the whole job, and a line for each run of nodes on which it holds the same."""
    from corral.syntax import hostlist

    totals: dict[str, int] = {}
    for _, _, _, held in detail:
        for part in held.split(",gpu") if held else ():
            name, _, count = part.partition("(")[0].rpartition(":")
            totals[name] = totals.get(name, 0) + int(count)
    lines = ["JOB_GRES=" + (",".join(f"{name}:{count}" for name, count in totals.items()) or "(null)")]
    runs: list[tuple[list[str], list[Any]]] = []
    for node, *held in detail:
        if runs and runs[-1][1] == held:
            runs[-1][0].append(node)
        else:
            runs.append(([node], held))
    for nodes, (cpus, memory, devices) in runs:
        lines.append(f"  Nodes={hostlist.fold(nodes)} CPU_IDs={cpus} Mem={memory} GRES={devices}")
    return lines


def _tres(row: Row) -> list[str]:
    """Only what was asked for."""
    lines = []
    if row["cpus_per_gpu"]:
        lines.append(f"CpusPerTres={gpu_count(row['cpus_per_gpu'])}")
    if row["memory_per_gpu_mb"]:
        lines.append(f"MemPerTres={gpu_count(row['memory_per_gpu_mb'])}")
    if row["gres_flags"] == "enforce-binding":
        lines.append("GresEnforceBind=Yes")
    if row["gpu_bind"]:
        lines.append(f"TresBind=gpu:{row['gpu_bind'].removeprefix('gpu:')}")
    for name, field in (
        ("TresPerJob", "gpus"), ("TresPerNode", "gres"), ("TresPerSocket", "gpus_per_socket"), ("TresPerTask", "gpus_per_task"),
    ):  # fmt: skip
        if row[field]:
            lines.append(f"{name}={gres(row[field])}")
    if row.get("gpu_fence"):
        lines.append(f"GresFence={row['gpu_fence']}")
    if row["ntasks_per_gpu"]:
        lines.append(f"NtasksPerTRES={row['ntasks_per_gpu']}")
    if row["mail_types"]:
        lines.append(f"MailUser={row['mail_user'] or row['user']} MailType={_mail(row['mail_types'])}")
    return lines


#: Only what was asked for.
_STEP_TRES = (
    ("TresPerStep", "tres_per_step"), ("TresPerNode", "tres_per_node"), ("TresPerTask", "tres_per_task"),
)  # fmt: skip


def step(row: Row, one_line: bool) -> str:
    name = row["text"].rpartition(".")[2]
    own = name not in _END_OF_STEP
    distribution = ""
    if own:
        kind = row["distribution"] or ("cyclic" if row["ntasks"] <= row["node_count"] else "block")
        distribution = f" Dist={kind.capitalize()}"
    host = f"{row['client_host']}:{row['client_pid']}" if row["client_host"] else "(null):0"
    return written(
        [
            f"StepId={row['text']} UserId={row['uid']} StartTime={or_unknown(row['start_time'])} "
            f"TimeLimit={padded(row['time_limit']) if own else 'UNLIMITED'}",
            f"State={row['state']} Partition={row['partition']} NodeList={row['nodes']}",
            f"Nodes={row['node_count']} CPUs={row['cpus'] if own else 0} Tasks={row['ntasks']} Name={row['name']} Network=(null)",
            f"TRES={','.join(sorted(row['tres'].split(','))) or '(null)'}" if own else "TRES=(null)",
            f"ResvPorts={row['ports'] or '(null)'}",
            f"CPUFreqReq=Default{distribution}",
            f"SrunHost:Pid={host}",
            *([f"TresBind={row['tres_bind']}"] if row["tres_bind"] else []),
            *(f"{name}={gres_or_null(row[field])}" for name, field in _STEP_TRES if row[field]),
        ],
        one_line,
    )
