"""Whatever is asked of the engine, in whatever order: what must hold, holds after every step, and a restart finds the same state."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.accounts import account, qos, user
from tests.accounts import settings as account_settings
from tests.builders import ANN, BOB, OPERATOR, ROOT, Cluster, cluster, gpus, job, nodes, srun

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.cluster import Accounting
from corral.model.job import JobId, JobKind, JobSpec, JobState
from corral.model.partition import Partition
from corral.model.step import EndCause
from corral.model.trigger import TriggerResource
from corral.protocol import requests as rq
from corral.protocol.accounting import Condition
from corral.protocol.codec import decode_event, encode
from corral.protocol.replies import Rejected, Submitted
from corral.simulator import invariants

CALLERS = st.sampled_from([ANN, ANN, BOB, OPERATOR, ROOT])
PICK = st.integers(0, 10**6)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "nodes": st.sampled_from([1, 2, 3, 5, (1, 3)]),
    "ntasks": st.integers(1, 14),
    "ntasks_per_node": st.integers(1, 5),
    "gres": st.integers(0, 3).map(gpus),
    "gpus": st.integers(0, 7),
    "memory_per_node_mb": st.sampled_from([0, 300, 1000, 5000]),
    "memory_per_cpu_mb": st.sampled_from([100, 600]),
    "exclusive": st.booleans(),
    "overcommit": st.booleans(),
    "array": st.sampled_from(["0-3", "1-9:2%2", "5", "0-1%1"]),
    "dependency": st.sampled_from(["afterok:1", "afterany:2?afternotok:1", "singleton", "after:1+1", "aftercorr:1"]),
    "begin_time": st.sampled_from([0.0, 1050.0]),
    "deadline": st.sampled_from([0.0, 1200.0]),
    "hold": st.booleans(),
    "nice": st.integers(-5, 5),
    "priority": st.integers(0, 100),
    "requeue": st.booleans(),
    "no_kill": st.booleans(),
    "signal": st.just((10, 5, False)),
    "time_min": st.sampled_from([1, 20]),
    "nodelist": st.sampled_from(["n1", "n[1-2]", "n9"]),
    "exclude": st.sampled_from(["n1", "n[1-3]"]),
    "account": st.sampled_from(["chem", "bio", "new", "nosuch"]),
    "qos": st.sampled_from(["normal", "high"]),
    "partition": st.sampled_from(["batch", "few", "few,batch", "nosuch"]),
    "kind": st.sampled_from([JobKind.SALLOC, JobKind.BATCH]),
}


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    fields: dict[str, Any] = {
        "cpus": draw(st.sampled_from([None, 1, 1, 2, 4, 9])),
        "time": draw(st.sampled_from([1, 30, 100, 10**6, None])),
        "name": draw(st.sampled_from(["a", "b"])),
    }
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=4, unique=True)):
        fields[name] = draw(FIELDS[name])
    if "kind" not in fields and draw(st.integers(0, 9)) == 0:
        fields |= {"kind": JobKind.SRUN, "step": srun(draw(st.integers(1, 4)))}
    return job(**fields)


def requests(number: JobId) -> list[rq.AnyRequest]:
    """All that may be asked about a job, and about the cluster."""
    text = str(number)
    changes = (
        {"timelimit": "1:00"}, {"name": "renamed", "timelimit": "nonsense"}, {"name": "renamed"}, {"priority": "7"},
        {"priority": "0"}, {"dependency": "afterany:1"}, {"partition": "few"}, {"arraytaskthrottle": "1"}, {"numnodes": "2"},
        {"numnodes": "1"}, {"reqnodelist": "n1"}, {"starttime": "now+30"}, {"endtime": "now+60"}, {"dependency": ""},
        {"dependency": f"afterok:{text}_1"}, {"deadline": "now+90"}, {"nice": "9", "comment": "x"}, {"requeue": "0"},
    )  # fmt: skip
    return [
        rq.CancelJobs(selection=rq.JobSelection(ids=(text,))),
        rq.CancelJobs(selection=rq.JobSelection(ids=(f"{text}_1",)), signal=9),
        rq.CancelJobs(selection=rq.JobSelection(ids=(f"{text}_[0-3]",))),
        rq.CancelJobs(selection=rq.JobSelection(ids=(text,)), signal=10),
        rq.CancelJobs(selection=rq.JobSelection(names=("a",), states=(JobState.PENDING,))),
        rq.HoldJobs(ids=(text,)),
        rq.HoldJobs(ids=(f"{text}_1",), by_user=True),
        rq.ReleaseJobs(ids=(text,)),
        rq.RequeueJobs(ids=(text,)),
        rq.RequeueJobs(ids=(text,), hold=True),
        rq.RequeueJobs(ids=(f"{text}_[0-2]",), special_exit=True),
        rq.HoldJobs(ids=(f"{text}_[1-2]",)),
        rq.ReleaseJobs(ids=(f"{text}_[0-9]",)),
        rq.UpdateJob(id=f"{text}_[0-1]", changes={"name": "b", "timelimit": "1"}),
        rq.UpdateJob(id=f"{text}_2", changes={"numnodes": "1", "dependency": "afterany:2"}),
        rq.SetTrigger(resource=TriggerResource.JOB, event="fini", target=text, program="/bin/p", offset=10),
        rq.SetTrigger(resource=TriggerResource.JOB, event="down", target=text, program="/bin/p", permanent=True),
        rq.SetTrigger(resource=TriggerResource.NODE, event="idle", target="n[1-2]", program="/bin/p", permanent=True),
        rq.SetTrigger(resource=TriggerResource.NODE, event="up", program="/bin/p"),
        rq.ClearTriggers(id=number),
        rq.CancelJobs(selection=rq.JobSelection(ids=(text,)), cron=True),
        rq.SuspendJobs(ids=(text,)),
        rq.ResumeJobs(ids=(text,)),
        rq.CompleteJob(job=number, status=0),
        rq.CreateStep(job=text, spec=srun(1, exact=True)),
        rq.CreateStep(job=text, spec=srun(3, overlap=True, distribution="cyclic")),
        rq.SignalStep(job=number, step=0, kill=True),
        *(rq.UpdateJob(id=text, changes=change) for change in changes),
        rq.UpdateNodes(nodes="n1", state="drain", reason="x"),
        rq.UpdateNodes(nodes="n[1-3]", state="resume"),
        rq.UpdateNodes(nodes="n2", state="down", reason="x"),
        rq.UpdatePartition(name="few", changes={"maxtime": "1"}),
        rq.UpdatePartition(name="few", changes={"state": "DOWN"}),
        rq.UpdatePartition(name="few", changes={"state": "UP", "nodes": "n[2-3]"}),
    ]


def changes_of_accounts() -> list[rq.AnyRequest]:
    def one(verb: Any, kind: Any, where: dict[str, Any], **fields: Any) -> rq.AnyRequest:
        return rq.ChangeAccounts(verb=verb, kind=kind, where=Condition(**where), settings=account_settings(**fields))

    return [
        one("add", "account", {"names": ("new",)}, parent="chem"),
        one("add", "user", {"names": ("ann",), "accounts": ("new",)}),
        one("add", "qos", {"names": ("high",)}, max_tres_pu={"cpu": 2}, usage_factor=2.0, flags=("=NoDecay",)),
        one("modify", "account", {"names": ("physics",)}, grp_tres={"cpu": 5}, grp_submit=9),
        one("modify", "account", {"names": ("chem",)}, max_jobs=1),
        one("modify", "account", {"names": ("chem",)}, parent="bio"),
        one("modify", "account", {"names": ("physics",)}, parent="chem"),
        one("modify", "user", {"names": ("bob",)}, default_account="bio"),
        one("modify", "user", {"names": ("bob",)}, qos=("-high",), shares=3),
        one("modify", "qos", {"names": ("high",)}, grp_jobs=1, flags=("+OverPartQOS",)),
        one("remove", "user", {"names": ("ann",), "accounts": ("bio",)}),
        one("remove", "user", {"names": ("bob",)}),
        one("remove", "account", {"names": ("bio",)}),
        one("remove", "qos", {"names": ("high",)}),
        one("reset", "account", {"names": ("chem",)}),
    ]


class AnyHistory(RuleBasedStateMachine):
    """A cluster of three nodes to which anything may happen."""

    c: Cluster

    @initialize(cleans=st.booleans(), accounts=st.booleans())
    def begin(self, cleans: bool, accounts: bool) -> None:
        self.c = cluster(
            nodes("n[1-3]", cpus=4, gpus=2, memory=1000),
            partition=(Partition(name="batch", default=True), Partition(name="few", nodes="n[1-2]")),
            timeouts={"min_job_age": 50.0},
            requeue_exit="1",
            scheduling={"requeue_delay": 3.0 if cleans else 0.0, "kill_invalid_depend": accounts},
            accounting=Accounting(enforce=("limits",) if accounts else ()),
        )
        if accounts:
            account(self.c, "physics")
            qos(self.c, "high", max_jobs_pu=2)
            account(self.c, "chem", "bio", parent="physics")
            for name in ("ann", "bob", "olga", "root"):
                user(self.c, name, "chem", "bio", qos=("=normal", "=high"))
        self.c.cleans = cleans

    def pick(self, pick: int, active: bool = False) -> JobId:
        jobs = sorted(self.c.state.active if active else self.c.state.jobs)
        return jobs[pick % len(jobs)] if jobs else JobId(1)

    def ask(self, request: rq.AnyRequest, by: rq.Caller) -> object:
        """A refused request changes nothing."""
        before, records = self.c.state.dump(), len(self.c.events)
        reply = self.c.ask(request, by)
        if isinstance(reply, Rejected):
            assert len(self.c.events) == records
            assert self.c.state.dump() == before
        return reply

    @rule(spec=specs(), by=CALLERS)
    def submit(self, spec: JobSpec, by: rq.Caller) -> None:
        self.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), by)

    @rule(some=st.lists(specs(), min_size=2, max_size=3), by=CALLERS)
    def submit_several(self, some: list[JobSpec], by: rq.Caller) -> None:
        """All are taken, or none."""
        before = self.c.state.next_job_id
        reply = self.ask(rq.SubmitJobs(jobs=tuple(rq.NewJob(spec=spec) for spec in some)), by)
        assert self.c.state.next_job_id == before + (len(some) if isinstance(reply, Submitted) else 0)

    @rule(spec=specs())
    def would_start(self, spec: JobSpec) -> None:
        before = len(self.c.events)
        self.c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),), test_only=True))
        assert len(self.c.events) == before

    @rule(pick=PICK, which=PICK, by=CALLERS)
    def request(self, pick: int, which: int, by: rq.Caller) -> None:
        found = requests(self.pick(pick))
        self.ask(found[which % len(found)], by)

    @rule(times=st.lists(st.sampled_from(["* * * * *", "*/2 * * * *", "0 0 1 1 *", "x"]), max_size=3), by=CALLERS)
    def crontab(self, times: list[str], by: rq.Caller) -> None:
        jobs = tuple(rq.NewJob(spec=job(cron=spec, cron_lines=(i, i))) for i, spec in enumerate(times))
        self.ask(rq.SubmitJobs(jobs=jobs, crontab="\n".join(times)), by)

    @rule(which=PICK, by=CALLERS)
    def change_accounts(self, which: int, by: rq.Caller) -> None:
        found = changes_of_accounts()
        self.ask(found[which % len(found)], by)

    @rule()
    def cycle(self) -> None:
        self.c.cycle()

    @rule(seconds=st.sampled_from([0.5, 5.0, 40.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.c.at(self.c.now - 1000 + seconds)

    @precondition(lambda self: self.c.state.active)
    @rule(pick=PICK, code=st.sampled_from([0, 0, 1]), cause=st.sampled_from([EndCause.EXITED, *EndCause]))
    def step_ends(self, pick: int, code: int, cause: EndCause) -> None:
        number = self.pick(pick, active=True)
        live = self.c.state.live_steps_of(number)
        if live:
            step = live[pick % len(live)]
            name = step.node_names[pick % len(step.nodes)]
            self.c.finish(number, code, step=step.key.step, node=name, cause=cause)

    @precondition(lambda self: self.c.state.active)
    @rule(pick=PICK)
    def cleaned(self, pick: int) -> None:
        number = self.pick(pick, active=True)
        if self.c.job(number).state is JobState.COMPLETING:
            self.c.clean(number)

    @rule(name=st.sampled_from(["n1", "n2", "n3"]))
    def node_vanishes(self, name: str) -> None:
        self.c.silent.add(name)

    @rule()
    def nodes_return(self) -> None:
        self.c.silent.clear()
        self.c.register()

    @rule()
    def heartbeat(self) -> None:
        names = tuple(name for name in self.c.inventories if name not in self.c.silent)
        if names:
            self.c.beat(*names)

    @rule()
    def controller_restarts(self) -> None:
        state = ClusterState()
        for event in self.c.events:
            state.apply(decode_event(encode(event)))
        partitions = tuple(self.c.state.partitions.values())
        config = msgspec.structs.replace(self.c.engine.config, partition=partitions)
        self.c.engine = Engine(config, state, self.c.engine.ctx.term + 1)
        self.c._take(self.c.engine.start(self.c.now))

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "c"):
            invariants.check_all(self.c.state)

    def teardown(self) -> None:
        if hasattr(self, "c"):
            self.c.check()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
