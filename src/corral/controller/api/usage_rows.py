"""What does the API show of what a step's tasks have used?"""

from collections.abc import Callable
from typing import Any

from corral.model.usage import KINDS, Usage


def shown(used: Usage, node_of: Callable[[int], str], first_node: str) -> dict[str, Any] | None:
    """By kind: total, average, most and least with the task and its node. None: nothing is known."""
    if not used.tasks:
        return None
    result: dict[str, Any] = {"tasks": used.tasks, "node": first_node}
    for kind, one in zip(KINDS, used.amounts, strict=False):
        result[kind] = {
            "total": one.total,
            "ave": one.total // used.tasks,
            "max": one.most,
            "max_node": node_of(one.most_rank),
            "max_task": one.most_rank,
            "min": one.least,
            "min_node": node_of(one.least_rank),
            "min_task": one.least_rank,
        }
    return result
