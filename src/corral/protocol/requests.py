"""What may a user ask of the controller?"""

from typing import Literal

import msgspec

from corral.model.job import JobId, JobSpec, JobState, StepSpec
from corral.model.kube.load import Answer, PodUse
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.node import NodeInventory
from corral.model.partition import PartitionState
from corral.model.podplace import Taint
from corral.model.trigger import TriggerResource
from corral.protocol.accounting import Condition, Kind, Settings, Verb


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the socket's peer credentials or a token say; never taken from the request's body."""

    uid: int
    gid: int
    user: str
    group: str
    role: Literal["user", "operator", "administrator"] = "user"
    groups: tuple[str, ...] = ()  #: all of its groups, where somebody asks for Kubernetes' objects
    account: str = ""  #: NAMESPACE:NAME of the ServiceAccount whose rights these are, and no others

    @property
    def is_operator(self) -> bool:
        return self.role != "user"


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag=True):
    """Base of all requests; the tag is the class's name."""


class NewJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One job to submit: the spec, and what goes to the store beside it."""

    spec: JobSpec
    script: str = ""
    environment: dict[str, str] = {}


class SubmitJobs(Request, frozen=True, kw_only=True):
    """Submit one job or many: all are taken or none. `user`, `group`: an administrator may submit for another (--uid, --gid)."""

    jobs: tuple[NewJob, ...]
    user: str = ""
    group: str = ""
    crontab: str | None = None  #: the jobs are those of this text, which becomes the user's crontab; "" = it has none
    test_only: bool = False  #: only say when and where it would start
    het: bool = False  #: they are the components of one heterogeneous job, which start together


class JobSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which jobs: all given conditions must hold. `ids` are job ids as text ("42", "42_7", "42_[1-3]", "42.0")."""

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    wckeys: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    nodes: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()


class CancelJobs(Request, frozen=True, kw_only=True):
    """scancel. signal 0 = end the job; else send it. batch: to the batch shell only; full: to it as well as the steps."""

    selection: JobSelection
    signal: int = 0
    cron: bool = False  #: also jobs of crontabs
    batch: bool = False
    full: bool = False


class HoldJobs(Request, frozen=True, kw_only=True):
    ids: tuple[str, ...]
    by_user: bool = False  #: scontrol uhold


class ReleaseJobs(Request, frozen=True, kw_only=True):
    ids: tuple[str, ...]


class RequeueJobs(Request, frozen=True, kw_only=True):
    ids: tuple[str, ...]
    hold: bool = False
    special_exit: bool = False  #: held, and shown as SPECIAL_EXIT
    incomplete: bool = False  #: only those that run, or are about to or suspended


class SuspendJobs(Request, frozen=True, kw_only=True):
    ids: tuple[str, ...]


class ResumeJobs(Request, frozen=True, kw_only=True):
    ids: tuple[str, ...]


class TopJobs(Request, frozen=True, kw_only=True):
    """scontrol top: before all others of the same user."""

    ids: tuple[str, ...]


class NotifyJob(Request, frozen=True, kw_only=True):
    """A message to who watches the job: its srun, or the standard error of its script."""

    id: str
    message: str


class UpdateStep(Request, frozen=True, kw_only=True):
    """scontrol update StepId=...: a new time limit for a step (42.0), or all steps of a job. +N and -N add to what it is and take off."""

    id: str
    time_limit: str


class UpdateJob(Request, frozen=True, kw_only=True):
    """scontrol update JobId=...: `changes` maps scontrol's key in lower case (timelimit, partition, name ...) to its text."""

    id: str
    changes: dict[str, str]


class UpdateNodes(Request, frozen=True, kw_only=True):
    """scontrol update NodeName=...; state: drain, undrain, resume, down, fail, idle ... in lower case."""

    nodes: str  #: a hostlist
    state: str = ""
    reason: str = ""
    features: str | None = None
    weight: int | None = None
    comment: str | None = None
    labels: dict[str, str | None] = {}  #: None = it goes
    taints: tuple[Taint, ...] | None = None  #: all that there are to be


class RebootNodes(Request, frozen=True, kw_only=True):
    """scontrol reboot: each when nothing runs on it any more."""

    nodes: str  #: a hostlist, or ALL
    asap: bool = False  #: until then they take nothing new
    next_state: Literal["", "resume", "down"] = ""
    reason: str = ""


class DeleteNodes(Request, frozen=True, kw_only=True):
    """scontrol delete NodeName=...: they are no longer of the cluster, until an agent registers them again."""

    nodes: str  #: a hostlist


class UpdatePartition(Request, frozen=True, kw_only=True):
    name: str
    changes: dict[str, str]
    state: PartitionState | None = None


class CreatePartition(Request, frozen=True, kw_only=True):
    """scontrol create PartitionName=: until the configuration is read again, as with Slurm."""

    name: str
    changes: dict[str, str] = {}
    state: PartitionState | None = None


class DeletePartition(Request, frozen=True, kw_only=True):
    name: str


class Names(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Users, groups, accounts or flags: set, or with a sign added or taken away. A user or account with - before it is denied."""

    names: tuple[str, ...]
    sign: Literal["", "+", "-"] = ""


class ReservationFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What scontrol says of a reservation; None = not said. Times are seconds."""

    start_time: float | None = None
    end_time: float | None = None
    duration: int | None = None
    duration_sign: Literal["", "+", "-"] = ""
    nodes: str | None = None  #: a hostlist, or ALL
    node_counts: tuple[int, ...] | None = None
    core_counts: tuple[int, ...] | None = None
    licenses: str | None = None
    users: Names | None = None
    groups: Names | None = None
    members: dict[str, tuple[str, ...]] = {}  #: of the groups; the controller fills it in
    accounts: Names | None = None
    partition: str | None = None
    features: str | None = None
    flags: Names | None = None
    purge_seconds: int | None = None


class CreateReservation(Request, frozen=True, kw_only=True):
    fields: ReservationFields
    name: str = ""  #: "" = one is made: root_1


class UpdateReservation(Request, frozen=True, kw_only=True):
    name: str
    fields: ReservationFields = ReservationFields()
    skip: bool = False  #: go on to the next time


class DeleteReservation(Request, frozen=True, kw_only=True):
    name: str


class CreateStep(Request, frozen=True, kw_only=True):
    """srun inside an allocation."""

    job: str
    spec: StepSpec
    environment: dict[str, str] = {}


class HetPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The part of a step that runs on one component."""

    group: int  #: its offset
    spec: StepSpec


class CreateHetStep(Request, frozen=True, kw_only=True):
    """srun --het-group: one step over components of a heterogeneous job, its tasks numbered through."""

    job: str
    parts: tuple[HetPart, ...]
    environment: dict[str, str] = {}


class SignalStep(Request, frozen=True, kw_only=True):
    """Signal one step; kill: end it (SIGTERM, wait, SIGKILL)."""

    job: JobId
    step: int
    signal: int = 15
    kill: bool = False


class CompleteJob(Request, frozen=True, kw_only=True):
    """salloc's command has ended: give the allocation back."""

    job: JobId
    status: int = 0  #: wait(2) status of the command


class Reconfigure(Request, frozen=True, kw_only=True):
    """Read corral.toml again. The controller fills in what it read."""


class SetTrigger(Request, frozen=True, kw_only=True):
    """strigger --set: run a program as the caller when something happens."""

    resource: TriggerResource
    event: str
    target: str = ""  #: a job's id, or a host list; "" = every node
    offset: int = 0  #: seconds after it (before it when negative)
    program: str
    permanent: bool = False


class ClearTriggers(Request, frozen=True, kw_only=True):
    """strigger --clear: those that meet all conditions given."""

    id: int | None = None
    job: str = ""
    user: str = ""


class NewClusterNodes(Request, frozen=True, kw_only=True):
    """An administrator adds nodes that no agent has registered yet (state UNKNOWN)."""

    nodes: tuple[NodeInventory, ...]


class ChangeAccounts(Request, frozen=True, kw_only=True):
    """sacctmgr: add, modify or remove; `test`: only say what it would touch."""

    verb: Verb
    kind: Kind
    where: Condition = Condition()
    settings: Settings = Settings()
    test: bool = False


class PutObjects(Request, frozen=True, kw_only=True):
    """Make or change Kubernetes' objects, all or none. Made by the controller's API out of manifests that it has checked.

    An object with a `resource_version` replaces only what has that version ("" = whatever is there).
    """

    objects: tuple[AnyObject, ...]
    mode: Literal["put", "create", "update"] = "put"  #: create: none may be there; update: all must be
    dry_run: bool = False  #: only say what they would be


class DeleteObjects(Request, frozen=True, kw_only=True):
    """Delete Kubernetes' objects. Orphan: what they own stays. Foreground: they stay until what they own is gone."""

    keys: tuple[ObjectKey, ...]
    propagation: Literal["Background", "Foreground", "Orphan"] = "Background"
    grace_seconds: int | None = None  #: None = as each says
    dry_run: bool = False
    is_eviction: bool = False  #: not what a PodDisruptionBudget holds


class AddressLoad(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one replica has to do: `address` is host:port, as its Pod's status says."""

    address: str
    in_flight: int = 0


class ServiceLoad(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What passed through a gateway to one service, from its last report to this one."""

    namespace: str
    service: str
    in_flight: float = 0.0  #: on average; requests of HTTP, connections of TCP; those that are held included
    addresses: tuple[AddressLoad, ...] = ()  #: those that have something to do now
    held: int = 0  #: wait now, because no replica is ready
    requests: int = 0  #: have come
    failed: int = 0  #: of these were answered with a status of 500 or above


class ReportLoad(Request, frozen=True, kw_only=True):
    """What there was to do, each second; of services that it does not name there was nothing. A measurement: not recorded."""

    gateway: str
    services: tuple[ServiceLoad, ...] = ()
    seconds: float = 1.0  #: so long is what was counted
    unusable_ports: tuple[
        int, ...
    ] = ()  #: someone else has them: services that need no port of their choice get others
    http_port: int = 0  #: on which it tells services apart by their names; 0 = it does not
    https_port: int = 0
    dns: tuple[str, ...] = ()  #: address:port at which it answers for the names of services
    dns_for_pods: tuple[str, ...] = ()  #: likewise, for Pods of its machine that do not see its loopback
    host: str = ""  #: the IPv4 address at which nodes reach its ports; "" = it has none, or is of an earlier version


class ReportUse(Request, frozen=True, kw_only=True):
    """What Pods use, and what Prometheus has answered. A measurement: not recorded."""

    pods: tuple[PodUse, ...] = ()
    answers: tuple[Answer, ...] = ()


AnyRequest = (
    SubmitJobs | CancelJobs | HoldJobs | ReleaseJobs | RequeueJobs | SuspendJobs | ResumeJobs | UpdateJob | UpdateNodes | RebootNodes
    | DeleteNodes | UpdatePartition | CreatePartition | DeletePartition | CreateReservation | UpdateReservation | DeleteReservation
    | CreateStep | CreateHetStep | SignalStep | CompleteJob | Reconfigure | NewClusterNodes
    | SetTrigger | ClearTriggers | TopJobs | NotifyJob | UpdateStep
    | ChangeAccounts | PutObjects | DeleteObjects | ReportLoad | ReportUse
)  # fmt: skip
