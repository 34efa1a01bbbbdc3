"""The same command lines as a real Slurm got, on the same nodes: what comes of them is what came of them there.

`tests/golden/placement/jobs.jsonl` has for each line the exit status, what `scontrol show job -d` said of the running job, and the
variables of its script. DIFFERENT says where Corral does otherwise, and why.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.builders import ROOT, Cluster, configuration, nodes

from corral.agent.environment import batch_environment
from corral.cli import jobspec
from corral.cli.given import Given
from corral.cli.run import Exit, Program
from corral.cli.scontrol_job import job as shown
from corral.controller.api.job_rows import FIELDS, JobContext
from corral.model.job import JobSpec
from corral.model.partition import Partition
from corral.model.topology import Switch
from corral.protocol import orders as od
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected, Submitted
from corral.syntax import hostlist

GOLDEN = Path(__file__).parents[2] / "golden" / "placement"

PARTITIONS = (
    Partition(name="batch", default=True),
    Partition(name="thr", nodes="th[1-4]"),
    Partition(name="cor", nodes="co[1-4]"),
    Partition(name="force", nodes="co[1-4]", oversubscribe="FORCE:2"),
    Partition(name="shyes", nodes="co[1-4]", oversubscribe="YES:2"),
    Partition(name="shexcl", nodes="co[1-4]", oversubscribe="EXCLUSIVE"),
    Partition(name="lln", nodes="co[1-4]", lln=True),
)
SWITCHES = (
    Switch(name="s1", nodes="dgx[0180-0181]"),
    Switch(name="s2", nodes="dgx[0182-0183]"),
    Switch(name="s3", nodes="th[1-4]"),
    Switch(name="s4", nodes="co[1-4]"),
    Switch(name="top", switches="s[1-4]"),
)
#: What both show of a job.
SHOWN = (
    "NumNodes", "NumCPUs", "NumTasks", "CPUs/Task", "ReqB:S:C:T", "Socks/Node", "NtasksPerN:B:S:C", "CoreSpec", "MinCPUsNode",
    "MinTmpDiskNode", "Features", "OverSubscribe", "Contiguous", "NodeList",
)  # fmt: skip

CASES = [json.loads(line) for line in (GOLDEN / "jobs.jsonl").read_text().splitlines()]


def oracle() -> Cluster:
    found = nodes("dgx[0180-0183]", cpus=16, sockets=16, gpus=8, memory=64000)
    found += nodes("th[1-4]", cpus=16, sockets=2, cores_per_socket=4, threads_per_core=2, memory=32000, tmp_disk_mb=1000,
                   features=("thick",))  # fmt: skip
    found += nodes("co[1-4]", cpus=8, sockets=2, cores_per_socket=4, memory=32000, tmp_disk_mb=2000)
    return Cluster(found, configuration(partition=PARTITIONS, switch=SWITCHES))


def spec_of(line: str, files: Path) -> JobSpec:
    """As sbatch makes it. Exit when sbatch itself says no."""
    nodefile = files / "nodefile"
    nodefile.write_text("co2\nco4\n")
    given = Given(Program("sbatch"))
    given.take(given.split(line.replace("<NODEFILE>", str(nodefile)).split())[0])
    given.settle()
    return msgspec.convert(jobspec.job_spec(given, "batch") | {"rlimits": {}}, JobSpec)


def outcome(line: str, files: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """In the form of the golden file."""
    cluster = oracle()
    try:
        spec = spec_of(line, files)
    except Exit as end:
        return {"exit": end.status, "stderr": capsys.readouterr().err + "".join(f"{text}\n" for text in end.lines)}
    said = capsys.readouterr().err
    reply = cluster.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), ROOT)
    if isinstance(reply, Rejected):
        lines = ([reply.detail] if reply.detail else []) + [f"Batch job submission failed: {reply.error}"]
        return {"exit": 1, "stderr": said + "".join(f"sbatch: error: {text}\n" for text in lines)}
    assert isinstance(reply, Submitted)
    cluster.cycle()
    job = cluster.job(1)
    context = JobContext(cluster.state.specs, cluster.now)
    row = {name: value(job, context) for name, value in FIELDS.items()}
    text = shown(row, detailed=True, one_line=False)
    words = dict(word.partition("=")[::2] for word in text.split() if "=" in word)
    found: dict[str, Any] = {"exit": 0, "show": {name: words.get(name) for name in SHOWN}}
    if said:
        found["stderr"] = said
    found["cpu_ids"] = [
        [line.split()[0].partition("=")[2], line.split()[1].partition("=")[2]]
        for line in text.splitlines()
        if line.strip().startswith("Nodes=") and "CPU_IDs=" in line
    ]
    launches = cluster.orders(od.LaunchStep)
    if launches:
        found["env"] = {k: v for k, v in batch_environment(launches[0]).items() if k.startswith(("SLURM_", "CUDA_"))}
    cluster.check()
    return found


def by_node(runs: list[list[str]]) -> dict[str, str]:
    return {name: ids for names, ids in runs for name in hostlist.expand(names)}


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Key -> what Corral has, where it is not what Slurm had."""
    result = {key: found.get(key) for key in ("exit", "stderr") if wanted.get(key) != found.get(key)}
    for key, value in wanted.get("show", {}).items():
        mine = found.get("show", {}).get(key)
        if value != mine:
            result[key] = mine
    if "cpu_ids" in wanted and by_node(wanted["cpu_ids"]) != by_node(found.get("cpu_ids", [])):
        result["cpu_ids"] = found.get("cpu_ids")
    for key, value in wanted.get("env", {}).items():
        mine = found.get("env", {}).get(key)
        if value != mine:
            result[key] = mine
    return result


QUIRK = "there a task more than CPUs for it comes to a node, here each has its own"
KEPT = "nodes with GPUs are kept for jobs that want some"
SOCKET = "the same number of cores, of another socket"
#: Lines that end otherwise here, and why.
DIFFERENT = {
    "-p thr -n20 -c3": QUIRK,
    "-p thr -N1-4 -n20": "one core more is given there than the tasks need",
    "-p thr --hint=nomultithread -n4 -c3": QUIRK,
    "-p thr --ntasks-per-core=1 -n9": QUIRK,
    "-p thr --ntasks-per-core=1 -n4 -c2": SOCKET,
    "-p thr --ntasks-per-socket=1": SOCKET,
    "-p thr --ntasks-per-socket=1 -n2": "there both tasks come to one socket",
    "-p thr --ntasks-per-socket=1 -n3": "there a socket has more tasks than it may have",
    "-p thr --ntasks-per-socket=1 -n4": "there a socket has more tasks than it may have",
    "-p thr --ntasks-per-socket=4 -n4": SOCKET,
    "-p thr --ntasks-per-socket=3 -n7 -N2": SOCKET,
    "-p thr --ntasks-per-socket=2 -N2": SOCKET,
    "-p cor --ntasks-per-socket=1 -n3": SOCKET,
    "-p cor --ntasks-per-socket=2 -n5": SOCKET,
    "-n40": KEPT,
    "-n70": KEPT,
    "-p force --exclusive -n3": "nobody shares its node, so it does not say YES",
    "-p cor --exclusive=mcs -n3": "refused: there are no labels",
    "-G2 --ntasks-per-gpu=2": SOCKET,
    "-n4 --ntasks-per-gpu=2": SOCKET,
    "-G2 -n4 --ntasks-per-gpu=2": SOCKET,
    "-G2 -n3 --ntasks-per-gpu=2": SOCKET,
    "-N1 --gpus-per-node=4 --ntasks-per-gpu=1": SOCKET,
    "-N2 --gpus-per-node=2 --ntasks-per-gpu=2": SOCKET,
    "-G2 --ntasks-per-tres=2": "another name for --ntasks-per-gpu: the variable is that one's",
    "--gpus-per-socket=2 --sockets-per-node=2": "the GPUs of both sockets, there of one",
    "-G2 --gpus-per-socket=1 --sockets-per-node=2": "both GPUs, there one of them",
    "-p cor --switches=1@x": "refused: x is no time",
    "-p cor --delay-boot=5": "refused",
    "-p cor --reboot": "refused",
    "-p cor --power=level": "refused",
    "-p cor --cpu-freq=high": "refused",
    "-p cor --gpu-freq=high": "refused",
    "-p cor --network=x": "refused",
    "-p cor --mcs-label=x": "refused",
    "-p cor --context=x": "refused",
}


@pytest.mark.parametrize("case", CASES, ids=[case["line"] or "nothing" for case in CASES])
def test_a_job_gets_what_it_gets_there(
    case: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = difference(case, outcome(case["line"], tmp_path, capsys))
    if case["line"] in DIFFERENT:
        assert found, "it is as there by now: the line can go from DIFFERENT"
    else:
        assert found == {}
