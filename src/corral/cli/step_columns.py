"""Which columns can squeue -s show of a step? Each with its -o letter, its -O names, its header, and how its text is made."""

from __future__ import annotations

from corral.cli.columns import WHOLE, WHOLE_VALUE, Column
from corral.cli.job_columns import gres_or_null, or_null
from corral.cli.times import moment, span

LETTERS: dict[str, Column] = {
    "A": Column("TASKS", "ntasks"),
    "b": Column("TRES_PER_JOB", "tres_per_node", gres_or_null),
    "i": Column("STEPID", "text"),
    "j": Column("NAME", "name"),
    "l": Column("TIME_LIMIT", "time_limit", span, WHOLE_VALUE),
    "M": Column("TIME", "run_seconds", span, WHOLE_VALUE),
    "N": Column("NODELIST", "nodes", None, WHOLE),
    "P": Column("PARTITION", "partition"),
    "S": Column("START_TIME", "start_time", moment),
    "u": Column("USER", "user"),
    "U": Column("UID", "uid"),
}

#: What `%all` stands for.
ALL = "".join(f"%{letter}|" for letter in "bijluAMNPSU")

#: -O names that a letter has too.
_SAME = {
    "A": "numtasks", "b": "gres tres-per-node", "i": "stepid", "j": "stepname", "l": "timelimit", "M": "timeused",
    "N": "nodes nodelist", "P": "partition", "S": "starttime", "u": "username", "U": "userid",
}  # fmt: skip


def array_task(task: int | None) -> str:
    return "N/A" if task is None else str(task)


def frequency(step: int) -> str:
    return "Unknown-Unknown:Unknown" if step >= 0 else "0-0:0"


def names() -> dict[str, Column]:
    """Every name -O knows. Made only when -O is used."""
    found = {name: LETTERS[letter] for letter, words in _SAME.items() for name in words.split()}
    per_step = Column("TRES_PER_STEP", "tres_per_step", gres_or_null)
    return found | {
        "arrayjobid": Column("ARRAY_JOB_ID", "array_job_id", lambda array: array or 0),
        "arraytaskid": Column("ARRAY_TASK_ID", "array_task_id", array_task),
        "cluster": Column("CLUSTER", "cluster"),
        "container": Column("CONTAINER", "", "(null)"),
        "cpufreq": Column("CPU_FREQ", "step", frequency),
        "cpus-per-tres": Column("CPUS_PER_TRES", "", "(null)"),
        "jobid": Column("JOB_ID", "job"),
        "mem-per-tres": Column("MEM_PER_TRES", "", "(null)"),
        "network": Column("NETWORK", "", "(null)"),
        "numcpus": Column("NUM_CPUS", "cpus step", lambda cpus, step: cpus if step >= 0 else 0),
        "resvports": Column("RESERVED_PORTS", "ports", or_null),
        "stepstate": Column("STATE", "state"),
        "tres-bind": Column("TRES_BIND", "tres_bind", or_null),
        "tres-freq": Column("TRES_FREQ", "", "(null)"),
        "tres-per-job": per_step,
        "tres-per-socket": Column("TRES_PER_SOCKET", "", "(null)"),
        "tres-per-step": per_step,
        "tres-per-task": Column("TRES_PER_TASK", "tres_per_task", gres_or_null),
    }
