"""Pods arrive one by one and none leaves: Alibaba's lists, and how much of the GPUs can be given out."""

import json
from pathlib import Path

import pytest

from corral.errors import BadWorkload
from corral.model.gres import GresRequest
from corral.simulator import main as program
from corral.simulator.workloads import alibaba

NODES = "sn,cpu_milli,memory_mib,gpu,model\na-1,16000,65536,2,T4\na-2,16000,65536,2,P100\n"
PODS = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos
p1,3152,5600,1,810,,LS
p2,4000,8192,1,1000,T4|P100,LS
p3,8000,8192,0,0,,BE
"""


def files(path: Path, nodes: str = NODES, pods: str = PODS) -> list[str]:
    (path / "nodes.csv").write_text(nodes)
    (path / "pods.csv").write_text(pods)
    return ["--alibaba-nodes", str(path / "nodes.csv"), "--alibaba-pods", str(path / "pods.csv"), "--json"]


def test_a_pod_is_a_job(tmp_path: Path) -> None:
    files(tmp_path)
    share, whole, none = alibaba.pods(tmp_path / "pods.csv")
    assert share.spec.gres == (GresRequest("gpu", "", 1, 810),)
    assert (share.milli, share.spec.cpus_per_task, share.spec.memory_per_node_mb) == (810, 32, 5600)
    assert (whole.spec.gres, whole.spec.constraint) == ((GresRequest("gpu", "", 1),), "T4|P100")
    assert (none.spec.gres, none.milli) == ((), 0)


def test_what_is_given_out_is_said_seed_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*files(tmp_path), "--demand", "1.3", "--seeds", "1-3"]
    assert program.main(arguments) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert [run["seed"] for run in found["policies"][0]["runs"]] == [1, 2, 3]
    assert 50 < found["allocated_pct_at_100"] <= found["allocated_pct_at_130"] <= 100
    assert program.main(arguments) == 0
    assert capsys.readouterr().out == text, "the same seeds give the same bytes"


@pytest.mark.parametrize(
    ("nodes", "pods", "said"),
    [
        (NODES + "a-3,x,1,1,T4\n", PODS, "nodes.csv, line 4, column 5: cpu_milli: not a number: 'x'"),
        (NODES + "a-1,16000,1,1,T4\n", PODS, "nodes.csv, line 4, column 1: sn: 'a-1' is there twice"),
        (NODES + "a[1-9],16000,1,1,T4\n", PODS, "nodes.csv, line 4, column 1: sn: not the name of a node: 'a[1-9]'"),
        (NODES + "a-3,16000,1\n", PODS, "nodes.csv, line 4, column 12: 3 fields, not 5"),
        (NODES, "name,cpu_milli\n", "pods.csv, line 1, column 1: the columns memory_mib, num_gpu, gpu_milli, gpu_spec are"),
        (NODES, PODS + "p4,1,1,2,500,,LS\n", "pods.csv, line 5, column 10: gpu_milli: 2 GPUs are asked for whole, so it is 1000"),
        (NODES, PODS + "p4,1,1,1,1001,,LS\n", "pods.csv, line 5, column 10: gpu_milli: 1001 is not between 0 and 1000"),
        (NODES, PODS + "p4,1,1,1,0,,LS\n", "pods.csv, line 5, column 10: gpu_milli: a pod with GPUs asks for more than"),
        (NODES, PODS.splitlines()[0] + "\np4,1,1,0,0,,LS\n", "pods.csv, line 2, column 1: no pod asks for GPUs"),
        (NODES, "", "pods.csv, line 1, column 1: nothing is listed"),
    ],
)  # fmt: skip
def test_bad_lists_are_refused_with_line_and_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nodes: str, pods: str, said: str
) -> None:
    assert program.main(files(tmp_path, nodes, pods)) == 1
    assert said in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadWorkload, match="No such file"):
        alibaba.nodes(tmp_path / "none.csv")


def test_options_of_other_work_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([*files(tmp_path), "--load", "2"]) == 1
    assert "--load and --alibaba-pods" in capsys.readouterr().err
    assert program.main(["--synthetic", "5", "--nodes", "2", "--demand", "2"]) == 1
    assert "--demand goes with --alibaba-pods" in capsys.readouterr().err
