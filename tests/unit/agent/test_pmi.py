"""Tasks of one node at the PMI server, spoken to as MPI libraries do. The words are what Slurm's plugin answered."""

import socket
from collections.abc import Iterator

import pytest
from tests.unit.agent.node_side import NODE

from corral.agent.pmi import PmiServer
from corral.agent.reactor import Reactor
from corral.model.allocation import Allocation, NodeShare
from corral.model.job import JobId, JobSpec, Owner, StepSpec
from corral.model.step import StepKey, TaskPlace
from corral.protocol.orders import JobContext, LaunchStep

SHARE = NodeShare(node=NODE, cpus=(0, 1), memory_mb=0)


class Node:
    """A server with two tasks."""

    def __init__(self) -> None:
        self.aborts = 0
        self.reactor = Reactor()
        owner = Owner(uid=0, gid=0, user="root", group="root")
        order = LaunchStep(
            node=NODE,
            key=StepKey(JobId(3), 0, 0),
            job=JobContext(
                job_id=3, name="t", owner=owner, allocation=Allocation(nodes=(SHARE,)), spec=JobSpec(), cluster="c"
            ),
            spec=StepSpec(),
            step_nodes=(NODE,),
            tasks_per_node=(2,),
            ntasks=2,
            share=SHARE,
            job_share=SHARE,
            tasks=(TaskPlace(0, 0), TaskPlace(1, 1)),
            mpi="pmi2",
            process_mapping="(vector,(0,1,2))",
        )
        self.server = PmiServer(order, self.reactor, self._on_abort)
        self.variables = []
        self.tasks = []
        for place in order.tasks:
            fd, variables = self.server.admit(place)
            self.variables.append(variables)
            self.tasks.append(socket.socket(fileno=socket.dup(fd)))
        self.server.close_task_ends()

    def _on_abort(self) -> None:
        self.aborts += 1

    def turn(self) -> None:
        for _ in range(5):
            self.reactor.run_once(0.0)

    def send(self, task: int, data: str) -> None:
        self.tasks[task].sendall(data.encode())
        self.turn()

    def heard(self, task: int) -> str:
        self.tasks[task].setblocking(False)
        try:
            return self.tasks[task].recv(65536).decode()
        except BlockingIOError:
            return ""

    def say(self, task: int, text: str) -> str:
        self.send(task, text)
        return self.heard(task)

    def say2(self, task: int, text: str) -> str:
        answer = self.say(task, f"{len(text):6}{text}")
        return answer[6:]


@pytest.fixture
def node() -> Iterator[Node]:
    one = Node()
    yield one
    one.server.close()
    one.reactor.close()
    for task in one.tasks:
        task.close()


def test_a_task_is_told_its_place(node: Node) -> None:
    told = dict(node.variables[1])
    assert int(told.pop("PMI_FD")) > 2
    assert told == {"PMI_JOBID": "3.0", "PMI_RANK": "1", "PMI_SIZE": "2"}


def test_mpich_starts_with_pmi_1(node: Node) -> None:
    assert (
        node.say(0, "cmd=init pmi_version=1 pmi_subversion=1\n")
        == "cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1\n"
    )
    assert node.say(0, "cmd=get_maxes\n") == "cmd=maxes rc=0 kvsname_max=256 keylen_max=64 vallen_max=1024\n"
    assert node.say(0, "cmd=get_appnum\n") == "cmd=appnum rc=0 appnum=-1\n"
    assert node.say(0, "cmd=get_my_kvsname\n") == "cmd=my_kvsname rc=0 kvsname=3.0\n"
    assert (
        node.say(0, "cmd=get kvsname=3.0 key=PMI_process_mapping\n") == "cmd=get_result rc=0 value=(vector,(0,1,2))\n"
    )
    assert node.say(0, "cmd=get kvsname=3.0 key=none\n") == "cmd=get_result rc=1\n"
    assert node.say(0, "cmd=finalize\n") == "cmd=finalize_ack rc=0\n"


def test_pairs_are_seen_by_all_behind_the_barrier(node: Node) -> None:
    for task in (0, 1):
        node.say(task, "cmd=init pmi_version=1 pmi_subversion=1\n")
        assert node.say(task, f"cmd=put kvsname=3.0 key=k{task} value=v{task}\n") == "cmd=put_result rc=0\n"
    assert node.say(0, "cmd=barrier_in\n") == ""
    assert node.say(1, "cmd=barrier_in\n") == "cmd=barrier_out rc=0\n"
    assert node.heard(0) == "cmd=barrier_out rc=0\n"
    assert node.say(0, "cmd=get kvsname=3.0 key=k1\n") == "cmd=get_result rc=0 value=v1\n"


def test_pmi_2(node: Node) -> None:
    assert (
        node.say(0, "cmd=init pmi_version=2 pmi_subversion=0\n")
        == "cmd=response_to_init rc=0 pmi_version=2 pmi_subversion=0\n"
    )
    assert node.say2(0, "cmd=fullinit;pmijobid=3.0;pmirank=0;threaded=FALSE;") == (
        "cmd=fullinit-response;rc=0;pmi-version=2;pmi-subversion=0;rank=0;size=2;appnum=-1;debugged=FALSE;pmiverbose=FALSE;"
    )
    assert node.say2(0, "cmd=job-getid;") == "cmd=job-getid-response;rc=0;jobid=3.0;"
    assert node.say2(0, "cmd=kvs-put;key=k;value=a;;b;") == "cmd=kvs-put-response;rc=0;"
    assert node.say2(0, "cmd=kvs-get;jobid=;srcid=-1;key=k;") == "cmd=kvs-get-response;rc=0;found=FALSE;"
    assert node.say2(0, "cmd=kvs-fence;") == ""
    node.say(1, "cmd=init pmi_version=2 pmi_subversion=0\n")
    assert node.say2(1, "cmd=kvs-fence;") == "cmd=kvs-fence-response;rc=0;"
    assert node.heard(0)[6:] == "cmd=kvs-fence-response;rc=0;"
    assert node.say2(1, "cmd=kvs-get;key=k;") == "cmd=kvs-get-response;rc=0;found=TRUE;value=a;;b;"
    assert (
        node.say2(1, "cmd=info-getjobattr;key=universeSize;") == "cmd=info-getjobattr-response;rc=0;found=TRUE;value=2;"
    )
    assert "rc=14;" in node.say2(1, "cmd=spawn;ncmds=1;")


def test_who_waits_for_a_nodes_pair_gets_it_when_it_is_put(node: Node) -> None:
    for task in (0, 1):
        node.say(task, "cmd=init pmi_version=2 pmi_subversion=0\n")
    assert node.say2(0, "cmd=info-getnodeattr;key=a;wait=TRUE;") == ""
    assert node.say2(1, "cmd=info-putnodeattr;key=a;value=1;") == "cmd=info-putnodeattr-response;rc=0;"
    assert node.heard(0)[6:] == "cmd=info-getnodeattr-response;rc=0;found=TRUE;value=1;"


def test_a_ring_gives_each_task_its_neighbours(node: Node) -> None:
    for task in (0, 1):
        node.say(task, "cmd=init pmi_version=2 pmi_subversion=0\n")
    assert node.say2(1, "cmd=ring;ring-count=5;ring-left=l1;ring-right=r1;") == ""
    assert node.say2(0, "cmd=ring;ring-count=2;ring-left=l0;ring-right=r0;") == (
        "cmd=ring-response;rc=0;ring-count=0;ring-left=r1;ring-right=l1;"
    )
    assert node.heard(1)[6:] == "cmd=ring-response;rc=0;ring-count=2;ring-left=r0;ring-right=l0;"


@pytest.mark.parametrize(
    ("version", "text"), [(1, "cmd=abort exitcode=7\n"), (2, "    41cmd=abort;isworld=TRUE;msg=it went wrong;;;")]
)
def test_an_abort_ends_the_step(node: Node, version: int, text: str) -> None:
    node.say(0, f"cmd=init pmi_version={version} pmi_subversion=0\n")
    node.say(0, text)
    assert node.aborts == 1


@pytest.mark.parametrize("text", ["nonsense\n", "cmd=init pmi_version=1\ncmd=fly\n", "\n"])
def test_who_does_not_speak_the_protocol_loses_the_connection_and_nobody_else_does(node: Node, text: str) -> None:
    node.send(0, text)
    node.tasks[0].settimeout(60)
    while node.tasks[0].recv(100):
        pass
    assert node.say(1, "cmd=init pmi_version=1 pmi_subversion=1\n").startswith("cmd=response_to_init")


def test_a_value_too_long_is_refused(node: Node) -> None:
    node.say(0, "cmd=init pmi_version=1 pmi_subversion=1\n")
    assert node.say(0, f"cmd=put kvsname=3.0 key=k value={'x' * 1025}\n") == "cmd=put_result rc=1\n"
