"""Does a snapshot tell all that decides about jobs, nothing that is private, and where a bad one is wrong?"""

import json

import msgspec
import pytest
from tests import accounts
from tests.builders import BOB, ROOT, Cluster, cluster, gpus, job, nodes

from corral.engine import snapshotfile
from corral.engine.engine import Engine
from corral.errors import InvalidSnapshot
from corral.model.cluster import Accounting, ClusterConfig, PriorityWeights
from corral.model.job import JobSpec, StdioSpec, StepSpec
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.scheduler.cycle import schedule
from corral.scheduler.plan import Plan


def snapshot_of(live: Cluster) -> bytes:
    return b"".join(snapshotfile.written(snapshotfile.taken(live.state, live.engine.config, live.now)))


def plan_of(data: bytes) -> Plan:
    file = snapshotfile.load(data)
    engine = Engine(file.configuration, file.state())
    engine.start(file.time)
    engine.before_cycle(file.time)
    return schedule(engine.snapshot(file.time), file.time)


def busy() -> Cluster:
    """Something of everything."""
    live = cluster(
        nodes("n[1-3]", cpus=8, gpus=4, memory=8000), nodes("c[1-2]", cpus=4),
        partition=(Partition(name="batch", default=True), Partition(name="short", max_time=500, nodes="n[1-3]")),
        licenses={"matlab": 3}, priority=PriorityWeights(age=1000, job_size=100),
    )  # fmt: skip
    live.run(job(cpus=8, time=300, nodelist="n1"))
    live.run(job(cpus=2, time=900, gpus=2, licenses="matlab:2"), by=BOB)
    ended = live.run(job(cpus=1))
    live.finish(ended, code=1)
    live.add(job(cpus=1, dependency=f"after:{ended}+100"))
    live.add(job(cpus=1, dependency=f"afterok:{live.run(job(cpus=1, time=50))}"))
    live.add(job(nodes=4, time=200), by=BOB)
    live.add(job(cpus=8, time=100, partition="short,batch", gpus=gpus(4)))
    live.add(job(cpus=1, array="0-9%3", time=150))
    live.add(job(cpus=1, hold=True))
    live.add(job(cpus=1, begin_time=live.now + 500))
    live.add(job(cpus=1, licenses="matlab:2", time=2000))
    live.ask(rq.UpdateNodes(nodes="c2", state="drain", reason="fan"), ROOT)
    live.ask(rq.UpdatePartition(name="short", changes={"maxtime": "6"}), ROOT)
    return live.at(30)


def test_the_scheduler_makes_the_same_plan_of_it():
    live = busy()
    data = snapshot_of(live)
    plan = live.plan()
    assert plan.starts
    assert plan.reasons
    assert plan.expected
    assert plan_of(data) == plan


def test_it_is_the_same_whether_it_has_been_read_or_not():
    data = snapshot_of(busy())
    again = snapshotfile.load(data)
    engine = Engine(again.configuration, again.state())
    engine.start(again.time)
    assert b"".join(snapshotfile.written(snapshotfile.taken(engine.state, engine.config, again.time))) == data


def test_limits_hold_and_what_was_used_counts_in_it():
    live = cluster(nodes("n[1-2]", cpus=4), accounting=Accounting(enforce=("associations", "limits")))
    accounts.account(live, "vision", grp_tres={"cpu": 3}, grp_tres_mins={"cpu": 1000})
    accounts.user(live, "ann", "vision")
    live.run(job(cpus=2, account="vision", time=500))
    blocked = live.add(job(cpus=2, account="vision"))
    live.at(40)
    data = snapshot_of(live)
    assert plan_of(data).reasons[blocked].reason is Reason.ASSOC_GRP_CPU_LIMIT
    assert plan_of(data) == live.plan()
    file = snapshotfile.load(data)
    assert file.usage == live.state.meter.dump()
    assert file.state().meter.used(("association", "4"), live.now) == live.state.meter.used(
        ("association", "4"), live.now
    )


def test_an_ended_job_is_in_it_only_if_another_waits_for_it():
    live = busy()
    file = snapshotfile.load(snapshot_of(live))
    assert {one.id for one in file.jobs if one.has_ended} == {3}
    assert {number for number, _ in file.specs} == {one.spec_id for one in file.jobs}


def marked(kind: type) -> dict:
    """Every text of a spec with its own mark."""
    fields = {}
    for field in msgspec.structs.fields(kind):
        if field.type is str:
            fields[field.name] = f"MARK-{field.name}"
        elif field.type == tuple[str, ...]:
            fields[field.name] = (f"MARK-{field.name}",)
    return fields


def test_what_is_private_is_not_in_it():
    live = cluster(nodes("n1"))
    live.add(job())
    step = StepSpec(**marked(StepSpec), multi_prog=(("*", ("MARK-multi",)),), stdio=StdioSpec(stdout="MARK-stdio"))
    spec = JobSpec(**marked(JobSpec), stdio=StdioSpec(stdout="MARK-stdio"), step=step)
    live.state.specs[live.state.jobs[1].spec_id] = msgspec.structs.replace(spec, dependency="")
    live.engine.ctx.config = msgspec.structs.replace(
        live.engine.config, store=msgspec.structs.replace(live.engine.config.store, url="MARK-url")
    )
    text = snapshot_of(live).decode()
    found = {word.split('"')[0] for word in text.split("MARK-")[1:]}
    assert found == {
        # who it is counted for, and where it may run
        "name", "account", "qos", "partition", "wckey", "distribution", "hint", "nodelist", "exclude", "constraint", "prefer",
        "batch_features", "gres_flags", "gpu_bind", "mem_bind", "array", "licenses", "reservation", "export_mode", "cpu_bind",
        "mpi",
    }  # fmt: skip


def test_each_section_of_the_configuration_is_either_in_it_or_left_out_on_purpose():
    kept = {field.name for field in msgspec.structs.fields(ClusterConfig)} - snapshotfile.LEFT_OUT
    assert kept == {
        "cluster", "partition", "node", "switch", "block", "block_sizes", "gres_types", "gres", "gpu_sharing", "timeouts", "priority",
        "scheduling", "preemption", "limits", "accounting",
        "licenses", "requeue", "requeue_exit", "requeue_exit_hold", "first_job_id",
    }  # fmt: skip


def problem(data: bytes) -> str:
    with pytest.raises(InvalidSnapshot) as caught:
        snapshotfile.load(data, "s.json")
    return str(caught.value)


def changed(change) -> bytes:
    tree = json.loads(snapshot_of(busy()))
    change(tree)
    return json.dumps(tree).encode()


def test_what_is_no_json_is_refused_with_line_and_column():
    data = snapshot_of(busy())
    lines = data.split(b"\n")
    lines[4] = b" }" + lines[4]
    assert problem(b"\n".join(lines)).startswith("s.json: line 5, column 2: not JSON: ")
    assert problem(data[: len(data) // 2]).startswith("s.json: line ")
    assert "not JSON" in problem(b"")
    assert "not JSON" in problem(b'{"format": "\xff"}')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(format="else"), "s.json: it is not written by `corral snapshot`"),
        (lambda t: t.update(version=99), "s.json: version 99 of the format, of which this Corral knows 1"),
        (lambda t: t.update(more=1), "s.json: Object contains unknown field `more`"),
        (lambda t: t["jobs"][0].update(owner=3), "s.json: jobs[0].owner: Expected `object`, got `int`"),
        (lambda t: t["jobs"][1].update(spec_id=99), "s.json: jobs[1]: job 2 is of spec 99, which is not there"),
        (lambda t: t["jobs"].append(t["jobs"][0]), "s.json: jobs[12]: job 1 is there twice"),
        (lambda t: t["nodes"].append(t["nodes"][0]), "s.json: nodes[5]: 'c1' is there twice"),
        (lambda t: t["nodes"][0]["inventory"].update(cpus=10**12), "s.json: nodes[0]: c1 can't have so many CPUs"),
        (lambda t: t["specs"][0][1].update(ntasks=-1), 's.json: specs[0]: Invalid numeric value "-1" for --ntasks.'),
        (lambda t: t["specs"][0][1].update(nodelist="n[1-"), "s.json: specs[0]: Not a node list"),
        (lambda t: t["jobs"][1].update(allocation=t["jobs"][0]["allocation"]), "s.json: jobs: job 2 on n1: CPUs"),
        (lambda t: t["configuration"].update(partition=[]), "s.json: configuration.partition: there must be"),
        (lambda t: t["configuration"]["scheduling"].update(backfil=True), "s.json: configuration.scheduling: Object"),
    ],
)
def test_what_is_no_snapshot_is_refused_with_its_path(change, said):
    assert problem(changed(change)).startswith(said)
