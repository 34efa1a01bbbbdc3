"""What do a Pod's nodeSelector, affinity, tolerations and spread constraints say, in the scheduler's words?"""

from collections.abc import Iterable

import msgspec

from corral.errors import UsageError
from corral.model.kube.meta import LabelSelector, ObjectMeta
from corral.model.kube.pod import NodeSelectorRequirement, NodeSelectorTerm, Pod, PodAffinity, PodAffinityTerm
from corral.model.podplace import PodTerm, PodWords, Requirement, Spread, Tolerated

#: A match of metadata.name: the only field of nodes that Kubernetes knows there.
HOSTNAME = "kubernetes.io/hostname"
PARTITION = "corral.dev/partition"


def partitions_of(words: PodWords) -> tuple[str, PodWords]:
    """In which partitions it runs, by what it says of corral.dev/partition, and what else it says. Raises UsageError."""
    found = [one for one in words.selected if one.key == PARTITION]
    term = words.required[0] if len(words.required) == 1 else ()
    found += [one for one in term if one.key == PARTITION]
    others = [words.required if len(words.required) != 1 else (), tuple(wish for _, wish in words.preferred)]
    misplaced = any(one.key == PARTITION for terms in others for term in terms for one in term)
    if misplaced or len(found) > 1 or any(one.operator != "In" for one in found):
        raise UsageError(
            reason=f"{PARTITION} is asked for once, in nodeSelector or as In of the one required term of node affinity"
        )
    if not found:
        return "", words
    selected = tuple(one for one in words.selected if one.key != PARTITION)
    left = tuple(one for one in term if one.key != PARTITION)
    required = words.required if len(words.required) != 1 else (left,) if left else ()
    return ",".join(found[0].values), msgspec.structs.replace(words, selected=selected, required=required)


def words_of(pod: Pod) -> PodWords:
    spec, meta = pod.spec, pod.metadata
    affinity = spec.affinity
    nodes = affinity.node_affinity if affinity is not None else None
    near = affinity.pod_affinity if affinity is not None else None
    apart = affinity.pod_anti_affinity if affinity is not None else None
    must = nodes.required_during_scheduling_ignored_during_execution if nodes is not None else None
    rather = nodes.preferred_during_scheduling_ignored_during_execution if nodes is not None else ()
    terms = must.node_selector_terms if must is not None else ()
    owner = next((one.uid for one in meta.owner_references if one.controller), "")
    return PodWords(
        namespace=meta.namespace,
        labels=tuple(sorted(meta.labels.items())),
        owner=owner,
        # A term without requirements matches nothing, as in Kubernetes.
        required=tuple(found for term in terms if (found := requirements_of(term))) if must is not None else (),
        selected=(
            *(Requirement(name, "In", (value,)) for name, value in sorted(spec.node_selector.items())),
            *((Requirement(HOSTNAME, "In"),) if must is not None and not any(map(requirements_of, terms)) else ()),
        ),
        preferred=tuple((one.weight, found) for one in rather if (found := requirements_of(one.preference))),
        tolerated=tuple(Tolerated(one.key, one.operator, one.value, one.effect) for one in spec.tolerations),
        near=_terms(near, meta),
        apart=_terms(apart, meta),
        rather_near=(*_weighted(near, meta, 1), *_weighted(apart, meta, -1)),
        spread=tuple(
            Spread(
                one.max_skew,
                PodTerm(
                    one.topology_key,
                    _selector(one.label_selector, meta.labels, one.match_label_keys),
                    (meta.namespace,),
                ),
                one.when_unsatisfiable == "DoNotSchedule",
                one.min_domains or 0,
            )
            for one in spec.topology_spread_constraints
        ),
    )


def requirements_of(term: NodeSelectorTerm) -> tuple[Requirement, ...]:
    fields = (
        NodeSelectorRequirement(key=HOSTNAME, operator=one.operator, values=one.values)
        for one in term.match_fields
        if one.key == "metadata.name"
    )
    return tuple(Requirement(one.key, one.operator, one.values) for one in (*term.match_expressions, *fields))


def _selector(
    selector: LabelSelector | None, own: dict[str, str], same: tuple[str, ...] = (), other: tuple[str, ...] = ()
) -> tuple[Requirement, ...] | None:
    """`own`: the Pod's labels, of which those of `same` and `other` are among the conditions. One that it has not is passed over."""
    if selector is None:
        return None
    labels = (Requirement(name, "In", (value,)) for name, value in sorted(selector.match_labels.items()))
    given = (Requirement(one.key, one.operator, one.values) for one in selector.match_expressions)
    kept = (Requirement(name, "In", (own[name],)) for name in same if name in own)
    apart = (Requirement(name, "NotIn", (own[name],)) for name in other if name in own)
    return (*labels, *given, *kept, *apart)


def _term(term: PodAffinityTerm, meta: ObjectMeta) -> PodTerm:
    selector = _selector(term.label_selector, meta.labels, term.match_label_keys, term.mismatch_label_keys)
    return PodTerm(term.topology_key, selector, term.namespaces or (meta.namespace,))


def _terms(given: PodAffinity | None, meta: ObjectMeta) -> tuple[PodTerm, ...]:
    found = given.required_during_scheduling_ignored_during_execution if given is not None else ()
    return tuple(_term(one, meta) for one in found)


def _weighted(given: PodAffinity | None, meta: ObjectMeta, sign: int) -> Iterable[tuple[int, PodTerm]]:
    for one in given.preferred_during_scheduling_ignored_during_execution if given is not None else ():
        yield sign * one.weight, _term(one.pod_affinity_term, meta)
