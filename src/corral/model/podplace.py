"""Where may a Pod be placed, and where would it rather be? Kubernetes' words, in records that compare."""

import re
from typing import Literal

import msgspec

Labels = tuple[tuple[str, str], ...]
#: What Kubernetes takes for the name and the value of a label.
_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL_NAME = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_WORD}")
LABEL_VALUE = re.compile(rf"(?:{_WORD})?")
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Taint(msgspec.Struct, frozen=True, array_like=True):
    """Of a node: Pods that do not tolerate it stay away."""

    key: str
    value: str = ""
    effect: Effect = "NoSchedule"

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


def taint_of(text: str) -> Taint:
    """key=value:NoSchedule, or key:NoExecute. Raises ValueError."""
    words, colon, effect = text.rpartition(":")
    key, _, value = words.partition("=")
    if not colon or not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise ValueError(f"{text!r} is no taint: write key=value:NoSchedule, key:PreferNoSchedule or key:NoExecute")
    return Taint(key, value, effect)  # type: ignore[arg-type]


class Requirement(msgspec.Struct, frozen=True, array_like=True):
    """Of one label."""

    key: str
    operator: str  #: In, NotIn, Exists, DoesNotExist, Gt, Lt
    values: tuple[str, ...] = ()

    def holds(self, found: str | None) -> bool:
        match self.operator:
            case "In":
                return found is not None and found in self.values
            case "NotIn":
                return found is None or found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
        try:
            number, bound = int(found or ""), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return number > bound if self.operator == "Gt" else number < bound


class Tolerated(msgspec.Struct, frozen=True, array_like=True):
    key: str  #: "" = every
    operator: str
    value: str
    effect: str  #: "" = every

    def covers(self, taint: Taint) -> bool:
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or (bool(self.key) and self.value == taint.value)


class PodTerm(msgspec.Struct, frozen=True, array_like=True):
    """Pods with such labels in the same domain."""

    topology: str  #: a label of nodes
    selector: tuple[Requirement, ...] | None  #: all must hold; None = no Pod
    namespaces: tuple[str, ...]

    def means(self, other: "PodWords") -> bool:
        if self.selector is None or other.namespace not in self.namespaces:
            return False
        labels = dict(other.labels)
        return all(one.holds(labels.get(one.key)) for one in self.selector)


class Spread(msgspec.Struct, frozen=True, array_like=True):
    """No domain has more than so many Pods more than the one that has fewest."""

    most_skew: int
    term: PodTerm
    must: bool  #: DoNotSchedule
    least_domains: int = 0


class PodWords(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """Of one Pod."""

    namespace: str = ""
    labels: Labels = ()
    owner: str = ""  #: the uid of who keeps it: its Pods go to different nodes if they can
    required: tuple[tuple[Requirement, ...], ...] = ()  #: one of these must hold in full; () = any node
    selected: tuple[Requirement, ...] = ()  #: and all of these (nodeSelector)
    preferred: tuple[tuple[int, tuple[Requirement, ...]], ...] = ()
    tolerated: tuple[Tolerated, ...] = ()
    near: tuple[PodTerm, ...] = ()
    apart: tuple[PodTerm, ...] = ()
    rather_near: tuple[tuple[int, PodTerm], ...] = ()  #: a negative weight: rather apart
    spread: tuple[Spread, ...] = ()
