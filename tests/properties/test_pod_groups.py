"""What is counted in one go is what it would be if each were asked for itself; and who goes first does not depend on how many go."""

import math

from hypothesis import given
from hypothesis import strategies as st
from tests.kube import meta, template

from corral.model.kube.config import PodDisruptionBudget, PodDisruptionBudgetSpec
from corral.model.kube.meta import LabelSelector
from corral.model.kube.pod import ContainerStatus, Pod, PodStatus
from corral.services import budgets, podset

NOW = 1000.0
CONDITIONS = ((), podset.leaving((), "drained", 900.0))


@st.composite
def pods(draw: st.DrawFn) -> list[Pod]:
    found = []
    for number in range(draw(st.integers(0, 12))):
        node = draw(st.sampled_from(("", "n1", "n2")))
        status = PodStatus(
            phase=draw(st.sampled_from(("Pending", "Running", "Running", "Running", "Failed", "Succeeded"))) if node else "Pending",
            node=node,
            ready_since=draw(st.sampled_from((0.0, 500.0, 990.0, 999.0, 2000.0))) if node else 0.0,
            conditions=draw(st.sampled_from(CONDITIONS)),
            container_statuses=(ContainerStatus(name="main", restart_count=draw(st.integers(0, 2))),),
        )  # fmt: skip
        about = meta(
            f"p{number}", uid=f"u{number}", labels={"app": "web"}, creation_timestamp=draw(st.sampled_from((100.0, 900.0))),
            deletion_timestamp=draw(st.sampled_from((0.0, 0.0, 0.0, 950.0))),
            annotations={"controller.kubernetes.io/pod-deletion-cost": "5"} if draw(st.booleans()) else {},
        )  # fmt: skip
        found.append(Pod(metadata=about, spec=template().spec, status=status))
    return found


@given(pods(), st.sampled_from((0, 20)))
def test_a_group_is_what_each_of_its_pods_says(found: list[Pod], min_ready: int) -> None:
    group = podset.Group(found, min_ready, NOW)
    active = [pod for pod in found if podset.is_active(pod)]
    assert group.active == active
    assert group.staying == [pod for pod in active if not podset.is_leaving(pod)]
    assert group.leaving == [pod for pod in active if podset.is_leaving(pod)]
    assert group.ended == [pod for pod in found if pod.has_ended and not pod.metadata.deletion_timestamp]
    assert group.ready == sum(pod.is_ready for pod in active)
    assert group.available == sum(podset.is_available(pod, min_ready, NOW) for pod in active)
    assert group.next_available == podset.next_available(active, min_ready, NOW)
    if group.next_available < math.inf:
        assert podset.Group(found, min_ready, group.next_available).available > group.available


@given(pods(), st.sampled_from((0, 20)), st.integers(0, 12))
def test_the_first_of_them_are_the_first_of_all(found: list[Pod], min_ready: int, count: int) -> None:
    everyone = podset.first_to_go(found, NOW, min_ready)
    assert sorted(pod.metadata.name for pod in everyone) == sorted(pod.metadata.name for pod in found)
    assert podset.first_to_go(found, NOW, min_ready, count) == everyone[:count]
    ready = [pod.is_ready for pod in everyone if pod.status.phase == "Running"]
    assert ready == sorted(ready)


class _View:
    def __init__(self, pods: list[Pod], *known: PodDisruptionBudget) -> None:
        self.pods, self.known, self.counted = pods, known, 0

    def of_kind(self, kind: str, namespace: str = "") -> tuple[PodDisruptionBudget, ...]:
        return self.known

    def pods_selected(self, namespace: str, labels: dict[str, str]) -> list[Pod]:
        self.counted += 1
        return self.pods


@given(pods(), st.integers(0, 8), st.integers(0, 8))
def test_of_however_many_go_no_budget_is_broken_and_each_counts_its_pods_once(
    found: list[Pod], least: int, other: int
) -> None:
    selector = LabelSelector(match_labels={"app": "web"})
    known = tuple(
        PodDisruptionBudget(metadata=meta(name), spec=PodDisruptionBudgetSpec(selector=selector, min_available=number))
        for name, number in (("a", least), ("b", other))
    )
    view = _View(found, *known)
    allowance = budgets.Allowance(view, NOW)  # type: ignore[arg-type]
    gone = []
    for pod in found:
        if allowance.holder(pod) is None:
            allowance.note(pod)
            gone.append(pod)
    assert view.counted <= len(known)
    healthy = [pod for pod in found if pod.is_ready and not pod.has_ended]
    left = [pod for pod in healthy if pod not in gone]
    if any(pod in healthy for pod in gone):
        assert len(left) >= max(least, other)
    assert all(pod in gone for pod in found if not pod.is_ready)
