"""What is an account, who may use it, and with which limits? Accounts, users, and the associations that tie them together."""

import msgspec

#: Shares that say: as if its parent's users were these (fairshare=parent).
PARENT = 0x7FFFFFFF

ROOT = "root"

#: Amounts by the name of the resource: cpu, mem (MB), node, gres/gpu, gres/gpu:v100, billing.
Tres = dict[str, int]


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for an association. None or a resource that is not named = no limit here.

    Those in groups (`grp_`) hold for all below together; the others for each user's association, which takes over what it does not
    set itself from the account above.
    """

    grp_jobs: int | None = None
    grp_jobs_accrue: int | None = None
    grp_submit: int | None = None
    grp_wall: int | None = None  #: minutes
    grp_tres: Tres = {}
    grp_tres_mins: Tres = {}
    grp_tres_run_mins: Tres = {}
    max_jobs: int | None = None
    max_jobs_accrue: int | None = None
    max_submit: int | None = None
    max_wall: int | None = None  #: minutes, of a job
    max_tres: Tres = {}  #: of a job
    max_tres_per_node: Tres = {}
    max_tres_mins: Tres = {}  #: of a job
    max_tres_run_mins: Tres = {}
    min_priority: int | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    description: str = ""
    organization: str = ""
    coordinators: tuple[str, ...] = ()  #: users who may manage it and what is below


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    default_account: str = ""
    admin_level: str = "None"  #: None, Operator or Administrator


class Association(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account in its tree (`user` is ""), or a user in an account, of all partitions or of one."""

    id: int
    account: str
    user: str = ""
    partition: str = ""
    parent: str = ""  #: of an account: the one above; "" = it is the root
    shares: int = 1
    priority: int | None = None
    limits: Limits = Limits()
    qos: tuple[str, ...] | None = None  #: None = as the one above, with `qos_changes`
    qos_changes: tuple[str, ...] = ()  #: "+high", "-low"
    default_qos: str | None = None  #: None = as the one above
    added: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.account, self.user, self.partition)
