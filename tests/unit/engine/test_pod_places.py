"""Where Pods go by Kubernetes' words: labels, taints, affinity, spreading; and why they find no place."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.builders import ANN, ROOT, Cluster, cluster, job, node, nodes

from corral.engine.explaining import inquiry
from corral.engine.explanation import explanation
from corral.engine.rivals import everybody
from corral.model.kube.meta import LabelSelector, LabelSelectorRequirement, ObjectKey, ObjectMeta, OwnerReference
from corral.model.kube.pod import (
    Affinity,
    Container,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    PreferredSchedulingTerm,
    ResourceRequirements,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from corral.model.partition import Partition
from corral.model.podplace import taint_of
from corral.protocol.requests import PutObjects, UpdateNodes

OWNER = OwnerReference(kind="ReplicaSet", name="web", uid="web-uid")


def labelled(**labels: str) -> Cluster:
    """Nodes n1 to n4 with eight CPUs; zone: a, a, b, b unless told otherwise."""
    c = cluster(nodes("n[1-4]", cpus=8))
    for name, zone in zip(("n1", "n2", "n3", "n4"), "aabb", strict=True):
        c.ask(UpdateNodes(nodes=name, labels={"zone": labels.get(name, zone)}), ROOT)
    return c


def put(c: Cluster, name: str, app: str = "web", cpus: int = 1, owned: bool = False, **spec: Any) -> None:
    pod = Pod(
        metadata=ObjectMeta(
            name=name, namespace="default", labels={"app": app}, owner_references=(OWNER,) if owned else ()
        ),
        spec=PodSpec(
            containers=(
                Container(name="m", command=("x",), resources=ResourceRequirements(requests={"cpu": str(cpus)})),
            ),
            **spec,
        ),
    )
    c.ask(PutObjects(objects=(pod,)), ANN)


def where(c: Cluster, name: str) -> str:
    found = c.state.objects.get(ObjectKey("Pod", "default", name))
    assert isinstance(found, Pod)
    record = c.job(found.status.job)
    return record.allocation.nodes[0].node if record.allocation is not None else ""


def why(c: Cluster, name: str) -> str:
    found = c.state.objects.get(ObjectKey("Pod", "default", name))
    assert isinstance(found, Pod)
    return next(one.message for one in found.status.conditions if one.type == "PodScheduled")


def needs(key: str, operator: str, *values: str) -> NodeSelectorTerm:
    return NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key=key, operator=operator, values=values),))  # type: ignore[arg-type]


def must(*terms: NodeSelectorTerm) -> Affinity:
    required = NodeSelector(node_selector_terms=terms)
    return Affinity(node_affinity=NodeAffinity(required_during_scheduling_ignored_during_execution=required))


def rather(*wishes: tuple[int, NodeSelectorTerm]) -> Affinity:
    preferred = tuple(PreferredSchedulingTerm(weight=weight, preference=term) for weight, term in wishes)
    return Affinity(node_affinity=NodeAffinity(preferred_during_scheduling_ignored_during_execution=preferred))


def app(name: str, topology: str = "kubernetes.io/hostname") -> PodAffinityTerm:
    return PodAffinityTerm(topology_key=topology, label_selector=LabelSelector(match_labels={"app": name}))


def apart(*terms: PodAffinityTerm) -> Affinity:
    return Affinity(pod_anti_affinity=PodAffinity(required_during_scheduling_ignored_during_execution=terms))


def near(*terms: PodAffinityTerm) -> Affinity:
    return Affinity(pod_affinity=PodAffinity(required_during_scheduling_ignored_during_execution=terms))


# -- labels


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({"node_selector": {"zone": "b"}}, {"n3", "n4"}),
        ({"node_selector": {"kubernetes.io/hostname": "n2"}}, {"n2"}),
        ({"affinity": must(needs("zone", "In", "a"), needs("kubernetes.io/hostname", "In", "n4"))}, {"n1", "n2", "n4"}),
        ({"affinity": must(needs("zone", "NotIn", "a"))}, {"n3", "n4"}),
        ({"affinity": must(needs("rack", "DoesNotExist"))}, {"n1", "n2", "n3", "n4"}),
    ],
)
def test_only_nodes_with_the_labels(words: dict[str, Any], found: set[str]) -> None:
    c = labelled()
    for number in range(len(found)):
        put(c, f"p{number}", cpus=8, **words)
    put(c, "more", cpus=8, **words)
    c.cycle()
    assert {where(c, f"p{number}") for number in range(len(found))} == found
    assert where(c, "more") == ""


def test_a_number_greater_than_and_labels_that_a_node_has_by_itself() -> None:
    c = cluster(node("n1", cpus=8), msgspec.structs.replace(node("n2", cpus=8), features=("ib",), arch="x86_64"))
    c.ask(UpdateNodes(nodes="n2", labels={"slots": "12"}), ROOT)
    put(c, "a", affinity=must(needs("slots", "Gt", "10")))
    put(c, "b", node_selector={"feature.corral.dev/ib": "true", "kubernetes.io/arch": "amd64"})
    put(c, "c", affinity=must(needs("slots", "Lt", "10")))
    c.cycle()
    assert (where(c, "a"), where(c, "b"), where(c, "c")) == ("n2", "n2", "")
    assert "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector." in why(c, "c")


def test_a_node_that_gets_the_label_takes_the_pod() -> None:
    c = labelled()
    put(c, "p", node_selector={"disk": "ssd"})
    c.cycle()
    assert where(c, "p") == ""
    c.ask(UpdateNodes(nodes="n3", labels={"disk": "ssd"}), ROOT)
    assert c.engine.wants_cycle
    c.cycle()
    assert where(c, "p") == "n3"
    c.ask(UpdateNodes(nodes="n3", labels={"disk": None}), ROOT)
    put(c, "q", node_selector={"disk": "ssd"})
    c.cycle()
    assert where(c, "q") == ""


def test_a_pod_that_no_node_will_have_holds_up_nobody() -> None:
    c = labelled()
    put(c, "p", node_selector={"disk": "ssd"})
    batch = c.add(job(cpus=8, nodes=4))
    c.cycle()
    assert c.states(batch) == ["RUNNING"]


def test_preferred_nodes_by_weight_and_others_when_these_are_full() -> None:
    c = labelled()
    wishes = rather((10, needs("zone", "In", "b")), (80, needs("kubernetes.io/hostname", "In", "n2")))
    for number in range(4):
        put(c, f"p{number}", cpus=8, affinity=wishes)
    c.cycle()
    assert where(c, "p0") == "n2"
    assert {where(c, "p1"), where(c, "p2")} == {"n3", "n4"}
    assert where(c, "p3") == "n1"


# -- taints


def test_a_taint_keeps_pods_away_that_do_not_tolerate_it_and_jobs_not() -> None:
    c = labelled()
    c.ask(UpdateNodes(nodes="n[1-3]", taints=(taint_of("gpu=yes:NoSchedule"),)), ROOT)
    put(c, "p", cpus=8)
    put(c, "q", cpus=8)
    put(c, "r", cpus=8, tolerations=(Toleration(key="gpu", operator="Exists"),), node_selector={"zone": "a"})
    c.cycle()
    assert {where(c, "p"), where(c, "q")} == {"n4", ""}
    assert where(c, "r") in ("n1", "n2")
    batch = c.add(job(cpus=8, nodes=2))
    c.cycle()
    assert c.states(batch) == ["RUNNING"]


def test_a_soft_taint_is_avoided_while_there_is_room_elsewhere() -> None:
    c = labelled()
    c.ask(UpdateNodes(nodes="n[1-3]", taints=(taint_of("old:PreferNoSchedule"),)), ROOT)
    put(c, "p", cpus=8)
    put(c, "q", cpus=8)
    c.cycle()
    assert where(c, "p") == "n4"
    assert where(c, "q") in ("n1", "n2", "n3")


# -- other Pods


def test_replicas_of_one_owner_go_to_different_nodes() -> None:
    c = labelled()
    for number in range(8):
        put(c, f"p{number}", owned=True)
    c.cycle()
    assert Counter(where(c, f"p{number}") for number in range(8)) == {"n1": 2, "n2": 2, "n3": 2, "n4": 2}


def test_anti_affinity_keeps_pods_apart_in_a_domain_and_holds_for_those_that_come_later() -> None:
    c = labelled()
    for number in range(3):
        put(c, f"db{number}", app="db", affinity=apart(app("db", "zone")))
    c.cycle()
    zones = {"n1": "a", "n2": "a", "n3": "b", "n4": "b", "": ""}
    assert sorted(zones[where(c, f"db{number}")] for number in range(3)) == ["", "a", "b"]
    put(c, "plain", app="db")  # it wants nothing, but those that are there want no other beside them
    c.cycle()
    assert where(c, "plain") == ""
    assert "didn't satisfy existing pods anti-affinity rules" in why(c, "plain")


def test_affinity_puts_pods_near_others_and_the_first_of_its_own_anywhere() -> None:
    c = labelled()
    put(c, "cache", app="cache", affinity=near(app("cache")))
    put(c, "web", affinity=near(app("cache")))
    put(c, "lonely", affinity=near(app("nobody")))
    c.cycle()
    c.cycle()
    assert where(c, "web") == where(c, "cache") != ""
    assert where(c, "lonely") == ""
    assert "didn't match pod affinity rules" in why(c, "lonely")


def test_preferences_for_other_pods_have_weights() -> None:
    c = labelled()
    put(c, "cache", app="cache", node_selector={"kubernetes.io/hostname": "n3"})
    c.cycle()
    wish = WeightedPodAffinityTerm(weight=100, pod_affinity_term=app("cache"))
    put(
        c,
        "p",
        affinity=Affinity(pod_affinity=PodAffinity(preferred_during_scheduling_ignored_during_execution=(wish,))),
    )
    put(
        c,
        "q",
        affinity=Affinity(pod_anti_affinity=PodAffinity(preferred_during_scheduling_ignored_during_execution=(wish,))),
    )
    c.cycle()
    assert where(c, "p") == "n3"
    assert where(c, "q") != "n3"


def spread(skew: int, key: str, when: str = "DoNotSchedule", least: int | None = None) -> dict[str, Any]:
    selector = LabelSelector(match_expressions=(LabelSelectorRequirement(key="app", operator="In", values=("web",)),))
    one = TopologySpreadConstraint(
        max_skew=skew,
        topology_key=key,
        when_unsatisfiable=when,
        label_selector=selector,
        min_domains=least,  # type: ignore[arg-type]
    )
    return {"topology_spread_constraints": (one,)}


def test_no_domain_has_more_than_the_skew_above_the_emptiest() -> None:
    c = labelled(n1="a", n2="a", n3="a", n4="b")
    for number in range(10):
        put(c, f"p{number}", cpus=2, **spread(1, "zone"))
    c.cycle()
    zones = Counter("b" if where(c, f"p{number}") == "n4" else "a" for number in range(10) if where(c, f"p{number}"))
    assert zones == {"a": 5, "b": 4}  # b is full: the tenth would make six and four
    assert why(c, "p9") == "job 10 waits: Resources"  # on n4


def test_a_soft_constraint_spreads_as_far_as_it_goes_and_min_domains_count_missing_ones_as_empty() -> None:
    c = labelled(n1="a", n2="a", n3="a", n4="b")
    for number in range(6):
        put(c, f"p{number}", cpus=4, **spread(1, "zone", "ScheduleAnyway"))
    c.cycle()
    assert Counter(where(c, f"p{number}") == "n4" for number in range(6)) == {True: 2, False: 4}
    other = labelled()
    for number in range(4):
        put(other, f"p{number}", **spread(1, "zone", least=3))
    other.cycle()
    assert sum(where(other, f"p{number}") != "" for number in range(4)) == 2


def test_a_drained_node_takes_no_pod_and_is_named_so() -> None:
    c = labelled()
    c.ask(UpdateNodes(nodes="n[1-3]", state="drain", reason="x"), ROOT)
    put(c, "p", node_selector={"zone": "a"})
    c.cycle()
    assert where(c, "p") == ""
    assert "node(s) were unschedulable" in why(c, "p")


# -- partitions, and Pods that have to leave


def test_the_partition_is_chosen_by_its_label() -> None:
    parts = (Partition(name="a", nodes="n[1-2]", default=True), Partition(name="b", nodes="n[3-4]"))
    c = cluster(nodes("n[1-4]", cpus=8), partition=parts)
    put(c, "p", node_selector={"corral.dev/partition": "b"})
    put(c, "q", affinity=must(needs("corral.dev/partition", "In", "a", "b")))
    put(c, "r", affinity=must(needs("corral.dev/partition", "NotIn", "a")))
    c.cycle()
    assert where(c, "p") in ("n3", "n4")
    assert where(c, "q") != ""
    found = c.state.objects.get(ObjectKey("Pod", "default", "r"))
    assert isinstance(found, Pod)
    assert "corral.dev/partition is asked for once" in found.status.message


def test_the_pods_own_labels_are_among_the_conditions_where_their_keys_are_named() -> None:
    c = labelled()
    put(c, "old", app="v1", node_selector={"kubernetes.io/hostname": "n1"})
    c.cycle()
    everything = LabelSelector(match_expressions=(LabelSelectorRequirement(key="app", operator="Exists"),))
    both = LabelSelector(match_expressions=(LabelSelectorRequirement(key="none", operator="DoesNotExist"),))
    term = PodAffinityTerm(topology_key="zone", label_selector=both, match_label_keys=("app",))
    put(c, "same", app="v2", affinity=apart(term))
    put(c, "with", app="v1", affinity=near(term))
    other = PodAffinityTerm(topology_key="zone", label_selector=everything, mismatch_label_keys=("app",))
    put(c, "away", app="v2", affinity=apart(other))
    c.cycle()
    assert where(c, "same") != ""
    assert where(c, "with") in ("n1", "n2")
    assert where(c, "away") in ("n3", "n4")


def test_pods_of_one_revision_are_spread_where_its_label_is_named() -> None:
    c = labelled()
    for number, name in enumerate(("n1", "n2", "n3")):
        put(c, f"old{number}", app="v1", node_selector={"kubernetes.io/hostname": name})
    c.cycle()
    selector = LabelSelector(match_expressions=(LabelSelectorRequirement(key="app", operator="Exists"),))
    apart_by = TopologySpreadConstraint(
        max_skew=1, topology_key="kubernetes.io/hostname", when_unsatisfiable="DoNotSchedule", label_selector=selector
    )
    put(c, "all", app="v2", topology_spread_constraints=(apart_by,))
    c.cycle()
    assert where(c, "all") == "n4"
    own = msgspec.structs.replace(apart_by, match_label_keys=("app",))
    for number in range(4):
        put(c, f"new{number}", app="v3", topology_spread_constraints=(own,))
    c.cycle()
    assert {where(c, f"new{number}") for number in range(4)} == {"n1", "n2", "n3", "n4"}


def is_leaving(c: Cluster, name: str) -> bool:
    found = c.state.objects.get(ObjectKey("Pod", "default", name))
    return found is None or bool(found.metadata.deletion_timestamp)


def test_a_noexecute_taint_sends_pods_away_when_they_tolerate_it_no_longer() -> None:
    c = labelled()
    here = {"node_selector": {"kubernetes.io/hostname": "n1"}}
    put(c, "now", **here)
    put(c, "later", tolerations=(Toleration(key="fire", operator="Exists", toleration_seconds=60),), **here)
    put(c, "never", tolerations=(Toleration(operator="Exists"),), **here)
    c.cycle()
    c.ask(UpdateNodes(nodes="n1", taints=(taint_of("fire:NoExecute"),)), ROOT)
    assert [is_leaving(c, name) for name in ("now", "later", "never")] == [True, False, False]
    c.at(61)
    assert [is_leaving(c, name) for name in ("now", "later", "never")] == [True, True, False]


def test_corral_why_names_the_pod_and_what_keeps_it_from_each_node() -> None:
    c = labelled()
    c.ask(UpdateNodes(nodes="n3", taints=(taint_of("a:NoSchedule"),)), ROOT)
    put(c, "p", node_selector={"zone": "b"}, affinity=must(needs("kubernetes.io/hostname", "NotIn", "n4")))
    c.cycle()
    (record,) = c.state.jobs.values()
    told = explanation(inquiry(c.engine.pending, record, None, c.now, everybody))
    assert told.name == "pod default/p"
    lacks = {lack.text for place in told.places for lack in place.lacks}
    assert lacks == {"lack the labels of its nodeSelector and affinity", "have taints that it does not tolerate"}
