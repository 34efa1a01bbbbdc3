"""What does the controller answer?"""

from typing import Any

import msgspec

from corral.model.job import JobId
from corral.model.kube.objects import AnyObject
from corral.model.step import Step
from corral.protocol.accounting import Touched


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Base of all replies."""


class Done(Reply, frozen=True, kw_only=True):
    """It is done; `messages` are for the user (one line each), e.g. what could not be done for single ids."""

    messages: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()  #: what failed of several ids; the exit code is then 1
    outcomes: tuple[
        tuple[str, str], ...
    ] = ()  #: where something failed: what became of each id, or of which elements of it


class Rejected(Reply, frozen=True, kw_only=True):
    """Refused. `error` is Slurm's text where Slurm has one ("Invalid partition name specified")."""

    error: str
    code: str = "invalid"  #: invalid, denied, not_found, unavailable, busy, unknown_field, srun_programs
    detail: str = ""  #: what would change it
    index: int = 0  #: of several jobs, which one


class Submitted(Reply, frozen=True, kw_only=True):
    """In the order of the request."""

    ids: tuple[JobId, ...]
    messages: tuple[str, ...] = ()


class WouldStart(Reply, frozen=True, kw_only=True):
    """--test-only."""

    job: JobId
    start: float
    cpus: int
    nodes: str
    partition: str
    preempts: tuple[JobId, ...] = ()  #: those that would have to make room


class StepAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How the client reaches the step's streams on the bus."""

    url: str  #: nats://host:port
    token: str  #: good for this step only
    cluster: str
    key: str  #: "42.0.0": job.step.restart, as in the subjects
    ca: str = ""  #: text of the authority's certificate, where the bus is encrypted and the system may not know it


class StepCreated(Reply, frozen=True, kw_only=True):
    step: Step
    access: StepAccess | None = None


class HetStepCreated(Reply, frozen=True, kw_only=True):
    """One step for each part, in the order of the request."""

    steps: tuple[StepCreated, ...]


class JobRows(Reply, frozen=True, kw_only=True):
    """A projection: one row per job, values in the order of `fields`."""

    fields: tuple[str, ...]
    rows: list[list[Any]]


class AccountsChanged(Reply, frozen=True, kw_only=True):
    """What sacctmgr's change has touched."""

    touched: Touched


class ObjectsPut(Reply, frozen=True, kw_only=True):
    """As they are now (dry run: as they would be); of deleted ones: as they were, or are while they end."""

    objects: tuple[AnyObject, ...] = ()
    created: tuple[bool, ...] = ()  #: in the same order: it was not there before


AnyReply = (
    Done | Rejected | Submitted | WouldStart | StepCreated | HetStepCreated | JobRows | AccountsChanged | ObjectsPut
)
