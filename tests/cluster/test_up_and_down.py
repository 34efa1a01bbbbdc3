"""Starting and stopping real clusters."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable

import pytest
from tests.cluster.live import TEN_NODES, LiveCluster, wait_until
from tests.cluster.live import killed as kill

from corral.cli.corral import daemons

Make = Callable[..., LiveCluster]
NODE_ANSWERS = """\
scontrol: error: failed to delete nodes node2
delete_node nodename=node2: Requested nodes are busy
the agent of node2 answers: end it first
"""


def test_a_cluster_of_ten_nodes_answers_as_soon_as_it_is_up(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up(*TEN_NODES)
    assert cluster.text("squeue", "-h") == ""
    assert "dgx[0180-0189]" in cluster.text("corral", "status")


def test_up_on_a_running_cluster_says_so(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up(*TEN_NODES)
    before = cluster.processes()
    assert "running already" in cluster.up().stdout
    assert "running already" in cluster.up(*TEN_NODES).stdout
    assert cluster.processes() == before


def test_up_with_other_nodes_on_a_running_cluster_is_refused(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=2")
    done = cluster.run("corral", "up", "--dir", str(cluster.directory), "--nodes=3", check=False)
    assert done.returncode == 1
    assert "runs with other nodes" in done.stderr


def test_down_leaves_no_process_and_ends_the_jobs(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=2", "--cpus=2")
    running = cluster.submit("--wrap", "setsid setsid sleep 300 & sleep 300")
    waiting = cluster.submit("-N2", "--exclusive", "--wrap", "sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-o%T", "-j", running) == "RUNNING")
    cluster.down()
    assert cluster.processes() == []
    cluster.up()
    assert cluster.text("squeue", "-h", "-o%i %N") in (f"{waiting} ", f"{waiting} node[1-2]")
    assert running not in cluster.text("squeue", "-h", "-o%i").split()


def test_up_with_other_nodes_forgets_those_of_the_last_time(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=2", "--cpus=2")
    cluster.down()
    cluster.up("--nodes=node[2-3]", "--cpus=4")
    assert cluster.text("sinfo", "-h", "-N", "-o%N %c %T").split("\n") == ["node2 4 idle", "node3 4 idle"]
    done = cluster.run("scontrol", "delete", "nodename=node2", check=False)
    assert (done.returncode, done.stderr) == (1, NODE_ANSWERS)


@pytest.mark.parametrize("killed", ["controller", "agent", "nats", "all"])
def test_after_a_crash_up_starts_what_is_missing_and_jobs_run_on(make_cluster: Make, killed: str) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=2", "--cpus=2")
    job = cluster.submit("--wrap", "sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-o%T", "-j", job) == "RUNNING")
    parts = {
        "controller": daemons.controller(cluster.directory),
        "agent": daemons.agents(cluster.directory)[0],
        "nats": daemons.nats(cluster.directory),
    }
    for name, daemon in parts.items():
        if killed in (name, "all"):
            assert daemon.pid is not None
            kill(daemon.pid)
    cluster.up()
    assert cluster.text("squeue", "-h", "-o%i %T") == f"{job} RUNNING"
    other = cluster.submit("--wrap", "true")
    wait_until(lambda: other not in cluster.text("squeue", "-h", "-o%i").split())


@pytest.mark.parametrize("killed", ["controller", "agent", "nats", "all"])
def test_after_a_crash_down_leaves_no_process(make_cluster: Make, killed: str) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=2", "--cpus=2")
    job = cluster.submit("--wrap", "setsid setsid sleep 300 & sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-o%T", "-j", job) == "RUNNING")
    parts = {
        "controller": daemons.controller(cluster.directory),
        "agent": daemons.agents(cluster.directory)[0],
        "nats": daemons.nats(cluster.directory),
    }
    for name, daemon in parts.items():
        if killed in (name, "all"):
            daemon.signal(signal.SIGKILL)
    cluster.down()
    assert cluster.processes() == []


def test_two_clusters_live_side_by_side(make_cluster: Make) -> None:
    one, other = make_cluster("one"), make_cluster("other")
    one.up("--nodes=2", "--first-job-id=100")
    other.up("--nodes=3", "--first-job-id=200")
    assert (one.submit("--wrap", "true"), other.submit("--wrap", "true")) == ("100", "200")
    one.down()
    assert "3 idle" in other.text("corral", "status")


def test_a_node_of_the_machine_itself_has_what_the_machine_has(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up("--name=box")
    status = cluster.text("corral", "status")
    assert f"of {len(os.sched_getaffinity(0))} in use" in status
    assert "virtual" not in status


def test_a_bad_configuration_is_named_with_its_line(make_cluster: Make) -> None:
    cluster = make_cluster(config="cluster = 'x'\n[timeouts]\nkillwait = 3\n")
    done = cluster.run("corral", "up", "--dir", str(cluster.directory), "--nodes=1", check=False)
    assert done.returncode == 1
    assert "corral.toml:3: there is no key 'timeouts.killwait'; did you mean 'kill_wait'?" in done.stderr


def test_a_controller_that_cannot_start_is_told_with_its_last_words(make_cluster: Make) -> None:
    cluster = make_cluster(config="[api]\nsocket = '/nonexistent/corral.sock'\n")
    done = cluster.run("corral", "up", "--dir", str(cluster.directory), "--nodes=1", check=False)
    assert done.returncode == 1
    assert "the controller ended at once" in done.stderr
    assert "No such file or directory" in done.stderr
    cluster.down()
    assert cluster.processes() == []


def test_without_a_cluster_the_commands_say_how_to_start_one(make_cluster: Make) -> None:
    cluster = make_cluster()
    for command in ("status",):
        done = cluster.run("corral", command, check=False)
        assert done.returncode == 1
        assert "Start one with `corral up`" in done.stderr


def test_down_ends_a_cluster_whose_state_was_removed(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=2")

    def is_gone() -> bool:  # its daemons write there meanwhile
        shutil.rmtree(cluster.directory, ignore_errors=True)
        return not cluster.directory.exists()

    wait_until(is_gone)
    assert "daemons without a state directory" in cluster.down().stdout
    assert cluster.processes() == []


def test_a_directory_that_cannot_be_used_is_named(make_cluster: Make) -> None:
    cluster = make_cluster()
    (cluster.work / "file").write_text("")
    done = cluster.run("corral", "up", "--dir", "file", check=False)
    assert (done.returncode, done.stderr) == (
        1, f"corral: error: the state directory {cluster.work}/file cannot be used: File exists\n--dir names another\n",
    )  # fmt: skip
    done = cluster.run("corral", "down", "--dir", "file/below")
    assert done.stdout == f"No cluster runs in {cluster.work}/file/below.\n"


@pytest.mark.parametrize("names", ["-5", "n1,n 2", "n[1-3],../x", "0", "10001", "n[1-10001]"])
def test_what_cannot_be_nodes_is_refused(make_cluster: Make, names: str) -> None:
    cluster = make_cluster()
    done = cluster.run("corral", "up", "--dir", str(cluster.directory), f"--nodes={names}", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"corral: error: --nodes={names}: ")
    assert cluster.processes() == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("iptables") is None, reason="needs root and iptables")
@pytest.mark.parametrize("killed", [False, True])
def test_two_clusters_translate_each_its_own_services_and_down_takes_the_rules_away(
    make_cluster: Make, *, killed: bool
) -> None:
    """Also those of an agent that was killed; and never another cluster's."""
    two = [make_cluster(name) for name in ("one", "two")]

    def addresses() -> list[str]:
        return [one.text("corral", "get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}") for one in two]

    def rules(address: str) -> list[str]:
        saved = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
        return [line for line in saved.splitlines() if f"-d {address}/32 " in line]

    for one in two:
        one.up("--nodes=1", "--cpus=2", "--mem=1000")
        (one.work / "web.yaml").write_text(
            "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}"
        )
        one.run("corral", "apply", "-f", "web.yaml")
    first, second = addresses()
    assert first != second
    for address in (first, second):
        wait_until(lambda address=address: len(rules(address)) == 1, what=f"a rule for {address}")  # type: ignore[misc]
    if killed:
        kill(daemons.agents(two[0].directory)[0].pid or 0)
    two[0].down()
    assert rules(first) == []
    assert len(rules(second)) == 1
