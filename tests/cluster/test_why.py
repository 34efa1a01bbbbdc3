"""`corral why` and `corral snapshot` on a real cluster: what is said is so, and what is suggested starts when it is asked for."""

import json
from collections.abc import Callable
from typing import Any

from tests.cluster.live import LiveCluster, wait_until

from corral.engine import snapshotfile

CONFIG = """
[[partition]]
name = "batch"
default = true
[[partition]]
name = "short"
nodes = "dgx[0182-0183]"
max_time = 3600
"""
FOUR_NODES = ("--nodes=4", "--cpus=8", "--mem=16000", "--gpus=4", "--gpu-type=v100", "--prefix=dgx0180")


def why(cluster: LiveCluster, *job: str) -> Any:
    return json.loads(cluster.text("corral", "why", "--json", *job))


def test_jobs_and_nodes_are_explained(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("one", CONFIG)
    cluster.up(*FOUR_NODES)
    long = cluster.submit("-N3", "--gpus-per-node=3", "-t", "2:00:00", "-w", "dgx[0180-0182]", "--wrap", "sleep 600")
    cluster.wait_for(long, "RUNNING")
    cluster.run("scontrol", "update", "nodename=dgx0183", "state=drain", "reason=fan")
    wide = cluster.submit("-N3", "--gpus-per-node=4", "-t", "60", "--wrap", "true")
    narrow = cluster.submit("--gpus-per-node=1", "-N1", "-t", "10:00:00", "--wrap", "sleep 600")
    later = cluster.submit("-d", f"afterok:{long}", "--wrap", "true")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", narrow, "-o%r") == "Priority")

    [first] = why(cluster, wide)["jobs"]
    assert first["reason"] == "Resources"
    [place] = first["places"]
    assert {lack["text"] for lack in place["lacks"]} == {
        "lack 4 GPUs (1 is free)",
        "drained by root: fan",
    }
    assert [one["job"] for one in first["planned"]["awaits"]] == [long]

    [second] = why(cluster, narrow)["jobs"]
    assert [cause["kind"] for cause in second["causes"]] == ["priority"]
    assert second["ahead"]["count"] == 1
    [shorter] = [one for one in second["suggestions"] if one["change"].startswith("--time=")]
    assert shorter["now"]
    cluster.run("scontrol", "update", f"jobid={narrow}", f"timelimit={shorter['change'].removeprefix('--time=')}")
    cluster.wait_for(narrow, "RUNNING")

    [third] = why(cluster, later)["jobs"]
    assert [(one["condition"], one["state"]) for one in third["causes"][0]["awaited"]] == [
        (f"afterok:{long}", "RUNNING")
    ]
    answer = why(cluster, long, "--node", "dgx0183")
    assert [one["state"] for one in answer["jobs"]] == ["RUNNING"]
    assert answer["nodes"][0]["causes"][0]["kind"] == "state"
    assert why(cluster)["queue"]["nodes"]["away"] == 1
    assert cluster.run("corral", "why", "99", check=False).stderr == "corral: error: Invalid job id specified (99)\n"


def test_a_snapshot_can_be_read_again(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("one", CONFIG)
    cluster.up(*FOUR_NODES)
    job = cluster.submit("-N4", "-t", "10", "--wrap", "sleep 600")
    cluster.wait_for(job, "RUNNING")
    cluster.submit("-N4", "--exclusive", "--wrap", "SECRET=1 true")
    cluster.run("corral", "snapshot", "-o", "s.json")
    content = (cluster.work / "s.json").read_bytes()
    assert b"SECRET" not in content
    file = snapshotfile.load(content)
    assert [(one.id, str(one.state)) for one in file.jobs] == [(int(job), "RUNNING"), (int(job) + 1, "PENDING")]
