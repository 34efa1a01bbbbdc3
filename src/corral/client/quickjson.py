"""How do commands read and write JSON without paying 4 ms for importing `json` (which loads `re`)?

The C parts of the standard library's json module are used directly; where an interpreter has none, json itself.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Reading:
    """What the C scanner asks its context for: json.JSONDecoder's defaults."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


_scan: Callable[[str, int], tuple[Any, int]] | None
_iterate: Any
try:
    from _json import encode_basestring, make_encoder, make_scanner

    _scan = make_scanner(_Reading)  # type: ignore[arg-type]

    def _refuse(value: object) -> object:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")

    _iterate = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)
    _iterate(["a", 1, {"b": None}], 0)
except (ImportError, TypeError):
    _scan = None


def decode(text: str) -> Any:
    """ValueError when it is not JSON."""
    if _scan is None:
        import json

        return json.loads(text)
    text = text.strip()
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("not JSON")
    return value


def encode(value: Any) -> str:
    if _scan is None:
        import json

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "".join(_iterate(value, 0))
