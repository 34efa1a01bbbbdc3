"""How does `scontrol show config` call what is configured?"""

from typing import Any

from corral.controller.slurm_constants import CONSTANTS
from corral.model.cluster import PRIORITY_FLAGS, ClusterConfig, PriorityWeights, Scheduling
from corral.model.preemption import mode_of
from corral.syntax.duration import format_padded

#: The level that the Slurm-named commands keep to, as their --version says.
SLURM_VERSION = "22.05.8"


#: Where Slurm does not go by the alphabet.
_PLACED = {"PreemptExemptTime": "preempttype "}


def slurm_keys(config: ClusterConfig, facts: dict[str, Any]) -> dict[str, Any]:
    """Slurm's key names, and texts as it prints them, by the alphabet."""
    found = CONSTANTS | _configured(config, facts)
    return dict(sorted(found.items(), key=lambda pair: _PLACED.get(pair[0], pair[0].lower())))


def _configured(config: ClusterConfig, facts: dict[str, Any]) -> dict[str, Any]:
    weights, timeouts, scheduling = config.priority, config.timeouts, config.scheduling
    programs, limits = config.programs, config.limits
    return {
        "AccountingStorageEnforce": ",".join(config.accounting.enforce) or "none",
        "BatchStartTimeout": "10 sec",
        "BOOT_TIME": facts.get("started", 0.0),
        "ClusterName": config.cluster,
        "CompleteWait": "0 sec",
        **_default_memory(scheduling.default_memory_per_cpu_mb, scheduling.default_memory_per_node_mb),
        "DependencyParameters": "kill_invalid_depend" if scheduling.kill_invalid_depend else "(null)",
        "EnforcePartLimits": "NO",
        "Epilog": _text(programs.epilog),
        "FirstJobId": config.first_job_id,
        "GresTypes": ",".join(config.gres_types) or "(null)",
        "JobAcctGatherFrequency": int(config.accounting.sample_interval),
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobRequeue": int(config.requeue),
        "KillOnBadExit": 0,
        "KillWait": _seconds(timeouts.kill_wait),
        "Licenses": ",".join(f"{name}:{count}" for name, count in config.licenses.items()) or "(null)",
        "MailProg": _text(programs.sendmail),
        "MaxArraySize": limits.max_array_size,
        "MaxBatchRequeue": limits.max_batch_requeue,
        "MaxJobCount": limits.max_job_count,
        "MinJobAge": _seconds(timeouts.min_job_age),
        "MpiDefault": config.mpi_default,
        **({"MpiParams": f"ports={config.step_ports}"} if config.step_ports else {}),
        "OverTimeLimit": f"{timeouts.over_time_limit / 60:g} min",
        **_preemption(config),
        **_priority(weights),
        "Prolog": _text(programs.prolog),
        "PrologEpilogTimeout": int(timeouts.prolog),
        "RebootProgram": _text(programs.reboot),
        "RequeueExit": _text(config.requeue_exit),
        "RequeueExitHold": _text(config.requeue_exit_hold),
        "PropagateResourceLimits": _names(config.propagate_limits) if not config.propagate_limits_except else "(null)",
        "PropagateResourceLimitsExcept": _names(config.propagate_limits_except),
        "ResumeTimeout": _seconds(timeouts.resume),
        "SchedulerType": "sched/backfill" if scheduling.backfill else "sched/builtin",
        "SelectType": "select/linear" if scheduling.select == "nodes" else "select/cons_tres",
        "SelectTypeParameters": _select_parameters(scheduling),
        "SlurmctldHost[0]": facts.get("host", ""),
        "SlurmctldTimeout": "120 sec",
        "SlurmdTimeout": _seconds(timeouts.node),
        "StateSaveLocation": facts.get("state_dir", ""),
        "SrunEpilog": _text(programs.srun_epilog),
        "SrunProlog": _text(programs.srun_prolog),
        "TaskEpilog": _text(programs.task_epilog),
        "TaskProlog": _text(programs.task_prolog),
        "PrivateData": ",".join(config.private_data) or "none",
        "SLURM_CONF": facts.get("config", "") or "(null)",
        "TaskPlugin": "task/affinity",
        "TopologyParam": "(null)",
        "TopologyPlugin": "topology/tree" if config.switch else "topology/block" if config.block else "topology/none",
        "SLURM_VERSION": SLURM_VERSION,
        "SlurmUser": facts.get("user", ""),
        "SlurmctldLogFile": f"{facts.get('state_dir', '')}/controller.log",
    }


def _preemption(config: ClusterConfig) -> dict[str, Any]:
    given = config.preemption
    mode = mode_of(given.mode)
    return {
        "PreemptExemptTime": format_padded(given.exempt_time),
        "PreemptMode": str(mode) if mode is not None else "OFF",
        "PreemptType": f"preempt/{given.type}",
        "SchedulerParameters": "preempt_strict_order" if given.strict_order else "(null)",
        "SchedulerTimeSlice": f"{given.time_slice} sec",
        "SlurmctldParameters": "preempt_send_user_signal" if given.send_user_signal else "(null)",
    }


def _select_parameters(scheduling: Scheduling) -> str:
    if scheduling.select == "nodes":
        return "CR_MEMORY" if scheduling.count_memory else "NONE"
    words = ["CR_CORE_MEMORY" if scheduling.count_memory else "CR_CORE"]
    words += ["CR_ONE_TASK_PER_CORE"] if scheduling.one_task_per_core else []
    words += ["CR_CORE_DEFAULT_DIST_BLOCK"] if scheduling.core_order == "block" else []
    words += ["CR_LLN"] if scheduling.placement == "spread" else []
    return ",".join(words)


def _priority(weights: PriorityWeights) -> dict[str, Any]:
    if weights.type == "basic":  # as the real one, which then shows none of the others
        return {"PriorityType": "priority/basic"}
    return {
        "FairShareDampeningFactor": weights.fair_share_dampening,
        "PriorityDecayHalfLife": format_padded(weights.decay_half_life),
        "PriorityType": "priority/multifactor",
        "PriorityCalcPeriod": format_padded(weights.calc_period),
        "PriorityFavorSmall": "Yes" if weights.favor_small else "No",
        "PriorityFlags": ",".join(flag for flag in PRIORITY_FLAGS if flag in weights.flags),
        "PriorityMaxAge": format_padded(weights.max_age),
        "PriorityUsageResetPeriod": weights.usage_reset_period,
        "PriorityWeightAssoc": weights.assoc,
        "PriorityWeightAge": weights.age,
        "PriorityWeightFairShare": weights.fair_share,
        "PriorityWeightJobSize": weights.job_size,
        "PriorityWeightPartition": weights.partition,
        "PriorityWeightQOS": weights.qos,
        "PriorityWeightTRES": ",".join(f"{name}={value}" for name, value in weights.tres.items()) or "(null)",
    }


def _text(value: str) -> str:
    return value or "(null)"


def _names(values: tuple[str, ...]) -> str:
    return ",".join(values) or "(null)"


def _seconds(value: float) -> str:
    return f"{int(value)} sec"


def _default_memory(per_cpu: int | None, per_node: int | None) -> dict[str, str]:
    """Only the one that counts."""
    if per_cpu is not None:
        return {"DefMemPerCPU": str(per_cpu)}
    return {"DefMemPerNode": "UNLIMITED" if per_node is None else str(per_node)}
