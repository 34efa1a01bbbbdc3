"""What Prometheus reads of the cluster."""

import http.client

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.controller.running import AGENT, RunningController, wait_until
from tests.unit.controller.test_loop import submit

from corral.auth import tokens
from corral.client.connection import Connection
from corral.protocol import reports

GPU = "corral_gpu_utilization_ratio"


def read(api: Connection) -> dict[tuple[str, str], float]:
    """By name, and by the labels that a test looks at."""
    found = {}
    for family in text_string_to_metric_families(api.request("GET", "/metrics")):
        for sample in family.samples:
            labels = [sample.labels[name] for name in ("node", "gpu", "state", "job") if sample.labels.get(name)]
            found[sample.name, "/".join(labels)] = sample.value
    return found


def test_nodes_and_jobs_are_counted(api: Connection) -> None:
    submit(api, "a", "b", hold=True)
    found = read(api)
    assert found["corral_jobs", "PENDING"] == 2
    assert found["corral_nodes", "IDLE"] == 2
    assert found["corral_node_cpus", "n1"] == 16
    assert found["corral_node_memory_bytes", "n2"] == 64000 << 20
    assert found["corral_node_gpus", "n1"] == 8


def test_each_gpu_stands_there_with_its_job(controller: RunningController, api: Connection) -> None:
    controller.agent.ends_at_once = False
    [job] = submit(api, "a", gpus=[["gpu", "", 2]])
    wait_until(lambda: controller.agent.launched)
    busy, memory = (50, 100, 7, -1, 0, 0, 0, 0), (1024, 3072, 0, -1, 0, 0, 0, 0)
    beat = reports.Heartbeat(agent=AGENT, nodes=("n1",), load=2.5, gpus=busy, gpus_memory_mb=memory)
    controller.call(controller.agent.say, beat)
    found = wait_until(lambda: (now := read(api)) and (GPU, "n1/2") in now and now)
    assert found[GPU, f"n1/0/{job}"] == 0.5
    assert found[GPU, "n1/2"] == 0.07
    assert (GPU, "n1/3") not in found, "what is not known is not there"
    assert not any(name == GPU and labels.startswith("n2") for name, labels in found)
    assert found["corral_gpu_memory_used_bytes", f"n1/1/{job}"] == 3072 << 20
    assert found["corral_job_gpus", str(job)] == 2
    assert found["corral_job_gpu_utilization_ratio", str(job)] == 0.75
    assert found["corral_job_gpu_memory_used_bytes", str(job)] == 4096 << 20
    assert (found["corral_node_gpus_allocated", "n1"], found["corral_node_load", "n1"]) == (2, 2.5)


@pytest.mark.parametrize(("user", "status"), [("root", 200), ("daemon", 403)])
def test_they_are_for_operators(controller: RunningController, user: str, status: int) -> None:
    token = tokens.sign(tokens.Claims(user=user), b"k" * 32)
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert answer.status == status
    if status == 200:
        assert answer.getheader("content-type", "").startswith("text/plain; version=0.0.4")
