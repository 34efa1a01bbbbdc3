"""What is a trigger: a program that the controller runs when something happens (strigger)?"""

import enum

import msgspec


class TriggerResource(enum.StrEnum):
    """What it looks at."""

    JOB = "job"
    NODE = "node"
    SLURMCTLD = "slurmctld"


#: Events of each resource, in Slurm's words.
EVENTS: dict[TriggerResource, frozenset[str]] = {
    TriggerResource.JOB: frozenset({"fini", "time", "down", "up", "drained", "fail"}),
    TriggerResource.NODE: frozenset({"down", "up", "drained", "fail", "idle", "reconfig"}),
    TriggerResource.SLURMCTLD: frozenset({"primary_slurmctld_failure", "primary_slurmctld_resumed_operation"}),
}


class Trigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Once only, unless it is permanent."""

    id: int
    uid: int
    gid: int
    user: str
    resource: TriggerResource
    event: str
    target: str = ""  #: the job's id, or a host list; "" = every node
    offset: int = 0  #: seconds after the event; before it when negative (only of a job's time limit)
    program: str = ""  #: with its arguments, as a shell splits them
    permanent: bool = False
    #: What has happened and is to be told when the offset is over: the moment, and the job or nodes.
    due: float = 0.0
    found: tuple[str, ...] = ()
    told: tuple[str, ...] = ()  #: idle nodes for which it has been run, and that have been idle since
