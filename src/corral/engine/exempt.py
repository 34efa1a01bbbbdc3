"""Which limits do not hold for a job, because an operator has given it more than they allow?

As in Slurm: what an operator says of a job's time, CPUs, nodes, memory or GPUs holds whatever accounts and QOS say of those. When its
owner changes them again, the limits hold again.
"""

from collections.abc import Iterable

import msgspec

from corral.model.job import Job
from corral.scheduler.quota import Rule, Rules

#: Keys of `scontrol update job` -> what is no longer held to limits.
_KINDS = {
    "timelimit": "time", "endtime": "time",
    "numcpus": "cpu", "numtasks": "cpu", "cpuspertask": "cpu", "mincpusnode": "cpu", "taskspernode": "cpu",
    "numnodes": "node", "minmemorycpu": "mem", "minmemorynode": "mem", "gres": "gres", "licenses": "license",
}  # fmt: skip
_BY_RESOURCE = ("tres", "run_minutes", "minutes", "per_job", "per_node", "minutes_per_job", "least")


def changed(job: Job, keys: Iterable[str], is_operator: bool) -> tuple[str, ...]:
    """The job's exemptions after a change of these."""
    found = set(job.exempt)
    for key in keys:
        kind = _KINDS.get(key.lower())
        if kind is not None:
            found.add(kind) if is_operator else found.discard(kind)
    return tuple(sorted(found))


def spared(rules: Rules, exempt: tuple[str, ...]) -> Rules:
    """Without those that do not hold."""
    fields: dict[str, tuple[Rule, ...]] = {
        name: tuple(rule for rule in getattr(rules, name) if _kind(rule) not in exempt) for name in _BY_RESOURCE
    }
    if "time" in exempt:
        fields |= {"longest": (), "wall": ()}
    return msgspec.structs.replace(rules, **fields)


def _kind(rule: Rule) -> str:
    return rule.resource.partition("/")[0]
