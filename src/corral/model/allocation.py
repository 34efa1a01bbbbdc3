"""What does a job hold: nodes, cores, memory and GPUs?"""

import msgspec

from corral.model.gres import GresShare


class NodeShare(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is held on one node."""

    node: str
    cpus: tuple[int, ...]  #: CPU ids, ascending
    memory_mb: int
    gres: tuple[GresShare, ...] = ()
    tasks: int = 0  #: how many tasks of the job go here by its own request
    threads: int = 1  #: of each core there
    usable: int = 0  #: CPUs that count for the tasks, where not all threads of a core are used; 0 = all

    @property
    def cpu_count(self) -> int:
        """As the job counts them (SLURM_JOB_CPUS_PER_NODE)."""
        return self.usable or len(self.cpus)


#: As many CPUs as a GPU is charged with where a partition says nothing (billing_weights): the time of GPUs is what counts.
GPU_CHARGE = 16


def default_charge(cpus: int, gpus: int) -> int:
    return cpus + GPU_CHARGE * gpus


class Allocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that one job holds, from its start until its last step has ended."""

    nodes: tuple[NodeShare, ...]  #: in node order; the batch step runs on the first
    partition: str = ""
    ntasks: int = 1
    cpus_per_task: int = 1
    exclusive: bool = False  #: no other job on these nodes
    user: int = -1  #: whose, where some partition keeps nodes to one user; -1 = nobody asks
    only_user: bool = False  #: no other user's job on these nodes
    licenses: tuple[tuple[str, int], ...] = ()  #: of the cluster's
    reservation: str = ""  #: in which it runs
    reservation_number: int = 0
    billing: int = -1  #: what a second of it is charged with; -1 = as where a partition says nothing
    sharers: int = 0  #: so many jobs of its partition may have its CPUs; 0 = they are its own
    owner: int = -1  #: whose its shares of GPUs are, where those of two users may not be on one; -1 = anybody's

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(share.node for share in self.nodes)

    @property
    def cpu_count(self) -> int:
        return sum(len(share.cpus) for share in self.nodes)

    @property
    def billed(self) -> int:
        return default_charge(self.cpu_count, self.gres_count("gpu")) if self.billing < 0 else self.billing

    @property
    def memory_mb(self) -> int:
        return sum(share.memory_mb for share in self.nodes)

    def gres_count(self, name: str) -> int:
        return sum(gres.count for share in self.nodes for gres in share.gres if gres.name == name)

    @property
    def has_shares(self) -> bool:
        """Of GPUs."""
        return any(gres.milli for share in self.nodes for gres in share.gres)

    def on(self, node: str) -> NodeShare | None:
        return next((share for share in self.nodes if share.node == node), None)
