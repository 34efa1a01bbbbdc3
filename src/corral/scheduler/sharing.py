"""Who may have a CPU that others have too (a partition's OverSubscribe=YES or FORCE)?

Theory: the jobs of one partition that share lie in layers over each node. What a job takes goes, CPU by CPU, into the lowest layer in
which the CPU is not held; so layer k holds the CPUs that more than k jobs have, and a CPU may be had by one more as long as the last
layer allowed does not hold it. CPUs in the lowest layer of a partition are nobody else's.
"""


class Layers:
    """Of each partition, by row: masks of CPU ids, the lowest layer first."""

    def __init__(self) -> None:
        self._held: dict[str, dict[int, tuple[int, ...]]] = {}

    def copy(self) -> "Layers":
        other = Layers()
        other._held = {partition: rows.copy() for partition, rows in self._held.items()}
        return other

    def rows(self, partition: str) -> tuple[int, ...]:
        """Where something of this partition is shared."""
        return tuple(self._held.get(partition, ()))

    def room(self, partition: str, row: int, sharers: int) -> int:
        """The CPUs that at least one job of the partition shares here, and fewer than `sharers`."""
        layers = self._held.get(partition, {}).get(row, ())
        if not layers:
            return 0
        return layers[0] & ~layers[sharers - 1] if len(layers) >= sharers else layers[0]

    def change(self, partition: str, row: int, mask: int, sign: int) -> int:
        """Take (1) or give back (-1); what of it was nobody's before, or is nobody's now."""
        rows = self._held.setdefault(partition, {})
        layers = list(rows.get(row, ()))
        if sign > 0:
            news = mask & ~layers[0] if layers else mask
            for number, layer in enumerate(layers):
                layers[number], mask = layer | mask, layer & mask
            if mask:
                layers.append(mask)
        else:
            news = 0
            for number in reversed(range(len(layers))):
                gone = layers[number] & mask
                layers[number] &= ~gone
                mask &= ~gone
                news = gone if number == 0 else 0
            while layers and not layers[-1]:
                layers.pop()
        if layers:
            rows[row] = tuple(layers)
        else:
            rows.pop(row, None)
        return news
