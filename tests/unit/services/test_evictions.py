"""How many Pods of a PodDisruptionBudget may be taken away: Kubernetes' arithmetic."""

import msgspec
import pytest

from corral.engine.kube.budgets import Allowance
from corral.engine.kubeobjects import Objects
from corral.model.job import Owner
from corral.model.kube.config import PodDisruptionBudget, PodDisruptionBudgetSpec
from corral.model.kube.meta import LabelSelector, ObjectMeta, OwnerReference
from corral.model.kube.pod import Pod, PodStatus
from corral.model.kube.workload import ReplicaSet, ReplicaSetSpec
from corral.services import budgets
from corral.services.budgets import reconcile

ANN, BOB = (Owner(uid=uid, gid=uid, user=name, group=name) for uid, name in ((1000, "ann"), (1001, "bob")))


class State:
    def __init__(self, objects):
        self.objects = objects


def budget(**spec):
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="web", namespace="default", uid="budget"), creator=ANN,
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": "web"}), **spec),
    )  # fmt: skip


def pod(number, ready=True, owned=True, creator=ANN):
    owners = (OwnerReference(kind="ReplicaSet", name="web", uid="set"),) if owned else ()
    return Pod(
        metadata=ObjectMeta(
            name=f"web-{number}", namespace="default", uid=f"pod{number}", labels={"app": "web"}, owner_references=owners
        ),
        status=PodStatus(phase="Running", ready_since=5.0 if ready else 0.0), creator=creator,
    )  # fmt: skip


def cluster(one, *pods, replicas=4):
    objects = Objects()
    objects.put(
        ReplicaSet(
            metadata=ObjectMeta(name="web", namespace="default", uid="set"), spec=ReplicaSetSpec(replicas=replicas)
        )
    )
    for found in (one, *pods):
        objects.put(found)
    return objects


@pytest.mark.parametrize(
    ("spec", "ready", "expected", "desired", "allowed"),
    [
        ({"min_available": 3}, 4, 4, 3, 1),
        ({"min_available": 5}, 4, 4, 5, 0),
        ({"min_available": "50%"}, 4, 4, 2, 2),
        ({"min_available": "51%"}, 4, 4, 3, 1),
        ({"max_unavailable": 1}, 4, 4, 3, 1),
        ({"max_unavailable": 1}, 3, 4, 3, 0),
        ({"max_unavailable": "30%"}, 4, 4, 2, 2),
        ({"max_unavailable": 0}, 4, 4, 4, 0),
        ({"max_unavailable": "100%"}, 2, 4, 0, 2),
    ],
)
def test_so_many_may_be_taken(spec, ready, expected, desired, allowed):
    one = budget(**spec)
    pods = [pod(number, ready=number < ready) for number in range(4)]
    found = budgets.status_of(one, cluster(one, *pods), 10.0)
    assert (found.expected_pods, found.desired_healthy, found.disruptions_allowed) == (expected, desired, allowed)
    assert found.conditions[0].status == ("True" if allowed else "False")


def test_pods_that_nobody_keeps_count_for_themselves_and_anothers_do_not_count():
    one = budget(max_unavailable=1)
    pods = [pod(1, owned=False), pod(2, owned=False), pod(3, owned=False, creator=BOB)]
    found = budgets.status_of(one, cluster(one, *pods), 10.0)
    assert (found.expected_pods, found.current_healthy, found.disruptions_allowed) == (2, 2, 1)


def test_a_budget_is_looked_at_when_a_pod_of_it_changes_and_says_nothing_twice():
    one = budget(min_available=1)
    objects = cluster(one, pod(1))
    (change,) = reconcile(one, objects, 10.0)
    objects.put(change.object)
    objects.dirty.clear()
    objects.put(pod(1, ready=False))
    assert one.key in objects.dirty
    assert reconcile(change.object, cluster(change.object, pod(1)), 20.0) == []


def test_what_is_let_go_counts_for_the_next():
    one = budget(max_unavailable=1)
    pods = [pod(number) for number in range(4)]
    allowance = Allowance(State(cluster(one, *pods)), 10.0)
    assert [allowance.refusal(found) is None for found in pods[:3]] == [True, False, False]
    assert allowance.refusal(pod(7, ready=False)) is None


def test_a_service_keeps_the_replicas_that_its_budget_wants():
    one = budget(min_available=3)
    objects = cluster(one, *[pod(number) for number in range(4)])
    (change,) = reconcile(one, objects, 10.0)
    objects.put(change.object)
    template = {"metadata": {"labels": {"app": "web"}}}
    found = msgspec.convert(
        {
            "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 4, "template": template},
        },
        ReplicaSet,
    )
    assert budgets.healthy(msgspec.structs.replace(found, creator=ANN), objects) == 3
    assert budgets.healthy(msgspec.structs.replace(found, creator=BOB), objects) == 0
