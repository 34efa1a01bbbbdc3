"""Which facts does the controller record and publish? Applying them in order gives the state again.

A fact carries the whole new record of its noun, so that applying is a replacement and an old log stays readable: msgspec fills
fields that came later with their defaults. The kinds differ for those who listen, not for those who apply.
"""

import msgspec

from corral.model.account import Account, Association, User
from corral.model.crontab import Crontab
from corral.model.job import Job, JobId, JobSpec
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.node import Node
from corral.model.partition import Partition
from corral.model.qos import Qos
from corral.model.reservation import Reservation
from corral.model.step import Step
from corral.model.transaction import Transaction
from corral.model.trigger import Trigger


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Base of all events. `time`: when it became true, seconds since the epoch."""

    time: float


class JobSubmitted(Event, frozen=True, kw_only=True):
    job: Job
    spec: JobSpec


class JobStarted(Event, frozen=True, kw_only=True):
    """Resources are given. Of an array's element: its record begins here; `array_rest` is the record it was split from."""

    job: Job
    array_rest: Job | None = None


class JobChanged(Event, frozen=True, kw_only=True):
    """Held, released, suspended, resumed, completing, updated. `spec` when that changed too."""

    job: Job
    what: str = ""
    spec: JobSpec | None = None
    array_rest: Job | None = None  #: an element got a record of its own by this change


class JobRequeued(Event, frozen=True, kw_only=True):
    """One run was cut off (`ended` is its record for the accounting) and the job waits again."""

    job: Job
    ended: Job


class JobEnded(Event, frozen=True, kw_only=True):
    """A terminal state is reached; its resources are free."""

    job: Job
    array_rest: Job | None = None


class JobsPurged(Event, frozen=True, kw_only=True):
    """Older than MinJobAge: out of memory, still in the accounting."""

    ids: tuple[JobId, ...]


class StepCreated(Event, frozen=True, kw_only=True):
    step: Step


class StepChanged(Event, frozen=True, kw_only=True):
    step: Step


class StepEnded(Event, frozen=True, kw_only=True):
    step: Step


class NodeChanged(Event, frozen=True, kw_only=True):
    node: Node
    what: str = ""  #: registered, down, up, drained, resumed, updated, vanished


class NodeRemoved(Event, frozen=True, kw_only=True):
    name: str


class PartitionChanged(Event, frozen=True, kw_only=True):
    partition: Partition


class PartitionRemoved(Event, frozen=True, kw_only=True):
    name: str


class ReservationChanged(Event, frozen=True, kw_only=True):
    reservation: Reservation
    what: str = ""  #: created, updated, again (it repeats), nodes, purged


class ReservationRemoved(Event, frozen=True, kw_only=True):
    name: str


class CrontabChanged(Event, frozen=True, kw_only=True):
    """A user has a new crontab, or a line of it is no longer carried out. An empty text: none at all."""

    crontab: Crontab


class TriggerChanged(Event, frozen=True, kw_only=True):
    """Set, or what it waits for has happened and its offset runs."""

    trigger: Trigger


class TriggerFired(Event, frozen=True, kw_only=True):
    """Its program is to be run, once, with these words. It is gone unless it is permanent."""

    trigger: Trigger
    words: tuple[str, ...] = ()


class TriggersCleared(Event, frozen=True, kw_only=True):
    ids: tuple[int, ...]


class ControllerStarted(Event, frozen=True, kw_only=True):
    term: int


class JobIdsTaken(Event, frozen=True, kw_only=True):
    """A node has run jobs that the record does not know: it is older than they are. Their ids are not given again."""

    upto: int
    node: str


class AccountsChanged(Event, frozen=True, kw_only=True):
    """One change of accounts, users, associations and QOS: the new records of all that it touched, and what is gone."""

    accounts: tuple[Account, ...] = ()
    users: tuple[User, ...] = ()
    associations: tuple[Association, ...] = ()
    qos: tuple[Qos, ...] = ()
    removed_accounts: tuple[str, ...] = ()
    removed_users: tuple[str, ...] = ()
    removed_associations: tuple[int, ...] = ()
    removed_qos: tuple[str, ...] = ()
    transactions: tuple[Transaction, ...] = ()


class UsageDecayChanged(Event, frozen=True, kw_only=True):
    """From now on what was used counts half after so many seconds; 0 = it counts for ever."""

    half_life: float


class UsageReset(Event, frozen=True, kw_only=True):
    """What has been used so far counts no more (RawUsage=0, and at the end of each PriorityUsageResetPeriod)."""

    associations: tuple[int, ...] = ()
    qos: tuple[str, ...] = ()
    everything: bool = False  #: all of them, but for the QOS that never forget (NoDecay); a period begins
    begins: bool = False  #: a period begins; by itself it resets nothing


class ObjectsChanged(Event, frozen=True, kw_only=True):
    """Kubernetes' objects: the new records, and what is gone. `version`: the highest resourceVersion given so far."""

    objects: tuple[AnyObject, ...] = ()
    removed: tuple[ObjectKey, ...] = ()
    version: int = 0


AnyEvent = (
    JobSubmitted | JobStarted | JobChanged | JobRequeued | JobEnded | JobsPurged | StepCreated | StepChanged | StepEnded
    | NodeChanged | NodeRemoved | PartitionChanged | PartitionRemoved | ReservationChanged | ReservationRemoved | ControllerStarted
    | JobIdsTaken
    | CrontabChanged | TriggerChanged | TriggerFired | TriggersCleared
    | AccountsChanged | UsageReset | UsageDecayChanged | ObjectsChanged
)  # fmt: skip
