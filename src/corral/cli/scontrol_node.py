"""How do `scontrol show node`, `show partition` and `show config` write what they show?"""

from __future__ import annotations

from corral.cli.scontrol_job import written
from corral.cli.times import moment, or_unknown, padded
from corral.syntax.size import format_memory

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]


def tres(cpus: int, memory: int, gpus: int, billing: bool) -> str:
    parts = [f"cpu={cpus}"] if cpus else []
    if memory:
        parts.append(f"mem={format_memory(memory)}")
    if billing:
        parts.append(f"billing={cpus}")
    if gpus:
        parts.append(f"gres/gpu={gpus}")
    return ",".join(parts)


def node(row: Row, detailed: bool, one_line: bool) -> str:
    features = ",".join(row["features"]) or "(null)"
    lines = [
        f"NodeName={row['name']} Arch={row['arch']} CoresPerSocket={row['cores_per_socket']} ",
        f"CPUAlloc={row['cpus_alloc']} CPUEfctv={row['cpus']} CPUTot={row['cpus']} CPULoad={row['load']:.2f}",
        f"AvailableFeatures={features}",
        f"ActiveFeatures={features}",
        f"Gres={row['gres'] or '(null)'}",
    ]
    if detailed:
        lines += ["GresDrain=N/A", f"GresUsed={row['gres_used'] or '(null)'}"]
    if row.get("gpu_fence"):
        lines.append(f"GresFence={row['gpu_fence']}")
    lines += [
        f"NodeAddr={row['address']} NodeHostName={row['hostname']} Version={row['version']}",
        f"OS={row['os']} ",
        f"RealMemory={row['memory_mb']} AllocMem={row['memory_alloc_mb']} FreeMem={row['free_memory_mb'] or 'N/A'} "
        f"Sockets={row['sockets']} Boards={row['boards']}",
        f"State={'+'.join([row['state'], *row['flags']])} ThreadsPerCore={row['threads_per_core']} TmpDisk={row['tmp_disk_mb']} "
        f"Weight={row['weight']} Owner=N/A MCS_label=N/A",
        *([f"NextState={row['next_state'].upper()}"] if row["next_state"] else []),
        f"Partitions={','.join(row['partitions'])} ",
        f"BootTime={moment(row['boot_time'], 'None')} SlurmdStartTime={moment(row['agent_start_time'], 'None')}",
        f"LastBusyTime={or_unknown(row['last_heard'])}",
        f"CfgTRES={tres(row['cpus'], row['memory_mb'], row['gpus_total'], billing=True)}",
        f"AllocTRES={tres(row['cpus_alloc'], row['memory_alloc_mb'], row['gpus_alloc'], billing=False)}",
        "CapWatts=n/a",
        "CurrentWatts=0 AveWatts=0",
        "ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s",
    ]
    if row["comment"]:
        lines.append(f"Comment={row['comment']}")
    if row["reason"]:
        lines.append(f"Reason={row['reason']} [{row['reason_by'] or 'root'}@{or_unknown(row['reason_time'])}]")
    return written(lines, one_line)


def partition(row: Row, one_line: bool) -> str:
    return written(
        [
            f"PartitionName={row['name']}",
            f"AllowGroups={_all(row['allow_groups'])} {_accounts(row)} {_qos(row)}",
            f"AllocNodes=ALL Default={_yes(row['default'])} QoS={row.get('qos') or 'N/A'}",
            f"DefaultTime={'NONE' if row['default_time'] is None else padded(row['default_time'])} "
            f"DisableRootJobs={_yes(row['disable_root_jobs'])} "
            f"ExclusiveUser={_yes(row['exclusive_user'])} GraceTime={row['grace_time']} Hidden={_yes(row['hidden'])}",
            f"MaxNodes={_most(row['max_nodes'])} MaxTime={padded(row['max_time'])} MinNodes={row['min_nodes']} "
            f"LLN={_yes(row['lln'])} MaxCPUsPerNode={_most(row['max_cpus_per_node'])}",
            f"Nodes={row['nodes'] or '(null)'}",
            f"PriorityJobFactor={row['priority_job_factor']} PriorityTier={row['priority_tier']} RootOnly={_yes(row['root_only'])} "
            f"ReqResv={_yes(row['requires_reservation'])} OverSubscribe={row['oversubscribe']}",
            f"OverTimeLimit=NONE PreemptMode={row['preempt_mode']}",
            f"State={row['state']} TotalCPUs={row['total_cpus']} TotalNodes={row['total_nodes']} SelectTypeParameters=NONE",
            f"JobDefaults={_job_defaults(row)}",
            f"{_default_memory(row)} {_most_memory(row)}",
            f"TRES={row['tres']}",
            *_billing(row.get("billing_weights") or {}),
        ],
        one_line,
    )


def _billing(weights: dict[str, float]) -> list[str]:
    parts = [f"{name}={weight:g}{'G' if name == 'mem' else ''}" for name, weight in weights.items()]
    return [f"TRESBillingWeights={','.join(parts)}"] if parts else []


def _all(names: list[str]) -> str:
    return ",".join(names) or "ALL"


def _qos(row: Row) -> str:
    if row.get("deny_qos"):
        return f"DenyQos={','.join(row['deny_qos'])}"
    return f"AllowQos={_all(row['allow_qos'])}"


def _accounts(row: Row) -> str:
    if row["deny_accounts"]:
        return f"DenyAccounts={','.join(row['deny_accounts'])}"
    return f"AllowAccounts={_all(row['allow_accounts'])}"


def _job_defaults(row: Row) -> str:
    parts = [("DefCpuPerGPU", row["default_cpus_per_gpu"]), ("DefMemPerGPU", row["default_memory_per_gpu_mb"])]
    return ",".join(f"{name}={number}" for name, number in parts if number) or "(null)"


def _most_memory(row: Row) -> str:
    if row["max_memory_per_cpu_mb"]:
        return f"MaxMemPerCPU={row['max_memory_per_cpu_mb']}"
    return f"MaxMemPerNode={_most(row['max_memory_per_node_mb'] or None)}"


def _default_memory(row: Row) -> str:
    if row["default_memory_per_cpu_mb"]:
        return f"DefMemPerCPU={row['default_memory_per_cpu_mb']}"
    return f"DefMemPerNode={_most(row['default_memory_per_node_mb'])}"


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"


def _most(number: int | None) -> str:
    return "UNLIMITED" if number is None else str(number)


def config(keys: dict[str, Any], now: float, host: str) -> str:
    lines = [f"Configuration data as of {or_unknown(now)}"]
    for key, value in keys.items():
        text = or_unknown(value) if key == "BOOT_TIME" else value
        lines.append(f"{key:<23} = {text}")
    return "\n".join(lines) + f"\n\nSlurmctld(primary) at {host} is UP\n"
