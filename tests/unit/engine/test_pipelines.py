"""Runs of a Pipeline: steps become jobs and applied objects, one after another, tried again, given up, stopped."""

import datetime
from typing import Any

from tests.builders import ANN, Cluster, cluster, nodes

from corral.model.job import JobState
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pipeline import (
    Pipeline,
    PipelineParameter,
    PipelineRun,
    PipelineRunSpec,
    PipelineSpec,
    PipelineStep,
)
from corral.model.kube.pod import Pod
from corral.model.step import StepKey
from corral.protocol import reports as rp
from corral.protocol.blobs import script_digest
from corral.protocol.requests import DeleteObjects, PutObjects

WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "command": ["serve", "$(params.model)"]}]},
        },
    },
}


def step(name: str, *needs: str, script: str = "#!/bin/sh\ntrue\n", **fields: Any) -> PipelineStep:
    if "apply" in fields:
        script = ""
    return PipelineStep(name=name, needs=needs, script=script, **fields)


def meta(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default")


def applied(*steps: PipelineStep, **fields: Any) -> Cluster:
    one = cluster(nodes("n[1-2]", cpus=4))
    spec = PipelineSpec(parameters=(PipelineParameter(name="model", value="small"),), steps=steps, **fields)
    one.ask(PutObjects(objects=(Pipeline(metadata=meta("train"), spec=spec),)), ANN)
    return one


def begun(*steps: PipelineStep, parameters: dict[str, str] | None = None, **fields: Any) -> Cluster:
    one = applied(*steps, **fields)
    given = tuple(PipelineParameter(name=name, value=value) for name, value in (parameters or {}).items())
    wanted = PipelineRun(metadata=meta("first"), spec=PipelineRunSpec(pipeline="train", parameters=given))
    one.ask(PutObjects(objects=(wanted,)), ANN)
    one.cycle()
    return one


def run(one: Cluster, name: str = "first") -> PipelineRun:
    found = one.state.objects.get(ObjectKey("PipelineRun", "default", name))
    assert isinstance(found, PipelineRun)
    return found


def phases(one: Cluster) -> dict[str, str]:
    return {found.name: found.phase for found in run(one).status.steps}


def job(one: Cluster, name: str) -> int:
    return next(found.job for found in run(one).status.steps if found.name == name)


def done(one: Cluster, name: str, code: int = 0) -> None:
    number = job(one, name)
    one.finish(number, code)
    one.cycle()


def ready(one: Cluster) -> None:
    """All Pods that are placed run, and the run looks at them."""
    one.cycle()
    for pod in list(one.state.objects.of_kind("Pod", "default")):
        assert isinstance(pod, Pod)
        if pod.status.node and not pod.status.ready_since and not pod.metadata.deletion_timestamp:
            key = StepKey(pod.status.job, 0)
            one.report(rp.ContainerStarted(agent="agent", node=pod.status.node, key=key, time=one.now))
    one.at(one.now - 1000 + 1)
    one.at(one.now - 1000 + 1)


def again(one: Cluster, name: str, model: str) -> None:
    given = (PipelineParameter(name="model", value=model),)
    wanted = PipelineRun(metadata=meta(name), spec=PipelineRunSpec(pipeline="train", parameters=given))
    one.ask(PutObjects(objects=(wanted,)), ANN)
    one.cycle()


def test_a_step_begins_when_all_that_it_needs_have_succeeded() -> None:
    one = begun(step("a"), step("b"), step("c", "a", "b"))
    assert phases(one) == {"a": "Running", "b": "Running", "c": "Pending"}
    done(one, "a")
    assert phases(one) == {"a": "Succeeded", "b": "Running", "c": "Pending"}
    done(one, "b")
    assert phases(one)["c"] == "Running"
    done(one, "c")
    assert run(one).status.phase == "Succeeded"
    assert one.job(job(one, "a")).owner.user == "ann"
    found = one.state.objects.get(ObjectKey("Pipeline", "default", "train"))
    assert isinstance(found, Pipeline)
    assert (found.status.phase, found.status.run) == ("Succeeded", 1)
    one.check()


def test_a_script_is_told_its_parameters_and_where_its_artifacts_lie() -> None:
    text = "#!/bin/bash\ncp $(params.model) $(run.artifacts)/$(run.name)\n"
    one = begun(step("a", script=text), parameters={"model": "large"}, artifacts="/shared/train")
    wanted = '#!/bin/bash\nmkdir -p -- "$CORRAL_ARTIFACTS" || exit 1\ncp large /shared/train/first/first\n'
    assert one.state.spec(one.job(job(one, "a"))).script_digest == script_digest(wanted)
    assert run(one).spec.parameters == (PipelineParameter(name="model", value="large"),)


def test_sbatchs_options_are_those_of_its_job() -> None:
    asked = {"spec": {"cpus_per_task": 3, "time_limit": 600, "work_dir": "/home/ann"}, "environment": {"PATH": "/opt"}}
    one = begun(step("a", job=asked))
    spec = one.state.spec(one.job(job(one, "a")))
    assert (spec.cpus_per_task, spec.time_limit, spec.work_dir, spec.name) == (3, 600, "/home/ann", "first-a")


def test_what_fails_is_tried_again_and_then_the_rest_is_skipped() -> None:
    one = begun(step("a", retries=1), step("b", "a"), step("other"))
    done(one, "a", 3)
    assert phases(one)["a"] == "Running"
    done(one, "a", 3)
    assert phases(one) == {"a": "Failed", "b": "Pending", "other": "Running"}
    done(one, "other")
    assert phases(one) == {"a": "Failed", "b": "Skipped", "other": "Succeeded"}
    assert run(one).status.phase == "Failed"
    assert "exit code 3" in run(one).status.message
    one.check()


def test_a_job_that_the_cluster_refuses_fails_its_step_with_the_reason() -> None:
    one = begun(step("a", job={"spec": {"partition": "none"}}), step("b", "a"))
    assert phases(one) == {"a": "Failed", "b": "Skipped"}
    assert "partition" in run(one).status.message


def test_a_manifest_is_applied_and_waited_for() -> None:
    one = begun(step("serve", apply=WEB), step("after", "serve"))
    assert phases(one) == {"serve": "Running", "after": "Pending"}
    (pod,) = one.state.objects.of_kind("Pod", "default")
    assert isinstance(pod, Pod)
    assert pod.spec.containers[0].command == ("serve", "small")
    key = StepKey(pod.status.job, 0)
    one.report(rp.ContainerStarted(agent="agent", node=pod.status.node, key=key, time=one.now))
    one.at(1)
    assert phases(one) == {"serve": "Succeeded", "after": "Running"}
    one.check()


def test_a_rollout_that_is_taken_back_fails_its_step_and_the_next_one_does_not() -> None:
    good = {**WEB, "spec": {**WEB["spec"], "progressDeadlineSeconds": 60}}
    one = begun(step("serve", apply=good))
    ready(one)
    assert run(one).status.phase == "Succeeded"
    again(one, "second", "large")
    one.at(100)
    one.at(101)
    assert "was taken back" in run(one, "second").status.message
    again(one, "third", "huge")
    assert run(one, "third").status.phase == "Running"
    ready(one)
    assert run(one, "third").status.phase == "Succeeded"


def test_a_manifest_with_a_mistake_fails_its_step() -> None:
    one = begun(step("serve", apply={**WEB, "spec": {"replicas": -1}}))
    assert phases(one) == {"serve": "Failed"}
    assert "spec.replicas" in run(one).status.message


def test_a_step_that_takes_too_long_is_ended() -> None:
    one = begun(step("a", timeout_seconds=60))
    number = job(one, "a")
    one.at(59)
    assert phases(one) == {"a": "Running"}
    one.at(61)
    assert phases(one) == {"a": "Failed"}
    assert one.job(number).state is JobState.CANCELLED
    assert "not done within 60 s" in run(one).status.message


def test_a_run_of_nothing_or_with_unknown_parameters_fails_at_once() -> None:
    one = begun(step("a"), parameters={"speed": "1"})
    assert run(one).status.message == "pipeline 'train' has no parameter 'speed' (it has: model)"
    lost = PipelineRun(metadata=meta("lost"), spec=PipelineRunSpec(pipeline="none"))
    one.ask(PutObjects(objects=(lost,)), ANN)
    assert run(one, "lost").status.message == "pipeline 'none' not found"


def test_who_deletes_a_run_ends_its_jobs() -> None:
    one = begun(step("a"))
    number = job(one, "a")
    one.ask(DeleteObjects(keys=(run(one).key,)), ANN)
    assert one.job(number).state is JobState.CANCELLED
    assert one.state.objects.get(ObjectKey("PipelineRun", "default", "first")) is None


def test_a_schedule_makes_runs_one_after_the_other_and_keeps_the_newest() -> None:
    one = cluster(nodes("n1"))
    one.now = datetime.datetime(2026, 3, 1, 12, 1, tzinfo=datetime.UTC).timestamp()
    spec = PipelineSpec(steps=(step("a"),), schedule="*/5 * * * *", time_zone="UTC", history_limit=2)
    one.ask(PutObjects(objects=(Pipeline(metadata=meta("train"), spec=spec),)), ANN)

    def names() -> list[str]:
        return [found.metadata.name for found in one.state.objects.of_kind("PipelineRun", "default")]

    for number in range(1, 5):
        one.now += 300
        one.tick()
        one.cycle()
        assert f"train-{number}" in names()
        if number == 4:
            one.now += 300
            one.tick()
            assert "train-5" not in names()  # the one before runs yet
        found = run(one, f"train-{number}")
        one.finish(found.status.steps[0].job)
    one.tick()
    assert names() == ["train-3", "train-4", "train-5"]
    one.check()
