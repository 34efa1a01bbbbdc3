"""Is YAML read as Kubernetes reads it, and within limits?"""

import pytest

from corral.syntax import yamltext


def test_dates_and_colons_stay_text_and_numbers_are_numbers():
    [found] = yamltext.documents("a: 22:22\nb: 2020-01-01\nc: 0644\nd: 1_000\ne: '8'\nf: 1.5\ng: yes\n")
    assert found == {"a": "22:22", "b": "2020-01-01", "c": 420, "d": 1000, "e": "8", "f": 1.5, "g": True}


def test_empty_documents_are_none():
    assert yamltext.documents("---\n---\na: 1\n---\n# nothing\n") == [{"a": 1}]


def grown(form: str) -> str:
    """Each nine times what is before it."""
    pairs = zip("abcdefg", "bcdefgh", strict=True)
    return "".join(f"{new}: &{new} " + form.replace("{}", ",".join([f"*{old}"] * 9)) + "\n" for old, new in pairs)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: *a}",
        "a: !!python/object/apply:os.system [x]",
        "1: 2",
        "a: .inf",
        "[" * 500 + "]" * 500,
        "a: [",
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + grown("[{}]"),
        "a: &a {k: 1}\n" + grown("{k: [{}], <<: [{}]}"),
    ],
)  # fmt: skip
def test_what_is_dangerous_or_nonsense_is_refused(text):
    with pytest.raises(yamltext.NotYaml):
        yamltext.documents(text)


def test_what_is_written_is_read_back():
    value = {"a": ["yes", "1", "0644", "2020-01-01", "x\ny\n", "", " x", "a: b"], "b": {"c": None, "d": 1.5}}
    assert yamltext.documents(yamltext.dumped(value)) == [value]
