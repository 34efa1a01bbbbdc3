"""How does a command ask the controller for rows, and what does it say when there is none?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from corral.client.connection import Connection

NO_CONTROLLER = "Unable to contact slurm controller (connect failure)"

_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~,[]*")


def quote(text: str) -> str:
    """For a URL's query; urllib would cost 10 ms to import."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        from corral.syntax.rawbytes import carried

        data = carried(text).encode()
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in data)


def url(path: str, **given: Any) -> str:
    """The path with what is given: texts, numbers, and lists joined by commas. Empty ones are left out."""
    pairs = []
    for name, value in given.items():
        if isinstance(value, (list, tuple)):
            value = ",".join(map(str, value))
        if value not in ("", None, False):
            pairs.append(f"{name}={quote('1' if value is True else str(value))}")
    return f"{path}?{'&'.join(pairs)}" if pairs else path


class Rows:
    """A table as the API answers it."""

    __slots__ = ("fields", "rows")

    def __init__(self, answer: dict[str, Any]) -> None:
        self.fields: list[str] = answer["fields"]
        self.rows: list[list[Any]] = answer["rows"]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.fields, row, strict=True)) for row in self.rows]

    def column(self, field: str) -> list[Any]:
        at = self.fields.index(field)
        return [row[at] for row in self.rows]


def rows(connection: Connection, path: str, fields: Iterable[str] = (), **given: Any) -> Rows:
    return Rows(connection.request("GET", url(path, fields=list(fields), **given)))
