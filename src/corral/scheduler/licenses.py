"""Which licences of the cluster are free?

They belong to no node: beside its columns the ledger has one count per name.
"""

from collections.abc import Iterable, Mapping

from corral.syntax.licenses import Licenses


class Pool:
    """How many there are, and how many of them are held."""

    def __init__(self, total: Mapping[str, int] | None = None) -> None:
        self.total: Mapping[str, int] = total or {}
        self.used: dict[str, int] = {}

    def free(self, name: str) -> int:
        return self.total.get(name, 0) - self.used.get(name, 0)

    def has(self, wanted: Licenses) -> bool:
        return all(count <= self.free(name) for name, count in wanted)

    def change(self, held: Iterable[tuple[str, int]], sign: int) -> None:
        for name, count in held:
            self.used[name] = self.used.get(name, 0) + sign * count

    def copy(self) -> "Pool":
        other = Pool(self.total)
        other.used = self.used.copy()
        return other

    def without(self, others: Iterable[Iterable[tuple[str, int]]]) -> "Pool":
        """What is left when others have theirs as well."""
        left = self.copy()
        for held in others:
            left.change(held, 1)
        return left
