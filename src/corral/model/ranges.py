"""A set of array elements kept as ranges, so that a hundred thousand of them cost as much as one."""

from collections.abc import Iterable, Iterator

#: Ascending, disjoint (first, last, step) with last reached exactly.
Ranges = tuple[tuple[int, int, int], ...]


def ranges_of(indices: Iterable[int]) -> Ranges:
    """Fold ascending indices into as few runs of one step as a single pass finds."""
    runs: list[list[int]] = []
    for index in indices:
        if runs:
            run = runs[-1]
            if run[0] == run[1] or index - run[1] == run[2]:
                if run[0] == run[1]:
                    run[2] = index - run[0]
                run[1] = index
                continue
        runs.append([index, index, 1])
    return tuple((first, last, step if last > first else 1) for first, last, step in runs)


def count(ranges: Ranges) -> int:
    return sum((last - first) // step + 1 for first, last, step in ranges)


def members(ranges: Ranges) -> Iterator[int]:
    for first, last, step in ranges:
        yield from range(first, last + 1, step)


def first_members(ranges: Ranges, most: int) -> tuple[int, ...]:
    """At most so many, from the lowest."""
    found: list[int] = []
    for first, last, step in ranges:
        found.extend(range(first, min(last, first + step * (most - len(found) - 1)) + 1, step))
        if len(found) >= most:
            break
    return tuple(found[:most])


def contains(ranges: Ranges, index: int) -> bool:
    return any(first <= index <= last and (index - first) % step == 0 for first, last, step in ranges)


def without_all(ranges: Ranges, indices: Iterable[int]) -> Ranges:
    """The set less these."""
    gone = frozenset(indices)
    return ranges_of(index for index in sorted(members(ranges)) if index not in gone)


def without(ranges: Ranges, index: int) -> Ranges:
    """The set less one member; unchanged when it is none."""
    result: list[tuple[int, int, int]] = []
    for first, last, step in ranges:
        if not (first <= index <= last and (index - first) % step == 0):
            result.append((first, last, step))
            continue
        if index > first:
            result.append((first, index - step, step if index - step > first else 1))
        if index < last:
            result.append((index + step, last, step if last > index + step else 1))
    return tuple(result)
