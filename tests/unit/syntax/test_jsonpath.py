"""Is a template read as kubectl reads it?"""

import pytest

from corral.syntax import jsonpath

ROOT = {
    "items": [
        {"metadata": {"name": "a", "labels": {"k.io/x": "1"}}, "n": 3, "c": [{"type": "Ready", "status": "True"}]},
        {"metadata": {"name": "b"}, "n": 5},
    ]
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "a b"),
        (".items[0].n", "3"),
        ("{range .items[*]}{.metadata.name}{'\\t'}{.n}{\"\\n\"}{end}", "a\t3\nb\t5\n"),
        ("{.items[0].metadata.labels.k\\.io/x}", "1"),
        ("{.items[0].c[?(@.type==\"Ready\")].status}", "True"),
        ("{.items[?(@.n>3)].metadata.name}", "b"),
        ("{..name}", "a b"),
        ("{.items[-1:].n}", "5"),
        ("{.items[0]['n','c']}", '3 [{"type":"Ready","status":"True"}]'),
        ("{.none}", ""),
        ("number {.items[0].n}.", "number 3."),
    ],
)  # fmt: skip
def test_a_template(template, text):
    assert jsonpath.rendered(template, ROOT) == text


@pytest.mark.parametrize(
    "template", ["{.items[}", "{range .items[*]}", "{end}", "{.items[9]}", "{.items[?(}", "{.a..}"]
)
def test_what_makes_no_sense(template):
    with pytest.raises(jsonpath.BadPath):
        jsonpath.rendered(template, ROOT)
