"""What does `-o "%.18i %j"` or `-O jobid:8,name` ask for, and how do rows become lines by it?

A format is compiled once: to the fields it needs of the API, one function per column, and one %-template for a whole line.
Rendering goes by column, not by cell, so that ten thousand rows take some tens of milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

#: As wide as the longest value, but at least this.
GROWS = -1
NARROWEST = 9

#: What is not cut to a width of `%.5X`, as some of Slurm's columns have it. STARRED: it is, and a star at the end stays.
CUT, WHOLE_VALUE, WHOLE_HEADER, WHOLE, WHOLE_NODES, STARRED = range(6)

#: The width of a column that -O names without one.
LONG_WIDTH = 20


class Column:
    """A kind of column: its header, the fields its value comes from, and what makes the text of them (None: as it is).

    A column without fields has the same `text` in every row.
    """

    __slots__ = ("fields", "header", "text", "whole")

    def __init__(
        self, header: str, fields: str = "", text: Callable[..., Any] | str | None = None, whole: int = CUT
    ) -> None:
        self.header = header
        self.fields = fields.split()
        self.text = text
        self.whole = whole

    def cells(self, index: Mapping[str, int], columns: Sequence[Sequence[Any]], count: int) -> Sequence[Any]:
        if not self.fields:
            return [self.text] * count
        if self.text is None:
            return columns[index[self.fields[0]]]
        assert not isinstance(self.text, str)
        own = [columns[index[field]] for field in self.fields]
        if count > _FEW and (known := _texts(self.text, own)) is not None:
            return known
        return list(map(self.text, *own))

    def each(self, index: Mapping[str, int], columns: Sequence[Iterable[Any]]) -> Iterable[Any]:
        """As `cells`, of values that need not be lists; as many as the shortest has."""
        own = [columns[index[field]] for field in self.fields]
        if self.text is None:
            return own[0]
        assert not isinstance(self.text, str)
        return map(self.text, *own)


#: With more rows than this it pays to look whether many are alike.
_FEW = 200


def _texts(text: Callable[..., Any], columns: Sequence[Sequence[Any]]) -> Sequence[Any] | None:
    """Made once for values that come again and again; None where that would not pay."""
    if all(column.count(column[0]) == len(column) for column in columns):
        return [text(*[column[0] for column in columns])] * len(columns[0])
    [values, *more] = columns
    try:
        if more or len(set(values[:_FEW])) > _FEW // 4:
            return None
        made = {value: text(value) for value in set(values)}
    except TypeError:  # lists
        return None
    return list(map(made.__getitem__, values))


class Piece:
    """A column as one format wants it."""

    __slots__ = ("column", "right", "suffix", "width")

    def __init__(self, column: Column, width: int, right: bool, suffix: str) -> None:
        self.column = column
        self.width = width  #: 0 = as long as the value is
        self.right = right
        self.suffix = suffix

    def shortened(self, values: Sequence[Any]) -> Sequence[Any]:
        """Where more than the template is needed for it."""
        width, whole = self.width, self.column.whole
        if width and whole == WHOLE_NODES:
            return [value[:width] if value[:1] == "(" else value for value in values]
        if width and whole == STARRED:
            return [f"{value[: width - 1]}*" if value[-1:] == "*" and len(value) > width else value for value in values]
        return values

    def template(self, width: int, whole: bool) -> str:
        text = self.suffix.replace("%", "%%")
        if not width:
            return f"%s{text}"
        if not self.right:
            return f"%-{width}.{width}s{text}"
        return f"%{width}s{text}" if whole else f"%{width}.{width}s{text}"


class Layout:
    """A compiled format: text and columns in turn."""

    def __init__(self, lead: str = "") -> None:
        self.lead = lead
        self.pieces: list[Piece | str] = []

    @property
    def fields(self) -> list[str]:
        """Of the API, each once."""
        needed = [field for piece in self.pieces if isinstance(piece, Piece) for field in piece.column.fields]
        return list(dict.fromkeys(needed))

    def render(self, fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, Iterator[str]]:
        """The header, and a line for each row; `fields` names the values of a row."""
        index = {field: at for at, field in enumerate(fields)}
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
        template = top = self.lead.replace("%", "%%")
        headers, cells = [], []
        for piece in self.pieces:
            if isinstance(piece, str):
                template += piece.replace("%", "%%")
                top += piece.replace("%", "%%")
                continue
            column = piece.column
            values = column.cells(index, columns, len(rows))
            width = piece.width
            if width == GROWS:
                width = max(NARROWEST, max((len(value) for value in values), default=0))
            else:
                values = piece.shortened(values)
            part = piece.template(width, column.whole in (WHOLE_VALUE, WHOLE, WHOLE_NODES))
            top += piece.template(width, column.whole in (WHOLE_HEADER, WHOLE, WHOLE_NODES))
            headers.append(column.header)
            if len(values) > _FEW and values.count(values[0]) == len(values):  # the same in all rows: once for all
                part = (part % (values[0],)).replace("%", "%%")
            else:
                cells.append(values)
            template += part
        header = top % tuple(headers)
        if not cells:
            return header, iter([template % ()] * len(rows))
        return header, map(template.__mod__, zip(*cells, strict=True))

    def opened(self, index: Mapping[str, int], row: Sequence[Any], own: frozenset[str]) -> tuple[str, list[Column]]:
        """A template for many lines that are like this row but in the fields `own`; and its columns that differ in each."""
        template = self.lead.replace("%", "%%")
        columns, different = [(value,) for value in row], []
        for piece in self.pieces:
            if isinstance(piece, str):
                template += piece.replace("%", "%%")
                continue
            column = piece.column
            part = piece.template(piece.width, column.whole in (WHOLE_VALUE, WHOLE, WHOLE_NODES))
            if own.isdisjoint(column.fields):
                [value] = piece.shortened(column.cells(index, columns, 1))
                part = (part % (value,)).replace("%", "%%")
            else:
                different.append(column)
            template += part
        return template, different


def parse_letters(
    text: str, known: Mapping[str, Column], unknown: Callable[[str], None], growing: bool = False, every: str = "",
    drops: bool = False,
) -> Layout:  # fmt: skip
    """`%[.][width]letter` with text between. `%%` is no way to write a percent sign: that is Slurm's rule.

    What is not known is told, and stands for itself in the output (not when it `drops`). `growing`: `#` may stand for the width.
    `every` is what a `%all` at the end stands for.
    """
    if every and text.endswith("%all"):
        text = text.removesuffix("%all") + every
    parts = text.split("%")
    layout = Layout(parts[0])
    for token in parts[1:]:
        if not token:
            continue
        at, right, width = 0, False, 0
        if token[at] == ".":
            right, at = True, at + 1
        if growing and token[at : at + 1] == "#":
            width, at = GROWS, at + 1
        start = at
        while at < len(token) and token[at] in "0123456789":
            at += 1
        if at > start:
            width = int(token[start:at][:6])
        letter, suffix = token[at : at + 1], token[at + 1 :]
        column = known.get(letter)
        if column is None:
            unknown(letter)
            if not drops:
                layout.pieces.append("%" + token)
        else:
            layout.pieces.append(Piece(column, width, right, suffix))
    return layout


def parse_names(text: str, known: Mapping[str, Column], unknown: Callable[[str], None]) -> Layout:
    """`name[:[.][width][suffix]]`, with commas between; names in any case."""
    layout = Layout()
    for token in text.split(","):
        name, colon, rest = token.partition(":")
        if not name:
            continue
        right = rest.startswith(".")
        rest = rest[right:]
        suffix = rest.lstrip("0123456789")
        digits = rest[: len(rest) - len(suffix)]
        width = int(digits[:6] or 0) if colon else LONG_WIDTH
        column = known.get(name.lower())
        if column is None:
            unknown(name)
        else:
            layout.pieces.append(Piece(column, width, right, suffix))
    return layout
