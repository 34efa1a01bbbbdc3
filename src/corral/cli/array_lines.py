"""Which lines does squeue make of an array: what still waits as one, or each element on its own?

Elements that wait in one record come as ranges, and all their lines but for the ids are alike: a line is formatted once for
the record, and only the ids for each element. So a hundred thousand elements cost little more than their output.
"""

from __future__ import annotations

import os

from corral.syntax.arrayspec import SHOWN, spans

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from corral.cli.columns import Layout

    Line = list[Any]

#: What `merge` looks at.
FIELDS = (
    "id",
    "array_job_id",
    "array_task_id",
    "array_waiting",
    "array_throttle",
    "name",
    "partition",
    "state",
    "reason",
    "why",
)

_PENDING = ("PENDING", "SPECIAL_EXIT")

#: Reasons that are words, as they are added to others.
_SHORT = {"job requeued in held state": "JobHeldUser", "job requeued in special exit state": "JobHeldUser"}

#: Fields in which the elements of one record differ.
_OWN = frozenset({"array_task_id", "array_waiting"})


def members(waiting: Sequence[Sequence[int]]) -> Iterator[int]:
    for first, last, step in waiting:
        yield from range(first, last + 1, step)


def one_by_one(fields: Sequence[str], rows: Iterable[Line]) -> Iterator[Line]:
    """A row for each waiting element."""
    waiting, task = fields.index("array_waiting"), fields.index("array_task_id")
    for row in rows:
        if not row[waiting]:
            yield row
        for element in members(row[waiting] or ()):
            own = list(row)
            own[task], own[waiting] = element, ()
            yield own


def apart(fields: Sequence[str], rows: list[Line]) -> list[Line]:
    """Elements that were changed together are one record here; Slurm has one for each, and so a line."""
    job, array, waiting = fields.index("id"), fields.index("array_job_id"), fields.index("array_waiting")
    state = fields.index("state")
    found: list[Line] = []
    for row in rows:
        if row[waiting] and row[job] != row[array] and row[state] in _PENDING:
            found += one_by_one(fields, [row])
        else:
            found.append(row)
    return found


def merge(fields: Sequence[str], rows: list[Line]) -> list[Line]:
    """What waits of an array with records of its own joins the line of the rest, when name and partition are the same."""
    job, array, task, waiting, throttle, name, partition, state, reason, why = map(fields.index, FIELDS)
    heads = {
        (row[array], row[name], row[partition]): row
        for row in rows
        if row[waiting] and row[job] == row[array] and row[state] in _PENDING
    }
    if not heads:
        return rows
    left: list[Line] = []
    joined: dict[int, list[Line]] = {}
    for row in rows:
        head = heads.get((row[array], row[name], row[partition])) if row[array] and row[state] in _PENDING else None
        if head is None or head is row:
            left.append(row)
        else:
            joined.setdefault(row[array], []).append(row)
    for head in heads.values():
        others = joined.get(head[array])
        if not others:
            continue
        own = [*head[waiting]]
        for row in sorted(others, key=lambda row: row[job]):
            own += row[waiting] or [(row[task], row[task], 1)]
            short = _SHORT.get(row[reason], row[reason])
            if short != _SHORT.get(head[reason], head[reason]) and short not in head[why]:
                head[why] += f",{short}"
        head[waiting], head[throttle] = _shown(own), 0
    return left


def _shown(waiting: list[Sequence[int]]) -> str:
    """As Slurm writes them together: no step, no limit, and cut without a mark."""
    text, given = spans(waiting), os.environ.get("SLURM_BITSTR_LEN")
    if given is None:
        return text[: SHOWN - 1]
    sign, digits = given[:1] == "-", given.lstrip("+-")
    digits = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    limit = int(digits[:9] or 0)
    if sign and limit:
        limit = SHOWN
    return text[: limit - 1] if limit else text


def lines(layout: Layout, fields: Sequence[str], rows: list[Line]) -> tuple[str, Iterable[str]]:
    """The header and the lines, one for each waiting element."""
    header, made = layout.render(fields, rows)
    waiting, task = fields.index("array_waiting"), fields.index("array_task_id")
    if not any(row[waiting] for row in rows):
        return header, made
    index = {field: at for at, field in enumerate(fields)}
    found: list[str] = []
    for row, line in zip(rows, made, strict=True):
        if not row[waiting]:
            found.append(line)
            continue
        elements = list(members(row[waiting]))
        template, different = layout.opened(index, row, _OWN)
        from itertools import repeat  # the first to import it pays for all its types

        columns: list[Any] = [repeat(value) for value in row]
        columns[task], columns[waiting] = elements, [()] * len(elements)
        cells = [column.each(index, columns) for column in different]
        found += map(template.__mod__, zip(*cells, strict=True)) if cells else [template % ()] * len(elements)
    return header, found
