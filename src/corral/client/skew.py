"""What of a request may be left out for a controller that is older than the command?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

#: They say who asks and how, and are sent always; what the user has asked for is the same without them.
_DISPENSABLE = frozenset({"asks_programs", "client_host", "client_pid", "submit_host", "submit_line", "submit_sid"})
#: Where specs lie in requests. What else is in there may be named by users (environments).
_WITHIN = ("jobs", "parts", "spec", "step")


def without_unknown(body: Any, refusal: str) -> Any:
    """The request without the field that this answer complains of; None: what has been asked for would not be done."""
    _, found, rest = refusal.partition("unknown field `")
    name = rest.partition("`")[0]
    return _without(body, name) if found and name in _DISPENSABLE else None


def _without(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without(one, name) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _without(one, name) if key in _WITHIN else one for key, one in value.items() if key != name}
