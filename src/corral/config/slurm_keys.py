"""Which key of slurm.conf is which key of corral.toml? Names are in lower case, as Slurm does not mind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corral.config import slurm_backfill, slurm_preemption
from corral.model.cluster import PRIORITY_FLAGS
from corral.model.job import UNLIMITED
from corral.model.partition import oversubscribe
from corral.syntax import duration, licenses, size


class NotCarried(Exception):
    """This value has no counterpart; the text says so."""


Rule = tuple[str, Callable[[str], Any]]


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _names(text: str) -> list[str] | None:
    return None if text.upper() in ("ALL", "") else _words(text)


def _yes(text: str) -> bool:
    return text.upper() in ("YES", "1", "TRUE")


def _limit(text: str) -> int | None:
    """A partition's time: minutes and so on; None = no limit, the default."""
    seconds = duration.parse(text)
    return None if seconds >= UNLIMITED else seconds


def _count(text: str) -> int | None:
    return None if text.upper() in ("UNLIMITED", "INFINITE") else int(text)


def _memory(text: str) -> int | None:
    return None if text.upper() in ("UNLIMITED", "0") else size.parse(text)


def _minutes(text: str) -> int:
    return duration.parse(text)


def _scheduler(text: str) -> bool:
    if text not in ("sched/backfill", "sched/builtin"):
        raise NotCarried(f"there is no {text}")
    return text == "sched/backfill"


def _scheduler_parameters(text: str) -> None:
    kept = [word for word in _words(text) if slurm_backfill.unknown(word)]
    kept = [
        word
        for word in kept
        if not word.startswith("preempt_") or slurm_preemption.unknown(word.removeprefix("preempt_"))
    ]
    if "enable_user_top" in kept:
        raise NotCarried("enable_user_top: write enable_user_top = true into [scheduling]")
    if kept:
        raise NotCarried(f"{', '.join(kept)}: there is nothing like it yet")


def _tres_weights(text: str) -> dict[str, int]:
    return {name.lower(): int(float(value)) for name, _, value in (word.partition("=") for word in _words(text))}


def _enforce(text: str) -> list[str] | None:
    if "none" in text.lower() or "cgroup" in text.lower():
        return None
    raise NotCarried("without cgroups nothing is enforced; here they are used where root allows it")


def _gres_types(text: str) -> list[str]:
    """MPS is a way to have shares of GPUs."""
    return list(dict.fromkeys("shard" if word == "mps" else word for word in _words(text)))


def _container_type(text: str) -> None:
    if text not in ("job_container/none", "job_container/tmpfs"):
        raise NotCarried(f"there is no {text}: private_dirs in [isolation] gives jobs directories of their own")


def _prolog_flags(text: str) -> None:
    """X11: windows are forwarded anyway; Contain: a job's processes are known anyway."""
    kept = [word for word in _words(text) if word.lower() not in ("x11", "contain")]
    if kept:
        raise NotCarried(f"{', '.join(kept)}: a prolog runs on each node before the job's first step there")


def _mpi_ports(text: str) -> str:
    kept = [word for word in _words(text) if not word.startswith("ports=")]
    if kept or not text:
        raise NotCarried(f"{', '.join(kept)}: there is nothing like it yet")
    return _words(text)[-1].removeprefix("ports=")


def _dependency_parameters(text: str) -> bool | None:
    kept = [word for word in _words(text) if word not in ("kill_invalid_depend", "disable_remote_singleton")]
    if kept:
        raise NotCarried(f"{', '.join(kept)}: there is nothing like it yet")
    return "kill_invalid_depend" in _words(text) or None


def _credential_life(text: str) -> int | None:
    """A requeued job waits until the credential of its last run has expired."""
    found = [word.partition("=")[2] for word in _words(text) if word.startswith("cred_expire=")]
    return int(found[0]) + 1 if found else None


def _enforce_limits(text: str) -> None:
    if text.upper() not in ("NO", "0"):
        raise NotCarried("jobs beyond a partition's limits wait, and say why; they are not refused")


def _kill_on_bad_exit(text: str) -> None:
    if _yes(text):
        raise NotCarried("it is each srun's own choice: SLURM_KILL_BAD_EXIT=1 in the users' environment")


def _licenses(text: str) -> dict[str, int]:
    """matlab:10,ansys*4: also the old way to write it."""
    return dict(licenses.parse(text.replace("*", ":")))


def _billing_weights(text: str) -> dict[str, float]:
    """Memory by the GB: Slurm's counts MB, unless a unit stands behind."""
    found = {}
    for word in _words(text):
        name, _, value = word.partition("=")
        name, unit = name.lower(), value[-1:].upper()
        weight = float(value[:-1] if unit in ("K", "M", "G", "T") else value)
        if name == "mem":
            weight *= {"K": 1 << 20, "G": 1, "T": 1 / 1024}.get(unit, 1024)
        found[name] = weight
    return found


def _half_life(text: str) -> int:
    seconds = duration.parse(text)
    return 0 if seconds >= UNLIMITED else seconds


def _priority_type(text: str) -> str | None:
    word = text.removeprefix("priority/")
    if word not in ("multifactor", "basic"):
        raise NotCarried(f"there is no {text}")
    return None if word == "multifactor" else word


def _priority_flags(text: str) -> list[str]:
    found = [word for word in _words(text.upper()) if word != "FAIR_TREE"]
    unknown = [word for word in found if word not in PRIORITY_FLAGS]
    if unknown:
        raise NotCarried(f"{', '.join(unknown)}: there is nothing like it")
    return found


def _accounting_enforce(text: str) -> list[str] | None:
    """What Slurm calls `all` is everything but nojobs, nosteps and wckeys."""
    found = []
    for word in _words(text.lower()):
        match word:
            case "associations" | "limits" | "qos" | "safe":
                found.append(word)
            case "all" | "1":
                found += ["associations", "limits", "qos", "safe"] if word == "all" else ["associations"]
            case "none" | "0":
                pass
            case _:
                raise NotCarried(
                    f"{word}: there is nothing like it (associations, limits, qos and safe can be enforced)"
                )
    return list(dict.fromkeys(found)) or None


def _limit_names(text: str) -> list[str]:
    return [name.strip().upper().removeprefix("RLIMIT_") for name in text.split(",") if name.strip()]


def _mpi_type(text: str) -> str:
    if text.lower() not in ("none", "pmi2", "pmix"):
        raise NotCarried(f"{text}: tasks are served none, pmi2 or pmix")
    return text.lower()


def _oversubscribe(text: str) -> str | None:
    written = oversubscribe(text)
    if written is None:
        raise ValueError(f"OverSubscribe={text} is none of NO, EXCLUSIVE, YES:# and FORCE:#")
    return None if written == "NO" else written


def _topology_plugin(text: str) -> None:
    if text not in ("topology/tree", "topology/block", "topology/none", "topology/default"):
        raise NotCarried(f"{text}: switches are a tree here ([[switch]]), or nodes stand in blocks ([[block]])")


def _preempt_parameters(text: str) -> None:
    if kept := slurm_preemption.unknown(text):
        raise NotCarried(f"{', '.join(kept)}: there is nothing like it yet")


def _sample_interval(text: str) -> int | None:
    """30, task=30,energy=10: there is nothing else than tasks to sample."""
    values = dict(word.partition("=")[::2] if "=" in word else ("task", word) for word in text.split(","))
    return int(values["task"]) if "task" in values else None


#: Key -> table, key and how its value is read.
SETTINGS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "clustername": ("", "cluster", str),
    "grestypes": ("", "gres_types", _gres_types),
    "jobcontainertype": ("", "", _container_type),
    "firstjobid": ("", "first_job_id", int),
    "jobrequeue": ("", "requeue", _yes),
    "licenses": ("", "licenses", _licenses),
    "srunprolog": ("programs", "srun_prolog", str),
    "srunepilog": ("programs", "srun_epilog", str),
    "taskprolog": ("programs", "task_prolog", str),
    "taskepilog": ("programs", "task_epilog", str),
    "propagateresourcelimits": ("", "propagate_limits", _limit_names),
    "propagateresourcelimitsexcept": ("", "propagate_limits_except", _limit_names),
    "mpidefault": ("", "mpi_default", _mpi_type),
    "prologflags": ("", "", _prolog_flags),
    "mpiparams": ("", "step_ports", _mpi_ports),
    "requeueexit": ("", "requeue_exit", str),
    "requeueexithold": ("", "requeue_exit_hold", str),
    "maxbatchrequeue": ("limits", "max_batch_requeue", int),
    "dependencyparameters": ("scheduling", "kill_invalid_depend", _dependency_parameters),
    "authinfo": ("scheduling", "requeue_delay", _credential_life),
    "killonbadexit": ("", "", _kill_on_bad_exit),
    "killwait": ("timeouts", "kill_wait", int),
    "slurmdtimeout": ("timeouts", "node", int),
    "minjobage": ("timeouts", "min_job_age", int),
    "prologepilogtimeout": ("timeouts", "prolog", int),
    "overtimelimit": ("timeouts", "over_time_limit", _limit),
    "resumetimeout": ("timeouts", "resume", int),
    "rebootprogram": ("programs", "reboot", str),
    "jobacctgatherfrequency": ("accounting", "sample_interval", _sample_interval),
    "priorityweightage": ("priority", "age", int),
    "prioritytype": ("priority", "type", _priority_type),
    "priorityflags": ("priority", "flags", _priority_flags),
    "priorityfavorsmall": ("priority", "favor_small", lambda text: _yes(text) or None),
    "prioritycalcperiod": ("priority", "calc_period", _minutes),
    "priorityusageresetperiod": ("priority", "usage_reset_period", str.upper),
    "fairsharedampeningfactor": ("priority", "fair_share_dampening", int),
    "priorityweightassoc": ("priority", "assoc", int),
    "priorityweightfairshare": ("priority", "fair_share", int),
    "priorityweightjobsize": ("priority", "job_size", int),
    "priorityweightpartition": ("priority", "partition", int),
    "priorityweightqos": ("priority", "qos", int),
    "prioritydecayhalflife": ("priority", "decay_half_life", _half_life),
    "accountingstorageenforce": ("accounting", "enforce", _accounting_enforce),
    "priorityweighttres": ("priority", "tres", _tres_weights),
    "prioritymaxage": ("priority", "max_age", _minutes),
    "schedulertype": ("scheduling", "backfill", _scheduler),
    "schedulerparameters": ("scheduling", "", _scheduler_parameters),
    "topologyplugin": ("", "", _topology_plugin),
    "defmempercpu": ("scheduling", "default_memory_per_cpu_mb", _memory),
    "defmempernode": ("scheduling", "default_memory_per_node_mb", _memory),
    "prolog": ("programs", "prolog", str),
    "epilog": ("programs", "epilog", str),
    "maxjobcount": ("limits", "max_job_count", int),
    "maxarraysize": ("limits", "max_array_size", int),
    "proctracktype": ("", "enforce", _enforce),
    "enforcepartlimits": ("", "", _enforce_limits),
    "preempttype": ("preemption", "type", slurm_preemption.type_of),
    "preemptmode": ("preemption", "mode", slurm_preemption.mode),
    "preemptexempttime": ("preemption", "exempt_time", slurm_preemption.exempt_time),
    "preemptparameters": ("", "", _preempt_parameters),
    "schedulertimeslice": ("preemption", "time_slice", int),
}  # fmt: skip

SWITCH: dict[str, Rule] = {
    "nodes": ("nodes", str),
    "switches": ("switches", str),
    "linkspeed": ("link_speed", int),
}

NODE: dict[str, Rule] = {
    "cpus": ("cpus", int),
    "procs": ("cpus", int),
    "sockets": ("sockets", int),
    "corespersocket": ("cores_per_socket", int),
    "threadspercore": ("threads_per_core", int),
    "realmemory": ("memory_mb", int),
    "tmpdisk": ("tmp_disk_mb", int),
    "gres": ("gres", str),
    "feature": ("features", _words),
    "features": ("features", _words),
    "weight": ("weight", int),
}
#: Agents connect outwards, so nobody needs their addresses.
NODE_WITHOUT_EFFECT = _words_of("nodename nodeaddr nodehostname port state boards")

PARTITION: dict[str, Rule] = {
    "nodes": ("nodes", str),
    "default": ("default", lambda text: _yes(text) or None),
    "state": ("state", lambda text: None if text.upper() == "UP" else text.upper()),
    "maxtime": ("max_time", _limit),
    "defaulttime": ("default_time", _limit),
    "maxnodes": ("max_nodes", _count),
    "minnodes": ("min_nodes", int),
    "maxcpuspernode": ("max_cpus_per_node", _count),
    "defmempercpu": ("default_memory_per_cpu_mb", _memory),
    "defmempernode": ("default_memory_per_node_mb", _memory),
    "maxmempernode": ("max_memory_per_node_mb", _memory),
    "maxmempercpu": ("max_memory_per_cpu_mb", _memory),
    "defcpupergpu": ("default_cpus_per_gpu", int),
    "defmempergpu": ("default_memory_per_gpu_mb", _memory),
    "disablerootjobs": ("disable_root_jobs", lambda text: _yes(text) or None),
    "reqresv": ("requires_reservation", lambda text: _yes(text) or None),
    "shared": ("oversubscribe", _oversubscribe),
    "allowgroups": ("allow_groups", _names),
    "allowaccounts": ("allow_accounts", _names),
    "tresbillingweights": ("billing_weights", _billing_weights),
    "allowqos": ("allow_qos", _names),
    "denyaccounts": ("deny_accounts", _words),
    "denyqos": ("deny_qos", _words),
    "qos": ("qos", str.lower),
    "prioritytier": ("priority_tier", int),
    "priorityjobfactor": ("priority_job_factor", int),
    "rootonly": ("root_only", lambda text: _yes(text) or None),
    "hidden": ("hidden", lambda text: _yes(text) or None),
    "exclusiveuser": ("exclusive_user", lambda text: _yes(text) or None),
    "oversubscribe": ("oversubscribe", _oversubscribe),
    "gracetime": ("grace_time", lambda text: int(text) or None),
    "preemptmode": ("preempt_mode", slurm_preemption.mode),
    "lln": ("lln", lambda text: _yes(text) or None),
}
PARTITION_WITHOUT_EFFECT = frozenset(["partitionname"])

#: Lines that describe something that is not there yet, by what they begin with.
ENTITIES = {
    "nodename": "",
    "partitionname": "",
    "downnodes": "use `scontrol update nodename=... state=down reason=...`",
    "frontendname": "there are no front-end nodes",
    "nodeset": "there are no node sets: name the nodes in the partition",
}

#: How the real one's daemons find, trust and log each other: nothing of it is needed here.
WITHOUT_EFFECT = _words_of("""
    authtype authinfo authalttypes authaltparameters credtype cryptotype controlmachine controladdr
    backupcontroller backupaddr slurmctldhost slurmctldport slurmdport slurmctldpidfile slurmdpidfile
    slurmctldlogfile slurmdlogfile slurmctlddebug slurmddebug slurmdspooldir statesavelocation slurmuser
    slurmduser slurmctldtimeout returntoservice switchtype taskplugin taskpluginparam
    inactivelimit waittime messagetimeout tcptimeout debugflags logtimeformat slurmschedlogfile
    slurmschedloglevel communicationparameters slurmctldparameters slurmdparameters
    accountingstoragehost accountingstorageport accountingstoragetype accountingstorageuser
    accountingstoragepass accountingstorageloc accountingstoragebackuphost accountingstoretflags
    accountingstoragetres jobacctgathertype jobcomptype jobcomploc jobcomphost
    disablerootjobs batchstarttimeout getenvtimeout srunportrange treewidth plugindir pluginpath
""")

#: What is lost with a key, where there is more to say than that there is nothing like it.
LOST = {
    "prioritysitefactorplugin": "there are no site factor plugins; `scontrol update job ... sitefactor=` sets it",
    "prioritysitefactorparameters": "there are no site factor plugins",
    "priorityparameters": "no priority plugin reads it",
    "jobsubmitplugins": "there are no submit plugins",
    "healthcheckprogram": "there is no health check program yet",
    "healthcheckinterval": "there is no health check program yet",
    "x11parameters": "XAUTHORITY is always a file of its own",
    "resumeprogram": "nodes are not powered up yet",
    "suspendprogram": "nodes are not powered down yet",
    "prologslurmctld": "programs run on nodes only",
    "epilogslurmctld": "programs run on nodes only",
    "mailprog": "mail goes through [programs] sendmail, which takes other options",
    "maxtime": "set max_time in a [[partition]]",
}
