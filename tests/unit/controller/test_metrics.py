"""What Prometheus reads of the cluster."""

import http.client
import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.controller.running import AGENT, RunningController, wait_until
from tests.unit.controller.test_loop import submit

from corral.auth import tokens
from corral.client.connection import Connection
from corral.controller.api.families import Kind
from corral.controller.api.metrics import FAMILIES
from corral.errors import Refused
from corral.protocol import reports

GPU = "corral_gpu_utilization_ratio"
ROOT = Path(__file__).parents[3]
#: What a query may name.
NAMES = {
    name + suffix
    for name, family in FAMILIES.items()
    for suffix in {Kind.GAUGE: [""], Kind.COUNTER: ["_total"], Kind.SUMMARY: ["_sum", "_count"]}[family.kind]
}


def read(api: Connection) -> dict[tuple[str, str], float]:
    """By name, and by the labels that a test looks at."""
    found = {}
    for family in text_string_to_metric_families(api.request("GET", "/metrics")):
        for sample in family.samples:
            labels = [
                sample.labels[name]
                for name in ("node", "gpu", "state", "job", "reason", "request")
                if sample.labels.get(name)
            ]
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


def test_what_the_controller_does_is_counted(controller: RunningController, api: Connection) -> None:
    submit(api, "a", array="0-3", hold=True)
    [job] = submit(api, "b")
    api.request("GET", f"/v1/jobs/{job}/wait?until=ended&timeout=60")
    found = read(api)
    assert found["corral_jobs_pending", "JobHeldUser"] == 4
    assert found["corral_jobs_submitted_total", ""] == 5
    assert found["corral_jobs_started_total", ""] == 1
    assert found["corral_jobs_ended_total", "COMPLETED"] == 1
    assert found["corral_scheduling_cycle_seconds_count", ""] >= 1
    assert found["corral_request_seconds_count", "SubmitJobs"] == 2
    assert found["corral_events_total", ""] == controller.loop.seq
    assert (found["corral_recording", ""], found["corral_bus_connected", ""]) == (1, 1)
    assert found["process_resident_memory_bytes", ""] > 1 << 20
    api.request("DELETE", "/v1/statistics")
    assert read(api)["corral_jobs_submitted_total", ""] == 5, "sdiag --reset is no business of Prometheus'"


def test_ready_is_who_can_record_changes(controller: RunningController, api: Connection) -> None:
    assert api.request("GET", "/readyz") == "ok"
    controller.store.broken = "database or disk is full"
    with pytest.raises(Refused):
        submit(api, "a")
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
    for path, status, text in (("/readyz", 503, "disk is full"), ("/livez", 200, "ok"), ("/healthz", 200, "ok")):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, text in answer.read().decode()) == (status, True), path
    assert read(api)["corral_recording", ""] == 0
    controller.store.broken = ""
    wait_until(lambda: not controller.loop.unavailable)
    assert api.request("GET", "/readyz") == "ok"


def test_every_family_has_its_line_in_the_page() -> None:
    page = (ROOT / "docs/howto/monitor.md").read_text()
    named = {name.removesuffix("_total") for name in re.findall(r"`(corral_\w+)`", page)}
    assert {name for name in FAMILIES if name not in named} == set()


def test_dashboard_and_alerts_ask_for_what_there_is() -> None:
    rules = yaml.safe_load((ROOT / "examples/monitoring/alerts.yaml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((ROOT / "examples/monitoring/dashboard.json").read_text())
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert {name for text in asked for name in re.findall(r"\bcorral_\w+", text)} <= NAMES


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
