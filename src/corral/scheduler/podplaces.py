"""On which nodes may a Pod be, and which of them is the best, by Kubernetes' words?

Only jobs that are Pods ask this. What nodes say of themselves (labels, taints) is looked up once for each way to ask; where other Pods are
is counted once for each selector, and the counts follow what begins in the cycle. So a thousand replicas cost a thousand times a few
passes over columns.

Scores are Kubernetes' own: each of them from 0 to 100 over the nodes that will do, with its weight; ties go to the node that
placement prefers.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corral.model.allocation import Allocation
from corral.model.podplace import PodTerm, PodWords
from corral.scheduler import resources
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import task_capacity
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.scheduler.nodewords import HOSTNAME, by_selector, by_taints, has_taints, labels_of, rows_matching

Score = npt.NDArray[np.float64]
#: Nodes with less and less of a score are tried so often; then any that will do.
_TRIES = 16
#: Kubernetes' weights.
_AFFINITY, _TAINTS, _SPREAD, _PODS = 2.0, 3.0, 2.0, 2.0
#: Replicas of one owner part, but what they say of other Pods themselves counts for more.
_OWN = 0.5


class Placed(NamedTuple):
    """A Pod that has its place, or to which one is promised."""

    node: str
    words: PodWords


class Refusals(NamedTuple):
    """How many nodes each rule keeps it from, in Kubernetes' words."""

    counts: dict[str, int]
    open: BoolColumn  #: rows that are left


def _label_of(term: PodTerm) -> tuple[str, str] | None:
    """One that all its Pods have."""
    for one in term.selector or ():
        if one.operator == "In" and len(one.values) == 1:
            return one.key, one.values[0]
    return None


class _Terms:
    """Of many terms, those that may mean a Pod: each service has its own, and few mean the Pods of others."""

    def __init__(self) -> None:
        self._by_label: dict[tuple[str, str] | None, list[PodTerm]] = {}

    def add(self, term: PodTerm) -> None:
        self._by_label.setdefault(_label_of(term), []).append(term)

    def like(self, words: PodWords) -> list[PodTerm]:
        return [term for label in (None, *words.labels) for term in self._by_label.get(label, ())]


class Pods:
    """Where Pods are, in one cycle."""

    def __init__(self, table: NodeTable, placed: Iterable[Placed]) -> None:
        self.table = table
        self.rows: list[int] = []
        self.words: list[PodWords] = []
        for one in placed:
            row = table.index.get(one.node)
            if row is not None:
                self.rows.append(row)
                self.words.append(one.words)
        self._owners: dict[str, IntColumn] = {}
        self._terms: dict[PodTerm, IntColumn] = {}
        self._asked, self._apart = _Terms(), _Terms()
        self._by_owner: dict[str, list[int]] | None = None  #: places in the lists above
        self._by_label: dict[tuple[str, str], list[int]] | None = None
        self._domains: dict[str, IntColumn] = {}
        self._repelling: dict[PodTerm, IntColumn] = {}  #: how many Pods keep others away by this term
        for row, words in zip(self.rows, self.words, strict=True):
            self._note_apart(row, words)

    def add(self, allocation: Allocation, words: PodWords) -> None:
        """It begins there."""
        row = self.table.index[allocation.nodes[0].node]
        place = len(self.rows)
        self.rows.append(row)
        self.words.append(words)
        if self._by_owner is not None:
            self._by_owner.setdefault(words.owner, []).append(place)
        if self._by_label is not None:
            for label in words.labels:
                self._by_label.setdefault(label, []).append(place)
        if (column := self._owners.get(words.owner)) is not None:
            column[row] += 1
        for term in self._asked.like(words):
            self._terms[term][row] += term.means(words)
        self._note_apart(row, words)

    def _note_apart(self, row: int, words: PodWords) -> None:
        for term in words.apart:
            column = self._repelling.get(term)
            if column is None:
                column = self._repelling[term] = np.zeros(len(self.table), np.int64)
                self._apart.add(term)
            column[row] += 1

    def of_owner(self, uid: str) -> IntColumn:
        """Of each node, the Pods that this one keeps."""
        column = self._owners.get(uid)
        if column is None:
            if self._by_owner is None:
                self._by_owner = {}
                for place, words in enumerate(self.words):
                    self._by_owner.setdefault(words.owner, []).append(place)
            column = self._owners[uid] = np.zeros(len(self.table), np.int64)
            for place in self._by_owner.get(uid, ()):
                column[self.rows[place]] += 1
        return column

    def count(self, term: PodTerm) -> IntColumn:
        """Of each node, the Pods that it means."""
        column = self._terms.get(term)
        if column is None:
            column = self._terms[term] = np.zeros(len(self.table), np.int64)
            self._asked.add(term)
            known: dict[PodWords, bool] = {}
            for place in self._with_label(_label_of(term)):
                words = self.words[place]
                found = known.get(words)
                if found is None:
                    found = known[words] = term.means(words)
                column[self.rows[place]] += found
        return column

    def _with_label(self, label: tuple[str, str] | None) -> Iterable[int]:
        if label is None:
            return range(len(self.words))
        if self._by_label is None:
            self._by_label = {}
            for place, words in enumerate(self.words):
                for one in words.labels:
                    self._by_label.setdefault(one, []).append(place)
        return self._by_label.get(label, ())

    def domains(self, key: str) -> IntColumn:
        """The number of each node's domain; -1 = it is in none."""
        column = self._domains.get(key)
        if column is None:
            if key == HOSTNAME:
                column = np.arange(len(self.table))
            else:
                numbers: dict[str, int] = {}
                found = (labels.get(key) for labels in labels_of(self.table))
                column = np.array(
                    [-1 if value is None else numbers.setdefault(value, len(numbers)) for value in found], np.int64
                )
            self._domains[key] = column
        return column

    def there(self, key: str, count: IntColumn) -> IntColumn:
        """How many of these are in each node's domain; 0 where it is in none."""
        domains = self.domains(key)
        inside = domains >= 0
        sums = np.bincount(domains[inside], weights=count[inside], minlength=1)
        found: IntColumn = np.where(inside, sums[domains], 0).astype(np.int64)
        return found

    # -- where it may be

    def refusals(self, words: PodWords, rows: BoolColumn) -> Refusals:
        """What keeps it from each of these rows; a row counts for the first rule alone."""
        counts: dict[str, int] = {}
        left = rows.copy()

        def keep(ok: BoolColumn, why: str) -> None:
            nonlocal left
            lost = int((left & ~ok).sum())
            if lost:
                counts[why] = counts.get(why, 0) + lost
            left = left & ok

        keep(by_taints(self.table, words), "node(s) had untolerated taint(s)")
        selected = by_selector(self.table, words)
        keep(selected, "node(s) didn't match Pod's node affinity/selector")
        for spread in words.spread:
            if spread.must:
                keep(self._within_skew(words, spread.term, spread.most_skew, spread.least_domains, rows & selected),
                     "node(s) didn't match pod topology spread constraints")  # fmt: skip
        if words.near:
            keep(self._near(words), "node(s) didn't match pod affinity rules")
        for term in words.apart:
            keep(self.there(term.topology, self.count(term)) == 0, "node(s) didn't match pod anti-affinity rules")
        for term in self._apart.like(words):
            if term.means(words):
                keep(
                    self.there(term.topology, self._repelling[term]) == 0,
                    "node(s) didn't satisfy existing pods anti-affinity rules",
                )
        return Refusals(counts, left)

    def _near(self, words: PodWords) -> BoolColumn:
        """All its terms; the first of Pods that want to be near each other is anywhere."""
        found: BoolColumn = np.ones(len(self.table), np.bool_)
        first = all(term.means(words) for term in words.near)
        first = first and not any(self.count(term).any() for term in words.near)
        for term in words.near:
            inside = self.domains(term.topology) >= 0
            found &= inside if first else inside & (self.there(term.topology, self.count(term)) > 0)
        return found

    def _within_skew(
        self, words: PodWords, term: PodTerm, skew: int, least_domains: int, eligible: BoolColumn
    ) -> BoolColumn:
        domains = self.domains(term.topology)
        inside = (domains >= 0) & eligible
        there = self.there(term.topology, np.where(eligible, self.count(term), 0))
        names = np.unique(domains[inside])
        least = int(there[inside].min()) if len(names) and len(names) >= least_domains else 0
        ok: BoolColumn = (domains >= 0) & (there + term.means(words) - least <= skew)
        return ok

    # -- where it would rather be

    def score(self, words: PodWords, rows: BoolColumn) -> Score:
        """Of these rows; the others' mean nothing."""
        total = np.zeros(len(self.table), np.float64)
        if words.preferred:
            wishes = sum(weight * rows_matching(self.table, term) for weight, term in words.preferred)
            total += _AFFINITY * _scaled(np.asarray(wishes, np.float64), rows)
        if has_taints(self.table):
            disliked = [
                sum(
                    t.effect == "PreferNoSchedule" and not any(o.covers(t) for o in words.tolerated) for t in one.taints
                )
                for one in self.table.inventories
            ]
            total -= _TAINTS * _scaled(np.array(disliked, np.float64), rows)
        soft = [spread for spread in words.spread if not spread.must]
        for spread in soft:
            crowd = self.there(spread.term.topology, self.count(spread.term)).astype(np.float64)
            crowd[self.domains(spread.term.topology) < 0] = crowd.max(initial=0) + 1
            total -= _SPREAD * _scaled(crowd, rows)
        if words.owner:
            weight = _OWN if words.spread or words.rather_near or words.near else _SPREAD
            total -= weight * _scaled(self.of_owner(words.owner).astype(np.float64), rows)
        if words.rather_near:
            wishes = sum(weight * self.there(term.topology, self.count(term)) for weight, term in words.rather_near)
            total += _PODS * _scaled(np.asarray(wishes, np.float64), rows)
        return total

    def place(
        self, table: NodeTable, demand: Demand, words: PodWords, rows: BoolColumn, strategy: str
    ) -> Allocation | None:
        """The best node that has room."""
        rows = self.refusals(words, rows).open
        if not rows.any():
            return None
        able = (task_capacity(table, demand, rows) > 0) & rows
        if not able.any():
            return None
        score = np.round(self.score(words, able), 6)
        left = able
        for _ in range(_TRIES):
            best = left & (score == score[left].max())
            found = resources.place(table, demand, best, strategy)
            if found is not None:
                return found
            left = left & ~best
            if not left.any():
                return None
        return resources.place(table, demand, left, strategy)


def _scaled(values: Score, rows: BoolColumn) -> Score:
    """From 0 to 100 over these rows."""
    inside = values[rows]
    low, high = inside.min(initial=np.inf), inside.max(initial=-np.inf)
    if not high > low:
        return np.zeros(len(values), np.float64)
    found: Score = (values - low) * (100.0 / (high - low))
    return found
