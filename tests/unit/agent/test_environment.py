"""The variables of batch scripts and tasks, compared with what Slurm 22.05 gave: tests/golden/env."""

from pathlib import Path

import msgspec
import pytest

from corral.agent.control import ShepherdSettings
from corral.agent.environment import batch_environment, task_environment
from corral.agent.visibility import Naming
from corral.agent.way import show_the_way
from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresRequest, GresShare
from corral.model.job import JobId, JobKind, JobSpec, Owner, StdioSpec, StepSpec
from corral.model.step import BATCH, StepKey, TaskPlace
from corral.protocol.orders import ApiAccess, HetGroup, JobContext, LaunchStep, StepIo
from corral.syntax.hostlist import expand

GOLDEN = Path(__file__).parents[2] / "golden" / "env"

#: Differ from run to run or belong to the shell that printed them; the last two name a slurmctld, which is not there.
NOT_OURS = {"PWD", "SHLVL", "_", "SLURM_TASK_PID", "SLURM_SRUN_COMM_PORT", "SLURM_STEP_LAUNCHER_PORT"}
NOT_OURS |= {"SLURM_CONF", "SLURM_WORKING_CLUSTER", "CORRAL_STEP"}

SUBMITTER = {"HOME": "/root", "LANG": "C.UTF-8", "LOGNAME": "root", "PATH": "/usr/bin:/bin", "SHELL": "/bin/bash"}
SUBMITTER |= {"USER": "root", "SLURM_SUBMIT_DIR": "<DIR>", "SLURM_SUBMIT_HOST": "vm", "SLURM_PRIO_PROCESS": "0"}


def golden(name: str) -> dict[str, str]:
    lines = (GOLDEN / name).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key: value for key, _, value in pairs if key not in NOT_OURS}


def ours(variables: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key not in NOT_OURS}


def gpu(count: int, kind: str = "") -> tuple[GresRequest, ...]:
    return (GresRequest("gpu", kind, count),)


def share(node: str, cpus: int = 1, gpus: tuple[int, ...] = (), tasks: int = 0) -> NodeShare:
    gres = (GresShare("gpu", "v100", gpus),) if gpus else ()
    return NodeShare(node=node, cpus=tuple(range(cpus)), memory_mb=0, gres=gres, tasks=tasks)


def job(
    file: str, spec: JobSpec, *shares: NodeShare, name: str = "env.sh", cpus_per_task: int = 1, **more
) -> JobContext:  # type: ignore[no-untyped-def]
    """The job behind a golden file: its number and nodes are read from there."""
    given = golden(file)
    nodes = expand(given["SLURM_JOB_NODELIST"])
    assert len(nodes) == len(shares)
    return JobContext(
        job_id=int(given["SLURM_JOB_ID"]),
        name=name,
        owner=Owner(uid=0, gid=0, user="root", group="root"),
        account=more.pop("account", "root"),
        qos="normal",
        partition="batch",
        cluster="oracle",
        spec=spec,
        allocation=Allocation(
            nodes=tuple(msgspec.structs.replace(s, node=n) for s, n in zip(shares, nodes, strict=True)),
            cpus_per_task=cpus_per_task,
            ntasks=sum(s.tasks for s in shares) or 1,
        ),
        **more,
    )


def batch(context: JobContext, **environment: str) -> LaunchStep:
    first = context.allocation.nodes[0]
    return LaunchStep(
        node=first.node,
        key=StepKey(JobId(context.job_id), BATCH),
        job=context,
        spec=StepSpec(),
        step_nodes=(first.node,),
        tasks_per_node=(1,),
        ntasks=1,
        share=first,
        job_share=first,
        tasks=(TaskPlace(0, 0),),
        environment={**SUBMITTER, **environment},
    )


def step(
    context: JobContext,
    spec: StepSpec,
    ranks: list[list[int]],
    node_index: int,
    environment: dict[str, str],
    cpus: list[int] | None = None,
    gpus: dict[int, tuple[int, ...]] | None = None,
    held: list[tuple[int, ...]] | None = None,
) -> LaunchStep:
    """ranks: of each node. gpus: of each task, where bound. held: the step's GPUs of each node, else the job's."""
    job_shares = context.allocation.nodes
    shares = list(job_shares)
    if cpus is not None:
        shares = [msgspec.structs.replace(s, cpus=tuple(range(n))) for s, n in zip(shares, cpus, strict=True)]
    if held is not None:
        kinds = [(GresShare("gpu", "v100", ids),) if ids else () for ids in held]
        shares = [msgspec.structs.replace(s, gres=kind) for s, kind in zip(shares, kinds, strict=True)]
    places = [TaskPlace(rank, i, gpus=(gpus or {}).get(rank, ())) for i, rank in enumerate(ranks[node_index])]
    return LaunchStep(
        node=job_shares[node_index].node,
        key=StepKey(JobId(context.job_id), 0),
        job=context,
        spec=spec,
        step_nodes=context.allocation.node_names,
        tasks_per_node=tuple(map(len, ranks)),
        ntasks=sum(map(len, ranks)),
        share=shares[node_index],
        job_share=job_shares[node_index],
        tasks=tuple(places),
        environment=environment,
        io=StepIo(url="nats://127.0.0.1:4222"),
    )


class Case(msgspec.Struct, kw_only=True):
    """One submission, and the step that ran inside (or was, for srun)."""

    spec: JobSpec = JobSpec()
    shares: tuple[NodeShare, ...] = (share("n"),)
    ranks: list[list[int]] = msgspec.field(default_factory=lambda: [[0]])
    step: StepSpec = StepSpec()
    cpus: list[int] | None = None
    gpus: dict[int, tuple[int, ...]] | None = None
    held: list[tuple[int, ...]] | None = None
    environment: dict[str, str] = {}
    cpus_per_task: int = 1
    step_environment: dict[str, str] = {}  #: what srun's own options put there
    job: dict[str, object] = {}

    def context(self, file: str, **more: object) -> JobContext:
        spec = msgspec.structs.replace(self.spec, submit_host="vm")
        return job(file, spec, *self.shares, cpus_per_task=self.cpus_per_task, **{**self.job, **more})


BIND = ("SLURM_CPU_BIND", "SLURM_CPU_BIND_LIST", "SLURM_CPU_BIND_TYPE", "SLURM_CPU_BIND_VERBOSE")

BATCHES = {
    "default": Case(),
    "N2": Case(spec=JobSpec(nodes_min=2), shares=(share("n"),) * 2, ranks=[[0], [1]]),
    "n2": Case(spec=JobSpec(ntasks=2), shares=(share("n", 2, tasks=2),), ranks=[[0, 1]]),
    "n4N2": Case(
        spec=JobSpec(ntasks=4, nodes_min=2),
        shares=(share("n", 3, tasks=3), share("n", 1, tasks=1)),
        ranks=[[0, 1, 2], [3]],
    ),
    "uneven": Case(
        spec=JobSpec(ntasks=5, nodes_min=3),
        shares=(share("n", 3, tasks=3), share("n", 1, tasks=1), share("n", 1, tasks=1)),
        ranks=[[0, 1, 2], [3], [4]],
    ),
    "dist": Case(
        spec=JobSpec(ntasks=4, nodes_min=2, distribution="cyclic"),
        shares=(share("n", 3, tasks=3), share("n", 1, tasks=1)),
        ranks=[[0, 2, 3], [1]],
        step=StepSpec(distribution="cyclic"),
    ),
    "c4": Case(
        spec=JobSpec(ntasks=2, cpus_per_task=4),
        shares=(share("n", 8, tasks=2),),
        ranks=[[0, 1]],
        cpus_per_task=4,
        step=StepSpec(cpus_per_task=4),
    ),
    "constraint": Case(spec=JobSpec(nodes_min=1, nodes_max=3), shares=(share("n"),) * 3, ranks=[[0], [1], [2]]),
    "nodelist": Case(spec=JobSpec(nodelist="dgx0185,dgx0187"), shares=(share("n"),) * 2, ranks=[[0], [1]]),
    "exclusive": Case(spec=JobSpec(exclusive=True), shares=(share("n", 16, tuple(range(8))),), held=[()]),
    "mem": Case(spec=JobSpec(memory_per_node_mb=1024)),
    "mempercpu": Case(spec=JobSpec(ntasks=2, memory_per_cpu_mb=500), shares=(share("n", 2, tasks=2),), ranks=[[0, 1]]),
    "mempergpu": Case(spec=JobSpec(gpus=gpu(1), memory_per_gpu_mb=2048), shares=(share("n", 1, (0,)),)),
    "gres": Case(spec=JobSpec(gres=gpu(2)), shares=(share("n", 1, (0, 1)),)),
    "gpus": Case(
        spec=JobSpec(gpus=gpu(4), nodes_min=2), shares=(share("n", 1, (0, 1, 2)), share("n", 1, (0,))), ranks=[[0], [1]]
    ),
    "gpuspernode": Case(
        spec=JobSpec(gpus_per_node=gpu(2, "v100"), nodes_min=2), shares=(share("n", 1, (0, 1)),) * 2, ranks=[[0], [1]]
    ),
    "gpuspertask": Case(
        spec=JobSpec(gpus_per_task=gpu(1), ntasks=4),
        shares=(share("n", 4, (0, 1, 2, 3), 4),),
        ranks=[[0, 1, 2, 3]],
        gpus={0: (0,), 1: (1,), 2: (2,), 3: (3,)},
    ),
    "cpuspergpu": Case(spec=JobSpec(gpus=gpu(2), cpus_per_gpu=3), shares=(share("n", 6, (0, 1)),)),
    "overcommit": Case(
        spec=JobSpec(ntasks=20, overcommit=True), shares=(share("n", 1, tasks=20),), ranks=[list(range(20))]
    ),
    "tasksPerNode": Case(
        spec=JobSpec(nodes_min=2, ntasks_per_node=4),
        shares=(share("n", 4, tasks=4),) * 2,
        ranks=[[0, 1, 2, 3], [4, 5, 6, 7]],
    ),
    "signal": Case(spec=JobSpec(time_limit=600, requeue=True)),
    "names": Case(
        spec=JobSpec(stdio=StdioSpec(open_mode="append")),
        environment={"SLURM_HINT": "nomultithread", "SLURM_THREADS_PER_CORE": "1"},
        step_environment=dict(zip(BIND, ("quiet,threads", "", "threads", "quiet"), strict=True)),
        job={"name": "my job"},
    ),
    "exportALLFOO": Case(environment={"FOO": "bar", "SLURM_EXPORT_ENV": "ALL,FOO=bar", "SLURM_GET_USER_ENV": "1"}),
    "stepgpu": Case(
        spec=JobSpec(gres=gpu(4), ntasks=2),
        shares=(share("n", 2, (0, 1, 2, 3), 2),),
        ranks=[[0, 1]],
        step=StepSpec(gres=gpu(1)),
        held=[(0,)],
    ),
    "stepgpt": Case(
        spec=JobSpec(gpus=gpu(4), ntasks=2),
        shares=(share("n", 2, (0, 1, 2, 3), 2),),
        ranks=[[0, 1]],
        step=StepSpec(gpus_per_task=gpu(2)),
        gpus={0: (0, 1), 1: (2, 3)},
    ),
    "inner": Case(
        spec=JobSpec(ntasks=4, nodes_min=2, cpus_per_task=2),
        shares=(share("n", 6, tasks=3), share("n", 2, tasks=1)),
        ranks=[[0, 1], [2]],
        cpus_per_task=2,
        step=StepSpec(ntasks=3, cpus_per_task=2, stdio=StdioSpec(label=True)),
        step_environment=dict(zip(BIND, ("quiet,none", "", "none", "quiet"), strict=True)),
    ),
    "inner2": Case(
        spec=JobSpec(ntasks=4, nodes_min=2),
        shares=(share("n", 3, tasks=3), share("n", 1, tasks=1)),
        ranks=[[0], [1]],
        step=StepSpec(ntasks=2, cpus_per_task=1),
        cpus=[1, 1],
    ),
}

SRUNS = {
    "default": Case(),
    "n2": Case(spec=JobSpec(ntasks=2), shares=(share("n", 2, tasks=2),), ranks=[[0, 1]]),
    "n4N2": Case(shares=(share("n", 3), share("n", 1)), ranks=[[0, 1, 2], [3]]),
    "uneven": Case(shares=(share("n", 3), share("n", 1), share("n", 1)), ranks=[[0, 1, 2], [3], [4]]),
    "Npern": Case(shares=(share("n", 2),) * 2, ranks=[[0, 1], [2, 3]], step=StepSpec(ntasks_per_node=2)),
    "O": Case(ranks=[list(range(20))], step=StepSpec(overcommit=True)),
    "G": Case(shares=(share("n", 2, (0, 1)),), ranks=[[0, 1]]),
    "gres": Case(shares=(share("n", 1, (0,)),)),
    "gpt": Case(
        shares=(share("n", 2, (0, 1)),),
        ranks=[[0, 1]],
        step=StepSpec(gpus_per_task=gpu(1)),
        gpus={0: (0,), 1: (1,)},
    ),
    "label": Case(step=StepSpec(distribution="block", stdio=StdioSpec(label=True))),
    "mpc": Case(spec=JobSpec(memory_per_cpu_mb=300), shares=(share("n", 3),), ranks=[[0, 1, 2]]),
    "full": Case(
        spec=JobSpec(memory_per_node_mb=2048),
        shares=(share("n", 16, (0, 1)),) * 2,
        ranks=[[0, 1], [2, 3]],
        step=StepSpec(cpus_per_task=2),
        cpus=[4, 4],
        job={"name": "nm"},
    ),
}

STEP_FILES = sorted(p.name for name in BATCHES for p in GOLDEN.glob(f"env-step-{name}.[0-9]*.txt"))
SRUN_FILES = sorted(p.name for name in SRUNS for p in GOLDEN.glob(f"env-srun-{name}.[0-9]*.txt"))


def split(file: str) -> tuple[str, int]:
    name, rank, _ = file.split("-", 2)[2].rsplit(".", 2)
    return name, int(rank)


def login_environment(wanted: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if key in ("PATH", "MAIL") or key.startswith("PYENV")}


def node_of(case: Case, rank: int) -> int:
    return next(index for index, ranks in enumerate(case.ranks) if rank in ranks)


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_a_batch_script_gets_the_variables_that_slurm_gives(name: str) -> None:
    case, file = BATCHES[name], f"env-batch-{name}.txt"
    wanted = golden(file)
    if name == "exportALLFOO":
        # Slurm loads the user's login environment here.
        case = msgspec.structs.replace(case, environment={**case.environment, **login_environment(wanted)})
    assert ours(batch_environment(batch(case.context(file), **case.environment))) == wanted


@pytest.mark.parametrize("file", STEP_FILES)
def test_a_task_in_a_batch_job_gets_the_variables_that_slurm_gives(file: str) -> None:
    name, rank = split(file)
    case, batch_file, wanted = BATCHES[name], f"env-batch-{name}.txt", golden(file)
    context = case.context(batch_file)
    inherited = batch_environment(batch(context, **case.environment)) | case.step_environment
    if name == "exportALLFOO":
        inherited |= login_environment(wanted)
    # The batch host has a TMPDIR by now only where that is the one of Slurm too.
    inherited.setdefault("TMPDIR", "/tmp")
    order = step(context, case.step, case.ranks, node_of(case, rank), inherited, case.cpus, case.gpus, case.held)
    place = next(place for place in order.tasks if place.rank == rank)
    assert ours(task_environment(order, place)) == wanted


@pytest.mark.parametrize("file", SRUN_FILES)
def test_a_task_of_a_lone_srun_gets_the_variables_that_slurm_gives(file: str) -> None:
    name, rank = split(file)
    case, wanted = SRUNS[name], golden(file)
    spec = msgspec.structs.replace(case.spec, kind=JobKind.SRUN)
    context = msgspec.structs.replace(case, spec=spec).context(file, **{"name": "bash", **case.job})
    order = step(context, case.step, case.ranks, node_of(case, rank), dict(SUBMITTER), case.cpus, case.gpus, case.held)
    place = next(place for place in order.tasks if place.rank == rank)
    assert ours(task_environment(order, place)) == wanted


@pytest.mark.parametrize("element", [1, 2, 3])
def test_an_element_of_an_array_knows_the_array(element: int) -> None:
    file = f"env-batch-array.a{element}.txt"
    array = {"array_task_count": 3, "array_task_min": 1, "array_task_max": 3}
    context = Case().context(file, array_job_id=68, array_task_id=element, **array)
    assert ours(batch_environment(batch(context))) == golden(file)


def test_a_heterogeneous_job_is_told_of_each_component_what_was_asked_for() -> None:
    file, wanted = "env-batch-het.txt", golden("env-batch-het.txt")
    asked = (
        JobSpec(ntasks=2, cpus_per_task=2, memory_per_node_mb=150, gpus=gpu(2), distribution="cyclic"),
        JobSpec(nodes_min=2, ntasks=4, memory_per_node_mb=160, gpus_per_node=gpu(1), ntasks_per_node=2, cpus_per_gpu=1),
    )
    shares = ((share("dgx0180", 4, (0, 1), 2),), (share("dgx0181", 2, (0,), 2), share("dgx0182", 2, (0,), 2)))
    groups = tuple(
        HetGroup(
            job_id=145 + number, offset=number, name="h2.sh", account="root", qos="normal", partition="batch",
            nodes=tuple(one.node for one in held), cpus=tuple(one.cpu_count for one in held), tasks=(2,) * len(held),
            spec=spec, allocation=Allocation(nodes=held),
        )
        for number, (spec, held) in enumerate(zip(asked, shares, strict=True))
    )  # fmt: skip
    told = batch_environment(batch(job(file, asked[0], *shares[0], name="h2.sh", cpus_per_task=2, het=groups)))
    assert {name: value for name, value in told.items() if name in wanted} == wanted
    assert not {"SLURM_CPUS_PER_TASK", "SLURM_DISTRIBUTION", "SLURM_GPUS", "SLURM_NTASKS_PER_NODE"} & set(told)


def test_a_script_from_standard_input_has_no_name() -> None:
    spec = JobSpec(ntasks=2)
    assert "SLURM_JOB_NAME" not in batch_environment(batch(job("env-batch-n2.txt", spec, share("n", 2), name="sbatch")))


def test_a_batch_script_sees_nothing_of_the_job_that_submitted_it() -> None:
    context = Case().context("env-batch-default.txt")
    outer = {"SLURM_NTASKS": "7", "SLURM_STEP_ID": "3", "SLURM_ARRAY_TASK_ID": "1", "CUDA_VISIBLE_DEVICES": "5"}
    assert ours(batch_environment(batch(context, **outer))) == golden("env-batch-default.txt")


def shown(order: LaunchStep, **settings: str) -> dict[str, str]:
    variables = show_the_way(batch_environment(order), order, ShepherdSettings(**settings))  # type: ignore[arg-type]
    return {name: value for name, value in variables.items() if name.startswith("CORRAL_")}


def test_commands_in_the_job_find_their_cluster_by_its_socket(tmp_path: Path) -> None:
    (tmp_path / "corral.sock").touch()
    endpoint = f"unix://{tmp_path}/corral.sock"
    order = batch(Case().context("env-batch-default.txt"), CORRAL_ENDPOINT="https://elsewhere", CORRAL_TOKEN="secret")
    mark = {"CORRAL_STEP": "dgx0184/59.-5.0", "CORRAL_ORIGIN": endpoint}
    assert shown(order, endpoint=endpoint) == {"CORRAL_ENDPOINT": endpoint, **mark}
    access = ApiAccess(url="https://head:6820", token="corral1.x.y")
    order = msgspec.structs.replace(order, api=access)
    assert shown(order, endpoint=endpoint) == {"CORRAL_ENDPOINT": endpoint, **mark}


def test_on_another_machine_they_find_it_by_https_and_a_token() -> None:
    access = ApiAccess(url="https://head:6820", token="corral1.x.y")
    order = msgspec.structs.replace(batch(Case().context("env-batch-default.txt")), api=access)
    origin = "unix:///nowhere/corral.sock"
    assert shown(order, endpoint=origin, api_ca="/etc/ca.pem") == {
        "CORRAL_ENDPOINT": "https://head:6820", "CORRAL_TOKEN": "corral1.x.y", "CORRAL_CA": "/etc/ca.pem",
        "CORRAL_STEP": "dgx0184/59.-5.0", "CORRAL_ORIGIN": origin,
    }  # fmt: skip


def test_where_the_controller_has_no_https_the_users_own_way_stays() -> None:
    context, origin = Case().context("env-batch-default.txt"), "unix:///nowhere/corral.sock"
    own = batch(context, CORRAL_ENDPOINT="https://gateway:443")
    assert shown(own, endpoint=origin)["CORRAL_ENDPOINT"] == "https://gateway:443"
    other = batch(context, CORRAL_ENDPOINT="unix:///home/me/corral.sock")
    assert shown(other, endpoint=origin)["CORRAL_ENDPOINT"] == origin


def test_gpus_are_counted_from_zero_where_a_task_sees_only_its_own() -> None:
    case = BATCHES["gres"]
    context = msgspec.structs.replace(case, shares=(share("n", 1, (4, 6)),)).context("env-batch-gres.txt")
    variables = batch_environment(batch(context), gpus=Naming(renumber=True))
    assert variables["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert variables["SLURM_JOB_GPUS"] == "4,6"


def test_a_step_with_an_mpi_server_says_which() -> None:
    from tests.unit.agent.test_pmi import Node

    from corral.agent.environment import task_environment

    node = Node()
    try:
        order = node.server._order
        assert task_environment(order, order.tasks[0])["SLURM_MPI_TYPE"] == "pmi2"
    finally:
        node.server.close()
        node.reactor.close()
