"""A Pod is a job: its containers are steps of it."""

from typing import Any

import pytest
from tests.builders import ANN, BOB, Cluster, cluster, job, nodes

from corral.engine.podruns import run_of
from corral.model.cluster import ClusterConfig
from corral.model.job import JobKind, JobState
from corral.model.kube.config import ConfigMap
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pod import (
    Container,
    ContainerPort,
    EnvVar,
    EnvVarSource,
    KeySelector,
    Pod,
    PodSpec,
    Probe,
    ResourceRequirements,
    SecurityContext,
    TCPSocketAction,
)  # fmt: skip
from corral.model.step import EndCause, StepKey
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol.pods import PodVariable
from corral.protocol.requests import DeleteObjects, PutObjects


def container(name: str = "main", **fields: Any) -> Container:
    return Container(name=name, command=("serve",), **fields)


def requests(**amounts: str) -> ResourceRequirements:
    return ResourceRequirements(requests={name.replace("_", "."): text for name, text in amounts.items()})


def key(name: str = "web") -> ObjectKey:
    return ObjectKey("Pod", "default", name)


def put(one: Cluster, *containers: Container, name: str = "web", **fields: Any) -> None:
    spec = PodSpec(containers=containers or (container(),), **fields)
    pod = Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)
    one.ask(PutObjects(objects=(pod,)), ANN)


def pod(one: Cluster, name: str = "web") -> Pod:
    found = one.state.objects.get(key(name))
    assert isinstance(found, Pod)
    return found


def started(one: Cluster, step: int = 0, name: str = "web") -> None:
    number = pod(one, name).status.job
    node = pod(one, name).status.node
    one.report(rp.ContainerStarted(agent="agent", node=node, key=StepKey(number, step), time=one.now))


def running(*containers: Container, **fields: Any) -> Cluster:
    """With a Pod whose first container runs."""
    one = cluster(nodes("n1"), **fields.pop("config", {}))
    put(one, *containers, **fields)
    one.cycle()
    started(one)
    return one


def states(one: Cluster) -> list[str]:
    return [status.state.state for status in pod(one).status.container_statuses]


def test_a_pod_is_submitted_as_a_job_of_its_creator_with_what_its_containers_ask_for() -> None:
    one = cluster(nodes("n1", cpus=8, gpus=2))
    put(
        one,
        container(
            "a", resources=ResourceRequirements(requests={"cpu": "500m", "memory": "100Mi", "nvidia.com/gpu": 1})
        ),
        container("b", resources=ResourceRequirements(limits={"cpu": 2, "memory": "50Mi"})),
    )
    record = one.job(pod(one).status.job)
    spec = one.state.spec(record)
    assert (record.owner.user, spec.kind, spec.name) == ("ann", JobKind.POD, "web")
    assert (spec.cpus_per_task, spec.memory_per_node_mb, spec.gres[0].count) == (3, 150, 1)
    one.check()


def test_an_init_container_counts_for_the_most_that_runs_at_once() -> None:
    one = cluster(nodes("n1", cpus=8))
    put(one, container(resources=requests(cpu="1")), init_containers=(container("big", resources=requests(cpu="4")),))
    assert one.state.spec(one.job(pod(one).status.job)).cpus_per_task == 4


def test_each_container_is_a_step_with_the_gpus_that_it_asks_for() -> None:
    one = cluster(nodes("n1", cpus=8, gpus=2))
    put(
        one,
        container("a", resources=requests(**{"nvidia.com/gpu": "1"})),
        container("b", resources=requests(**{"nvidia.com/gpu": "1"})),
        container("c"),
    )
    one.cycle()
    launches = {order.spec.name: order for order in one.orders(od.LaunchStep)}
    assert [launches[name].share.gres[0].indices if launches[name].share.gres else () for name in "abc"] == [
        (0,),
        (1,),
        (),
    ]


def test_a_pod_is_running_and_ready_when_its_node_says_that_it_runs() -> None:
    one = cluster(nodes("n1"))
    put(one, container(ports=(ContainerPort(container_port=8000, name="http"),)))
    assert pod(one).status.phase == "Pending"
    one.cycle()
    assert (pod(one).status.phase, pod(one).is_ready) == ("Pending", False)
    started(one)
    status = pod(one).status
    assert (status.phase, pod(one).is_ready, status.node) == ("Running", True, "n1")
    assert [(a.port, a.name, a.host, a.host_port) for a in status.addresses] == [(8000, "http", "n1", 25000)]
    one.check()


def test_no_two_pods_of_a_node_have_one_port_and_it_is_kept_over_restarts() -> None:
    one = cluster(nodes("n1"))
    for name in ("a", "b"):
        put(one, container(ports=(ContainerPort(container_port=8000),)), name=name)
    one.cycle()
    ports = [pod(one, name).status.addresses[0].host_port for name in ("a", "b")]
    assert len(set(ports)) == 2
    started(one, name="a")
    one.finish(pod(one, "a").status.job, 1, step=0)
    assert pod(one, "a").status.addresses[0].host_port == ports[0]


def test_a_pod_that_wants_a_port_of_its_node_goes_where_it_is_free() -> None:
    one = cluster(nodes("n[1-2]"))
    wanted = container(ports=(ContainerPort(container_port=8000),))
    for name in ("a", "b", "c"):
        put(one, wanted, name=name, host_network=True)
        one.cycle()
    assert {pod(one, name).status.node for name in "ab"} == {"n1", "n2"}
    assert pod(one, "c").status.phase == "Pending"


def test_a_pause_does_not_last_until_the_old_time_comes_when_the_clock_is_set_back() -> None:
    one = running().at(100_000)
    number = pod(one).status.job
    one.finish(number, 1, step=0)
    started(one, 1)
    one.finish(number, 1, step=1)
    assert pod(one).status.container_statuses[0].restart_at > one.now
    one.at(1000)
    started(one, 2)
    assert states(one) == ["running"]


def test_nor_does_the_end_of_a_pod() -> None:
    one = running(container(ports=(ContainerPort(container_port=8000),))).at(100_000)
    one.ask(DeleteObjects(keys=(key(),)), ANN)
    one.at(1000)
    assert key() not in one.state.objects.by_key


def test_of_a_container_that_was_told_to_end_nothing_stays_when_its_job_is_forgotten() -> None:
    one = running(container(liveness_probe=Probe(tcp_socket=TCPSocketAction(port=1))))
    number, node = pod(one).status.job, pod(one).status.node
    run = StepKey(number, 0)
    one.report(rp.ProbeResult(agent="agent", node=node, key=run, probe="liveness", ok=False, message="no"))
    assert run in one.engine.ctx.killed
    one.ask(DeleteObjects(keys=(key(),), grace_seconds=0), ANN)
    one.at(100_000)
    assert number not in one.state.jobs
    assert not one.engine.ctx.killed


def test_a_container_that_ends_is_started_at_once_and_then_with_growing_pauses() -> None:
    one = running()
    number = pod(one).status.job
    one.finish(number, 1, step=0, words="no luck")
    assert pod(one).status.container_statuses[0].restart_count == 1
    started(one, 1)
    one.finish(number, 1, step=1, words="no luck")
    status = pod(one).status.container_statuses[0]
    assert (status.state.reason, status.restart_at - one.now) == ("CrashLoopBackOff", 10.0)
    assert status.state.message.endswith("no luck")
    assert not pod(one).is_ready
    one.at(9.9)
    assert 2 not in one.state.steps_of(number)
    one.at(10.0)
    started(one, 2)
    one.finish(number, 1, step=2)
    assert pod(one).status.container_statuses[0].restart_at == one.now + 20.0
    one.check()


def test_who_has_run_for_ten_minutes_begins_anew() -> None:
    one = running()
    number = pod(one).status.job
    one.finish(number, 1, step=0)
    started(one, 1)
    one.at(700.0)
    one.report(
        rp.StepFinished(agent="agent", node="n1", key=StepKey(number, 1), tasks=(), started=1000.0, ended=one.now)
    )
    assert 2 in one.state.steps_of(number)


def test_a_pod_that_is_not_restarted_ends_as_its_containers_did() -> None:
    for code, phase, state in ((0, "Succeeded", JobState.COMPLETED), (3, "Failed", JobState.FAILED)):
        one = running(restart_policy="Never")
        number = pod(one).status.job
        one.finish(number, code, step=0)
        assert (pod(one).status.phase, one.job(number).state) == (phase, state)
        assert pod(one).status.container_statuses[0].state.exit_code == code
        one.check()


def test_on_failure_only_a_failure_is_tried_again() -> None:
    one = running(restart_policy="OnFailure")
    number = pod(one).status.job
    one.finish(number, 1, step=0)
    started(one, 1)
    one.finish(number, 0, step=1)
    assert pod(one).status.phase == "Succeeded"


def test_init_containers_run_one_after_another_and_before_the_others() -> None:
    one = cluster(nodes("n1"))
    put(one, container(), init_containers=(container("first"), container("second")))
    one.cycle()
    number = pod(one).status.job
    names = []
    for step in range(3):
        assert list(one.state.steps_of(number)) == list(range(step + 1))
        names.append(one.step(number, step).spec.name)
        started(one, step)
        if step < 2:
            assert not pod(one).is_ready
            one.finish(number, step=step)
    assert names == ["first", "second", "main"]
    assert pod(one).is_ready


def test_a_sidecar_runs_on_beside_the_others_and_ends_with_them() -> None:
    one = cluster(nodes("n1"))
    put(one, container(), init_containers=(container("side", restart_policy="Always"),), restart_policy="Never")
    one.cycle()
    number = pod(one).status.job
    started(one, 0)
    assert one.step(number, 1).spec.name == "main"
    started(one, 1)
    assert pod(one).is_ready
    one.finish(number, step=1)
    assert (pod(one).status.phase, one.job(number).state) == ("Succeeded", JobState.COMPLETED)


def test_readiness_follows_the_probe() -> None:
    probe = Probe(tcp_socket=TCPSocketAction(port=80))
    one = running(container(readiness_probe=probe))
    number = pod(one).status.job
    assert not pod(one).is_ready
    for ok in (True, False, True):
        one.report(rp.ProbeResult(agent="agent", node="n1", key=StepKey(number, 0), probe="readiness", ok=ok))
        assert pod(one).is_ready is ok
    one.check()


def test_what_a_readiness_probe_finds_wrong_is_kept_also_when_it_has_never_succeeded() -> None:
    one = running(container(readiness_probe=Probe(tcp_socket=TCPSocketAction(port=80))))
    verdict = rp.ProbeResult(
        agent="agent", node="n1", key=StepKey(pod(one).status.job, 0), probe="readiness", ok=False, message="HTTP 503"
    )
    one.report(verdict)
    assert pod(one).status.container_statuses[0].unready == "HTTP 503"
    version = pod(one).metadata.resource_version
    one.report(verdict)
    assert pod(one).metadata.resource_version == version
    one.finish(pod(one).status.job, 1, step=0)
    assert not pod(one).status.container_statuses[0].unready


def test_a_startup_probe_comes_first() -> None:
    probe = Probe(tcp_socket=TCPSocketAction(port=80))
    one = running(container(startup_probe=probe))
    number = pod(one).status.job
    assert not pod(one).is_ready
    one.report(rp.ProbeResult(agent="agent", node="n1", key=StepKey(number, 0), probe="startup", ok=True))
    assert pod(one).is_ready


def test_a_container_that_is_not_alive_is_ended_once_and_started_again() -> None:
    probe = Probe(tcp_socket=TCPSocketAction(port=80), termination_grace_period_seconds=3)
    one = running(container(liveness_probe=probe))
    number = pod(one).status.job
    failed = rp.ProbeResult(agent="agent", node="n1", key=StepKey(number, 0), probe="liveness", ok=False, message="500")
    one.report(failed).report(failed)
    (order,) = one.orders(od.SignalTasks)
    assert (order.signal, order.kill_after, order.step) == (15, 3.0, 0)
    assert not pod(one).is_ready
    one.finish(number, 0, 15, step=0, cause=EndCause.CANCELLED)
    status = pod(one).status.container_statuses[0]
    assert (status.restart_count, status.step) == (1, 1)
    assert status.last_state is not None
    assert "failed liveness probe" in status.last_state.message
    one.check()


def test_a_deleted_pod_gets_no_traffic_then_ends_and_its_record_goes() -> None:
    one = running(container(ports=(ContainerPort(container_port=80),)))
    number = pod(one).status.job
    one.cleans = False
    one.ask(DeleteObjects(keys=(key(),)))
    assert not pod(one).is_ready
    assert one.job(number).state is JobState.RUNNING
    one.at(1.0)
    (order,) = one.orders(od.EndJob)
    assert order.kill_after == 30.0
    one.finish(number, 0, 15, step=0, cause=EndCause.CANCELLED)
    one.clean(number)
    assert one.state.objects.get(key()) is None
    assert one.job(number).state is JobState.CANCELLED
    one.check()


def test_a_pod_that_waits_is_deleted_with_its_job() -> None:
    one = cluster(nodes("n1", cpus=1))
    one.run(job(1))
    put(one)
    number = pod(one).status.job
    one.ask(DeleteObjects(keys=(key(),)))
    assert one.state.objects.get(key()) is None
    assert one.job(number).state is JobState.CANCELLED


def test_a_pod_whose_job_ends_by_other_ways_has_failed_and_is_not_queued_again() -> None:
    one = running()
    number = pod(one).status.job
    one.cancel(number)
    assert (pod(one).status.phase, pod(one).status.reason) == ("Failed", "Evicted")
    one = running()
    one.silent.add("n1")
    one.at(400.0)
    assert (pod(one).status.phase, pod(one).status.reason) == ("Failed", "NodeLost")
    assert one.job(pod(one).status.job).state is JobState.NODE_FAIL
    one.check()


def test_a_pod_that_nothing_can_run_says_why_and_asks_again() -> None:
    one = cluster(nodes("n1", cpus=2))
    put(one, container(resources=requests(cpu="64")))
    status = pod(one).status
    assert (status.phase, status.job, status.reason) == ("Pending", 0, "Refused")
    assert "node configuration is not available" in status.message
    one.inventories |= {"n2": nodes("n2", cpus=64)[0]}
    one.register("n1", "n2").at(11.0)
    assert pod(one).status.job


def test_a_launch_that_is_sent_again_tells_of_the_same_run() -> None:
    one = running()
    number = pod(one).status.job
    (first,) = one.orders(od.LaunchStep)
    one.register(instance="2")
    (again,) = one.orders(od.LaunchStep)
    assert again.pod == first.pod == run_of(one.engine.ctx, one.job(number), one.step(number, 0), "n1")


def test_another_user_does_not_delete_it() -> None:
    one = running()
    one.ask(DeleteObjects(keys=(key(),)), BOB)
    assert pod(one).is_ready


def test_a_pod_is_over_at_its_deadline() -> None:
    one = running(active_deadline_seconds=60)
    one.at(59.0)
    assert pod(one).status.phase == "Running"
    one.at(60.0)
    assert (pod(one).status.phase, pod(one).status.reason) == ("Failed", "DeadlineExceeded")


def test_a_pod_has_as_much_time_as_its_partition_gives() -> None:
    from corral.model.partition import Partition

    config: Any = {"partition": (Partition(name="p", default=True, default_time=60, max_time=7200),)}
    one = running(config=config)
    assert one.job(pod(one).status.job).time_limit == 7200
    assert ClusterConfig().pod_ports


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (SecurityContext(run_as_user=0), "runAsUser 0 of container main: its Pod is ann's"),
        (SecurityContext(run_as_group=7), "runAsGroup 7"),
        (SecurityContext(run_as_user=1000, run_as_non_root=True), ""),
    ],
)
def test_a_pod_runs_as_who_made_it_and_as_nobody_else(context: SecurityContext, words: str) -> None:
    one = cluster(nodes("n1"))
    put(one, container(security_context=context))
    assert words in pod(one).status.message
    assert bool(pod(one).status.job) is not bool(words)


def test_a_container_waits_for_what_its_variables_name() -> None:
    one = cluster(nodes("n1"))
    source = EnvVarSource(config_map_key_ref=KeySelector(name="conf", key="mode"))
    put(one, container(env=(EnvVar(name="MODE", value_from=source),)))
    one.cycle()
    status = pod(one).status.container_statuses[0]
    assert (status.state.reason, status.state.message) == ("CreateContainerConfigError", 'configmap "conf" not found')
    conf = ConfigMap(metadata=ObjectMeta(name="conf", namespace="default"), data={"mode": "fast"})
    one.ask(PutObjects(objects=(conf,)), ANN)
    one.at(3.0)
    (order,) = one.orders(od.LaunchStep)
    assert order.pod.variables == (PodVariable("MODE", "fast", False, True),)
    one.check()


def test_an_optional_one_need_not_be_there() -> None:
    one = cluster(nodes("n1"))
    source = EnvVarSource(secret_key_ref=KeySelector(name="key", key="token", optional=True))
    put(one, container(env=(EnvVar(name="TOKEN", value_from=source),)))
    one.cycle()
    (order,) = one.orders(od.LaunchStep)
    assert order.pod.variables == ()


def test_a_limit_of_cpu_time_holds_below_the_cpus_of_the_job() -> None:
    one = cluster(nodes("n1"))
    limits = [ResourceRequirements(limits={"cpu": text}) for text in ("300m", "2")]
    put(one, container("a", resources=limits[0]), container("b", resources=limits[1]))
    one.cycle()
    assert {order.spec.name: order.pod.cpu_millis for order in one.orders(od.LaunchStep)} == {"a": 300, "b": 2000}


def test_sidecars_end_after_those_whom_they_help() -> None:
    one = cluster(nodes("n1"))
    one.cleans = False
    put(one, container(), init_containers=(container("side", restart_policy="Always"),))
    one.cycle()
    number = pod(one).status.job
    started(one, 0)
    started(one, 1)
    one.ask(DeleteObjects(keys=(key(),)))
    assert [order.step for order in one.orders(od.SignalTasks)] == [1]
    assert not one.orders(od.EndJob)
    one.finish(number, 0, 15, step=1, cause=EndCause.CANCELLED)
    assert one.orders(od.EndJob)
    assert pod(one).status.container_statuses[0].state.state == "terminated"
    one.finish(number, 0, 15, step=0, cause=EndCause.CANCELLED).clean(number)
    assert one.state.objects.get(key()) is None
    one.check()


def test_sidecars_wait_no_longer_than_the_grace() -> None:
    one = cluster(nodes("n1"))
    put(one, container(), init_containers=(container("side", restart_policy="Always"),))
    one.cycle()
    started(one, 0)
    started(one, 1)
    one.ask(DeleteObjects(keys=(key(),), grace_seconds=5))
    one.at(4.9)
    assert not one.orders(od.EndJob)
    one.at(5.0)
    assert one.orders(od.EndJob)


def test_a_pod_whose_volume_has_grown_too_large_is_evicted() -> None:
    one = running()
    number = pod(one).status.job
    one.finish(number, 0, 15, step=0, cause=EndCause.LAUNCH_FAILED, message="Evicted: it is full")
    assert (pod(one).status.phase, pod(one).status.reason, pod(one).status.message) == (
        "Failed",
        "Evicted",
        "it is full",
    )
    assert one.job(number).state is JobState.FAILED
