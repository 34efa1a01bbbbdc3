"""scontrol update JobId=: who may change what, and when."""

from typing import Any

import pytest
from tests.builders import ANN, BOB, OPERATOR, Cluster, cluster, job, nodes

from corral.model.job import JobState
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.orders import EndJob
from corral.protocol.replies import Done, Rejected


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n[1-3]", cpus=8))


def update(c: Cluster, id: object, by: rq.Caller = ANN, **changes: str) -> str:
    """What was wrong; "" = nothing."""
    reply = c.ask(rq.UpdateJob(id=str(id), changes=changes), by)
    c.check()
    if isinstance(reply, Rejected):
        return reply.error
    assert isinstance(reply, Done)
    return "; ".join(f"{what}: {problem}" for what, problem in reply.outcomes)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"account": "a"}, "account", "a"), ({"comment": "b c"}, "comment", "b c"), ({"excnodelist": "n2"}, "exclude", "n2"),
        ({"jobname": "x"}, "name", "x"), ({"mailtype": "END,fail"}, "mail_types", ("END", "FAIL")),
        ({"mailuser": "m"}, "mail_user", "m"), ({"minmemorynode": "200"}, "memory_per_node_mb", 200),
        ({"numcpus": "2-4"}, "ntasks", 2), ({"numtasks": "3"}, "ntasks", 3), ({"reqnodelist": "n3"}, "nodelist", "n3"),
        ({"requeue": "0"}, "requeue", False), ({"timemin": "1"}, "time_min", 60), ({"taskspernode": "2"}, "ntasks_per_node", 2),
        ({"wckey": "w"}, "wckey", "w"), ({"workdir": "/tmp"}, "work_dir", "/tmp"), ({"cpuspertask": "2"}, "cpus_per_task", 2),
    ],
)  # fmt: skip
def test_its_owner_changes_a_waiting_job(c: Cluster, changes: dict[str, str], field: str, value: Any) -> None:
    number = c.add(job(hold=True))
    assert update(c, number, **changes) == ""
    assert getattr(c.engine.state.spec(c.job(number)), field) == value


@pytest.mark.parametrize(
    "key", ["account", "dependency", "features", "numtasks", "partition", "starttime", "workdir", "wckey"]
)
def test_a_running_job_keeps_what_it_runs_with(c: Cluster, key: str) -> None:
    assert update(c, c.run(job()), **{key: "1"}) == "Job is no longer pending execution"


@pytest.mark.parametrize(
    "changes", [{"comment": "x"}, {"jobname": "y"}, {"requeue": "1"}, {"mailuser": "z"}, {"qos": "q"}]
)
def test_some_of_a_running_one_may_change(c: Cluster, changes: dict[str, str]) -> None:
    assert update(c, c.run(job()), **changes) == ""


def test_nothing_of_a_job_that_is_over(c: Cluster) -> None:
    number = c.run(job())
    c.finish(number)
    assert update(c, number, comment="x") == "Job has already finished"


def test_somebody_elses(c: Cluster) -> None:
    number = c.add(job(hold=True))
    assert update(c, number, BOB, comment="x") == "Invalid user id"
    assert update(c, number, BOB, admincomment="x") == "Access/permission denied"
    assert update(c, number, OPERATOR, comment="x") == ""


@pytest.mark.parametrize(
    "changes", [{"admincomment": "x"}, {"deadline": "now+1hour"}, {"nice": "-1"}, {"priority": "4294967295"}]
)
def test_what_only_operators_change(c: Cluster, changes: dict[str, str]) -> None:
    number = c.add(job(begin_time=9e9))
    assert update(c, number, **changes) == "Access/permission denied"
    assert update(c, number, OPERATOR, **changes) == ""


def test_all_of_the_changes_hold_or_none(c: Cluster) -> None:
    number = c.add(job(hold=True, comment="old"))
    assert update(c, number, comment="new", partition="nowhere") == "Invalid partition name specified"
    assert c.engine.state.spec(c.job(number)).comment == "old"


def test_time_limits() -> None:
    c = cluster(nodes("n1", cpus=8), partition=(Partition(name="batch", default=True, max_time=3600),))
    waiting, running = c.add(job(begin_time=9e9, time=600)), c.run(job(time=600))
    assert update(c, waiting, timelimit="60") == ""
    assert update(c, waiting, timelimit="61") == "Access/permission denied"
    assert update(c, waiting, timelimit="-10") == ""
    assert c.job(waiting).time_limit == 3000
    assert update(c, running, timelimit="9") == ""
    assert update(c, running, timelimit="+5") == "Access/permission denied"
    assert update(c, running, OPERATOR, timelimit="+100") == ""
    assert c.job(running).time_limit == 109 * 60
    assert update(c, running, endtime="now+2hours") == "Access/permission denied"
    assert update(c, running, OPERATOR, endtime="now+2hours") == ""
    assert update(c, waiting, OPERATOR, endtime="now+2hours") == "Job is not running"


def test_a_start_time_of_its_own(c: Cluster) -> None:
    number = c.add(job(array="1-2"))
    assert update(c, f"{number}_1", starttime="now+1hour") == ""
    c.cycle()
    assert (c.element(number, 1).reason, c.element(number, 2).state) == (Reason.BEGIN_TIME, JobState.RUNNING)
    assert update(c, f"{number}_1", starttime="now") == ""
    c.cycle()
    assert c.element(number, 1).state is JobState.RUNNING


def test_one_element_does_not_change_its_siblings(c: Cluster) -> None:
    array = c.add(job(array="1-3", hold=True, name="old"))
    assert update(c, f"{array}_2", jobname="new") == ""
    assert update(c, f"{array}_[1,3]", comment="both") == ""
    second, rest = c.engine.state.spec(c.element(array, 2)), c.engine.state.spec(c.job(array))
    assert (second.name, second.comment) == ("new", "")
    assert (rest.name, rest.comment) == ("old", "both")


def test_the_last_element_has_the_arrays_id_and_its_own_spec_all_the_same(c: Cluster) -> None:
    array = c.add(job(4, array="1-2", name="old", nodes=3))
    c.cycle()
    first = c.element(array, 1)
    assert c.element(array, 2).id == array
    assert update(c, f"{array}_2", jobname="new") == ""
    assert c.engine.state.spec(c.job(first.id)).name == "old"


def test_what_became_of_each_element_is_said(c: Cluster) -> None:
    array = c.add(job(8, array="1-4", nodes=3))
    c.cycle().finish(c.element(array, 1).id)
    assert update(c, array, comment="x") == f"{array}_2-4: No error; {array}_1: Job has already finished"
    assert update(c, f"{array}_[3-5]", comment="x") == f"{array}_3-4: No error; {array}_5: Invalid job id specified"


def test_priority_zero_holds(c: Cluster) -> None:
    mine, theirs = c.add(job(begin_time=9e9)), c.add(job(begin_time=9e9))
    update(c, mine, priority="0")
    update(c, theirs, OPERATOR, priority="0")
    assert (c.reason(mine), c.reason(theirs)) == (Reason.HELD_USER, Reason.HELD_ADMIN)
    assert update(c, mine, priority="10") == "Job is in held state, pending scheduler release"


def test_a_running_job_gives_nodes_back(c: Cluster) -> None:
    number = c.run(job(8, nodes=3))
    waiting = c.add(job(8))
    assert c.cycle().job(waiting).state is JobState.PENDING
    assert update(c, number, numnodes="4") == "Requested operation not supported on this system"
    assert update(c, number, reqnodelist="n[2-3]") == "Invalid node name specified"  # the script runs on n1
    assert update(c, number, numnodes="2") == ""
    assert [order.node for order in c.orders(EndJob)] == ["n3"]
    c.cycle()
    found = c.job(waiting).allocation
    assert found is not None
    assert found.node_names == ("n3",)
    assert update(c, number, reqnodelist="n1") == ""
    c.finish(number).check()
    assert c.job(number).state is JobState.COMPLETED


def test_a_dependency_may_be_given_and_taken_back(c: Cluster) -> None:
    first, second = c.add(job(hold=True)), c.add(job(begin_time=9e9))
    assert update(c, second, dependency=f"afterok:{first}") == ""
    assert c.reason(second) is Reason.DEPENDENCY
    assert update(c, second, dependency="") == ""
    assert c.reason(second) is Reason.BEGIN_TIME
    assert update(c, second, dependency=f"afterok:{second}") == "Job dependency problem"
    assert update(c, second, dependency="foo") == "Job dependency problem"


@pytest.mark.parametrize("key", [
    "priority", "arraytaskthrottle", "nice", "numnodes", "numtasks", "numcpus", "cpuspertask", "minmemorynode", "timelimit", "timemin",
    "starttime", "endtime", "deadline", "switches", "wait-for-switch", "mincpusnode", "mintmpdisknode", "reqcores", "taskspernode",
])  # fmt: skip
@pytest.mark.parametrize("value", ["9" * 25, "-" + "9" * 25, "x", "", "1e9", "\x00", "\u0665"])
def test_no_number_is_too_strange(c: Cluster, key: str, value: str) -> None:
    """What is taken can be recorded."""
    for number in (c.add(job(hold=True, array="1-2")), c.run(job())):
        update(c, number, OPERATOR, **{key: value})
        c.state.dump()


def test_texts_have_an_end(c: Cluster) -> None:
    number = c.run(job())
    for key in ("comment", "jobname", "mailuser", "qos", "admincomment", "extra"):
        assert update(c, number, OPERATOR, **{key: "x" * (1 << 20)}) != ""
