"""Do affinity, tolerations and spread constraints say what can be followed?"""

from corral.model.kube.pod import (
    NodeAffinity,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    Toleration,
    TopologySpreadConstraint,
)
from corral.services.manifests.checks import selectors
from corral.services.manifests.checks.metadata import labels
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def check(spec: PodSpec, path: str, problems: Problems) -> None:
    labels(spec.node_selector, f"{path}.nodeSelector", problems)
    if spec.node_name and (why := kubenames.subdomain(spec.node_name)):
        problems.invalid(f"{path}.nodeName", spec.node_name, why)
    for index, toleration in enumerate(spec.tolerations):
        _check_toleration(toleration, f"{path}.tolerations[{index}]", problems)
    for index, constraint in enumerate(spec.topology_spread_constraints):
        _check_spread(constraint, f"{path}.topologySpreadConstraints[{index}]", problems)
    if spec.affinity is not None:
        if spec.affinity.node_affinity is not None:
            _check_nodes(spec.affinity.node_affinity, f"{path}.affinity.nodeAffinity", problems)
        for wire, one in (
            ("podAffinity", spec.affinity.pod_affinity),
            ("podAntiAffinity", spec.affinity.pod_anti_affinity),
        ):
            if one is not None:
                _check_pods(one, f"{path}.affinity.{wire}", problems)


#: Taints that Kubernetes itself puts on nodes that it does not hear.
_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _check_toleration(one: Toleration, path: str, problems: Problems) -> None:
    if one.key and (why := kubenames.label_key(one.key)):
        problems.invalid(f"{path}.key", one.key, why)
    if not one.key and one.operator != "Exists":
        problems.invalid(
            f"{path}.operator", one.operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        )  # fmt: skip
    if one.operator == "Exists" and one.value:
        problems.invalid(f"{path}.operator", one.operator, "value must be empty when `operator` is 'Exists'")
    elif why := kubenames.label_value(one.value):
        problems.invalid(f"{path}.value", one.value, why)
    if one.effect and one.effect not in _EFFECTS:
        problems.choice(f"{path}.effect", one.effect, _EFFECTS)
    if one.toleration_seconds is not None:
        if one.effect != "NoExecute":
            problems.invalid(f"{path}.effect", one.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        elif one.key in _LOST:
            problems.unsupported(f"{path}.tolerationSeconds", "a Pod whose node is lost is replaced at once")


def _check_spread(one: TopologySpreadConstraint, path: str, problems: Problems) -> None:
    if one.max_skew < 1:
        problems.invalid(f"{path}.maxSkew", one.max_skew, "must be greater than zero")
    _check_topology(one.topology_key, path, problems)
    if one.min_domains is not None:
        if one.min_domains < 1:
            problems.invalid(f"{path}.minDomains", one.min_domains, "must be greater than zero")
        elif one.when_unsatisfiable != "DoNotSchedule":
            problems.invalid(
                f"{path}.minDomains", one.min_domains, "can only use minDomains if whenUnsatisfiable=DoNotSchedule"
            )
    selectors.check(one.label_selector, f"{path}.labelSelector", problems)
    _check_keys(one, ("matchLabelKeys",), path, problems)


def _check_keys(
    one: TopologySpreadConstraint | PodAffinityTerm, wires: tuple[str, ...], path: str, problems: Problems
) -> None:
    """Labels whose values the Pod itself gives."""
    named = {"matchLabelKeys": one.match_label_keys, "mismatchLabelKeys": getattr(one, "mismatch_label_keys", ())}
    selector = one.label_selector
    used = (
        {*selector.match_labels, *(each.key for each in selector.match_expressions)} if selector is not None else set()
    )
    for wire in wires:
        for index, key in enumerate(named[wire]):
            place = f"{path}.{wire}[{index}]"
            if selector is None:
                problems.forbidden(place, "must not be specified when labelSelector is not set")
            elif why := kubenames.label_key(key):
                problems.invalid(place, key, why)
            elif key in used:
                problems.invalid(place, key, "exists in both matchLabelKeys and labelSelector")
            used.add(key)


def _check_topology(key: str, path: str, problems: Problems) -> None:
    if not key:
        problems.required(f"{path}.topologyKey", "can not be empty")
    elif why := kubenames.label_key(key):
        problems.invalid(f"{path}.topologyKey", key, why)


def _check_nodes(one: NodeAffinity, path: str, problems: Problems) -> None:
    required = one.required_during_scheduling_ignored_during_execution
    if required is not None:
        place = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        check_terms(required.node_selector_terms, place, problems)
    for index, preferred in enumerate(one.preferred_during_scheduling_ignored_during_execution):
        place = f"{path}.{_PREFERRED}[{index}]"
        _check_weight(preferred.weight, place, problems)
        _check_term(preferred.preference, f"{place}.preference", problems)


def check_terms(terms: tuple[NodeSelectorTerm, ...], path: str, problems: Problems) -> None:
    if not terms:
        problems.required(path, "must have at least one node selector term")
    for index, term in enumerate(terms):
        _check_term(term, f"{path}[{index}]", problems)


def _check_term(term: NodeSelectorTerm, path: str, problems: Problems) -> None:
    selectors.check_nodes(term.match_expressions, f"{path}.matchExpressions", problems)
    for index, one in enumerate(term.match_fields):
        place = f"{path}.matchFields[{index}]"
        if one.key != "metadata.name":
            problems.invalid(f"{place}.key", one.key, "not a valid field selector key: there is metadata.name")
        if one.operator not in ("In", "NotIn") or len(one.values) != 1:
            problems.invalid(f"{place}.operator", one.operator, "must be In or NotIn, with one value")


def _check_weight(weight: int, path: str, problems: Problems) -> None:
    if not 1 <= weight <= 100:
        problems.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _check_pods(one: PodAffinity, path: str, problems: Problems) -> None:
    for index, term in enumerate(one.required_during_scheduling_ignored_during_execution):
        _check_pod_term(term, f"{path}.{_REQUIRED}[{index}]", problems)
    for index, preferred in enumerate(one.preferred_during_scheduling_ignored_during_execution):
        place = f"{path}.{_PREFERRED}[{index}]"
        _check_weight(preferred.weight, place, problems)
        _check_pod_term(preferred.pod_affinity_term, f"{place}.podAffinityTerm", problems)


def _check_pod_term(term: PodAffinityTerm, path: str, problems: Problems) -> None:
    _check_topology(term.topology_key, path, problems)
    selectors.check(term.label_selector, f"{path}.labelSelector", problems)
    for index, name in enumerate(term.namespaces):
        if why := kubenames.label(name):
            problems.invalid(f"{path}.namespaces[{index}]", name, why)
