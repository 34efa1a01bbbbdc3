"""What does a job ask of the nodes, once every option has been resolved?"""

import msgspec

from corral.model.gres import GresRequest
from corral.model.job import JobSpec
from corral.model.podplace import PodWords
from corral.syntax import distribution, hostlist, licenses

#: Memory "all of the node's" (--mem=0).
ALL_MEMORY = -1


class Geometry(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What a job asks of sockets, cores and threads."""

    sockets: int = 0  #: a node must have so many of them usable; 0 = any number
    cores: int = 0  #: so many free cores make a socket usable
    threads: int = 0  #: so many of a core are used, at most; 0 = all
    tasks_per_socket: int = 0
    tasks_per_core: int = 0
    order: str = "cyclic"  #: of tasks over the sockets of a node: cyclic, fcyclic or block

    @property
    def wants_sockets(self) -> bool:
        return bool(self.sockets or self.cores or self.tasks_per_socket)


#: Nothing was said.
ANY_CORES = Geometry()


class Demand(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Jobs with equal demands have one answer within a cycle: this is the key of that cache."""

    partition: str
    nodes_min: int
    nodes_max: int | None  #: None = as few as the tasks need
    ntasks: int | None  #: None = the nodes decide (one per node)
    cpus_per_task: int = 1
    tasks_per_node: int | None = None
    memory_per_node_mb: int = 0  #: 0 = not counted
    memory_per_cpu_mb: int = 0
    memory_per_gpu_mb: int = 0
    least_memory_mb: int = 0  #: its nodes have so much at all, whoever uses it
    gres_per_node: tuple[GresRequest, ...] = ()
    gres_per_task: tuple[GresRequest, ...] = ()
    gres_total: tuple[GresRequest, ...] = ()
    share: GresRequest | None = None  #: a part of one GPU on each node
    owner: int = -1  #: whose share it is, where those of two users may not be on one GPU; -1 = anybody's
    cpus_per_gpu: int = 0
    exclusive: bool = False
    overcommit: bool = False
    geometry: Geometry = ANY_CORES
    cpus_per_node: int = 1  #: at least (--mincpus)
    gres_flags: str = ""  #: "enforce-binding": only cores that are near its GPUs; "disable-binding": any
    tmp_disk_mb: int = 0
    gpus_per_socket: tuple[GresRequest, ...] = ()
    tasks_per_gpu: int = 0
    nodelist: tuple[str, ...] = ()
    tasks_on: tuple[int, ...] = ()  #: how many tasks each of them gets (--distribution=arbitrary)
    exclude: tuple[str, ...] = ()
    constraint: str = ""
    batch_features: str = ""
    contiguous: bool = False
    switches: int = 0  #: on at most so many leaf switches; 0 = any number
    many_nodes: bool = False  #: --spread-job
    few_nodes: bool = False  #: --use-min-nodes
    preferred: bool = False  #: with what it would rather have (--prefer): beside it stands one without
    sharers: int = 0  #: its CPUs may be had by so many jobs of the partition; 0 = they are its own
    # what the partition adds (limits.py)
    nodes_limit: int | None = None  #: never on more nodes
    cpus_limit: int | None = None  #: the partition's jobs together hold no more CPUs of a node
    spread: bool = False  #: on the emptiest nodes, whatever the cluster's placement
    user: int = -1  #: whose; -1 = no partition keeps nodes to one user
    only_user: bool = False  #: on nodes without other users' jobs
    licenses: tuple[tuple[str, int], ...] = ()  #: of the cluster's; none of them is counted 0
    reservation: str = ""  #: in which it runs
    pod: PodWords | None = None  #: it is a Pod, and says in Kubernetes' words where it may be

    @property
    def wants_gres(self) -> bool:
        return bool(self.gres_per_node or self.gres_per_task or self.gres_total or self.share)

    @property
    def gres_names(self) -> frozenset[str]:
        """What kinds it asks for, and GPUs."""
        requests = self.gres_per_node + self.gres_per_task + self.gres_total + self.gpus_per_socket
        return frozenset({"gpu", *(request.name for request in requests)})

    @property
    def wants_gpus(self) -> bool:
        requests = self.gres_per_node + self.gres_per_task + self.gres_total + self.gpus_per_socket
        return any(request.name == "gpu" for request in requests)


def demand_of(spec: JobSpec, partition: str, memory_per_cpu_mb: int = 0, memory_per_node_mb: int = 0) -> Demand:
    """Resolve a spec. The two memory arguments are the partition's or cluster's defaults (0 = none).

    Rules as sbatch(1) has them: --ntasks-per-node without --ntasks multiplies with the nodes; a node list asks for at least its
    nodes; without any count it is one task on one node.
    """
    listed = hostlist.expand(spec.nodelist) if spec.nodelist else []
    nodelist = tuple(dict.fromkeys(listed))
    exclude = tuple(sorted(hostlist.expand(spec.exclude))) if spec.exclude else ()
    nodes_min = max(spec.nodes_min or 1, len(nodelist))
    nodes_max = spec.nodes_max
    ntasks = spec.ntasks
    if spec.ntasks_per_node:
        if ntasks is None:
            ntasks = spec.ntasks_per_node * nodes_min
        elif spec.nodes_min is None:
            nodes_min = max(nodes_min, -(-ntasks // spec.ntasks_per_node))
            nodes_max = max(nodes_max or 0, nodes_min)
    gpus, per_node_tasks = spec.gpus, spec.ntasks_per_node
    if spec.ntasks_per_gpu:
        if ntasks is None and not gpus:
            per_node_tasks = spec.ntasks_per_gpu * _gpus_per_node(spec) or None
        ntasks, gpus = _by_gpus(spec, ntasks, nodes_min)
    if ntasks is None and nodes_max is None and not any(request.count for request in gpus):
        nodes_max = nodes_min
    if ntasks is not None and nodes_max is not None and not spec.overcommit:
        nodes_max = max(nodes_min, min(nodes_max, ntasks))
    if spec.memory_per_node_mb is not None:
        per_node, per_cpu, per_gpu = spec.memory_per_node_mb or ALL_MEMORY, 0, 0
    elif spec.memory_per_cpu_mb is not None:
        per_node, per_cpu, per_gpu = 0, spec.memory_per_cpu_mb, 0
    elif spec.memory_per_gpu_mb is not None:
        per_node, per_cpu, per_gpu = 0, 0, spec.memory_per_gpu_mb
    else:
        per_node, per_cpu, per_gpu = memory_per_node_mb, memory_per_cpu_mb, 0
    demand = Demand(
        partition=partition,
        nodes_min=nodes_min,
        nodes_max=nodes_max,
        ntasks=ntasks,
        cpus_per_task=spec.cpus_per_task or 1,
        tasks_per_node=per_node_tasks,
        memory_per_node_mb=per_node,
        memory_per_cpu_mb=per_cpu,
        memory_per_gpu_mb=per_gpu,
        gres_per_node=_wanted(spec.gres + spec.gpus_per_node),
        gres_per_task=_wanted(spec.gpus_per_task),
        gres_total=_wanted(gpus),
        cpus_per_gpu=spec.cpus_per_gpu or 0,
        exclusive=spec.exclusive,
        overcommit=spec.overcommit,
        nodelist=nodelist,
        exclude=exclude,
        constraint=spec.constraint,
        licenses=licences_of(spec),
    )
    more = _more(spec)
    if any(request.is_share for request in demand.gres_per_node):
        more["share"] = next(request for request in demand.gres_per_node if request.is_share)
        more["gres_per_node"] = tuple(request for request in demand.gres_per_node if not request.is_share)
    if nodelist and spec.distribution.startswith("arbitrary"):
        more |= {
            "tasks_on": tuple(listed.count(name) for name in nodelist), "ntasks": len(listed), "nodes_min": len(nodelist),
            "nodes_max": len(nodelist),
        }  # fmt: skip
    return msgspec.structs.replace(demand, **more) if more else demand


def preferring(demand: Demand, prefer: str) -> Demand:
    """With the features that it would rather have, in the place of those it must have (as in Slurm)."""
    return msgspec.structs.replace(demand, constraint=prefer, preferred=True)


def _gpus_per_node(spec: JobSpec) -> int:
    return sum(request.count for request in spec.gres + spec.gpus_per_node if request.name == "gpu")


def _by_gpus(spec: JobSpec, ntasks: int | None, nodes: int) -> tuple[int | None, tuple[GresRequest, ...]]:
    """--ntasks-per-gpu: the tasks that the GPUs make, or the GPUs that the tasks need."""
    each = spec.ntasks_per_gpu or 1
    total = sum(request.count for request in spec.gpus)
    per_node = _gpus_per_node(spec)
    if total or per_node:
        return max(ntasks or 0, each * (total or per_node * nodes)), spec.gpus
    if ntasks is None and spec.nodes_min is None:
        return ntasks, spec.gpus
    return ntasks, (GresRequest("gpu", "", -(-(ntasks or nodes) // each)),)


def _more(spec: JobSpec) -> dict[str, object]:
    """What few jobs ask for."""
    fields: dict[str, object] = {
        name: value
        for name, value in (
            ("cpus_per_node", spec.mincpus),
            ("tmp_disk_mb", spec.tmp_disk_mb),
            ("gres_flags", spec.gres_flags),
            ("gpus_per_socket", _wanted(spec.gpus_per_socket)),
            ("tasks_per_gpu", spec.ntasks_per_gpu),
            ("batch_features", spec.batch_features),
            ("contiguous", spec.contiguous),
            ("switches", spec.switches),
            ("many_nodes", spec.spread_job),
            ("few_nodes", spec.use_min_nodes),
            ("pod", spec.places),
        )
        if value
    }
    geometry = _geometry(spec)
    if geometry != ANY_CORES:
        fields["geometry"] = geometry
    return fields


def _geometry(spec: JobSpec) -> Geometry:
    if not (
        spec.sockets_per_node or spec.cores_per_socket or spec.threads_per_core or spec.ntasks_per_socket
        or spec.ntasks_per_core or spec.distribution
    ):  # fmt: skip
        return ANY_CORES
    order = distribution.parse(spec.distribution) if spec.distribution else distribution.Distribution()
    return Geometry(
        sockets=spec.sockets_per_node or 0,
        cores=spec.cores_per_socket or 0,
        threads=spec.threads_per_core or 0,
        tasks_per_socket=spec.ntasks_per_socket or 0,
        tasks_per_core=spec.ntasks_per_core or 0,
        order=order.sockets or ("block" if order.nodes == "plane" else "cyclic"),
    )


def licences_of(spec: JobSpec) -> licenses.Licenses:
    return tuple(entry for entry in licenses.parse(spec.licenses) if entry[1]) if spec.licenses else ()


def _wanted(requests: tuple[GresRequest, ...]) -> tuple[GresRequest, ...]:
    """`gpu:0` asks for nothing."""
    return tuple(request for request in requests if request.count) if requests else requests
