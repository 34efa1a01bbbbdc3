"""Every field that the real commands know is known here, under the same header and as wide."""

from collections.abc import Iterator, Mapping

import pytest
from tests.unit.cli.fakecluster import golden

from corral.cli import history_columns, job_columns, node_columns, step_columns
from corral.cli.columns import Column, Layout, parse_letters, parse_names


def lines(path: str) -> Iterator[list[str]]:
    for line in golden(path).splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def header(layout: Layout) -> str:
    return layout.render(layout.fields, [])[0]


def headers_of_names(path: str, known: Mapping[str, Column]) -> tuple[dict[str, str], dict[str, str]]:
    """What the golden file has, and what our header line is for the same name alone."""
    expected = {cells[0].lower(): cells[1] for cells in lines(path)}
    unknown: list[str] = []
    shown = {name: f"|{header(parse_names(name, known, unknown.append))}|" for name in expected if name in known}
    return expected, shown


@pytest.mark.parametrize(
    ("path", "known"),
    [("squeue/O-fields.tsv", job_columns.names()), ("sinfo/O-fields.tsv", node_columns.names())],
)
def test_names_and_their_headers(path: str, known: Mapping[str, Column]) -> None:
    expected, shown = headers_of_names(path, known)
    assert shown == expected


@pytest.mark.parametrize(
    ("path", "known"), [("squeue/letters.tsv", job_columns.LETTERS), ("sinfo/letters.tsv", node_columns.LETTERS)]
)
def test_letters_and_their_headers(path: str, known: Mapping[str, Column]) -> None:
    expected = {
        cells[0][1:]: cells[2]
        for cells in lines(path)
        if cells[1] == "header" and len(cells[0]) == 2 and not cells[2].startswith("Invalid")
    }
    unknown: list[str] = []
    shown = {
        letter: header(parse_letters(f"|%.24{letter}|", known, unknown.append))
        for letter in expected
        if letter in known
    }
    assert shown == expected


def test_names_of_step_fields_and_their_headers() -> None:
    known = step_columns.names()
    expected = {cells[0]: cells[1] for cells in lines("squeue/step-fields.tsv")}
    assert {name: known[name].header for name in expected if name in known} == expected


def test_history_fields_and_their_widths() -> None:
    expected = {cells[0].lower(): (cells[1].strip("|"), int(cells[2])) for cells in lines("sacct/fields.tsv")}
    chosen = history_columns.parse(",".join(expected))
    assert [(one.header() + " ", one.width + 1) for one in chosen] == list(expected.values())
    assert {field.name.lower() for field in history_columns.FIELDS} == set(expected)
